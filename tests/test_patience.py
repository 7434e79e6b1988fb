"""How long a driver waits for the other side."""

from canary.errors import TransientError
from canary.patience import rest, sit_out, told
from tests.fakes import FakeClock


def test_what_the_other_side_asked_to_wait_is_waited_whatever_rings_meanwhile() -> None:
    clock = RingingClock()
    sit_out(clock, 30.0)
    assert clock.monotonic() >= 30.0
    assert clock.waits > 5


def test_a_signal_ends_even_a_wait_that_was_asked_for() -> None:
    clock = RingingClock()
    clock.interrupt(15)
    sit_out(clock, 30.0)
    assert clock.monotonic() == 0.0


def test_a_side_out_of_reach_is_no_answer_and_its_time_is_kept() -> None:
    clock = FakeClock()

    def ask() -> str:
        raise TransientError("busy", retry_after_s=7.0)

    assert told(clock, ask) is None
    assert clock.monotonic() == 7.0
    assert told(clock, lambda: "ann") == "ann"


def test_what_comes_in_the_same_moment_is_one_reason_to_look() -> None:
    clock = RingingClock()
    rest(clock, 60.0)
    assert (clock.monotonic(), clock.waits) == (4.4, 2)
    undisturbed = FakeClock()
    rest(undisturbed, 2.0)
    assert undisturbed.monotonic() == 2.0


class RingingClock(FakeClock):
    """Every wait ends early, as when something is new all the time."""

    waits = 0

    def wait(self, seconds: float) -> None:
        self.waits += 1
        super().wait(min(seconds, 4.0))
