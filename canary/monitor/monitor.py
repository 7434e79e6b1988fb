"""`canary guard run`: opens everything, waits for the sandbox, watches it, and leaves nothing unwatched."""

import signal
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress

from canary.errors import CanaryError, Exit, TransientError
from canary.monitor.alerts import Alerts, url_in
from canary.monitor.book import Book
from canary.monitor.docker import Docker
from canary.monitor.exporter import Exporter, Meters
from canary.monitor.eyes import Eyes, UnseenError
from canary.monitor.hands import RECORD_S
from canary.monitor.heart import BEAT_S, joined, started
from canary.monitor.inspector import WAITING_S, Inspector
from canary.monitor.kit import Kit
from canary.monitor.options import GuardOptions
from canary.monitor.reports import Reports
from canary.monitor.session import SIGNALS, Session, measure_ledger
from canary.monitor.voice import Voice
from canary.monitor.waker import Waker, come_first
from canary.ports import Seals
from canary.rules.condition import names
from canary.rules.quantity import duration
from canary.safety.container import Container, refusals
from canary.safety.orders import EXITS, Cause, Over, Tell, Trouble
from canary.safety.rule import SafetyRule
from canary.safety.vocabulary import OF_LIMIT

FIRST_ANSWER_S = 5.0
"""So long Docker may take to answer for the first time."""
STARTED_S = 5.0
"""A container that is refused before it runs is waited for so long: it may be on its way."""
Say = Callable[[str], None]
SETTLE_S = 5.0
"""So long ledger and alerts are waited for in the end."""


def run(asked: GuardOptions, actor: str, seals: Seals | None, write: Say, warn: Say) -> int:
    """Watch one container until it has ended.

    Args:
        actor: who watches. seals: of the ledger. write: shows a line. warn: on stderr.

    Returns:
        The exit code.

    Raises:
        CanaryError: it could not begin; nothing was watched, and nothing runs because of it.
    """
    kit = Kit(
        asked,
        Docker(asked.docker, asked.container),
        Waker(),
        Meters(tuple(rule.name for rule in asked.rules)),
        Voice(write),
    )
    come_first()
    kit.waker.catch(*SIGNALS)
    with _opened(kit, actor, seals):
        over = _watched(kit)
        if kit.link is not None:
            # Nothing runs any more, and what follows may take its time.
            kit.link.say("bye")
        kit.settled(SETTLE_S)
        if kit.alerts is not None:
            kit.alerts.settle(SETTLE_S)
        if kit.book is not None and (kit.book.fault or kit.book.changed):
            warn(f"the ledger is not to be relied upon: {kit.book.changed or kit.book.fault}")
        return over.exit


@contextmanager
def _opened(kit: Kit, actor: str, seals: Seals | None) -> Iterator[None]:
    """Everything that is needed, closed again in the end; the watchdog is told that it may go."""
    asked = kit.asked
    with ExitStack() as stack:
        stack.callback(kit.voice.settle, 2.0)
        if asked.alert_url_file is not None:
            kit.alerts = Alerts(url_in(asked.alert_url_file), kit.note)
        if asked.ledger is not None:
            kit.book = Book(asked.ledger, asked.container, actor, seals)
            kit.book.open()
        kit.inspector = Inspector(kit.docker, kit.waker.ring)
        stack.callback(kit.inspector.close)
        _first_answer(kit, kit.inspector)
        if asked.reports is not None:
            kit.reports = Reports(asked.reports, kit.waker.ring)
            stack.callback(kit.reports.close)
        if asked.listen is not None:
            exporter = Exporter(*asked.listen, kit.meters)
            stack.callback(exporter.close)
            kit.note(f"metrics at http://{asked.listen[0]}:{exporter.port}/metrics")
        kit.link = joined(asked.watchdog) if asked.watchdog is not None else started(_arguments(asked))
        stack.callback(kit.link.close)
        try:
            yield
        except CanaryError:
            # It is told; whatever else is raised, and whatever runs, is left to the watchdog.
            if not kit.session:
                kit.link.say("bye")
            raise
        kit.link.say("bye")


def _first_answer(kit: Kit, inspector: Inspector) -> None:
    until = time.monotonic() + FIRST_ANSWER_S
    while not inspector.answer.at:
        if time.monotonic() > until:
            raise TransientError(
                f"nothing is watched: {inspector.answer.fault or 'Docker does not answer'}",
                remedy="See that the daemon runs and that this user may use its socket, then start again.",
            )
        kit.waker.wait(WAITING_S)


def _arguments(asked: GuardOptions) -> list[str]:
    """Of the watchdog that is started here."""
    found = ["--container", asked.container, "--docker", asked.docker]
    found += ["--blind-after", f"{asked.blind_after_s:g}s"]
    if asked.ledger is not None:
        found += ["--ledger", str(asked.ledger)]
    if asked.seal_key is not None:
        found += ["--seal-key", str(asked.seal_key)]
    if asked.alert_url_file is not None:
        found += ["--alert-url-file", str(asked.alert_url_file)]
    for one in asked.seal_to:
        found += ["--seal-to", str(one)]
    return found


def _watched(kit: Kit) -> Over:
    """Wait for the container, and watch it."""
    kit.tell(Tell("start", f"waiting for the container {kit.asked.container}", _begun(kit.asked)))
    if not kit.settled(kit.asked.blind_after_s):
        fault = kit.book.fault if kit.book is not None else ""
        raise TransientError(
            f"nothing is watched: the ledger cannot be written: {fault or 'the disk does not answer'}",
            remedy="Make room, or name another folder with --ledger, then start again.",
        )
    kit.meters.state, kit.meters.ready = f"waiting for {kit.asked.container}", True
    container = _awaited(kit)
    if isinstance(container, Over):
        _end_what_runs(kit)
        kit.tell(Tell("end", container.said))
        return container
    return _session(kit, container)


def _begun(asked: GuardOptions) -> dict[str, object]:
    return {
        "watched": asked.container,
        "rules": [
            {"name": one.name, "condition": one.text, "action": one.action.value, "alert": one.alerts}
            for one in asked.rules
        ],
        "blind_after_s": asked.blind_after_s,
        "grace_s": asked.grace_s,
        "reports": str(asked.reports) if asked.reports is not None else None,
    }


def _awaited(kit: Kit) -> Container | Over:
    """The container, as soon as it runs; or why the wait is over."""
    begun, began_at, refused_at = time.monotonic(), time.time(), None
    while True:
        answer = kit.inspector.answer if kit.inspector is not None else None
        found = answer.container if answer is not None else None
        if found is not None and found.running:
            return found
        if (over := _hopeless(kit, begun)) is not None:
            return over
        if found is not None and found.status == "exited" and (found.started_at or 0.0) > began_at:
            kit.session = found.id[:12]
            said = f"the sandbox ended by itself with exit code {found.exit_code}, too soon to be looked at"
            return Over(EXITS[Cause.BLIND], said, Cause.BLIND)
        if found is not None and found.status == "created" and (reasons := _reasons(kit.asked, found)):
            refused_at = refused_at or time.monotonic()
            if time.monotonic() - refused_at > STARTED_S:
                return Over(
                    Exit.USAGE, f"the container {found.name} is refused: {'; '.join(reasons)}", Cause.REFUSED
                )
        kit.pulse()
        measure_ledger(kit)
        kit.waker.wait(
            BEAT_S / 2, [kit.link.fileno()] if kit.link is not None and not kit.link.closed else []
        )


def _hopeless(kit: Kit, begun: float) -> Over | None:
    """Why waiting makes no sense any more."""
    if kit.waker.caught is not None:
        cause = SIGNALS[signal.Signals(kit.waker.caught)]
        return Over(EXITS[cause], "the monitor was asked to end before a container came", cause)
    link = kit.link
    if link is not None and (link.closed or time.monotonic() - link.heard_at > kit.asked.blind_after_s):
        return Over(EXITS[Cause.WATCHDOG], "the watchdog has died before a container came", Cause.WATCHDOG)
    if kit.book is not None and (changed := kit.book.tampered()):
        return Over(EXITS[Cause.LEDGER], f"{changed}, before a container came", Cause.LEDGER)
    if kit.asked.wait_s is not None and time.monotonic() - begun > kit.asked.wait_s:
        said = f"no container {kit.asked.container} has come within {duration(kit.asked.wait_s)}"
        return Over(EXITS[Cause.BLIND], said, Cause.BLIND)
    return None


def _reasons(asked: GuardOptions, container: Container) -> list[str]:
    """Why a container is not watched but ended."""
    held = [asked.docker.partition("://")[2]] if asked.docker.startswith("unix://") else []
    if asked.ledger is not None:
        held.append(str(asked.ledger.absolute()))
    return [*refusals(container, held), *_without_limit(asked.rules, container)]


def _without_limit(rules: tuple[SafetyRule, ...], container: Container) -> list[str]:
    return [
        f"the rule `{rule.name}` is over {name}, a part of a limit, and the container has no memory limit: "
        "set one"
        for rule in rules
        for name in sorted(names(rule.condition) & OF_LIMIT)
        if not container.memory_limit
    ]


def _session(kit: Kit, container: Container) -> Over:
    kit.session = container.id[:12]
    if kit.book is not None:
        kit.book.session = kit.session
    troubles = tuple(
        Trouble(Cause.REFUSED, f"the container is refused: {one}") for one in _reasons(kit.asked, container)
    )
    if kit.link is not None:
        kit.link.say("watch", {"id": container.id, "pid": container.pid})
    begun = time.monotonic() - max(0.0, time.time() - (container.started_at or time.time()))
    eyes: Eyes | None = None
    try:
        eyes = Eyes(container, begun)
    except UnseenError as fault:
        troubles += (Trouble(Cause.BLIND, f"it cannot be watched: {fault}"),)
    kit.tell(Tell("start", f"watching {container.name} ({kit.session})", _described(container, eyes)))
    kit.meters.watching.set(1)
    session = Session(kit, container, eyes, troubles)
    try:
        over = session.run()
    except BaseException as fault:
        said = f"internal fault, kill the container: {type(fault).__name__}: {fault}"
        kit.tell(Tell("decision", said, {"decision": "kill", "cause": Cause.FAULT.value}, alert=True))
        session.abandon()
        kit.tell(Tell("end", "the watching ended by an internal fault", {"cause": Cause.FAULT.value}))
        kit.settled(SETTLE_S)
        raise
    finally:
        kit.meters.watching.set(0)
    _end_what_runs(kit)
    if eyes is not None:
        eyes.close()
    return over


def _described(container: Container, eyes: Eyes | None) -> dict[str, object]:
    return {
        "id": container.id,
        "image": container.image,
        "user": container.user,
        "started_at": container.started_at,
        "memory_limit": container.memory_limit,
        "cores": container.cores,
        "capabilities": sorted(container.capabilities),
        "networks": list(container.networks),
        "warnings": list(eyes.warnings) if eyes is not None else [],
    }


def _end_what_runs(kit: Kit) -> None:
    """What has begun in the last moment, or was started again, would run unwatched."""
    with suppress(CanaryError):
        found = kit.docker.inspect()
        if found is not None and found.running:
            said = f"{found.name} runs, and nobody will watch it any more: kill it"
            kit.tell(Tell("decision", said, {"decision": "kill"}, alert=True))
            kit.settled(RECORD_S)
            done = kit.docker.kill()
            kit.tell(Tell("effect", "Docker sent SIGKILL" if done else "Docker says that it does not run"))
