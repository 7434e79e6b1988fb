"""Ends a container, or holds it down; each request in a thread of its own: who watches does not wait."""

import select
import signal
import threading
from collections import deque
from collections.abc import Callable
from math import inf

from canary.errors import CanaryError
from canary.monitor.docker import Docker
from canary.safety.container import Container

RECORD_S = 0.3
"""So long an act waits for its intent to be on the disk; then it is done all the same."""
SHARE = 0.5
"""What is left of its CPU to a container that is throttled."""
PERIOD_US = 100_000
LEAST_US = 1_000
"""Docker takes no less."""


def has_ended(handle: int) -> bool:
    """Whether the process of a handle has ended, buried or not."""
    poll = select.poll()
    poll.register(handle, select.POLLIN)
    return bool(poll.poll(0))


class Hands:
    """What the monitor, and its watchdog, can do to one container.

    Args:
        docker: asked first. first: handle of its first process, or None where it cannot be seen.
        ring: called when an answer is there.
    """

    def __init__(
        self, docker: Docker, first: int | None = None, ring: Callable[[], None] = lambda: None
    ) -> None:
        self._docker = docker
        self._first = first
        self._ring = ring
        self._told: deque[str] = deque()

    def told(self) -> tuple[str, ...]:
        """What has come of what was asked for, in words, since the last time."""
        found = []
        while self._told:
            found.append(self._told.popleft())
        return tuple(found)

    def terminate(self, stop_signal: str) -> None:
        """Ask it to stop by its own signal."""
        self._begin(f"Docker sent {stop_signal}", lambda: self._docker.kill(stop_signal))

    def kill(self, *, directly: bool) -> None:
        """End it: by Docker and, if asked, by the kernel itself."""
        self._begin("Docker sent SIGKILL", lambda: self._docker.kill("SIGKILL"))
        if directly:
            self._told.append(self._kill_directly())

    def _kill_directly(self) -> str:
        """Its first process takes all others with it, since they live in its namespace."""
        if self._first is None:
            return "it cannot be killed directly: its processes are not seen from here"
        try:
            signal.pidfd_send_signal(self._first, signal.SIGKILL)
        except ProcessLookupError:
            return "its first process has ended"
        except OSError as fault:
            return f"it cannot be killed directly: {fault.strerror}"
        return "SIGKILL sent directly"

    def throttle(self, container: Container, *, on: bool) -> float:
        """Halve its CPU, or give it back; returns what its limit in cores should be then."""
        wanted, body = limits(container, on=on)
        self._begin(f"Docker set its CPU to {_cores(wanted)}", lambda: self._docker.update(body))
        return wanted

    def _begin(self, done: str, call: Callable[[], object]) -> None:
        threading.Thread(target=self._call, args=(done, call), name=done, daemon=True).start()

    def _call(self, done: str, call: Callable[[], object]) -> None:
        try:
            self._told.append(done if call() is not False else "Docker says that it does not run")
        except CanaryError as fault:
            self._told.append(f"not done: {fault.message}")
        except Exception as fault:  # noqa: BLE001 - a thread that dies silently would leave a gap unsaid
            self._told.append(f"not done: {type(fault).__name__}: {fault}")
        self._ring()


def limits(container: Container, *, on: bool) -> tuple[float, dict[str, int]]:
    """The CPU limit to ask for: in cores, and in Docker's words.

    Docker keeps to the words in which a limit was given first, and refuses the others.
    """
    whole = container.cores
    part = SHARE * (whole if whole < inf else 1.0)
    if container.nano_cpus > 0:
        wanted = part if on else whole
        return wanted, {"NanoCpus": max(round(wanted * 1e9), 10_000_000)}
    period = container.cpu_period or PERIOD_US
    if on:
        return part, {"CpuPeriod": period, "CpuQuota": max(round(part * period), LEAST_US)}
    if whole < inf:
        return whole, {"CpuPeriod": period, "CpuQuota": container.cpu_quota}
    return inf, {"CpuQuota": -1}


def _cores(number: float) -> str:
    return "no limit" if number == inf else f"{number:g} cores"
