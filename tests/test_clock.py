"""The system's clock: waits, and ends them when a signal comes."""

import os
import signal
import threading
import time

import pytest

from canary.clock import SystemClock


def signal_soon(number: int) -> threading.Timer:
    timer = threading.Timer(0.05, os.kill, (os.getpid(), number))
    timer.start()
    return timer


def test_a_wait_takes_as_long_as_it_was_told() -> None:
    clock = SystemClock()
    before = clock.monotonic()
    clock.wait(0.05)

    assert 0.05 <= clock.monotonic() - before < 2.0
    assert clock.interrupted is None


def test_a_wait_of_no_time_returns_at_once() -> None:
    SystemClock().wait(-5.0)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_wait_and_those_after_it(number: signal.Signals) -> None:
    before = time.monotonic()
    with SystemClock() as clock:
        clock.install_signals()
        timer = signal_soon(number)
        clock.wait(30.0)
        clock.wait(30.0)

        assert clock.interrupted == number
    timer.join()
    assert time.monotonic() - before < 5.0


def test_a_second_signal_does_what_it_does_in_any_program() -> None:
    with SystemClock() as clock:
        clock.install_signals()
        os.kill(os.getpid(), signal.SIGINT)
        clock.wait(1.0)

        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)


def test_the_former_handlers_are_put_back() -> None:
    before = signal.getsignal(signal.SIGTERM)
    with SystemClock() as clock:
        clock.install_signals()
        clock.install_signals()
        assert signal.getsignal(signal.SIGTERM) != before

    assert signal.getsignal(signal.SIGTERM) == before


def test_a_wait_with_signals_installed_takes_as_long_as_it_was_told() -> None:
    with SystemClock() as clock:
        clock.install_signals()
        before = clock.monotonic()
        clock.wait(0.05)

        assert clock.monotonic() - before >= 0.05
        assert clock.interrupted is None


def test_now_is_unix_time() -> None:
    assert abs(SystemClock().now() - time.time()) < 1.0
