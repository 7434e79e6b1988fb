"""What a tick may do. Actions state ends, so doing one twice is harmless."""

from dataclasses import dataclass

from canary.core.observation import Arm
from canary.core.release import Release
from canary.core.revision import Revision


@dataclass(frozen=True)
class Scale:
    """The arm's workload has this many replicas."""

    arm: Arm
    replicas: int


@dataclass(frozen=True)
class SetRevision:
    """The arm's workload is asked to run this revision; it rolls its pods by itself.

    For the canary: create the workload with `replicas` if it does not exist.
    For the stable: refused with ConflictError when the target's template is no longer `expected`.
    """

    arm: Arm
    revision: Revision
    replicas: int = 0
    expected: str | None = None
    cause: str = ""


@dataclass(frozen=True)
class Remove:
    """The arm's workload does not exist (only ever the canary)."""

    arm: Arm = Arm.CANARY


Action = Scale | SetRevision | Remove


@dataclass(frozen=True)
class Move:
    """Write this state of the release; touch nothing."""

    release: Release
    reason: str


@dataclass(frozen=True)
class Act:
    """Touch the workloads; write nothing."""

    actions: tuple[Action, ...]
    reason: str


@dataclass(frozen=True)
class Wait:
    """Do nothing for now.

    Attributes:
        reason: in words, for people.
        hold: the kind of hold, for machines; None when simply on the way.
    """

    reason: str
    hold: str | None = None


Decision = Move | Act | Wait
