"""Lines for readers, written by a thread of its own: a reader that has gone to sleep holds up nobody."""

import threading
from collections import deque
from collections.abc import Callable

MOST_WAITING = 2000


class Voice:
    """Says lines, in order.

    Args:
        write: shows one; may block, and may fail.
    """

    def __init__(self, write: Callable[[str], None]) -> None:
        self._write = write
        self._more = threading.Condition()
        self._lines: deque[str] = deque(maxlen=MOST_WAITING)
        self._going = False

    def say(self, line: str) -> None:
        """Have it shown; returns at once. When too many wait, the oldest is dropped."""
        with self._more:
            self._lines.append(line)
            if not self._going:
                self._going = True
                threading.Thread(target=self._go, name="lines", daemon=True).start()

    def settle(self, within_s: float) -> None:
        """Wait until all is shown, at most so long."""
        with self._more:
            self._more.wait_for(lambda: not self._going, within_s)

    def _go(self) -> None:
        while True:
            with self._more:
                if not self._lines:
                    self._going = False
                    self._more.notify_all()
                    return
                line = self._lines.popleft()
            try:
                self._write(line)
            except (OSError, ValueError):
                # Whoever read has gone away; what is said stands in the ledger, too.
                continue
