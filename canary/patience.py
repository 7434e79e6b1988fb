"""How a driver waits: for the next tick, and for another side that is out of reach."""

from collections.abc import Callable
from dataclasses import dataclass, field

from canary.errors import ConflictError, TransientError
from canary.ports import Clock, Reporter

GATHER_S = 0.4
"""What comes within this time of the first of it is taken as one."""
OUT_OF_REACH_S = 900.0
"""Stop, and say what is left, after this long without an answer."""
OVERTAKEN_S = 10.0
"""Decisions that are dropped are told of after so long: a wish of somebody drops one or two."""


@dataclass
class Patience:
    """For how long nothing was carried out, and how long to go on trying (`bound_s` seconds).

    `back`: what is said when something is again.
    """

    clock: Clock
    bound_s: float
    since: float | None = None
    tries: int = 0
    told: str = field(default="")
    back: str = ""

    def answered(self, reporter: Reporter) -> None:
        """A tick was carried out; said once when it had been said that none was."""
        if self.told and self.since is not None:
            reporter.note(f"{self.back} after {self.clock.monotonic() - self.since:.0f} s")
        self.since, self.tries, self.told = None, 0, ""

    def overtaken(self, fault: ConflictError, since: float, reporter: Reporter) -> None:
        """A decision was dropped; wait a little before the next look, longer from time to time.

        Args:
            fault: what overtook it. since: when its tick began, seconds of the clock that never jumps.

        Raises:
            TransientError: this has gone on for too long.
        """
        self.since = since if self.since is None else self.since
        took_s = self.clock.monotonic() - self.since
        if took_s > self.bound_s:
            raise TransientError(
                f"nothing was carried out for {took_s:.0f} s: {fault.message}", remedy=fault.remedy
            )
        if took_s >= OVERTAKEN_S and not self.told:
            reporter.note(f"nothing was carried out for {took_s:.0f} s: {fault.message}; looking again")
            self.told, self.back = fault.message, "decisions are carried out again"
        self.tries += 1
        self.clock.wait(min(0.025 * 2**self.tries, 2.0))

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
            self.told, self.back = words, "in reach again"
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
