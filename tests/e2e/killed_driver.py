"""The real `canary` command, ended by SIGKILL before or after one named effect.

    python -m tests.e2e.killed_driver EFFECT before|after LOG ARGUMENTS...

An effect is a record saved, ledger entries appended, or a workload touched, and is named after what it
says: `save promoting/1`, `append action: scale stable 2`, `scale stable 2`. Saying the same again is the
same effect (actions state ends, and looks are appended one by one): the process ends at the first. Every
effect is written to LOG as it happens. An EFFECT that never comes, such as `-`, kills nothing.
"""

import os
import signal
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

from canary import wiring
from canary.__main__ import main
from canary.core.actions import Action, Remove, Scale, SetRevision
from canary.core.ledger import Entry
from canary.core.release import Phase, Release
from canary.looking import Ports

T = TypeVar("T")
_connect = wiring.connect


class Killer:
    """Notes effects, and ends the process at the chosen one."""

    def __init__(self, effect: str, when: str, log: Path) -> None:
        self._effect, self._when, self._log = effect, when, log

    def effect(self, name: str, happen: Callable[[], T]) -> T:
        with self._log.open("a") as log:
            log.write(name + "\n")
        if (name, "before") == (self._effect, self._when):
            os.kill(os.getpid(), signal.SIGKILL)
        done = happen()
        if (name, "after") == (self._effect, self._when):
            os.kill(os.getpid(), signal.SIGKILL)
        return done


class Wrapped:
    """A port whose effects pass the killer; all else is the port's own."""

    def __init__(self, inner: object, **effects: Callable[..., Any]) -> None:
        self._inner = inner
        self.__dict__.update(effects)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)


def saved(release: Release) -> str:
    if release.phase is Phase.PROGRESSING:
        return f"save progressing/{release.step + 1}/{release.stage}"
    return f"save {release.phase}"


def appended(entries: Sequence[Entry]) -> str:
    kind, body = entries[-1].kind, entries[-1].body
    if kind == "look":
        return "append looks"
    told = body["to"] if kind != "action" else ", ".join(map(_told, body["actions"]))
    return f"append {kind}: {told}"


def _told(action: dict[str, Any]) -> str:
    return " ".join(f"{key} {value}" for key, value in action.items() if key not in ("hash", "version"))


def applied(action: Action) -> str:
    match action:
        case Scale(arm, replicas):
            return f"scale {arm} {replicas}"
        case SetRevision(arm):
            return f"set {arm}"
        case Remove(arm):
            return f"remove {arm}"


def wrap(ports: Ports, killer: Killer) -> Ports:
    """The ports with every effect passing the killer."""
    records, ledger, workloads = ports.records, ports.ledger, ports.workloads

    def save(release: Release, **kw: Any) -> Any:
        return killer.effect(saved(release), lambda: records.save(release, **kw))

    def append(target: str, entries: Sequence[Entry]) -> None:
        if entries:
            killer.effect(appended(entries), lambda: ledger.append(target, entries))

    def apply(action: Action, **kw: Any) -> None:
        killer.effect(applied(action), lambda: workloads.apply(action, **kw))

    wrapped: dict[str, Any] = {
        "records": Wrapped(records, save=save),
        "ledger": Wrapped(ledger, append=append),
        "workloads": Wrapped(workloads, apply=apply),
    }
    return replace(ports, **wrapped)


if __name__ == "__main__":
    effect, when, log, *arguments = sys.argv[1:]
    killer = Killer(effect, when, Path(log))
    wiring.connect = lambda settings, **given: wrap(_connect(settings, **given), killer)
    sys.argv = ["canary", *arguments]
    main()
