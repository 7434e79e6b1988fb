"""Waits for the next look, or for whatever comes first: a signal, a thread's answer, the container's end."""

import os
import select
import signal
from collections.abc import Sequence
from contextlib import suppress
from types import FrameType

PRIORITY = -10
"""Nice value; whoever watches must not be starved by whoever is watched."""


def come_first() -> bool:
    """Be served before others on a busy machine; whether that is allowed (root, or `CAP_SYS_NICE`)."""
    try:
        os.setpriority(os.PRIO_PROCESS, 0, min(PRIORITY, os.getpriority(os.PRIO_PROCESS, 0)))
    except OSError:
        return False
    return True


class Waker:
    """One wait that many can end. Only its main thread waits.

    Attributes:
        caught: the first signal that asked for the end; None: none did.
    """

    def __init__(self) -> None:
        self.caught: int | None = None
        self._reading, self._writing = os.pipe()
        os.set_blocking(self._reading, False)
        os.set_blocking(self._writing, False)

    def catch(self, *numbers: signal.Signals) -> None:
        """Take these signals from now on, for the rest of the process: they end nothing by themselves."""
        for number in numbers:
            signal.signal(number, self._caught)

    def ring(self) -> None:
        """End the wait that is under way, or the next one. From any thread."""
        # Full is as good: it is readable then.
        with suppress(OSError):
            os.write(self._writing, b".")

    def wait(self, seconds: float, others: Sequence[int] = ()) -> None:
        """Return after so long, or when rung, or when one of these descriptors can be read."""
        select.select([self._reading, *others], [], [], max(0.0, seconds))
        with suppress(OSError):
            os.read(self._reading, 4096)

    def _caught(self, number: int, _: FrameType | None) -> None:
        self.caught = self.caught or number
        self.ring()
