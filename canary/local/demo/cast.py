"""The processes of a demo: started here, ended here by pid, however the demo ends."""

import signal
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

import psutil

from canary.errors import CanaryError

POLL_S = 0.05
END_S = 20.0
"""A process that was asked to end is killed after this long; draining takes less."""


class StoppedError(Exception):
    """Somebody asked the demo to end. Carries the signal's number."""

    def __init__(self, number: int) -> None:
        super().__init__(f"signal {number}")
        self.number = number


class Bell:
    """Rings when somebody asks the demo to end: noted at once, obeyed at the next wait."""

    def __init__(self) -> None:
        self.rung: int | None = None

    def check(self) -> None:
        """Pass on unless it has rung.

        Raises:
            StoppedError: it has.
        """
        if self.rung is not None:
            raise StoppedError(self.rung)

    def pause(self, seconds: float) -> None:
        """Wait this long.

        Raises:
            StoppedError: it rang before.
        """
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            self.check()
            time.sleep(min(left, POLL_S))
        self.check()

    def _ring(self, number: int, _frame: FrameType | None) -> None:
        self.rung = self.rung or number


@contextmanager
def bell() -> Iterator[Bell]:
    """Listen for Ctrl-C, SIGTERM and a closed terminal; what was set before is set again at the end."""
    made = Bell()
    before = {}
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        # Under nohup a hang-up is ignored, and stays so.
        if signal.getsignal(number) is not signal.SIG_IGN:
            before[number] = signal.signal(number, made._ring)
    try:
        yield made
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


class Cast:
    """All processes of a demo. As a context manager it ends those that still run, the latest first."""

    def __init__(self, bell: Bell, environment: Mapping[str, str]) -> None:
        self._bell = bell
        self._environment = dict(environment)
        self._running: dict[str, subprocess.Popen[bytes]] = {}

    def __enter__(self) -> "Cast":
        return self

    def __exit__(self, *_: object) -> None:
        for name in reversed(self._running):
            _end(self._running[name])
        self._running.clear()

    def start(self, name: str, command: Sequence[str], log: Path) -> None:
        """Start a process in the background; what it says goes to the log.

        It gets a session of its own: Ctrl-C in the terminal is for us, and we end it in order.
        """
        self.end(name)
        with log.open("ab") as out:
            self._running[name] = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                env=self._environment,
                start_new_session=True,
            )

    def end(self, name: str) -> int | None:
        """End a process that was started under this name, if any; returns its exit status."""
        process = self._running.pop(name, None)
        return None if process is None else _end(process)

    def status(self, name: str) -> int | None:
        """Exit status of a process that has ended by itself, None while it runs."""
        return self._running[name].poll()

    def listens(self, name: str, port: int) -> bool:
        """Whether it is this very process that listens on the port."""
        process = self._running.get(name)
        if process is None:
            return False
        try:
            found = psutil.Process(process.pid).net_connections("tcp")
        except psutil.Error:
            return False
        return any(one.status == psutil.CONN_LISTEN and one.laddr.port == port for one in found)

    def play(self, command: Sequence[str], *, limit_s: float) -> int:
        """Run a command in the foreground, with our terminal; returns its exit status.

        Args:
            limit_s: a command that takes longer is ended, which is a fault.

        Raises:
            StoppedError: somebody asked the demo to end meanwhile; the command has ended then too.
            CanaryError: it took longer than `limit_s`.
        """
        process = subprocess.Popen(command, env=self._environment)
        latest = time.monotonic() + limit_s
        try:
            while (status := process.poll()) is None:
                self._bell.check()
                if time.monotonic() > latest:
                    raise CanaryError(
                        f"{' '.join(command)} did not end within {limit_s:g} s",
                        remedy="This is a fault of ours: please report it with the demo's folder.",
                    )
                time.sleep(POLL_S)
            return status
        except StoppedError:
            # Ctrl-C reached it too; it has a word to say about what is left running.
            _wait(process, 2.0)
            raise
        finally:
            _end(process)


def _end(process: "subprocess.Popen[bytes]") -> int:
    if process.poll() is None:
        process.terminate()
        if not _wait(process, END_S):
            process.kill()
    return process.wait()


def _wait(process: "subprocess.Popen[bytes]", seconds: float) -> bool:
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        return False
    return True
