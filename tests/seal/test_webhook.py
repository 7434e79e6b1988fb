"""Copies to a server: one POST each, bounded, and no secret in what is said."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx
import pytest

from canary.config.settings import HttpServer
from canary.core.seals import decode, seal_of
from canary.errors import CanaryError, DeniedError, InvalidError, TransientError
from canary.seal.webhook import WebhookCopies
from tests.seal.ledgers import a_ledger

SEAL = seal_of(a_ledger(1)[-1])
URL = "https://audit.example:8443/hooks/s3cret?token=s3cret"


def asked(answer: Callable[[httpx.Request], httpx.Response], **given: object) -> list[httpx.Request]:
    """What was posted to a server that answers so."""
    seen: list[httpx.Request] = []

    def handle(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return answer(request)

    settings = HttpServer(URL, **given)  # type: ignore[arg-type]
    WebhookCopies(settings, httpx.MockTransport(handle)).deliver(SEAL)
    return seen


def test_a_copy_is_posted_as_it_stands_in_a_file(tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("abc\n")
    (request,) = asked(lambda _: httpx.Response(204), token_file=token)
    assert (request.method, str(request.url)) == ("POST", URL)
    assert request.headers["content-type"] == "application/json"
    assert request.headers["authorization"] == "Bearer abc"
    assert decode(request.content.decode()) == SEAL


def test_without_a_token_none_is_sent() -> None:
    (request,) = asked(lambda _: httpx.Response(200))
    assert "authorization" not in request.headers


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (401, DeniedError),
        (403, DeniedError),
        (301, TransientError),
        (404, TransientError),
        (503, TransientError),
    ],
)
def test_whatever_is_not_2xx_was_not_received(status: int, kind: type[CanaryError]) -> None:
    with pytest.raises(kind, match=f"it answered {status}"):
        asked(lambda _: httpx.Response(status, headers={"Location": "https://elsewhere.example/"}))


def test_no_secret_of_the_address_is_said(tmp_path: Path) -> None:
    webhook = WebhookCopies(HttpServer(URL, token_file=tmp_path / "none"))
    assert webhook.name == "webhook https://audit.example:8443"
    with pytest.raises(InvalidError, match="none cannot be read"):
        webhook.deliver(SEAL)

    def refuse(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError(f"cannot connect to {request.url}")

    with pytest.raises(TransientError) as told:
        asked(refuse)
    assert "s3cret" not in told.value.message
    assert told.value.message.startswith("ConnectError after ")


def test_a_certificate_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_text("rubbish")
    with pytest.raises(InvalidError, match=r"ca\.pem cannot be read"):
        asked(lambda _: httpx.Response(200), ca_file=tmp_path / "ca.pem")


@contextmanager
def a_server(answers_after_s: float) -> Iterator[tuple[str, list[dict[str, object]]]]:
    got: list[dict[str, object]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            got.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            time.sleep(answers_after_s)
            self.send_response(202)
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/seals", got
    finally:
        server.shutdown()
        server.server_close()


def test_a_real_server_gets_it() -> None:
    with a_server(0.0) as (url, got):
        WebhookCopies(HttpServer(url)).deliver(SEAL)
    assert got[0]["signature"] == SEAL.signature


def test_a_server_that_does_not_answer_is_given_up_after_the_time_out() -> None:
    with a_server(2.0) as (url, _), pytest.raises(TransientError, match="ReadTimeout after 0"):
        WebhookCopies(HttpServer(url, timeout_s=0.2)).deliver(SEAL)
