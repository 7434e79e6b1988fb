"""The second process: when the monitor dies or falls silent, it kills the sandbox by its own means."""

import os
import signal
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from canary.errors import CanaryError
from canary.monitor.alerts import Alerts
from canary.monitor.book import Book
from canary.monitor.docker import Docker
from canary.monitor.hands import RECORD_S, Hands, has_ended
from canary.monitor.heart import Link
from canary.monitor.waker import Waker

PULSE_S = 0.1
AGAIN_S = 1.0
"""What is not dead is killed again after so long."""
ANSWER_S = 1.5
"""So long Docker's answer is waited for when the sandbox is dead already."""
ALERT_S = 5.0
"""In the end, so long for alerts."""
WRITE_S = 15.0
"""And for the ledger: a process that was stopped may hold its lock for some seconds."""


def in_group(pid: int, container: str) -> bool:
    """Whether a process is in the control groups of a container."""
    return bool(container) and container in Path(f"/proc/{pid}/cgroup").read_text(encoding="ascii")


@dataclass
class Watchdog:
    """Watches a monitor.

    Attributes:
        silent_after_s: a monitor that is silent for longer is dead. say: shows a line.
    """

    docker: Docker
    book: Book | None
    link: Link
    silent_after_s: float
    say: Callable[[str], None]
    alerts: Alerts | None = None
    waker: Waker = field(default_factory=Waker)
    first: int | None = None
    container: str = ""
    is_of: Callable[[int, str], bool] = in_group

    def run(self) -> bool:
        """Until the monitor says goodbye or dies.

        Returns:
            Whether it said goodbye; if not, the container is dead now, or was not running.
        """
        self.link.say("ready", os.getpid())
        while True:
            self.waker.wait(PULSE_S, [self.link.fileno()])
            for said in self.link.hear():
                if "bye" in said:
                    return True
                if "watch" in said:
                    self._take(said["watch"])
                if "kill" in said:
                    return self._kill("the monitor asked for it and cannot do it", spare=True)
            silent = time.monotonic() - self.link.heard_at
            if self.link.closed:
                return self._kill("the monitor has died")
            if silent > self.silent_after_s:
                return self._kill(f"the monitor has been silent for {silent:.1f} s")
            self.link.beat()

    def _take(self, watched: object) -> None:
        if isinstance(watched, dict):
            self.container = str(watched.get("id", ""))
            if self.book is not None:
                self.book.session = self.container[:12]
            # Not seen from here: Docker alone has to do it then.
            with suppress(OSError, ValueError, TypeError, KeyError):
                self._hold(int(watched["pid"]))

    def _hold(self, pid: int) -> None:
        """A number of another namespace means somebody else here: only the container's own is held."""
        handle = os.pidfd_open(pid)
        if self.is_of(pid, self.container):
            self.first = handle
        else:
            os.close(handle)

    def _kill(self, why: str, *, spare: bool = False) -> bool:
        """`spare`: the monitor lives, and writes the ledger alone: two at once look like tampering."""
        decided = time.monotonic()
        monitor = None if spare else self._monitor()
        self.book = None if spare else self.book
        body = {"decision": "kill", "cause": "monitor", "reason": why}
        self._tell("decision", f"{why}: kill the container", body)
        self._settled(RECORD_S)
        took = round(self._until_dead() - decided, 3)
        said = f"the sandbox is dead, {took:.1f} s after that"
        self._tell("end", said, {"cause": "monitor", "reason": why, "took_s": took})
        if monitor is not None:
            # One that was stopped must not come back and write on: it has lost its sandbox.
            with suppress(OSError):
                signal.pidfd_send_signal(monitor, signal.SIGKILL)
        if not self._settled(WRITE_S) and self.book is not None:
            self.say(f"watchdog: the ledger could not be written: {self.book.fault}")
        if self.alerts is not None:
            self.alerts.settle(ALERT_S)
        return False

    def _until_dead(self) -> float:
        """Kill it until it is; when it was, monotonic seconds."""
        hands = Hands(self.docker, self.first, self.waker.ring)
        attempts, asked = 0, 0.0
        while not self._dead():
            if time.monotonic() - asked >= AGAIN_S:
                attempts, asked = attempts + 1, time.monotonic()
                if attempts > 1:
                    body = {"action": "kill", "attempt": attempts}
                    self._tell("action", f"still running: attempt {attempts}", body)
                hands.kill(directly=attempts > 1)
            self.waker.wait(PULSE_S)
            self._effects(hands)
        dead = time.monotonic()
        # It may be dead before Docker says that it sent the signal.
        if attempts and not self._effects(hands):
            self.waker.wait(ANSWER_S)
            self._effects(hands)
        return dead

    def _settled(self, within_s: float) -> bool:
        return self.book is None or self.book.settle(within_s)

    def _monitor(self) -> int | None:
        try:
            pid = self.link.other()
            return os.pidfd_open(pid) if pid > 1 and pid != os.getpid() and not self.link.closed else None
        except OSError:
            return None

    def _dead(self) -> bool:
        """By its handle at once; where that is not to be had, by what Docker says."""
        if self.first is not None:
            return has_ended(self.first)
        try:
            found = self.docker.inspect()
        except CanaryError:
            return False
        return found is None or not found.running

    def _effects(self, hands: Hands) -> int:
        told = hands.told()
        for one in told:
            self._tell("effect", one, {})
        return len(told)

    def _tell(self, kind: str, said: str, more: Mapping[str, object]) -> None:
        self.say(f"watchdog: {said}")
        at, body = time.time(), {"by": "watchdog", "said": said, **more}
        if self.alerts is not None and kind in ("decision", "end"):
            name = {"container": self.docker.name, "id": self.container[:12]}
            self.alerts.send({**name, "at": at, "kind": kind, **body})
        if self.book is not None:
            self.book.put(kind, body, at)
