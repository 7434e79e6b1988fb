"""Enough of HTTP/1.1 to serve a shop: request heads, bodies that are read past, keep-alive, draining."""

import asyncio
import socket
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from http import HTTPStatus

BACKLOG = 512
CHUNK = 64 * 1024
HEAD_LIMIT = 16 * 1024
BODY_LIMIT = 64 * 1024


@dataclass(frozen=True)
class Request:
    """One request, its body already read past."""

    method: str
    path: str


@dataclass(frozen=True)
class Reply:
    """One answer. `allow` names the methods after a 405."""

    status: HTTPStatus
    body: bytes
    content_type: str = "text/plain; charset=utf-8"
    allow: str = ""


Handler = Callable[[Request, Callable[[Reply], None]], None]
"""Is given a request and what to call, once, with its answer, now or later."""


class MalformedError(ValueError):
    """The bytes are not a request that is served here. Carries the status to refuse it with."""

    def __init__(self, status: HTTPStatus, why: str) -> None:
        super().__init__(why)
        self.status = status


@dataclass(frozen=True)
class Head:
    """A request's head. `body` is the number of bytes that follow it."""

    request: Request
    keep_alive: bool
    body: int


def parse_head(raw: bytes) -> Head:
    """Read a request line and its headers (without the empty line after them).

    Raises:
        MalformedError: not HTTP/1.x, a length that is no number or too large, a chunked body.
    """
    lines = raw.decode("latin-1").split("\r\n")
    words = lines[0].split(" ")
    if len(words) != 3 or not words[2].startswith("HTTP/1."):
        raise MalformedError(HTTPStatus.BAD_REQUEST, "the first line is not METHOD PATH HTTP/1.x")
    headers = {}
    for line in lines[1:]:
        name, colon, value = line.partition(":")
        if not colon:
            raise MalformedError(HTTPStatus.BAD_REQUEST, "a header has no colon")
        headers[name.lower()] = value.strip().lower()
    if "transfer-encoding" in headers:
        raise MalformedError(HTTPStatus.LENGTH_REQUIRED, "send the body with Content-Length")
    wanted = headers.get("connection", "")
    keep_alive = wanted != "close" if words[2] == "HTTP/1.1" else wanted == "keep-alive"
    path = words[1].partition("?")[0]
    return Head(Request(words[0], path), keep_alive, _length(headers.get("content-length", "0")))


def _length(text: str) -> int:
    if not (text.isascii() and text.isdigit()):
        raise MalformedError(HTTPStatus.BAD_REQUEST, "Content-Length is not a number")
    if int(text) > BODY_LIMIT:
        raise MalformedError(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"at most {BODY_LIMIT} bytes of body")
    return int(text)


class Lobby:
    """Where connections come in, and what they share: who is here, and whether it is about to close.

    Plain sockets and readiness callbacks instead of asyncio's transports: a third of the work for each
    of the hundreds of connections a second.

    Args:
        handle: answers requests.
        version: sent as X-Version with every answer.
    """

    def __init__(self, handle: Handler, version: str) -> None:
        self.handle = handle
        self.version = version
        self.draining = False
        self.connections: set[Connection] = set()
        self._listener: socket.socket | None = None

    def listen(self, host: str, port: int) -> int:
        """Begin to accept connections; returns the port (one that was free, for port 0).

        Raises:
            OSError: it cannot be listened on.
        """
        listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        try:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind((host, port))
            listener.listen(BACKLOG)
        except OSError:
            listener.close()
            raise
        listener.setblocking(False)
        asyncio.get_running_loop().add_reader(listener, self._accept, listener)
        self._listener = listener
        return int(listener.getsockname()[1])

    def stop(self) -> None:
        """Accept no more connections, but those that have already come."""
        if self._listener is not None:
            self._accept(self._listener)
            asyncio.get_running_loop().remove_reader(self._listener)
            self._listener.close()
            self._listener = None

    def drain(self, *, silent: bool = False) -> None:
        """From now on every answer is the last on its connection; idle connections are closed.

        Args:
            silent: close those too on which nothing has come yet. Not at first: a client that has just
                connected is about to ask.
        """
        self.draining = True
        for connection in tuple(self.connections):
            connection.close_if_idle(silent=silent)

    def abandon(self) -> None:
        """Cut all connections that are still open."""
        for connection in tuple(self.connections):
            connection.close()

    def _accept(self, listener: socket.socket) -> None:
        with suppress(OSError):  # nobody waits any more, or out of descriptors: the backlog keeps the rest
            for _ in range(BACKLOG):
                client, _ = listener.accept()
                client.setblocking(False)
                # The answer is one write and the last: nothing is won by waiting to fill a packet.
                client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                Connection(self, client).readable()


class Connection:
    """One client's connection: requests are answered one after another, in order."""

    def __init__(self, lobby: Lobby, client: socket.socket) -> None:
        self._lobby = lobby
        self._loop = asyncio.get_running_loop()
        self._socket: socket.socket | None = client
        self._watched = False
        self._buffer = bytearray()
        self._unsent = b""
        self._busy = False
        self._keep_alive = True
        self._method = "GET"
        self._used = False
        lobby.connections.add(self)

    def readable(self) -> None:
        """Bytes may have come: begin to answer when a whole request is there."""
        if self._socket is None:
            return
        try:
            data = self._socket.recv(CHUNK)
        except BlockingIOError:
            self._watch(wanted=True)
            return
        except OSError:
            self.close()
            return
        if not data:
            self._ended()
            return
        self._buffer += data
        if not self._busy and not self._unsent:
            self._next()
        elif len(self._buffer) > HEAD_LIMIT + BODY_LIMIT:
            self.close()
        # While the last request is answered there is nothing to listen for.
        self._watch(wanted=not self._busy or self._keep_alive)

    def close_if_idle(self, *, silent: bool) -> None:
        """Close, unless a request is being answered or has begun to arrive, or may be about to."""
        if not self._busy and not self._buffer and not self._unsent and (silent or self._used):
            self.close()

    def close(self) -> None:
        """Close at once, whatever is open."""
        if self._socket is not None:
            self._watch(wanted=False)
            if self._unsent:
                self._loop.remove_writer(self._socket)
            self._socket.close()
            self._socket = None
        self._lobby.connections.discard(self)

    def _ended(self) -> None:
        """The client will send no more; what it asked is still answered."""
        self._keep_alive = False
        self._watch(wanted=False)
        if not self._busy and not self._unsent:
            self.close()

    def _watch(self, *, wanted: bool) -> None:
        if self._socket is None or wanted == self._watched:
            return
        self._watched = wanted
        if wanted:
            self._loop.add_reader(self._socket, self.readable)
        else:
            self._loop.remove_reader(self._socket)

    def _next(self) -> None:
        try:
            head = self._take()
        except MalformedError as error:
            self._keep_alive = False
            self._send(Reply(error.status, f"{error}\n".encode()))
            return
        if head is None:
            return
        self._busy = self._used = True
        self._keep_alive = head.keep_alive
        self._method = head.request.method
        self._lobby.handle(head.request, self._reply)

    def _take(self) -> Head | None:
        """The next whole request out of the buffer, None while it is incomplete."""
        end = self._buffer.find(b"\r\n\r\n")
        if (end if end >= 0 else len(self._buffer)) > HEAD_LIMIT:
            raise MalformedError(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, f"at most {HEAD_LIMIT} bytes")
        if end < 0:
            return None
        head = parse_head(bytes(self._buffer[:end]))
        whole = end + 4 + head.body
        if len(self._buffer) < whole:
            return None
        del self._buffer[:whole]
        return head

    def _reply(self, reply: Reply) -> None:
        self._busy = False
        self._send(reply)
        # Only when the loop comes round again: a long pipeline must not grow the stack.
        if self._socket is not None and self._buffer:
            self._loop.call_soon(self._resume)

    def _resume(self) -> None:
        if self._socket is not None and not self._busy and not self._unsent:
            self._next()

    def _send(self, reply: Reply) -> None:
        last = self._lobby.draining or not self._keep_alive
        lines = [
            f"HTTP/1.1 {reply.status.value} {reply.status.phrase}",
            f"Content-Type: {reply.content_type}",
            f"Content-Length: {len(reply.body)}",
            f"X-Version: {self._lobby.version}",
            f"Connection: {'close' if last else 'keep-alive'}",
        ]
        if reply.allow:
            lines.append(f"Allow: {reply.allow}")
        head = ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")
        self._keep_alive = not last
        self._write(head if self._method == "HEAD" else head + reply.body)

    def _write(self, data: bytes) -> None:
        if self._socket is None:
            return
        try:
            sent = self._socket.send(data)
        except BlockingIOError:
            sent = 0
        except OSError:
            self.close()  # the client has gone
            return
        if sent < len(data) and not self._unsent:
            self._loop.add_writer(self._socket, self._write_on)
        elif sent == len(data) and self._unsent:
            self._loop.remove_writer(self._socket)
        self._unsent = data[sent:]
        if not self._unsent and not self._keep_alive:
            self.close()

    def _write_on(self) -> None:
        self._write(self._unsent)
        if not self._unsent and self._buffer:
            self._resume()
