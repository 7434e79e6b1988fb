"""The one address in front: hands each connection to the next ready replica, in turn.

In turn and not to the least busy: a slower canary would otherwise get less than its share, and the share
is what a step asks for.
"""

import asyncio
import contextlib
import errno
import socket
from collections import deque
from collections.abc import Sequence

from canary.errors import InvalidError
from canary.local.connection import Connection, Owner
from canary.local.layout import holder_of_port

BACKLOG = 1024
CONNECT_S = 2.0
PATIENCE_S = 5.0
LINGER_S = 10.0
_ACCEPTS = 64
_NONE = (
    b"HTTP/1.1 503 Service Unavailable\r\nContent-Type: text/plain\r\nContent-Length: 20\r\n"
    b"Connection: close\r\nRetry-After: 1\r\n\r\nno replica is ready\n"
)


class Balancer(Owner):
    """Accepts, picks, connects; `Connection` pumps.

    Args:
        address: (host, port) to listen on; port 0 lets the system choose.
    """

    def __init__(self, address: tuple[str, int]) -> None:
        self._address = address
        self._loop = asyncio.get_running_loop()
        self._listener: socket.socket | None = None
        self._ready: list[tuple[str, int]] = []
        self._turn = 0
        self._connections: set[Connection] = set()
        self._by_pod: dict[str, set[Connection]] = {}
        self._waiting: deque[Connection] = deque()
        self._tasks: set[asyncio.Task[None]] = set()
        self.given: dict[str, int] = {}

    def listen(self) -> tuple[str, int]:
        """Begin to accept; the address in use.

        Raises:
            InvalidError: the port is taken, may not be used, or the host is none of ours.
        """
        host, port = self._address
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        listener = socket.socket(family, socket.SOCK_STREAM)
        try:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind((host, port))
            listener.listen(BACKLOG)
        except (OSError, OverflowError) as fault:
            listener.close()
            raise _not_ours(host, port, fault) from fault
        listener.setblocking(False)
        self._listener = listener
        self._loop.add_reader(listener, self._accept)
        self._loop.call_later(1.0, self._sweep)
        found = listener.getsockname()
        return str(found[0]), int(found[1])

    def serve(self, replicas: Sequence[tuple[str, int]]) -> None:
        """Balance over exactly these from now on.

        Args:
            replicas: (pod, port on 127.0.0.1) of those that are ready.
        """
        if list(replicas) == self._ready:
            return
        self._ready = list(replicas)
        while self._ready and self._waiting:
            self.attach(self._waiting.popleft())

    def leave(self, pod: str) -> None:
        """Take the replica's connections away from it, each as soon as no request is under way."""
        for one in list(self._by_pod.get(pod, ())):
            one.leave()

    def open_on(self, pod: str) -> int:
        """Connections that the replica still has."""
        return len(self._by_pod.get(pod, ()))

    @property
    def open(self) -> int:
        """Connections of clients."""
        return len(self._connections)

    @property
    def busy(self) -> int:
        """Connections with a request under way, or waiting for a replica."""
        return sum(not one.between for one in self._connections) + len(self._waiting)

    def stop(self) -> None:
        """Accept no more. Open connections go on."""
        if self._listener is not None:
            self._loop.remove_reader(self._listener)
            self._listener.close()
            self._listener = None

    def close(self) -> None:
        """End everything."""
        self.stop()
        for task in self._tasks:
            task.cancel()
        for one in list(self._connections):
            one.close()

    def attach(self, connection: Connection) -> None:
        """Connect it to the next ready replica; without one it waits up to PATIENCE_S for one."""
        if not self._ready:
            self._waiting.append(connection)
            self._connections.add(connection)
            return
        self._connections.add(connection)
        order = self._in_turn()
        pod, port = order[0]
        # On the loopback a connect is over at once, one way or the other, though only the second call says
        # so: a task only for what is not.
        backend = _socket()
        code = backend.connect_ex(("127.0.0.1", port))
        if code == errno.EINPROGRESS:
            code = backend.connect_ex(("127.0.0.1", port))
        if code in (0, errno.EISCONN):
            self._joined(connection, pod, backend)
            return
        backend.close()
        task = self._loop.create_task(self._try(connection, [*order[1:], order[0]]))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def closed(self, connection: Connection) -> None:
        """Its replica no longer has it; when it is over, nobody has."""
        held = self._by_pod.get(connection.pod)
        if held is not None:
            held.discard(connection)
            if not held:
                del self._by_pod[connection.pod]
        if connection.over:
            self._connections.discard(connection)

    def _in_turn(self) -> list[tuple[str, int]]:
        self._turn = (self._turn + 1) % len(self._ready)
        return self._ready[self._turn :] + self._ready[: self._turn]

    def _joined(self, connection: Connection, pod: str, backend: socket.socket) -> None:
        if all(name != pod for name, _ in self._ready):
            # Taken out while this connect was under way; nothing was sent yet.
            backend.close()
            self.attach(connection)
            return
        self.given[pod] = self.given.get(pod, 0) + 1
        self._by_pod.setdefault(pod, set()).add(connection)
        connection.join(pod, backend)

    async def _try(self, connection: Connection, order: list[tuple[str, int]]) -> None:
        # No byte has been sent to anyone yet, so trying the next one is safe.
        for pod, port in order:
            one = _socket()
            try:
                async with asyncio.timeout(CONNECT_S):
                    await self._loop.sock_connect(one, ("127.0.0.1", port))
            except (OSError, TimeoutError):
                one.close()
                continue
            except asyncio.CancelledError:
                one.close()
                raise
            if connection.over:
                one.close()
            else:
                self._joined(connection, pod, one)
            return
        if not connection.over:
            self._waiting.append(connection)

    def _accept(self) -> None:
        for _ in range(_ACCEPTS):
            if self._listener is None:
                return
            try:
                client, _ = self._listener.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError as fault:
                if fault.errno in (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM):
                    # Out of descriptors: without a pause this would spin until one is given back.
                    self._loop.remove_reader(self._listener)
                    self._loop.call_later(0.05, self._accept_again)
                return
            client.setblocking(False)
            with contextlib.suppress(OSError):
                client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.attach(Connection(self._loop, self, client))

    def _accept_again(self) -> None:
        if self._listener is not None:
            self._loop.add_reader(self._listener, self._accept)

    def _sweep(self) -> None:
        now = self._loop.time()
        for one in list(self._connections):
            if one.half is not None and now - one.half > LINGER_S and (one.down is None or one.down.done):
                one.close()
        again = [one for one in self._waiting if not one.over and now - one.since < PATIENCE_S]
        for one in self._waiting:
            if not one.over and now - one.since >= PATIENCE_S:
                one.refuse(_NONE)
        self._waiting = deque()
        for one in again:
            self.attach(one)
        if self._listener is not None or self._connections:
            self._loop.call_later(1.0, self._sweep)


def _socket() -> socket.socket:
    one = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    one.setblocking(False)
    one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return one


def _not_ours(host: str, port: int, fault: Exception) -> InvalidError:
    code = fault.errno if isinstance(fault, OSError) else None
    if code == errno.EADDRINUSE:
        who = holder_of_port(port)
        return InvalidError(
            f"local.listen: {host}:{port} is in use{f' by {who}' if who else ''}",
            remedy="Stop what listens there, or give `listen` another port.",
        )
    if code in (errno.EACCES, errno.EPERM):
        return InvalidError(
            f"local.listen: this user may not listen on {host}:{port}",
            remedy="Ports below 1024 need privileges: give `listen` a port above that.",
        )
    return InvalidError(
        f"local.listen: cannot listen on {host}:{port}: {fault}",
        remedy="Give `listen` an address of this host and a port from 1 to 65535.",
    )
