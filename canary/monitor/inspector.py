"""Asks Docker for the container again and again, in a thread: an answer that is late holds up nobody."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from canary.errors import CanaryError
from canary.monitor.docker import Docker
from canary.safety.container import Container

WAITING_S, WATCHING_S = 0.25, 1.0
"""Between two questions."""


@dataclass(frozen=True)
class Answer:
    """What Docker said last.

    Attributes:
        at: monotonic seconds when it was asked, which the answer is not older than; 0: it never answered.
        container: None: there is none. fault: why it did not answer since; empty: it did.
    """

    at: float = 0.0
    container: Container | None = None
    fault: str = ""


class Inspector:
    """Keeps the last answer. `every_s` may be changed at any time."""

    def __init__(self, docker: Docker, ring: Callable[[], None]) -> None:
        self.every_s = WAITING_S
        self.answer = Answer()
        self._docker = docker
        self._ring = ring
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="docker", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Ask no more."""
        self._stop.set()
        self._thread.join(2.0)

    def _run(self) -> None:
        while not self._stop.is_set():
            asked = time.monotonic()
            before = self.answer
            try:
                self.answer = Answer(asked, self._docker.inspect())
            except CanaryError as fault:
                self.answer = Answer(before.at, before.container, fault.message)
            except Exception as fault:  # noqa: BLE001 - a thread that dies silently would look like a calm one
                self.answer = Answer(before.at, before.container, f"{type(fault).__name__}: {fault}")
            if self.answer.container != before.container or self.answer.fault != before.fault:
                self._ring()
            self._stop.wait(max(0.05, self.every_s - (time.monotonic() - asked)))
