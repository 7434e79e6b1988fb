"""The system's clock: the only place that asks what time it is, or waits."""

import contextlib
import os
import select
import signal
import time
from types import FrameType, TracebackType
from typing import Any, Self

_SLICE_S = 0.1
_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class SystemClock:
    """Real time, and waiting that ends at once when a signal asks us to stop.

    Until `install_signals` is called, signals do what they do in any Python program. As a context
    manager it puts the signal handlers back at the end.
    """

    def __init__(self) -> None:
        self._interrupted: int | None = None
        self._rung = False
        self._pipe: tuple[int, int] | None = None
        self._previous: dict[signal.Signals, Any] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def now(self) -> float:
        """Unix seconds."""
        return time.time()

    def monotonic(self) -> float:
        """Seconds of a clock that never jumps."""
        return time.monotonic()

    @property
    def interrupted(self) -> int | None:
        """The number of the first signal that asked us to stop, or None."""
        return self._interrupted

    def wait(self, seconds: float) -> None:
        """Return after this many seconds (0 or less: at once), or at once when interrupted or rung."""
        until = time.monotonic() + seconds
        while not self._rung and self._interrupted is None and (left := until - time.monotonic()) > 0:
            if self._pipe is None:
                time.sleep(min(left, _SLICE_S))
            else:
                # A handler alone does not end a wait (PEP 475 goes on with it); a readable pipe does.
                select.select([self._pipe[0]], [], [], left)
        if self._rung:
            self._rung = False
            self._drain()

    def ring(self) -> None:
        """End the wait that is under way, or the next one: something is new. From any thread."""
        if not self._rung:
            self._rung = True
            self._write(b".")

    def install_signals(self) -> None:
        """Catch SIGINT and SIGTERM from now on. Main thread only; twice is harmless.

        The first signal sets `interrupted` and puts the former handlers back, so that a second one
        ends a program that is stuck.
        """
        if self._pipe is not None:
            return
        reading, writing = os.pipe()
        os.set_blocking(reading, False)
        os.set_blocking(writing, False)
        self._pipe = (reading, writing)
        for number in _SIGNALS:
            self._previous[number] = signal.signal(number, self._caught)

    def close(self) -> None:
        """Put the former signal handlers back. Harmless when none were installed."""
        self._restore()
        if self._pipe is not None:
            reading, writing = self._pipe
            self._pipe = None
            os.close(reading)
            os.close(writing)

    def _caught(self, number: int, _frame: FrameType | None) -> None:
        self._interrupted = number
        self._restore()
        self._write(b"!")

    def _write(self, mark: bytes) -> None:
        # Full is as good: it is readable then. Closed meanwhile: nobody waits on it any more.
        pipe = self._pipe
        if pipe is not None:
            with contextlib.suppress(OSError):
                os.write(pipe[1], mark)

    def _drain(self) -> None:
        if self._pipe is not None:
            with contextlib.suppress(OSError):
                os.read(self._pipe[0], 4096)

    def _restore(self) -> None:
        while self._previous:
            number, handler = self._previous.popitem()
            signal.signal(number, handler)
