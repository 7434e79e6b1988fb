"""One request on a connection of its own, from connecting to its end in the books."""

import asyncio
import errno
import os
import socket
from collections.abc import Callable
from dataclasses import dataclass

from canary.local.demo.tally import Failure

NO_REPLICA = frozenset({502, 503, 504})
"""Statuses with which a balancer says that it found nobody to ask."""


@dataclass(frozen=True)
class Answer:
    """A whole answer: by whom, with which status."""

    version: str
    status: int


@dataclass(frozen=True)
class Miss:
    """No whole answer, and why."""

    kind: Failure
    detail: str


class Shot:
    """Sends one request and reads its answer; reports its end exactly once, and its closing exactly once.

    Plain sockets and readiness callbacks: on the loopback a connection is there at once, so that most
    requests are sent without waiting even one turn of the event loop.

    Args:
        address: host and port. request: the bytes to send; they must ask for `Connection: close`.
        ended: is called once with the outcome. closed: is called once, later or at the same time.
    """

    def __init__(
        self,
        address: tuple[str, int],
        request: bytes,
        ended: Callable[[Answer | Miss], None],
        closed: Callable[["Shot"], None],
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._address = address
        self._unsent = request
        self._ended: Callable[[Answer | Miss], None] | None = ended
        self._closed = closed
        self._socket: socket.socket | None = None
        self._buffer = bytearray()
        self.began = self._loop.time()

    def fire(self) -> None:
        """Connect and send."""
        family = socket.AF_INET6 if ":" in self._address[0] else socket.AF_INET
        try:
            self._socket = socket.socket(family, socket.SOCK_STREAM)
        except OSError as error:
            self._end(Miss(Failure.REFUSED, error.strerror or str(error)))
            return
        self._socket.setblocking(False)
        code = self._socket.connect_ex(self._address)
        if code == errno.EINPROGRESS:
            self._loop.add_writer(self._socket, self._writable)
        else:
            self._connected(code)

    def give_up(self, limit_s: float) -> None:
        """The time for this request is over, or for the other side to close after its answer."""
        self._end(Miss(Failure.TIMEOUT, f"no whole answer within {limit_s:g} s"))

    def _writable(self) -> None:
        assert self._socket is not None
        self._loop.remove_writer(self._socket)
        self._connected(self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR))

    def _connected(self, code: int) -> None:
        assert self._socket is not None
        if code:
            self._end(Miss(Failure.REFUSED, os.strerror(code)))
            return
        try:
            sent = self._socket.send(self._unsent)
        except BlockingIOError:
            sent = 0
        except OSError as error:
            self._end(Miss(Failure.RESET, error.strerror or str(error)))
            return
        self._unsent = self._unsent[sent:]
        if self._unsent:
            self._loop.add_writer(self._socket, self._writable)
        else:
            self._loop.add_reader(self._socket, self._readable)

    def _readable(self) -> None:
        assert self._socket is not None
        try:
            # The end often comes together with the answer.
            while data := self._socket.recv(65536):
                self._buffer += data
                outcome = read_answer(self._buffer)
                if outcome is not None:
                    self._tell(outcome)
        except BlockingIOError:
            return  # the other side closes first, so that the waiting for stray packets is on its side:
            # hundreds of connections a second that we close first would use up our ports within minutes
        except OSError as error:
            self._end(Miss(Failure.RESET, error.strerror or str(error)))
            return
        self._end(Miss(Failure.SHORT, f"closed after {len(self._buffer)} bytes of the answer"))

    def _tell(self, outcome: Answer | Miss) -> None:
        if self._ended is not None:
            ended, self._ended = self._ended, None
            ended(outcome)

    def _end(self, outcome: Miss) -> None:
        """Close. The outcome is told only if there was none before."""
        self._tell(outcome)
        if self._socket is not None:
            self._loop.remove_reader(self._socket)
            self._loop.remove_writer(self._socket)
            self._socket.close()
        self._closed(self)


def read_answer(raw: bytes | bytearray) -> Answer | Miss | None:
    """The answer in these bytes, None while it is not whole.

    An answer by a balancer that found no replica (502, 503, 504 without X-Version) is a miss: the service
    did not get the request.
    """
    head, end, body = bytes(raw).partition(b"\r\n\r\n")
    if not end:
        return None
    lines = head.decode("latin-1").split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines[1:])}
    try:
        status = int(lines[0].split(" ")[1])
        length = int(headers["content-length"])
    except (IndexError, ValueError, KeyError):
        return Miss(Failure.SHORT, f"an answer without status or length: {lines[0][:60]!r}")
    if len(body) < length:
        return None
    version = headers.get("x-version", "")
    if not version and status in NO_REPLICA:
        return Miss(Failure.NO_REPLICA, f"answered {status} without X-Version")
    return Answer(version or "unknown", status)
