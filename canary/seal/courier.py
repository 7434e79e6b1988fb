"""Carries copies of seals outward, beside the loop: a share or a server that hangs holds up nothing."""

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Protocol

from canary.core.seals import Carried, Seal
from canary.errors import CanaryError

KEPT = 256
"""Copies that may wait for one destination. The oldest go first: a later seal vouches for all before it."""


class Destination(Protocol):
    """Where copies go."""

    @property
    def name(self) -> str:
        """For people, without anything that may be secret."""

    def deliver(self, seal: Seal) -> None:
        """Take a copy, in one attempt. The same one again does no harm.

        Raises:
            CanaryError: it is not known to have got there.
        """


class Courier:
    """One carrier for each destination, each with a thread of its own that begins with the first seal."""

    def __init__(self, destinations: Sequence[Destination]) -> None:
        self._news: deque[Carried] = deque()
        self._carriers = [_Carrier(one, self._news.append) for one in destinations]
        self._known: set[tuple[int, str]] = set()

    def send(self, seal: Seal) -> None:
        """Have it carried to all destinations; returns at once. One that is known is passed over."""
        if (seal.number, seal.signature) in self._known:
            return
        self._known.add((seal.number, seal.signature))
        for carrier in self._carriers:
            carrier.take(seal)

    def news(self) -> tuple[Carried, ...]:
        """What has changed since this was asked last."""
        found = []
        while self._news:
            found.append(self._news.popleft())
        return tuple(found)

    def settle(self, within_s: float) -> None:
        """Wait until nothing is on its way, at most this long altogether; what still is becomes news."""
        until = time.monotonic() + within_s
        for carrier in self._carriers:
            carrier.settle(until, within_s)


class _Carrier:
    """Brings copies to one destination, in order; after a failure the next seal is the next try."""

    def __init__(self, destination: Destination, tell: Callable[[Carried], None]) -> None:
        self._destination = destination
        self._tell = tell
        self._changed = threading.Condition()
        self._waiting: deque[Seal] = deque(maxlen=KEPT)
        self._going = False
        self._failed = False
        self._late = False

    def take(self, seal: Seal) -> None:
        with self._changed:
            self._waiting.append(seal)
            if not self._going:
                self._going = True
                threading.Thread(target=self._carry, name="copies of seals", daemon=True).start()

    def settle(self, until: float, within_s: float) -> None:
        with self._changed:
            self._changed.wait_for(lambda: not self._going, max(0.0, until - time.monotonic()))
            if self._going and not self._late:
                self._late = True
                last = self._waiting[-1].number if self._waiting else 0
                self._fail(last, f"no answer within {within_s:g} s")

    def _carry(self) -> None:
        """Until none waits, or one did not get there."""
        while True:
            with self._changed:
                if not self._waiting:
                    self._end()
                    return
                seal = self._waiting[0]
            fault = self._delivered(seal)
            with self._changed:
                if fault:
                    self._fail(seal.number, fault)
                    # Those that came meanwhile would find the same: they wait for the next one.
                    self._end()
                    return
                if self._waiting and self._waiting[0] is seal:
                    self._waiting.popleft()
                self._arrived(seal.number)

    def _delivered(self, seal: Seal) -> str:
        try:
            self._destination.deliver(seal)
        except CanaryError as fault:
            return fault.message
        except Exception as fault:  # noqa: BLE001 - no copy may end the thread unsaid, whatever it comes upon
            return f"{type(fault).__name__}: {fault}"
        return ""

    def _end(self) -> None:
        self._going = False
        self._changed.notify_all()

    def _fail(self, number: int, fault: str) -> None:
        if not self._failed:
            self._tell(Carried(self._destination.name, number, fault, len(self._waiting)))
        self._failed = True

    def _arrived(self, number: int) -> None:
        if self._failed:
            self._tell(Carried(self._destination.name, number, "", len(self._waiting)))
        self._failed = self._late = False
