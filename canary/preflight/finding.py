"""What a check comes to: the ten points, and how the parts of one add up."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum


class Point(StrEnum):
    """What is checked, in the order in which it is told."""

    BACKUP = "backup"
    MONITORING = "monitoring"
    HARDENING = "hardening"
    UPGRADE = "upgrade"
    RECOVERY = "recovery"
    ACCESS = "access"
    SECRETS = "secrets"
    NETWORK = "network"
    LIMITS = "limits"
    AUDIT = "audit"


TITLES: Mapping[Point, str] = {
    Point.BACKUP: "Backups are made, and a restore was tried",
    Point.MONITORING: "Alerts on the target reach somebody",
    Point.HARDENING: "Hardened against what breaks out",
    Point.UPGRADE: "The next version can be taken back",
    Point.RECOVERY: "Disaster recovery was drilled in time",
    Point.ACCESS: "Access is the least that is needed",
    Point.SECRETS: "Secrets are not in the environment",
    Point.NETWORK: "The network is closed but for what is needed",
    Point.LIMITS: "Resources are limited",
    Point.AUDIT: "The audit log is on, whole and sealed",
}


class Status(StrEnum):
    """What is known of a point. Only what was seen is a pass."""

    PASS = "pass"  # noqa: S105 - a word, not a password
    FAIL = "fail"
    UNKNOWN = "unknown"
    NOT_APPLICABLE = "not_applicable"


@dataclass(frozen=True)
class Part:
    """One thing that was looked at for a point. `told`: what was seen. `fix`: what to do; empty when good."""

    status: Status
    told: str
    fix: str = ""


Parts = Iterator[Part]


def good(told: str) -> Part:
    """It was seen to be so."""
    return Part(Status.PASS, told)


def bad(told: str, fix: str) -> Part:
    """It was seen not to be so."""
    return Part(Status.FAIL, told, fix)


def idle(told: str) -> Part:
    """It cannot matter to this target."""
    return Part(Status.NOT_APPLICABLE, told)


@dataclass(frozen=True)
class Unseen:
    """Something that could not be looked at. `why`: in words. `fix`: what would show it."""

    why: str
    fix: str

    @property
    def part(self) -> Part:
        """As a part of a point: cannot be shown."""
        return Part(Status.UNKNOWN, f"cannot be shown: {self.why}", self.fix)


@dataclass(frozen=True)
class Finding:
    """What a point comes to.

    Attributes:
        evidence: what was seen, one line each, the worst first. fixes: what to do, one line each.
        skipped: why it does not count, in a person's words; empty: it does.
    """

    point: Point
    status: Status
    evidence: tuple[str, ...]
    fixes: tuple[str, ...] = ()
    skipped: str = ""

    @property
    def title(self) -> str:
        """In words."""
        return TITLES[self.point]

    @property
    def stops(self) -> bool:
        """Whether it stands in the way: a failure, or what cannot be shown."""
        return self.status in (Status.FAIL, Status.UNKNOWN) and not self.skipped

    @property
    def word(self) -> str:
        """For the ledger: the status, or why it was skipped."""
        return f"skipped ({self.status}): {self.skipped}" if self.skipped else str(self.status)


_WORST = (Status.FAIL, Status.UNKNOWN, Status.PASS, Status.NOT_APPLICABLE)


def added(point: Point, parts: Iterable[Part]) -> Finding:
    """The worst of its parts. Without any nothing was seen, which is no pass."""
    found = sorted(parts, key=lambda one: _WORST.index(one.status))
    if not found:
        return Finding(point, Status.UNKNOWN, ("nothing was looked at",))
    fixes = dict.fromkeys(one.fix for one in found if one.fix)
    return Finding(point, found[0].status, tuple(one.told for one in found), tuple(fixes))


def age(seconds: float) -> str:
    """How long ago, roughly: `2d`, `5h`, `12m`, `40s`. Below 0 is 0."""
    left = max(0.0, seconds)
    for unit, size in (("d", 86400.0), ("h", 3600.0), ("m", 60.0)):
        # From two of a unit on: 25 hours are not one day.
        if left >= 2 * size:
            return f"{left / size:.0f}{unit}"
    return f"{left:.0f}s"
