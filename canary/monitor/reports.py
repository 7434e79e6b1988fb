"""The socket on which a workload reports on itself. Nothing that comes in can hold it up or bring it down."""

import errno
import os
import selectors
import socket
import stat
import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from canary.errors import BusyError, DeniedError, InvalidError, MissingError
from canary.safety.orders import Cause, Trouble
from canary.safety.report import LONGEST, MOST_PER_S, NonsenseError, Report, parse

MOST_SPEAKERS = 16
"""Connections at a time."""
MOST_WAITING = 1000
PULSE_S = 0.25


class Reports:
    """Listens on a socket of a file system; whoever may write to the file may report.

    Args:
        path: made here, and removed in the end. ring: called when something has come.

    Raises:
        CanaryError: the socket cannot be made.
    """

    def __init__(self, path: Path, ring: Callable[[], None]) -> None:
        self.path = path
        self.alive_at = time.monotonic()
        self._ring = ring
        self._reports: deque[Report] = deque(maxlen=MOST_WAITING)
        self._trouble: Trouble | None = None
        self._buffers: dict[socket.socket, bytearray] = {}
        self._lines: deque[float] = deque()
        self._connections: deque[float] = deque()
        self._closed = False
        self._listener = _listening(path)
        self._mark = _identity(path)
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._listener, selectors.EVENT_READ)
        self._thread = threading.Thread(target=self._serve, name="reports", daemon=True)
        self._thread.start()

    def take(self) -> tuple[tuple[Report, ...], tuple[Trouble, ...]]:
        """What has come since the last time: reports, and what speaks against the workload."""
        found = []
        while self._reports:
            found.append(self._reports.popleft())
        trouble = [self._trouble] if self._trouble is not None else []
        if not self._closed and not trouble and _identity(self.path) != self._mark:
            trouble = [Trouble(Cause.NONSENSE, f"the report socket {self.path} was removed or replaced")]
        return tuple(found), tuple(trouble)

    def close(self) -> None:
        """Listen no more, and remove the socket."""
        self._closed = True
        self._thread.join(4 * PULSE_S)
        if _identity(self.path) == self._mark:
            with suppress(OSError):
                self.path.unlink()

    def _serve(self) -> None:
        try:
            while not self._closed and self._trouble is None:
                for key, _ in self._selector.select(PULSE_S):
                    self._ready(key.fileobj)
                self.alive_at = time.monotonic()
        except Exception as fault:  # noqa: BLE001 - told to the monitor, which ends the sandbox
            self._nonsense(f"the report socket failed: {type(fault).__name__}: {fault}", Cause.FAULT)
        finally:
            for one in (*self._buffers, self._listener):
                one.close()
            self._selector.close()
        while not self._closed:
            # Nobody is heard any more, and that is known.
            self.alive_at = time.monotonic()
            time.sleep(PULSE_S)

    def _ready(self, found: object) -> None:
        if found is self._listener:
            self._accept()
        elif isinstance(found, socket.socket):
            self._hear(found)

    def _accept(self) -> None:
        try:
            speaker, _ = self._listener.accept()
        except (BlockingIOError, ConnectionError):
            return
        speaker.setblocking(False)
        if self._too_many(self._connections, "connections"):
            speaker.close()
            return
        if len(self._buffers) >= MOST_SPEAKERS:
            speaker.close()
            self._nonsense(f"more than {MOST_SPEAKERS} connections to the report socket")
            return
        self._buffers[speaker] = bytearray()
        self._selector.register(speaker, selectors.EVENT_READ)

    def _hear(self, speaker: socket.socket) -> None:
        buffer = self._buffers[speaker]
        try:
            data = speaker.recv(4096)
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            data = b""
        buffer += data
        *lines, rest = bytes(buffer).split(b"\n")
        if not data:
            # What was said last may lack its end.
            lines, rest = ([*lines, rest] if rest else lines), b""
            self._selector.unregister(speaker)
            del self._buffers[speaker]
            speaker.close()
        elif len(rest) > LONGEST:
            lines.append(rest)
        else:
            self._buffers[speaker] = bytearray(rest)
        for line in lines:
            self._take(line.removesuffix(b"\r"))

    def _take(self, line: bytes) -> None:
        if self._too_many(self._lines, "lines"):
            return
        try:
            self._reports.append(parse(line))
        except NonsenseError as fault:
            self._nonsense(f"nonsense on the report socket: {fault}")
        self._ring()

    def _too_many(self, recent: deque[float], of: str) -> bool:
        """Count one more; whether nothing is heard any more, for this or another reason."""
        now = time.monotonic()
        recent.append(now)
        while now - recent[0] > 1.0:
            recent.popleft()
        if len(recent) > MOST_PER_S:
            self._nonsense(f"more than {MOST_PER_S} {of} within a second")
        return self._trouble is not None

    def _nonsense(self, told: str, cause: Cause = Cause.NONSENSE) -> None:
        if self._trouble is None:
            self._trouble = Trouble(cause, told)
        self._ring()


def _listening(path: Path) -> socket.socket:
    _clear(path)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        listener.bind(str(path))
        # Users of the sandbox have other numbers than ours: who may come here, the folder decides.
        path.chmod(0o666)
        listener.listen(MOST_SPEAKERS)
        listener.setblocking(False)
    except OSError as fault:
        listener.close()
        raise _unmade(path, fault) from fault
    return listener


def _clear(path: Path) -> None:
    """Take away what an earlier monitor left."""
    try:
        if not stat.S_ISSOCK(path.lstat().st_mode):
            raise InvalidError(
                f"{path} is there and is no socket",
                remedy="Name another path with --reports, or move it away.",
            )
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
            probe.settimeout(0.5)
            if probe.connect_ex(str(path)) == 0:
                raise BusyError(
                    f"another monitor listens at {path}",
                    remedy="End it, or name another path with --reports.",
                )
        path.unlink()
    except FileNotFoundError:
        return
    except OSError as fault:
        raise _unmade(path, fault) from fault


def _unmade(path: Path, fault: OSError) -> Exception:
    told = f"the report socket {path} cannot be made: {fault.strerror or fault}"
    if fault.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return DeniedError(told, remedy=f"Let this user write in {path.parent}.")
    if fault.errno == errno.ENOENT:
        return MissingError(told, remedy=f"Make the folder {path.parent}.")
    return InvalidError(told, remedy="Name a short path in a folder of its own with --reports.")


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        found = os.lstat(path)
    except OSError:
        return None
    return found.st_dev, found.st_ino
