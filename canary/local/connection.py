"""One connection through the balancer: bytes pumped both ways, and moved to another replica between requests.

Plain sockets and readiness callbacks instead of streams, and descriptors instead of socket objects towards
the loop (a selector formats an object into an error text on every miss): twice the connections a second.
"""

import asyncio
import contextlib
import socket
from collections.abc import Callable

from canary.local.framing import METHODS, is_whole

CHUNK = 65536
HEAD = 8192  # bytes of an answer that are kept to tell where it ends


class TargetGoneError(Exception):
    """The side that should take the bytes is gone."""


class Pipe:
    """Bytes from one socket to another, with at most one chunk waiting. Reads only when all is written."""

    __slots__ = ("_loop", "done", "seen", "source", "target", "waiting")

    def __init__(self, loop: asyncio.AbstractEventLoop, source: socket.socket, target: socket.socket) -> None:
        self._loop = loop
        self.source = source
        self.target = target
        self.waiting = b""
        self.done = False
        self.seen: Callable[[bytes], bool] | None = None

    def pump(self) -> bool:
        """Move one chunk. False when nothing more will come.

        Raises:
            OSError: the source is gone.
            TargetGoneError: the target is.
        """
        try:
            data = self.source.recv(CHUNK)
        except (BlockingIOError, InterruptedError):
            return True
        if not data:
            self.done = True
            return False
        if self.seen is not None and not self.seen(data):
            return True
        self.write(data)
        return True

    def write(self, data: bytes) -> None:
        """Send, or keep what the other side does not take yet.

        Raises:
            TargetGoneError: it takes nothing any more.
        """
        try:
            sent = self.target.send(data)
        except (BlockingIOError, InterruptedError):
            sent = 0
        except OSError as fault:
            raise TargetGoneError from fault
        self.waiting = data[sent:] if sent < len(data) else b""

    def close_target(self) -> None:
        """Say that nothing more will come."""
        with contextlib.suppress(OSError):
            self.target.shutdown(socket.SHUT_WR)


class Owner:
    """What a connection asks of the balancer. See `Balancer`."""

    def attach(self, connection: "Connection") -> None:
        """Connect it to a ready replica."""
        raise NotImplementedError

    def closed(self, connection: "Connection") -> None:
        """It is over."""
        raise NotImplementedError


class Connection:
    """A client, and the replica that serves it at the moment (None: none, between two requests).

    Attributes:
        pod: name of the replica. leaving: that replica is on its way out: let go of it as soon as
            no request is under way. half: monotonic time since when one side has ended, or None.
    """

    __slots__ = (
        "_count", "_head", "_last", "_loop", "_owner", "_piped", "_request", "backend", "client",
        "down", "half", "held", "leaving", "over", "pod", "since", "up",
    )  # fmt: skip

    def __init__(self, loop: asyncio.AbstractEventLoop, owner: Owner, client: socket.socket) -> None:
        self._loop = loop
        self._owner = owner
        self.client = client
        self.backend: socket.socket | None = None
        self.up: Pipe | None = None
        self.down: Pipe | None = None
        self.pod = ""
        self.leaving = False
        self.over = False
        self.half: float | None = None
        self.since = loop.time()
        self.held = b""
        self._forget()

    def _forget(self) -> None:
        self._request = b""
        self._head = b""
        self._last = b""
        self._count = 0
        self._piped = False

    def join(self, pod: str, backend: socket.socket) -> None:
        """Pump between the client and this replica."""
        self.pod, self.backend, self.leaving = pod, backend, False
        self.up = Pipe(self._loop, self.client, backend)
        self.down = Pipe(self._loop, backend, self.client)
        self.up.seen, self.down.seen = self._asked, self._answered
        held, self.held = self.held, b""
        if held:
            self._asked(held)
            try:
                self.up.write(held)
            except TargetGoneError:
                self.close()
                return
        self._loop.add_reader(backend.fileno(), self._pump, self.down)
        if self.up.waiting:
            self._loop.add_writer(backend.fileno(), self._flush, self.up)
        else:
            self._loop.add_reader(self.client.fileno(), self._pump, self.up)

    @property
    def between(self) -> bool:
        """No request is under way."""
        if self._piped or self.up is None or self.down is None:
            return self.backend is None
        if self.up.waiting or self.down.waiting or self.up.done or self.down.done:
            return False
        return not self._request or is_whole(self._request, self._head, self._count, self._last)

    def leave(self) -> None:
        """Its replica is going: let go of it now, or when the request under way is over."""
        self.leaving = True
        if self.backend is not None and self.between:
            self._detach()

    def close(self) -> None:
        """End both sides."""
        if self.over:
            return
        self.over = True
        for one in (self.client, self.backend):
            if one is not None:
                self._loop.remove_reader(one.fileno())
                self._loop.remove_writer(one.fileno())
                one.close()
        self._owner.closed(self)

    def _detach(self) -> None:
        backend, self.backend = self.backend, None
        if backend is not None:
            self._loop.remove_reader(backend.fileno())
            self._loop.remove_writer(backend.fileno())
            backend.close()
        self._owner.closed(self)
        self.pod, self.up, self.down, self.leaving = "", None, None, False
        self._forget()
        self._loop.remove_writer(self.client.fileno())
        self._loop.add_reader(self.client.fileno(), self._woken)

    def _woken(self) -> None:
        # The client speaks again, or hangs up, while no replica is attached.
        try:
            data = self.client.recv(CHUNK)
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            data = b""
        if not data:
            self.close()
            return
        self._loop.remove_reader(self.client.fileno())
        self.held = data
        self.since = self._loop.time()
        self._owner.attach(self)

    def _asked(self, data: bytes) -> bool:
        if self._head or not self._request:
            # Bytes after an answer begin the next request, unless the answer was not at its end.
            if self._head and not is_whole(self._request, self._head, self._count, self._last):
                self._piped = True
            self._request, self._head, self._last, self._count = data[:16], b"", b"", 0
        elif data.startswith(METHODS):
            self._piped = True
        return True

    def _answered(self, data: bytes) -> bool:
        if not self._head:
            self._head = data[:HEAD]
        self._last = data[-8:]
        self._count += len(data)
        return True

    def _pump(self, pipe: Pipe) -> None:
        try:
            more = pipe.pump()
        except OSError:
            self.close()
            return
        except TargetGoneError:
            self._unwanted(pipe)
            return
        if not more:
            self._ended(pipe)
        elif pipe.waiting:
            self._loop.remove_reader(pipe.source.fileno())
            self._loop.add_writer(pipe.target.fileno(), self._flush, pipe)
        elif self.leaving and pipe is self.down and self.between:
            self._detach()

    def _flush(self, pipe: Pipe) -> None:
        try:
            pipe.write(pipe.waiting)
        except TargetGoneError:
            self._unwanted(pipe)
            return
        if not pipe.waiting:
            self._loop.remove_writer(pipe.target.fileno())
            self._loop.add_reader(pipe.source.fileno(), self._pump, pipe)
            if self.leaving and self.between:
                self._detach()

    def _unwanted(self, pipe: Pipe) -> None:
        if pipe is not self.up or self.down is None or self.down.done:
            self.close()
            return
        # A replica that hangs up in the middle of a request may have answered it: that is still to come.
        self._loop.remove_writer(pipe.target.fileno())
        pipe.waiting, pipe.done = b"", True
        self._ended(pipe)

    def refuse(self, answer: bytes) -> None:
        """Answer the client ourselves and end; what it sent is thrown away."""
        try:
            # Closing with bytes unread would reset the connection, and the answer with it.
            self._discard()
            self.client.send(answer)
            self.client.shutdown(socket.SHUT_WR)
        except OSError:
            self.close()
            return
        self.half = self._loop.time()
        if not self.over:
            self._loop.add_reader(self.client.fileno(), self._discard)

    def _discard(self) -> None:
        try:
            if not self.client.recv(CHUNK):
                self.close()
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            self.close()

    def _ended(self, pipe: Pipe) -> None:
        self._loop.remove_reader(pipe.source.fileno())
        if self.up is None or self.down is None or (self.up.done and self.down.done):
            self.close()
            return
        pipe.close_target()
        if self.half is None:
            self.half = self._loop.time()
