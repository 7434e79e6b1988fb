"""How a driver waits: for the next tick, and for another side that is out of reach."""

from collections.abc import Callable
from dataclasses import dataclass, field

from canary.errors import TransientError
from canary.ports import Clock, Reporter

GATHER_S = 0.4
"""What comes within this time of the first of it is taken as one."""


@dataclass
class Patience:
    """How long the other side has been out of reach, and how long to wait for it (`bound_s` seconds)."""

    clock: Clock
    bound_s: float
    since: float | None = None
    tries: int = 0
    told: str = field(default="")

    def answered(self, reporter: Reporter) -> None:
        """It has answered; said once when it had been away."""
        if self.since is not None:
            reporter.note(f"in reach again after {self.clock.monotonic() - self.since:.0f} s")
        self.since, self.tries, self.told = None, 0, ""

    def wait(self, fault: TransientError, reporter: Reporter) -> None:
        """Wait before the next try, as long as it asked or longer from try to try.

        Raises:
            TransientError: it has been away for too long.
        """
        now = self.clock.monotonic()
        self.since = now if self.since is None else self.since
        if now - self.since > self.bound_s:
            raise fault
        # Told once, however its seconds count on.
        words = "".join(letter for letter in fault.message if not letter.isdigit())
        if words != self.told:
            reporter.note(f"{fault.message}; held, nothing is changed, trying again")
            self.told = words
        self.tries += 1
        if fault.retry_after_s:
            sit_out(self.clock, fault.retry_after_s)
        else:
            self.clock.wait(min(0.2 * 2**self.tries, 5.0))


def rest(clock: Clock, seconds: float) -> None:
    """Until the next tick; when something happens sooner, for as long as more of it may come at once.

    Pods that get ready in the same moment are then one step of a walk, not one each.
    """
    begun = clock.monotonic()
    clock.wait(seconds)
    if clock.monotonic() - begun < seconds:
        sit_out(clock, GATHER_S)


def sit_out(clock: Clock, seconds: float) -> None:
    """Wait for as long as the other side asked, whatever rings meanwhile; a signal ends it."""
    until = clock.monotonic() + seconds
    while clock.interrupted is None and (left := until - clock.monotonic()) > 0:
        clock.wait(left)


def told(clock: Clock, ask: Callable[[], str | None]) -> str | None:
    """What is answered; None when the other side is out of reach: `run`, which comes next, waits for it."""
    try:
        return ask()
    except TransientError as fault:
        sit_out(clock, fault.retry_after_s or 0.0)
        return None
