"""The beat between a monitor and its watchdog: lines of JSON over one socket, each way.

    monitor -> watchdog    {"watch": {"id": ..., "pid": ...}}, {"beat": 1}, {"kill": 1}, {"bye": 1}
    watchdog -> monitor    {"ready": PID}, {"beat": 1}

Whoever falls silent, or whose end closes without a word, is taken for dead.
"""

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from canary.errors import CanaryError, TransientError

LONGEST = 65_536
BEAT_S = 0.25
OFF_S = 3.0
"""A watchdog that was told goodbye may take so long to go."""
READY_S = 20.0
"""A second process may take so long to begin, on a busy machine."""


class Link:
    """One end of the socket.

    Attributes:
        heard_at: monotonic seconds of the last word of the other. closed: it has no other end any more.
    """

    def __init__(self, end: socket.socket, process: "subprocess.Popen[bytes] | None" = None) -> None:
        self._process = process
        self._parted = False
        self.heard_at = time.monotonic()
        self.closed = False
        self._end = end
        self._end.setblocking(False)
        self._buffer = b""
        self._said_at = 0.0

    def fileno(self) -> int:
        """For waiting."""
        return self._end.fileno()

    def say(self, word: str, value: object = 1) -> None:
        """Say something; if the other does not read, it is not said."""
        self._parted = self._parted or word == "bye"
        try:
            self._end.send(json.dumps({word: value}).encode() + b"\n")
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            self.closed = True

    def beat(self) -> None:
        """Say that this side lives, at most four times a second."""
        now = time.monotonic()
        if now - self._said_at >= BEAT_S:
            self._said_at = now
            self.say("beat")

    def hear(self) -> list[dict[str, Any]]:
        """What the other has said since the last time."""
        while not self.closed:
            try:
                data = self._end.recv(4096)
            except (BlockingIOError, InterruptedError):
                break
            except OSError:
                data = b""
            if not data:
                self.closed = True
                break
            self.heard_at = time.monotonic()
            self._buffer = (self._buffer + data)[-LONGEST:]
        *lines, self._buffer = self._buffer.split(b"\n")
        return [found for line in lines if isinstance(found := _word(line), dict)]

    def other(self) -> int:
        """The process at the other end; 0: not known, or of another namespace."""
        raw = self._end.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)
        return int.from_bytes(raw[:4], sys.byteorder, signed=True)

    def close(self) -> None:
        """Close this end, and see a watchdog that was started here off: one that hangs is no use any more."""
        self._end.close()
        self.closed = True
        if self._process is None or not self._parted:
            return
        try:
            self._process.wait(OFF_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait(OFF_S)


def _word(line: bytes) -> object:
    try:
        return json.loads(line)
    except ValueError:
        return None


def started(arguments: Sequence[str]) -> Link:
    """Start a watchdog in a session of its own, and wait until it is ready.

    Args:
        arguments: of `canary guard watchdog`.

    Raises:
        TransientError: it does not become ready.
    """
    mine, its = socket.socketpair()
    command = [sys.executable, "-m", "canary", "guard", "watchdog", "--heart", str(its.fileno()), *arguments]
    with its:
        process = subprocess.Popen(
            command, pass_fds=(its.fileno(),), stdin=subprocess.DEVNULL, start_new_session=True
        )
    return _ready(Link(mine, process), "the watchdog process")


def joined(path: Path) -> Link:
    """A watchdog that runs already and listens at a socket.

    Raises:
        TransientError: none answers there.
    """
    until = time.monotonic() + READY_S
    while True:
        end = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        end.settimeout(1.0)
        try:
            end.connect(str(path))
        except OSError as fault:
            end.close()
            if time.monotonic() > until:
                raise TransientError(
                    f"no watchdog answers at {path}: {fault.strerror or fault}",
                    remedy="Start it first: `canary guard watchdog --socket PATH ...`.",
                ) from fault
            time.sleep(BEAT_S)
        else:
            return _ready(Link(end), f"the watchdog at {path}")


def _ready(link: Link, name: str) -> Link:
    until = time.monotonic() + READY_S
    while time.monotonic() < until and not link.closed:
        link.beat()
        if any("ready" in said for said in link.hear()):
            return link
        time.sleep(0.02)
    raise TransientError(f"{name} did not become ready", remedy="See what it said on standard error.")


def listening(path: Path) -> socket.socket:
    """The socket of a watchdog that is started by itself.

    Raises:
        CanaryError: it cannot be made.
    """
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        if path.is_socket():
            path.unlink()
        listener.bind(str(path))
        os.chmod(path, 0o660)
        listener.listen(1)
    except OSError as fault:
        listener.close()
        raise CanaryError(
            f"the socket {path} cannot be made: {fault.strerror or fault}",
            remedy="Name a path in a folder of its own that this user may write to.",
        ) from fault
    return listener
