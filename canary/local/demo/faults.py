"""What can be wrong with a version of the shop, and how a request to it then turns out."""

import math
import random
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

BASE_ERRORS = 0.003
"""Share of requests that a good version answers with 500."""

BAD_ERRORS = 0.02
"""The same for a version with the fault `errors`, and for `load` above its level."""

MEDIAN_S = 0.020
SIGMA = 0.4
"""A good version's latency is lognormal, 20 ms in the median ..."""

BASE_SLOW = 0.005
BASE_SLOW_BY_S = 0.3
"""... but for a few requests that miss the cache. A service that is never slow would tell nothing, in the
few seconds before a demo's release, about how slow requests come: alone or in bursts."""

SLOW_SHARE = 0.04
SLOW_BY_S = 0.4
"""With the fault `latency`, this share of the other requests takes that many seconds longer."""


class Kind(StrEnum):
    """The ways in which a version can be bad."""

    NONE = "none"
    ERRORS = "errors"
    LATENCY = "latency"
    CRASH = "crash"
    LOAD = "load"
    NEVER_READY = "never-ready"
    SLOW_START = "slow-start"
    LEAK = "leak"


DEFAULT_LEVEL = {Kind.CRASH: 8.0, Kind.SLOW_START: 3.0, Kind.LOAD: 150.0, Kind.LEAK: 20.0}
"""Crash after, ready after: seconds. Load: requests per second of the whole version. Leak: MiB per second."""

_NUMBERED = {*DEFAULT_LEVEL, Kind.ERRORS}


class FaultError(ValueError):
    """A fault or a table of faults that cannot be read: the text names it and says what is wanted."""


@dataclass(frozen=True)
class Fault:
    """One version's fault.

    Attributes:
        level: seconds until it crashes or becomes ready; requests per second above which `load`
            begins to fail; share of requests that fail with `errors`, 0 for `BAD_ERRORS`; MiB that `leak`
            loses per second. Without meaning for the other kinds.
    """

    kind: Kind = Kind.NONE
    level: float = 0.0


def parse_fault(text: str) -> Fault:
    """Read `errors`, `errors:0.03`, `crash:12`, `load:150` ...

    Raises:
        FaultError: no such fault, or a level that is not a positive number or has no meaning.
    """
    name, colon, number = text.strip().partition(":")
    try:
        kind = Kind(name)
    except ValueError:
        raise FaultError(f"fault {name!r} is not known; wanted: {', '.join(Kind)}") from None
    if not colon:
        return Fault(kind, DEFAULT_LEVEL.get(kind, 0.0))
    if kind not in _NUMBERED:
        raise FaultError(f"fault {kind} takes no number, found {text.strip()!r}; write just {kind}")
    try:
        level = float(number)
    except ValueError:
        level = math.nan
    if not 0 < level < math.inf:
        raise FaultError(f"fault {kind} wants a number above 0 after the colon, found {number!r}")
    if kind is Kind.ERRORS and level > 1:
        raise FaultError(
            f"fault {kind} wants a share of requests, up to 1, found {number!r}; try errors:0.03"
        )
    return Fault(kind, level)


def parse_table(text: str) -> dict[str, Fault]:
    """Read `v1.1.0=errors,v1.1.2=crash:12`: which versions are bad. The empty text is an empty table.

    Raises:
        FaultError: an entry is not VERSION=FAULT, or a version stands there twice.
    """
    table: dict[str, Fault] = {}
    for entry in filter(None, (part.strip() for part in text.split(","))):
        version, equals, fault = entry.partition("=")
        if not (version and equals):
            raise FaultError(f"{entry!r} is not VERSION=FAULT, for instance v1.1.0=errors")
        if version in table:
            raise FaultError(f"version {version} stands twice in the table of faults")
        table[version] = parse_fault(fault)
    return table


@dataclass(frozen=True)
class Draw:
    """How one request turns out: after `delay_s` seconds, failed (500) or not."""

    delay_s: float
    failed: bool


class Nature:
    """How requests to one process turn out, given the fault of its version.

    Args:
        fault: of the version that this process runs.
        rng: seeded by the caller; each request takes a fixed number of draws from it.
        version_rate: requests per second that all processes of this version serve now.
    """

    def __init__(self, fault: Fault, rng: random.Random, version_rate: Callable[[], float]) -> None:
        self._fault = fault
        self._rng = rng
        self._version_rate = version_rate

    def draw(self) -> Draw:
        """The next request's fate."""
        delay_s = self._rng.lognormvariate(math.log(MEDIAN_S), SIGMA)
        chance, slow = self._rng.random(), self._rng.random()
        if slow < BASE_SLOW:
            delay_s += BASE_SLOW_BY_S
        elif self._fault.kind is Kind.LATENCY and slow < BASE_SLOW + SLOW_SHARE:
            delay_s += SLOW_BY_S
        return Draw(delay_s, failed=chance < self._error_rate())

    def _error_rate(self) -> float:
        if self._fault.kind is Kind.ERRORS:
            return self._fault.level or BAD_ERRORS
        if self._fault.kind is Kind.LOAD and self._version_rate() > self._fault.level:
            return BAD_ERRORS
        return BASE_ERRORS
