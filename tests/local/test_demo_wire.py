import asyncio
from http import HTTPStatus

import pytest

from canary.local.demo.shot import Answer, Miss, read_answer
from canary.local.demo.tally import Failure
from canary.local.demo.wire import Lobby, MalformedError, Reply, Request, parse_head


def echo(request: Request, reply: object) -> None:
    assert callable(reply)
    reply(Reply(HTTPStatus.OK, f"{request.method} {request.path}".encode()))


async def talk(data: bytes, *, draining: bool = False) -> bytes:
    """All that comes back for these bytes until the server closes; the client closes its half first."""
    lobby = Lobby(echo, "v1")
    port = lobby.listen("127.0.0.1", 0)
    lobby.draining = draining
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(data)
    answer = await asyncio.wait_for(reader.read(), 5)
    writer.close()
    await writer.wait_closed()
    lobby.stop()
    return answer


def test_two_requests_on_one_connection_are_answered_in_order() -> None:
    first = b"GET /a HTTP/1.1\r\n\r\n"
    second = b"POST /b?x=1 HTTP/1.1\r\nContent-Length: 3\r\nConnection: close\r\n\r\nabc"
    answer = asyncio.run(talk(first + second))
    assert answer.count(b"HTTP/1.1 200 OK") == 2
    assert answer.index(b"GET /a") < answer.index(b"POST /b")
    assert b"abc" not in answer


def test_a_thousand_pipelined_requests_do_not_grow_the_stack() -> None:
    last = b"GET /last HTTP/1.1\r\nConnection: close\r\n\r\n"
    answer = asyncio.run(talk(b"GET /a HTTP/1.1\r\n\r\n" * 2000 + last))
    assert answer.count(b"HTTP/1.1 200 OK") == 2001


def test_while_draining_an_answer_is_the_last_on_its_connection() -> None:
    answer = asyncio.run(talk(b"GET /a HTTP/1.1\r\n\r\n", draining=True))
    assert b"Connection: close" in answer


def test_a_head_request_gets_the_length_without_the_body() -> None:
    answer = asyncio.run(talk(b"HEAD /a HTTP/1.0\r\n\r\n"))
    assert b"Content-Length: 7" in answer
    assert answer.endswith(b"\r\n\r\n")


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"nonsense\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nno colon\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nContent-Length: many\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nContent-Length: 99999999\r\n\r\n", 413),
        (b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n", 411),
        (b"GET / HTTP/1.1\r\nX: " + b"x" * 20_000, 431),
    ],
)
def test_what_is_not_a_request_is_refused_with_the_right_status(data: bytes, status: int) -> None:
    assert asyncio.run(talk(data)).startswith(f"HTTP/1.1 {status} ".encode())


def test_http_1_0_closes_unless_asked_to_keep_alive() -> None:
    assert not parse_head(b"GET / HTTP/1.0").keep_alive
    assert parse_head(b"GET / HTTP/1.0\r\nConnection: keep-alive").keep_alive
    with pytest.raises(MalformedError):
        parse_head(b"GET / SPDY/3")


def answer(status: int, *, version: str = "", length: int = 2, body: bytes = b"ok") -> bytes:
    head = f"HTTP/1.1 {status} X\r\nContent-Length: {length}\r\n"
    return (head + (f"X-Version: {version}\r\n" if version else "") + "\r\n").encode() + body


def test_an_answer_is_read_when_it_is_whole_and_not_before() -> None:
    whole = answer(200, version="v1")
    assert all(read_answer(whole[:cut]) is None for cut in range(len(whole)))
    assert read_answer(whole) == Answer("v1", 200)


def test_an_error_of_the_service_is_an_answer_and_one_of_the_balancer_is_a_miss() -> None:
    assert read_answer(answer(503, version="v1")) == Answer("v1", 503)
    missed = read_answer(answer(503))
    assert isinstance(missed, Miss)
    assert missed.kind is Failure.NO_REPLICA


def test_an_answer_without_a_length_is_a_miss() -> None:
    missed = read_answer(b"HTTP/1.1 200 OK\r\n\r\nok")
    assert isinstance(missed, Miss)
    assert missed.kind is Failure.SHORT
