"""The facts about the client library, each against a server that counts what it is asked."""

import json
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from canary.core.observation import Arm
from canary.core.release import ArmFacts, PodFact
from canary.core.strategy import ERRORS, LATENCY
from canary.metrics.prometheus import PrometheusMetrics
from canary.ports import MetricsQuery
from tests.metrics.loopback import Asked, Loopback, loopback

NOW = 1_000_000.0


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


@dataclass
class Settings:
    url: str
    token_file: Path | None = None
    ca_file: Path | None = None
    timeout_s: float = 5.0
    selector: Mapping[str, str] = field(default_factory=dict)
    pod_label: str = "pod"


def a_source(server: Settings, clock: SetClock | None = None) -> PrometheusMetrics:
    return PrometheusMetrics(server, clock=clock or SetClock(NOW), interval_s=15.0, scrape_interval_s=15.0)


def a_query(start: float = NOW - 100.0, end: float = NOW - 20.0) -> MetricsQuery:
    arms = {
        Arm.STABLE: ArmFacts(pods=(PodFact("s", "1"),)),
        Arm.CANARY: ArmFacts(pods=(PodFact("c", "2"),)),
    }
    return MetricsQuery((ERRORS, LATENCY), {}, arms, start, end)


def answer(*series: dict[str, Any], **more: Any) -> tuple[int, dict[str, str], bytes]:
    body = {"status": "success", "data": {"resultType": "matrix", "result": list(series)}, **more}
    return 200, {"Content-Type": "application/json"}, json.dumps(body).encode()


def requests_of(pod: str, *values: tuple[float, float], code: str = "200") -> dict[str, Any]:
    labels = {"__name__": "http_requests_total", "pod": pod, "code": code}
    return {"metric": labels, "values": [[NOW + at, str(total)] for at, total in values]}


@pytest.fixture
def server() -> Iterator[Loopback]:
    with loopback() as made:
        yield made


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504, 408, 401, 400])
def test_an_error_status_is_out_of_reach_after_one_attempt(server: Loopback, status: int) -> None:
    server.answer = lambda _: (status, {"Retry-After": "30"}, b"not now")
    source = a_source(Settings(server.url))
    began = time.monotonic()
    scrapes = source.read(a_query())
    source.close()
    assert time.monotonic() - began < 2.0
    assert not scrapes.reachable
    assert str(status) in scrapes.note
    assert server.url in scrapes.note
    assert len(server.asked) == 1


def test_a_server_that_hangs_is_out_of_reach_within_the_timeout_after_one_attempt(server: Loopback) -> None:
    server.hang.clear()
    source = a_source(Settings(server.url, timeout_s=0.5))
    began = time.monotonic()
    scrapes = source.read(a_query())
    source.close()
    assert time.monotonic() - began < 1.0
    assert not scrapes.reachable
    assert "no answer within 0.5 s" in scrapes.note
    assert len(server.asked) == 1


def test_a_port_nobody_listens_on_is_out_of_reach_at_once() -> None:
    with loopback() as gone:
        url = gone.url
    source = a_source(Settings(url))
    began = time.monotonic()
    scrapes = source.read(a_query())
    source.close()
    assert time.monotonic() - began < 2.0
    assert not scrapes.reachable
    assert "refused" in scrapes.note


@pytest.mark.parametrize(
    "body", [b"<html>", b"[]", b"{}", b'{"data":{"result":[{"values":[[1,"2"]]}]}}', b'{"data":null}']
)
def test_an_answer_that_is_none_is_out_of_reach(server: Loopback, body: bytes) -> None:
    server.answer = lambda _: (200, {}, body)
    source = a_source(Settings(server.url))
    assert not source.read(a_query()).reachable
    source.close()


def test_a_partial_answer_is_refused(server: Loopback) -> None:
    server.answer = lambda _: answer(requests_of("s", (-50, 7)), warnings=["store 10.0.0.1 did not answer"])
    source = a_source(Settings(server.url))
    scrapes = source.read(a_query())
    source.close()
    assert not scrapes.reachable
    assert scrapes.samples == ()
    assert "partial: store 10.0.0.1" in scrapes.note


def test_fractional_times_reach_the_server(server: Loopback) -> None:
    server.answer = lambda _: answer()
    source = a_source(Settings(server.url, selector={"ns": "prod"}))
    source.read(a_query(NOW - 100.25, NOW - 20.125))
    source.close()
    (asked,) = server.asked
    assert asked.path == "/api/v1/query"
    assert asked.params["time"] == "999979.875"
    assert asked.params["query"].endswith('pod=~"c|s",ns="prod"}[80125ms]')


def test_the_token_is_read_again_at_every_call(server: Loopback, tmp_path: Path) -> None:
    server.answer = lambda _: answer()
    token = tmp_path / "token"
    source = a_source(Settings(server.url, token_file=token))
    for text in ("first\n", "second\n"):
        token.write_text(text)
        source.read(a_query())
    token.unlink()
    scrapes = source.read(a_query())
    source.close()
    assert [one.headers["Authorization"] for one in server.asked] == ["Bearer first", "Bearer second"]
    assert not scrapes.reachable
    assert "token" in scrapes.note


def test_a_missing_certificate_file_is_said(tmp_path: Path) -> None:
    source = a_source(Settings("https://127.0.0.1:1", ca_file=tmp_path / "ca.pem"))
    scrapes = source.read(a_query())
    source.close()
    assert not scrapes.reachable
    assert "ca.pem" in scrapes.note


def test_samples_come_with_their_own_times_and_only_what_was_asked_for(server: Loopback) -> None:
    series = requests_of("s", (-100, 1), (-90.5, 2), (-75.5, 4))
    server.answer = lambda _: answer(series, requests_of("c", (-74.25, 3), code="500"))
    source = a_source(Settings(server.url))
    scrapes = source.read(a_query())
    source.close()
    assert [(one.pod, one.at, dict(one.counters)) for one in scrapes.samples] == [
        ("s", NOW - 90.5, {"errors": (0, 2)}),
        ("s", NOW - 75.5, {"errors": (0, 4)}),
        ("c", NOW - 74.25, {"errors": (3, 3)}),
    ]
    assert scrapes.settled_until == NOW - 20.0
    assert source.keeps_history


@pytest.mark.parametrize("left_closed", [True, False], ids=["2.x", "3.x"])
def test_both_kinds_of_range_boundary_read_the_same(server: Loopback, left_closed: bool) -> None:
    stored = [(-90.0, 1), (-75.0, 2), (-60.0, 4), (-45.0, 5), (-30.0, 7)]

    def in_range(asked: Asked) -> tuple[int, dict[str, str], bytes]:
        end = round(float(asked.params["time"]) * 1000)
        start = end - int(asked.params["query"].rpartition("[")[2].removesuffix("ms]"))
        found = [
            (at, total)
            for at, total in stored
            if start < round((NOW + at) * 1000) <= end or (left_closed and round((NOW + at) * 1000) == start)
        ]
        return answer(requests_of("s", *found))

    server.answer = in_range
    source = a_source(Settings(server.url))
    whole = source.read(a_query(NOW - 90.0, NOW - 30.0)).samples
    parts = [
        one
        for start in (-90.0, -75.0, -60.0, -45.0)
        for one in source.read(a_query(NOW + start, NOW + start + 15.0)).samples
    ]
    source.close()
    assert [one.at - NOW for one in whole] == [-75.0, -60.0, -45.0, -30.0]
    assert parts == list(whole)


def test_scrapes_that_may_still_come_in_are_not_called_settled(server: Loopback) -> None:
    server.answer = lambda _: answer()
    source = a_source(Settings(server.url))
    scrapes = source.read(a_query(end=NOW))
    source.close()
    assert scrapes.settled_until == NOW - 17.0


def test_an_answer_with_nothing_in_it_is_not_taken_for_silence(server: Loopback) -> None:
    source = a_source(Settings(server.url))
    nothing = (answer(), answer(requests_of("s")), answer(requests_of("s", (-50.0, float("nan")))))
    for said in nothing:
        server.answer = partial(lambda said, _: said, said)
        scrapes = source.read(a_query())
        assert not scrapes.reachable
        assert "answers with nothing: no scrapes of c, s" in scrapes.note
    server.answer = lambda _: answer(requests_of("s", (-50.0, 7)))
    assert source.read(a_query()).reachable
    source.close()


def test_each_read_overlaps_the_last_by_two_ticks_and_another_replica_is_refused(server: Loopback) -> None:
    clock = SetClock(NOW)
    source = a_source(Settings(server.url), clock)
    mine = [(-90.0, 1), (-75.0, 2), (-60.0, 4), (-45.0, 5), (-30.0, 7)]
    server.answer = lambda _: answer(requests_of("s", *mine))
    assert len(source.read(a_query()).samples) == 5

    clock.at += 15.0
    next_query = a_query(NOW - 20.0, NOW - 5.0)
    other = [(at + 3.0, total) for at, total in [*mine, (-15.0, 9)]]
    server.answer = lambda _: answer(requests_of("s", *other))
    refused = source.read(next_query)
    assert not refused.reachable
    assert "several replicas" in refused.note

    server.answer = lambda _: answer(requests_of("s", *mine, (-15.0, 9)))
    agreed = source.read(next_query)
    source.close()
    assert agreed.reachable
    assert [(one.at, dict(one.counters)) for one in agreed.samples] == [(NOW - 15.0, {"errors": (0, 9)})]
    assert server.asked[1].params["query"].endswith("[45000ms]")
    assert server.asked[2].params["query"] == server.asked[1].params["query"]


def test_a_replica_that_does_not_come_back_is_given_up_and_all_is_read_anew(server: Loopback) -> None:
    clock = SetClock(NOW)
    source = a_source(Settings(server.url), clock)
    server.answer = lambda _: answer(requests_of("s", (-45.0, 5), (-30.0, 7)))
    assert source.read(a_query()).reachable
    server.answer = lambda _: answer(requests_of("s", (-42.0, 5), (-27.0, 7)))
    found = []
    for _ in range(6):
        found.append(source.read(a_query()))
        clock.at += 15.0
    source.close()
    assert [(one.reachable, one.anew) for one in found] == [
        *[(False, False)] * 4,
        (False, True),
        (True, False),
    ]
    assert "reading everything again" in found[4].note


def test_without_pods_nothing_is_asked(server: Loopback) -> None:
    source = a_source(Settings(server.url))
    scrapes = source.read(MetricsQuery((ERRORS,), {}, {Arm.STABLE: ArmFacts()}, NOW - 100, NOW - 20))
    source.close()
    assert scrapes.reachable
    assert server.asked == []
