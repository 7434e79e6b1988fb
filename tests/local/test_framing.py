"""Whether an exchange is over, told from a head and a count."""

import pytest

from canary.local.framing import is_whole

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n"
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


@pytest.mark.parametrize(
    ("request_", "answer", "whole"),
    [
        (b"GET / HTTP/1.1", OK + b"hello", True),
        (b"GET / HTTP/1.1", OK + b"hell", False),
        (b"GET / HTTP/1.1", OK + b"hello, and more", False),
        (b"HEAD / HTTP/1.1", OK, True),
        (b"GET / HTTP/1.1", b"", False),
        (b"GET / HTTP/1.1", OK[:-2], False),
        (b"GET / HTTP/1.1", CHUNKED + b"5\r\nhello\r\n0\r\n\r\n", True),
        (b"GET / HTTP/1.1", CHUNKED + b"5\r\nhello\r\n", False),
        (b"GET / HTTP/1.1", CHUNKED + b"7\r\nab0\r\n\r\n", False),
        (b"DELETE / HTTP/1.1", b"HTTP/1.1 204 No Content\r\n\r\n", True),
        (b"POST / HTTP/1.1", b"HTTP/1.1 100 Continue\r\n\r\n", False),
        (b"GET / HTTP/1.1", b"HTTP/1.1 200 OK\r\n\r\nuntil it closes", False),
        (b"GET / HTTP/1.1", b"HTTP/1.1 101 Switching Protocols\r\nContent-Length: 0\r\n\r\n", False),
        (b"PRI * HTTP/2.0", OK + b"hello", False),
    ],
)
def test_an_exchange_is_over_when_its_answer_is_whole(request_: bytes, answer: bytes, whole: bool) -> None:
    head_end = answer.find(b"\r\n\r\n") + 4
    last = answer[head_end:][-8:] or answer[-8:]
    assert is_whole(request_, answer[:8192], len(answer), last) is whole
