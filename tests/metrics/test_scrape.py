"""Scraping a page over a real socket, and the port on top of it."""

from collections.abc import Iterator
from dataclasses import dataclass

import httpx
import pytest

from canary.core.observation import Arm
from canary.core.release import ArmFacts, PodFact
from canary.core.strategy import ERRORS, LATENCY
from canary.errors import TransientError
from canary.metrics import scrape
from canary.metrics.scrape import ScrapeMetrics, fetch, parse
from canary.ports import MetricsQuery
from tests.metrics.loopback import Loopback, loopback


@dataclass
class SetClock:
    """A clock under the test's control."""

    at: float = 1000.0
    interrupted: int | None = None

    def now(self) -> float:
        return self.at

    def monotonic(self) -> float:
        return self.at

    def wait(self, seconds: float) -> None:
        self.at += seconds


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


def a_query(start: float, end: float) -> MetricsQuery:
    arms = {Arm.STABLE: ArmFacts(pods=(PodFact("s", "1"),)), Arm.CANARY: ArmFacts(pods=(PodFact("c", "2"),))}
    return MetricsQuery((ERRORS, LATENCY), {}, arms, start, end)


def a_source(client: httpx.Client, server: Loopback, clock: SetClock) -> ScrapeMetrics:
    return ScrapeMetrics(
        lambda: {"s": f"{server.url}/s", "c": f"{server.url}/c"}, client, clock, scrape_interval_s=15.0
    )


def test_each_pod_is_scraped_once_an_interval_and_remembered(client: httpx.Client, server: Loopback) -> None:
    clock, totals = SetClock(), iter(range(1, 100))
    server.answer = lambda _: (200, {}, page(next(totals)))
    source = a_source(client, server, clock)
    for clock.at in (1000.0, 1002.0, 1014.0, 1029.0):
        answer = source.read(a_query(0, clock.at))
        assert answer.reachable
        assert answer.settled_until == clock.at
    assert [one.path for one in server.asked] == ["/s", "/c"] * 3
    assert [(one.pod, one.arm, one.at, one.started) for one in answer.samples if one.pod == "c"] == [
        ("c", Arm.CANARY, at, 900) for at in (1000.0, 1014.0, 1029.0)
    ]
    assert [dict(one.counters) for one in answer.samples if one.pod == "s"] == [
        {"errors": (0, 1)},
        {"errors": (0, 3)},
        {"errors": (0, 5)},
    ]
    assert [one.at for one in source.read(a_query(1000, 1014)).samples] == [1014.0, 1014.0]
    assert not source.keeps_history


def test_a_pod_that_fails_is_missing_and_said_while_the_others_count(
    client: httpx.Client, server: Loopback
) -> None:
    server.answer = lambda asked: (200 if asked.path == "/s" else 500, {}, page(1))
    answer = a_source(client, server, SetClock()).read(a_query(0, 1000))
    assert answer.reachable
    assert [one.pod for one in answer.samples] == ["s"]
    assert answer.note.startswith("c: could not scrape")


def test_when_no_pod_can_be_scraped_the_source_is_out_of_reach(
    client: httpx.Client, server: Loopback
) -> None:
    server.answer = lambda _: (500, {}, b"")
    answer = a_source(client, server, SetClock()).read(a_query(0, 1000))
    assert not answer.reachable
    assert answer.samples == ()
    assert "s: could not scrape" in answer.note


def test_a_pod_that_is_no_longer_a_target_is_gone(client: httpx.Client, server: Loopback) -> None:
    clock = SetClock()
    server.answer = lambda _: (200, {}, page(1))
    targets = {"s": f"{server.url}/s", "c": f"{server.url}/c"}
    source = ScrapeMetrics(lambda: targets, client, clock, scrape_interval_s=15.0)
    assert source.read(a_query(0, 1000)).gone == {}
    clock.at = 1007.0
    targets.pop("c")
    answer = source.read(a_query(0, 1007))
    assert answer.gone == {"c": 1007.0}
    assert {one.pod for one in answer.samples} == {"s", "c"}
