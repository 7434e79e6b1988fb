"""What the supervisor writes down: each replica that exists, and the whole as adapters see it."""

import json
import os
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from canary.core.observation import Arm, Pod
from canary.errors import InvalidError
from canary.local.files import fault_of, read_whole
from canary.local.store import Wanted


@dataclass
class PodState:
    """A replica as it must be known again after a restart of the supervisor.

    Attributes:
        pid, created: of its process; None before it was started or when that was not yet written.
        port: of its last start. restarts: counted when a start is decided, before it happens.
        leaving: it is on its way out.
    """

    name: str
    uid: str
    arm: str
    revision: str
    born: float
    port: int = 0
    pid: int | None = None
    created: float | None = None
    restarts: int = 0
    was_ready: bool = False
    leaving: bool = False


@dataclass(frozen=True)
class Observed:
    """The world as the supervisor sees it.

    Attributes:
        generation: of what was asked for, as last acted on. at: unix seconds of this writing; all
            scrapes up to then are in the ring. pid: of the supervisor.
        address: (host, port) in front. stable, canary: as last acted on.
        pods: arm name -> replicas, without those on their way out. problems: in words.
        stopping: it is going down in an orderly way.
    """

    generation: int
    at: float
    pid: int
    address: tuple[str, int]
    stable: Wanted
    canary: Wanted | None
    pods: dict[str, tuple[Pod, ...]]
    problems: tuple[str, ...] = ()
    stopping: bool = False


class Wall:
    """Unix seconds that never go back, so that later scrapes never seem earlier."""

    def __init__(self) -> None:
        self._last = 0.0

    def now(self) -> float:
        """Now, or just after the last answer if the clock was set back."""
        self._last = max(self._last + 1e-4, time.time())
        return self._last


def write_passing(path: Path, document: Mapping[str, Any]) -> None:
    """Replace a file whole, but do not wait for the disk: a power cut ends what it speaks of anyway.

    Raises:
        CanaryError: see `files.fault_of`; the old file stands.
    """
    try:
        write_whole(path, json.dumps(document, separators=(",", ":")) + "\n")
    except OSError as fault:
        raise fault_of(fault, path, "write") from fault


def write_whole(path: Path, text: str) -> None:
    """Replace a file whole, without waiting for the disk.

    Raises:
        OSError: it could not be; the old file stands.
    """
    beside = path.with_name(f".{path.name}.tmp")
    try:
        beside.write_text(text)
        os.replace(beside, path)
    except OSError:
        with suppress(OSError):
            beside.unlink()
        raise


def read_pods(folder: Path) -> list[PodState]:
    """All replicas that were written down; a file that cannot be read is removed."""
    found = []
    for path in sorted(folder.glob("*.json")):
        try:
            found.append(PodState(**json.loads(path.read_text())))
        except (ValueError, TypeError, OSError):
            with suppress(OSError):
                path.unlink()
    return found


def dump(observed: Observed) -> dict[str, Any]:
    """As JSON values."""
    return asdict(observed)


def load(path: Path) -> Observed | None:
    """What the supervisor wrote last; None when it never did.

    Raises:
        InvalidError: the file is not as canary writes it.
    """
    data = read_whole(path)
    if data is None:
        return None
    try:
        found = json.loads(data)
        found["stable"] = Wanted(**found["stable"])
        found["canary"] = Wanted(**found["canary"]) if found["canary"] else None
        found["pods"] = {Arm(arm): tuple(Pod(**pod) for pod in pods) for arm, pods in found["pods"].items()}
        host, port = found.pop("address")
        problems = tuple(found.pop("problems"))
        return Observed(address=(str(host), int(port)), problems=problems, **found)
    except (ValueError, KeyError, TypeError) as fault:
        raise InvalidError(
            f"{path} is not as canary writes it: {fault}",
            remedy="Something else changed it; `canary local up -f FILE` writes it anew.",
        ) from fault
