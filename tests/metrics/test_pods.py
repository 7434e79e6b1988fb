"""The metrics port over the pods' own pages: real sockets, real threads, short intervals."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import pytest

from canary.clock import SystemClock
from canary.core.observation import Arm
from canary.core.release import ArmFacts, PodFact
from canary.core.samples import Sample, Scrapes
from canary.core.strategy import ERRORS, LATENCY
from canary.core.vocabulary import MEMORY, PROCESS
from canary.errors import InvalidError, TransientError
from canary.metrics import pods
from canary.metrics.pods import Page, PodMetrics
from canary.metrics.scrape import fetcher
from canary.ports import MetricsQuery
from tests.metrics.loopback import Asked, Loopback, loopback

EVERY_S = 0.3
ARMS = {Arm.STABLE: ArmFacts(pods=(PodFact("s", "1"),)), Arm.CANARY: ArmFacts(pods=(PodFact("c", "2"),))}


def page(total: float, buckets: str = "") -> bytes:
    return f'http_requests_total{{code="200",path="/"}} {total}\n{buckets}'.encode()


@dataclass
class Subject:
    """Pods s and c behind one server; `pages` is what there is of them."""

    server: Loopback
    pages: dict[str, Page] = field(default_factory=dict)
    found: Callable[[], dict[str, Page]] | None = None

    def __post_init__(self) -> None:
        self.pages = {name: Page(f"{self.server.url}/{name}", 900.0) for name in ("s", "c")}
        self.server.answer = lambda _: (200, {}, page(len(self.server.asked)))
        self.source = PodMetrics(
            lambda: self.found() if self.found else self.pages,
            fetcher(),
            SystemClock(),
            scrape_interval_s=EVERY_S,
            remedy="Ask the network.",
        )

    def read(self, start: float = 0.0) -> Scrapes:
        return self.source.read(MetricsQuery((ERRORS, LATENCY), {}, ARMS, start, time.time() + 1))

    def until(self, is_so: Callable[[Scrapes], bool]) -> Scrapes:
        end = time.monotonic() + 15
        while not is_so(found := self.read()):
            assert time.monotonic() < end, found
            time.sleep(0.02)
        return found


@pytest.fixture
def subject() -> Iterator[Subject]:
    with loopback() as server:
        made = Subject(server)
        yield made
        made.source.close()
        server.hang.set()
        time.sleep(2 * pods.TURN_S)


def of(found: Scrapes, pod: str) -> list[Sample]:
    return [one for one in found.samples if one.pod == pod]


def test_the_first_reading_has_a_scrape_of_every_pod(subject: Subject) -> None:
    found = subject.read()
    assert found.reachable
    assert {(one.pod, one.arm, one.started) for one in found.samples} == {
        ("s", Arm.STABLE, 900.0),
        ("c", Arm.CANARY, 900.0),
    }
    assert not subject.source.keeps_history


def test_pods_are_scraped_on_while_nobody_reads_and_no_earlier_scrape_comes_in_later(
    subject: Subject,
) -> None:
    first = subject.read()
    time.sleep(6 * EVERY_S)
    found = subject.read()
    assert len(of(found, "s")) >= 4
    late = [one for one in found.samples if one not in first.samples]
    assert min(one.at for one in late) > first.settled_until
    assert [one.at for one in found.samples] == sorted(one.at for one in found.samples)
    assert max(one.at for one in found.samples) <= found.settled_until
    middle = of(found, "s")[1].at
    assert all(one.at > middle for one in subject.read(middle).samples)


def test_a_page_that_hangs_delays_neither_the_reader_nor_the_others(
    subject: Subject, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pods, "TIMEOUT_S", 1.0)

    def answer(asked: Asked) -> tuple[int, dict[str, str], bytes]:
        if asked.path == "/c":
            time.sleep(1.5)
        return 200, {}, page(1)

    subject.server.answer = answer
    subject.read()
    began = time.monotonic()
    found = subject.until(lambda found: len(of(found, "s")) >= 5)
    assert time.monotonic() - began < 8 * EVERY_S
    began = time.monotonic()
    subject.read()
    assert time.monotonic() - began < 0.25
    assert of(found, "c") == []
    assert found.note.startswith("c: could not scrape")


def test_when_no_pod_answers_the_source_is_out_of_reach_and_says_what_to_do(subject: Subject) -> None:
    subject.server.answer = lambda _: (500, {}, b"")
    found = subject.read()
    assert not found.reachable
    assert found.samples == ()
    assert "no pod could be scraped from here (2 tried): could not scrape" in found.note
    assert found.note.endswith("Ask the network.")


def test_pods_that_hang_are_said_within_the_bound_of_a_first_try(
    subject: Subject, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pods, "FIRST_S", 0.5)
    subject.server.hang.clear()
    began = time.monotonic()
    found = subject.read()
    assert time.monotonic() - began < 1.5
    assert not found.reachable
    assert "no answer within 0.5 s" in found.note


def test_a_source_that_falls_silent_resumes_and_keeps_what_it_had(subject: Subject) -> None:
    before = subject.read()
    subject.server.answer = lambda _: (503, {}, b"")
    subject.until(lambda found: not found.reachable)
    subject.server.answer = lambda _: (200, {}, page(7))
    found = subject.until(lambda found: found.reachable)
    assert all(one in found.samples for one in before.samples)


def test_a_pod_that_is_no_longer_there_is_gone_and_its_scrapes_stay(subject: Subject) -> None:
    subject.read()
    subject.pages = {"s": subject.pages["s"]}
    found = subject.read()
    assert set(found.gone) == {"c"}
    assert max(one.at for one in of(found, "c")) <= found.gone["c"] <= found.settled_until
    assert subject.read().gone == found.gone


def test_while_the_pods_cannot_be_listed_those_known_last_are_scraped_on_and_none_is_gone(
    subject: Subject,
) -> None:
    subject.read()

    def away() -> dict[str, Page]:
        raise TransientError("the API server does not answer")

    subject.found = away
    found = subject.until(lambda found: len(of(found, "c")) >= 3)
    assert found.gone == {}


def test_where_pages_are_that_cannot_be_told_is_a_fault(subject: Subject) -> None:
    def none() -> dict[str, Page]:
        raise InvalidError("no port")

    subject.found = none
    with pytest.raises(InvalidError):
        subject.read()


def test_a_container_that_was_started_again_tells_a_reset_where_the_page_does_not(subject: Subject) -> None:
    subject.read()
    subject.pages = {**subject.pages, "c": Page(subject.pages["c"].url, 2000.0)}
    found = subject.until(lambda found: of(found, "c")[-1].started == 2000.0)
    assert of(found, "c")[0].started == 900.0


def test_the_pages_own_start_counts_before_the_containers(subject: Subject) -> None:
    subject.server.answer = lambda _: (200, {}, page(1) + b"process_start_time_seconds 950\n")
    assert {one.started for one in subject.read().samples} == {950.0}


def test_pods_with_other_buckets_are_brought_to_the_common_ones(subject: Subject) -> None:
    def answer(asked: Asked) -> tuple[int, dict[str, str], bytes]:
        bounds = ("0.1", "0.5", "+Inf") if asked.path == "/s" else ("0.1", "1.0", "+Inf")
        lines = (
            f'http_request_duration_seconds_bucket{{le="{one}",path="/"}} {i + 1}\n'
            for i, one in enumerate(bounds)
        )
        return 200, {}, page(3, "".join(lines))

    subject.server.answer = answer
    found = subject.until(lambda found: len({one.pod for one in found.samples}) == 2)
    assert found.edges == {"latency": (0.1,)}
    assert {one.counters["latency"] for one in found.samples} == {(1.0, 3.0)}


def test_nothing_is_scraped_before_it_is_read_nor_when_nobody_reads_any_more(subject: Subject) -> None:
    time.sleep(2 * EVERY_S)
    assert subject.server.asked == []
    subject.read()
    subject.source.close()
    time.sleep(2 * EVERY_S)
    asked = len(subject.server.asked)
    time.sleep(3 * EVERY_S)
    assert len(subject.server.asked) == asked


def test_gauges_come_with_the_same_page(subject: Subject) -> None:
    subject.server.answer = lambda _: (200, {}, page(7) + b"process_resident_memory_bytes 5e6\n")
    query = MetricsQuery((ERRORS, PROCESS[MEMORY]), {}, ARMS, 0.0, time.time() + 15)

    def shown() -> list[Sample]:
        return [one for one in subject.source.read(query).samples if one.gauges]

    end = time.monotonic() + 15
    while not shown():
        assert time.monotonic() < end
        time.sleep(0.02)
    first = shown()[0]
    assert (dict(first.gauges), dict(first.counters)) == ({MEMORY: (5e6,)}, {"errors": (0.0, 7.0)})
