"""Scraping a page over a real socket."""

from collections.abc import Iterator

import httpx
import pytest

from canary.errors import TransientError
from canary.metrics import scrape
from canary.metrics.scrape import fetch, parse
from tests.metrics.loopback import Loopback, loopback


@pytest.fixture
def client() -> Iterator[httpx.Client]:
    with httpx.Client(trust_env=False) as made:
        yield made


@pytest.fixture
def server() -> Iterator[Loopback]:
    with loopback() as made:
        yield made


def page(total: int) -> bytes:
    return f'http_requests_total{{code="200"}} {total}\nprocess_start_time_seconds 900\n'.encode()


def test_names_stay_as_exposed() -> None:
    text = '# TYPE nginx_requests counter\nnginx_requests{a="b"} 3\n# TYPE x_total counter\nx_total 4\n'
    assert parse(text).samples == (("nginx_requests", (("a", "b"),), 3.0), ("x_total", (), 4.0))


def test_a_page_is_fetched_as_plain_text(client: httpx.Client, server: Loopback) -> None:
    server.answer = lambda _: (200, {}, page(5))
    found = fetch(client, f"{server.url}/metrics", 2.0)
    assert found.started == 900
    assert ("http_requests_total", (("code", "200"),), 5.0) in found.samples
    assert server.asked[0].headers["Accept"].startswith("text/plain;version=0.0.4")


@pytest.mark.parametrize(
    ("status", "body", "said"),
    [
        (503, b"", "it answered 503"),
        (200, b"<html><body>hello world</body></html>", "not in Prometheus' text format"),
        (200, b'a{b="c"', "not in Prometheus' text format"),
        (200, b"a\n", "not in Prometheus' text format"),
    ],
)
def test_what_is_no_metrics_page_is_said(
    client: httpx.Client, server: Loopback, status: int, body: bytes, said: str
) -> None:
    server.answer = lambda _: (status, {}, body)
    with pytest.raises(TransientError, match=said) as caught:
        fetch(client, f"{server.url}/metrics", 2.0)
    assert server.url in caught.value.message
    assert caught.value.remedy
    assert len(server.asked) == 1


def test_a_page_that_is_too_large_is_not_read_to_its_end(
    client: httpx.Client, server: Loopback, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scrape, "LARGEST_PAGE", 1000)
    server.answer = lambda _: (200, {}, b"a 1\n" * 100_000)
    with pytest.raises(TransientError, match="larger than"):
        fetch(client, f"{server.url}/metrics", 2.0)


def test_a_server_that_hangs_is_given_up_in_time(client: httpx.Client, server: Loopback) -> None:
    server.hang.clear()
    with pytest.raises(TransientError, match=r"could not scrape .*timed out"):
        fetch(client, f"{server.url}/metrics", 0.2)


def test_a_page_that_drips_in_is_given_up_in_time(client: httpx.Client, server: Loopback) -> None:
    server.drip_s = 0.05
    server.answer = lambda _: (200, {}, b"a 1\n" * 3000)
    with pytest.raises(TransientError, match=r"not whole after 0\.2 s"):
        fetch(client, f"{server.url}/metrics", 0.2)


@pytest.mark.parametrize("url", ["http://[::1", "ftp://127.0.0.1/metrics", "no address"])
def test_an_address_that_is_none_is_said(client: httpx.Client, url: str) -> None:
    with pytest.raises(TransientError, match="could not scrape"):
        fetch(client, url, 0.2)


def test_a_port_nobody_listens_on_is_said(client: httpx.Client) -> None:
    with loopback() as gone:
        url = gone.url
    with pytest.raises(TransientError, match=rf"could not scrape {url}/metrics: .*refused"):
        fetch(client, f"{url}/metrics", 2.0)
