"""The ring of scrapes on disk, and the metrics port over it."""

import os
from collections.abc import Sequence
from pathlib import Path

import pytest

from canary.config.settings import LocalService
from canary.core.observation import Arm
from canary.core.release import ArmFacts, PodFact
from canary.core.strategy import ERRORS, LATENCY
from canary.errors import TransientError
from canary.local import ring as rings
from canary.local.layout import Layout
from canary.local.metrics import RingMetrics
from canary.local.ring import RingReader, RingWriter, Scrape, Series, segments
from canary.local.status import Observed, dump, write_passing
from canary.local.store import Wanted
from canary.metrics.extract import Exposition
from canary.ports import MetricsQuery

T0 = 1_764_000_000.0


def a_scrape(at: float, count: float, *, pod: str = "a", arm: str = "stable", revision: str = "r1") -> Scrape:
    samples = (
        ("http_requests_total", (("code", "200"),), count),
        ("http_requests_total", (("code", "500"),), count / 2),
        ("process_start_time_seconds", (), T0 - 5.5),
    )
    return Scrape(pod, arm, revision, T0 + at, Exposition(samples, T0 - 5.5))


def with_buckets(at: float, pod: str, bounds: Sequence[str], *, arm: str = "stable") -> Scrape:
    samples = tuple(
        ("http_request_duration_seconds_bucket", (("le", bound),), float(10 * (k + 1)))
        for k, bound in enumerate((*bounds, "+Inf"))
    )
    return Scrape(pod, arm, "r1", T0 + at, Exposition(samples, T0))


def whole(folder: Path, start: float = 0.0) -> tuple[list[Scrape], dict[str, float]]:
    def keep(scrape: Scrape, series: Series) -> Scrape:
        return scrape

    return RingReader(folder, keep).read(start)


@pytest.fixture
def service(tmp_path: Path) -> LocalService:
    service = LocalService("shop", ("x",), "v1", tmp_path, tmp_path / "state")
    Layout.of(service).make()
    return service


def observed(service: LocalService, at: float) -> None:
    seen = Observed(1, T0 + at, os.getpid(), ("127.0.0.1", 1), Wanted("r1", 1), None, {})
    write_passing(Layout.of(service).observed, dump(seen))


def a_query(start: float, end: float, **arms: tuple[str, ...]) -> MetricsQuery:
    facts = {Arm(arm): ArmFacts(revisions) for arm, revisions in arms.items()}
    return MetricsQuery((ERRORS, LATENCY), {}, facts, T0 + start, T0 + end)


def test_what_was_scraped_reads_back_equal_again_and_again(tmp_path: Path) -> None:
    writer = RingWriter(tmp_path, 3600.0)
    scrapes = [a_scrape(k, k * 1.5) for k in range(20)]
    for scrape in scrapes:
        writer.append(scrape)
    writer.gone("a", T0 + 30)
    writer.close()
    assert whole(tmp_path) == (scrapes, {"a": T0 + 30})
    assert whole(tmp_path) == whole(tmp_path)


def test_a_reader_that_follows_reads_what_a_late_reader_reads(tmp_path: Path) -> None:
    def keep(scrape: Scrape, series: Series) -> Scrape:
        return scrape

    writer, follower = RingWriter(tmp_path, 36000.0), RingReader(tmp_path, keep)
    for k in range(30):
        # Segments turn over every 300 s.
        writer.append(a_scrape(k * 25.0, k))
        assert follower.read(0.0) == whole(tmp_path)
    writer.close()
    assert len(segments(tmp_path)) == 3


def test_a_torn_last_line_is_left_out_and_the_next_writer_goes_on(tmp_path: Path) -> None:
    first = RingWriter(tmp_path, 3600.0)
    first.append(a_scrape(1, 1))
    first.append(a_scrape(2, 2))
    first.close()
    path = segments(tmp_path)[0]
    path.write_bytes(path.read_bytes()[:-7])
    assert whole(tmp_path)[0] == [a_scrape(1, 1)]
    second = RingWriter(tmp_path, 3600.0)
    second.append(a_scrape(3, 3))
    second.close()
    assert whole(tmp_path)[0] == [a_scrape(1, 1), a_scrape(3, 3)]


def test_a_line_half_written_is_read_once_it_is_whole(tmp_path: Path) -> None:
    def keep(scrape: Scrape, series: Series) -> Scrape:
        return scrape

    writer = RingWriter(tmp_path, 3600.0)
    writer.append(a_scrape(1, 1))
    writer.append(a_scrape(2, 2))
    writer.close()
    path = segments(tmp_path)[0]
    data = path.read_bytes()
    path.write_bytes(data[:-10])
    follower = RingReader(tmp_path, keep)
    assert follower.read(0.0)[0] == [a_scrape(1, 1)]
    path.write_bytes(data)
    assert follower.read(0.0)[0] == [a_scrape(1, 1), a_scrape(2, 2)]


def test_the_ring_forgets_what_is_older_than_asked_and_keeps_the_rest(tmp_path: Path) -> None:
    writer = RingWriter(tmp_path, 1000.0)
    for k in range(200):
        writer.append(a_scrape(k * 25.0, k))
    writer.close()
    kept = [scrape.at - T0 for scrape in whole(tmp_path)[0]]
    assert kept[-1] == 199 * 25.0
    assert kept[-1] - 1600 <= kept[0] <= kept[-1] - 1000


def test_the_ring_stays_under_its_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rings, "SEGMENT_BYTES", 2000)
    writer = RingWriter(tmp_path, 1e9, keep_bytes=10_000)
    for k in range(1000):
        writer.append(a_scrape(float(k), k))
    writer.close()
    assert sum(path.stat().st_size for path in segments(tmp_path)) < 13_000
    assert whole(tmp_path)[0][-1] == a_scrape(999.0, 999)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_disk_loses_that_scrape_alone(tmp_path: Path) -> None:
    writer = RingWriter(tmp_path, 3600.0)
    writer.append(a_scrape(1, 1))
    assert writer._file is not None
    writer._file.close()
    writer._file = open("/dev/full", "wb", buffering=0)  # noqa: SIM115
    with pytest.raises(TransientError, match="No space left on device"):
        writer.append(a_scrape(2, 2))
    writer.append(a_scrape(3, 3))
    writer.close()
    assert whole(tmp_path)[0] == [a_scrape(1, 1), a_scrape(3, 3)]


def test_an_arm_has_only_pods_of_its_workload_and_its_revisions(service: LocalService) -> None:
    writer = RingWriter(Layout.of(service).ring, 3600.0)
    writer.append(a_scrape(1, 8, pod="old", revision="r0"))
    writer.append(a_scrape(2, 8, pod="a"))
    writer.append(a_scrape(3, 4, pod="c", arm="canary", revision="r2"))
    writer.append(a_scrape(4, 4, pod="promoted", revision="r2"))
    writer.append(a_scrape(5, 10, pod="a"))
    writer.gone("a", T0 + 6)
    writer.gone("stranger", T0 + 6)
    writer.close()
    observed(service, 7.0)
    found = RingMetrics(service).read(a_query(0, 10, stable=("r1",), canary=("r2",)))
    assert [(one.pod, one.arm, one.at - T0) for one in found.samples] == [
        ("a", Arm.STABLE, 2.0),
        ("c", Arm.CANARY, 3.0),
        ("a", Arm.STABLE, 5.0),
    ]
    assert found.samples[0].counters == {"errors": (4.0, 12.0)}
    assert found.samples[0].started == T0 - 5.5
    assert found.gone == {"a": T0 + 6}
    assert (found.reachable, found.settled_until) == (True, T0 + 7.0)


def test_a_stretch_is_open_at_its_start_and_closed_at_its_end(service: LocalService) -> None:
    writer = RingWriter(Layout.of(service).ring, 3600.0)
    for k in range(5):
        writer.append(a_scrape(k, k))
    writer.close()
    observed(service, 9.0)
    found = RingMetrics(service).read(a_query(1, 3, stable=("r1",)))
    assert [one.at - T0 for one in found.samples] == [2.0, 3.0]


def test_pods_with_different_buckets_are_brought_to_the_common_ones(service: LocalService) -> None:
    writer = RingWriter(Layout.of(service).ring, 3600.0)
    writer.append(with_buckets(1, "a", ("0.1", "0.5", "1.0")))
    writer.append(with_buckets(2, "b", ("0.1", "1", "2")))
    writer.close()
    observed(service, 9.0)
    found = RingMetrics(service).read(a_query(0, 3, stable=("r1",)))
    assert found.edges == {"latency": (0.1, 1.0)}
    assert [one.counters["latency"] for one in found.samples] == [(10.0, 30.0, 40.0), (10.0, 20.0, 40.0)]


def test_following_and_reading_anew_give_the_same_answer(service: LocalService) -> None:
    writer = RingWriter(Layout.of(service).ring, 36000.0)
    following = RingMetrics(service)
    query = a_query(-1, 2000, stable=("r1",), canary=("r2",))
    for k in range(40):
        writer.append(a_scrape(k * 20.0, k, pod=f"p{k % 3}"))
        observed(service, k * 20.0)
        assert following.read(query) == RingMetrics(service).read(query)
    writer.close()


def test_gone_pods_of_the_record_are_told_even_when_no_scrape_of_theirs_is_asked(
    service: LocalService,
) -> None:
    writer = RingWriter(Layout.of(service).ring, 3600.0)
    writer.append(a_scrape(1, 1, pod="c", arm="canary", revision="r2"))
    writer.gone("c", T0 + 2)
    writer.close()
    observed(service, 9.0)
    facts = {Arm.CANARY: ArmFacts(("r2",), (PodFact("c", "u"),))}
    found = RingMetrics(service).read(MetricsQuery((ERRORS,), {}, facts, T0 + 5, T0 + 9))
    assert (found.samples, found.gone) == ((), {"c": T0 + 2})


def test_without_a_supervisor_ever_nothing_is_known(tmp_path: Path) -> None:
    service = LocalService("shop", ("x",), "v1", tmp_path, tmp_path / "state")
    found = RingMetrics(service).read(a_query(0, 9, stable=("r1",)))
    assert not found.reachable
    assert "canary local up" in found.note


def test_no_arm_without_its_revisions(service: LocalService) -> None:
    writer = RingWriter(Layout.of(service).ring, 3600.0)
    writer.append(a_scrape(1, 1))
    writer.close()
    observed(service, 2.0)
    assert RingMetrics(service).read(a_query(0, 9, stable=())).samples == ()
