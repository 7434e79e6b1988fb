"""Everything that can go wrong, sorted by what to do next.

    CanaryError
    ├── TransientError   out of reach just now; the loop waits and looks again
    ├── ConflictError    somebody else wrote first; drop the decision and observe again
    ├── DeniedError      known to the other side and refused; never retried
    ├── MissingError     the named thing does not exist
    ├── BusyError        another release of this target is running
    └── InvalidError     the input is wrong; lists every fault with its place

Plain classes: frozen dataclass exceptions break under `contextlib`. This module imports nothing.
"""

from collections.abc import Sequence
from enum import IntEnum


class Exit(IntEnum):
    """The exit codes that every command keeps to."""

    OK = 0
    FOUND = 1
    USAGE = 2
    ROLLED_BACK = 3
    NO_CONCLUSION = 4
    ABORTED = 5
    SUPERSEDED = 6
    NEVER_READY = 7
    UNREACHABLE = 8
    BUSY = 9
    INTERRUPTED = 130
    TERMINATED = 143


class CanaryError(Exception):
    """A fault told to the user: what happened, and what to do about it."""

    exit = Exit.FOUND

    def __init__(self, message: str, *, remedy: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.remedy = remedy


class TransientError(CanaryError):
    """The other side does not answer, or asks to come back later. A write may or may not have landed.

    Args:
        message: what was asked of whom, and what came back.
        remedy: what a person can do if it lasts.
        retry_after_s: seconds the other side asked us to wait (Retry-After), if it did.
    """

    exit = Exit.UNREACHABLE

    def __init__(self, message: str, *, remedy: str = "", retry_after_s: float | None = None) -> None:
        super().__init__(message, remedy=remedy)
        self.retry_after_s = retry_after_s


class ConflictError(CanaryError):
    """What was read has been changed by somebody else since."""

    exit = Exit.FOUND


class DeniedError(CanaryError):
    """We are known and refused. Never retried."""

    exit = Exit.USAGE


class MissingError(CanaryError):
    """The named thing does not exist."""

    exit = Exit.USAGE


class BusyError(CanaryError):
    """Another release of this target is running."""

    exit = Exit.BUSY


class InvalidError(CanaryError):
    """The input is wrong. Carries every fault found, each with its place.

    Args:
        message: what was read, for instance `canary.yaml has 2 faults`.
        faults: one line each: place, what was found, what is wanted, a suggestion.
        remedy: what to do next.
    """

    exit = Exit.USAGE

    def __init__(self, message: str, *, faults: Sequence[str] = (), remedy: str = "") -> None:
        super().__init__(message, remedy=remedy)
        self.faults = tuple(faults)
