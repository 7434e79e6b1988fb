"""What the watching of a sandbox takes in, and what it asks for. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from canary.rules.engine import Figures
from canary.safety.report import Report


class Cause(StrEnum):
    """Why a sandbox was ended. What the command exits with follows from it."""

    RULE = "rule"
    NONSENSE = "nonsense"
    BLIND = "blind"
    LEDGER = "ledger"
    WATCHDOG = "watchdog"
    REPLACED = "replaced"
    REFUSED = "refused"
    FAULT = "fault"
    INTERRUPTED = "interrupted"
    TERMINATED = "terminated"


EXITS = {
    Cause.RULE: 3,
    Cause.NONSENSE: 3,
    Cause.BLIND: 8,
    Cause.LEDGER: 8,
    Cause.WATCHDOG: 8,
    Cause.REPLACED: 8,
    Cause.REFUSED: 2,
    Cause.FAULT: 1,
    Cause.INTERRUPTED: 130,
    Cause.TERMINATED: 143,
}


@dataclass(frozen=True)
class Trouble:
    """Something for which the sandbox is ended at once. `told`: in words."""

    cause: Cause
    told: str


@dataclass(frozen=True)
class Ended:
    """That a container has ended. `at`: seconds. `exit_code`: of its first process; None: not known."""

    at: float
    exit_code: int | None = None
    oom_killed: bool = False


@dataclass(frozen=True)
class Sight:
    """What is known at one moment.

    Attributes:
        at: seconds; a clock that never jumps.
        figures: of a look; None: no look was made at this moment.
        senses: what must work -> when it last did, seconds on the same clock.
        faults: sense -> why it did not, in words.
        reports: of the workload since the last moment. troubles: found since.
        ended: it has ended.
    """

    at: float
    figures: Figures | None = None
    senses: Mapping[str, float] = field(default_factory=dict)
    faults: Mapping[str, str] = field(default_factory=dict)
    reports: tuple[Report, ...] = ()
    troubles: tuple[Trouble, ...] = ()
    ended: Ended | None = None


@dataclass(frozen=True)
class Tell:
    """Into the ledger and onto the screen; with `alert` to people, too.

    Attributes:
        kind: of the entry. body: JSON values. said: one line for people.
        shown: whether the line is worth the screen.
    """

    kind: str
    said: str
    body: Mapping[str, Any] = field(default_factory=dict)
    alert: bool = False
    shown: bool = True


@dataclass(frozen=True)
class Terminate:
    """Ask it to stop."""


@dataclass(frozen=True)
class Kill:
    """End it. `directly`: not by Docker alone, which has been asked and has not done it."""

    directly: bool = False


@dataclass(frozen=True)
class Throttle:
    """Halve its CPU, or give it back."""

    on: bool


@dataclass(frozen=True)
class Over:
    """The watching is over: it is known to have ended."""

    exit: int
    said: str
    cause: Cause | None = None
    rule: str = ""


Order = Tell | Terminate | Kill | Throttle | Over
