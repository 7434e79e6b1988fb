"""What a Prometheus is asked, and how its answer is read."""

from typing import Any

import pytest

from canary.core.observation import Arm
from canary.core.release import ArmFacts, PodFact
from canary.core.strategy import ERRORS, LATENCY, Metric, MetricKind
from canary.core.vocabulary import MEMORY, PROCESS
from canary.metrics.promql import disagreement, raw_query, read_answer, remembered
from canary.ports import MetricsQuery


def a_query(**revisions: tuple[str, ...]) -> MetricsQuery:
    arms = {
        Arm.STABLE: ArmFacts(revisions.get("stable", ()), (PodFact("s-1", "1"),)),
        Arm.CANARY: ArmFacts(revisions.get("canary", ()), (PodFact("c-1", "2"),)),
    }
    return MetricsQuery((ERRORS, LATENCY), {}, arms, 0.0, 100.0)


def series(values: list[tuple[float, str]], name: str = "x_total", **labels: str) -> dict[str, Any]:
    return {"metric": {"__name__": name, **labels}, "values": [list(value) for value in values]}


def test_one_query_asks_for_all_raw_samples() -> None:
    own = Metric("own", MetricKind.RATIO, bad='a_total{x="1"}', all="b_total")
    text = raw_query((own,), ["s-1.x", "c"], pod_label="pod", selector={"ns": 'p"'}, range_ms=1500)
    assert text == (
        '{__name__=~"a_total|b_total|process_start_time_seconds",pod=~"c|s-1\\\\.x",ns="p\\""}[1500ms]'
    )


def test_series_of_one_scrape_become_one_reading() -> None:
    result = [
        series([(10.5, "3"), (25.5, "4")], pod="s-1", code="200"),
        series([(25.5, "1")], pod="s-1", code="500"),
        series([(10.5, "7.25"), (25.5, "7.25")], name="process_start_time_seconds", pod="s-1"),
        series([(10.0, "1")], pod="stranger"),
    ]
    readings = read_answer(result, a_query(), pod_label="pod", after_ms=0).readings
    assert [(one.pod, one.arm, one.at, one.exposition.started) for one in readings] == [
        ("s-1", Arm.STABLE, 10.5, 7.25),
        ("s-1", Arm.STABLE, 25.5, 7.25),
    ]
    assert [len(one.exposition.samples) for one in readings] == [2, 3]


def test_the_left_end_of_the_range_is_left_out_whatever_the_server_does() -> None:
    result = [series([(10.0, "3"), (10.001, "3"), (25.0, "4")], pod="s-1")]
    readings = read_answer(result, a_query(), pod_label="pod", after_ms=10_000).readings
    assert [one.at for one in readings] == [10.001, 25.0]


def test_a_sidecars_own_target_does_not_disturb() -> None:
    result = [
        series([(10.0, "3")], pod="s-1", job="app"),
        series([(10.0, "500")], name="process_start_time_seconds", pod="s-1", job="app"),
        series([(12.0, "900")], name="process_start_time_seconds", pod="s-1", job="a-sidecar"),
    ]
    answer = read_answer(result, a_query(), pod_label="pod", after_ms=0)
    assert [(one.at, one.exposition.started) for one in answer.readings] == [(10.0, 500.0)]
    assert answer.doubled == {}


def test_memory_and_cpu_are_those_of_the_target_that_shows_the_service() -> None:
    memory = {
        job: series([(10.0, used)], name="process_resident_memory_bytes", pod="s-1", job=job)
        for job, used in (("a-sidecar", "900"), ("app", "5"))
    }
    both = [*memory.values(), series([(10.0, "3")], pod="s-1", job="app")]
    answer = read_answer(both, a_query(), pod_label="pod", after_ms=0)
    (reading,) = answer.readings
    assert [value for name, _, value in reading.exposition.samples if "memory" in name] == [5.0]
    assert answer.doubled == {}
    # Before the first request neither shows the service: whose memory it is cannot be said.
    (reading,) = read_answer(list(memory.values()), a_query(), pod_label="pod", after_ms=0).readings
    assert reading.exposition.samples == ()
    (reading,) = read_answer([memory["app"]], a_query(), pod_label="pod", after_ms=0).readings
    assert [value for _, _, value in reading.exposition.samples] == [5.0]


def test_a_gauge_is_asked_for_with_all_else() -> None:
    text = raw_query((ERRORS, PROCESS[MEMORY]), ["s-1"], pod_label="pod", selector={}, range_ms=1)
    assert "|process_resident_memory_bytes|" in text


def test_a_pod_scraped_by_two_jobs_counts_once_and_is_said() -> None:
    result = [series([(at, "3")], pod="s-1", job=job) for at, job in ((10.0, "b"), (12.0, "a"))]
    answer = read_answer(result, a_query(), pod_label="pod", after_ms=0)
    assert [one.at for one in answer.readings] == [12.0]
    assert answer.doubled == {"s-1": "a/"}


def test_a_pod_without_traffic_is_scraped_all_the_same() -> None:
    result = [series([(10.0, "500")], name="process_start_time_seconds", pod="c-1")]
    (reading,) = read_answer(result, a_query(), pod_label="pod", after_ms=0).readings
    assert (reading.pod, reading.exposition.started) == ("c-1", 500.0)


def test_a_name_used_again_by_the_other_arms_revision_is_left_out() -> None:
    query = a_query(stable=("r1",), canary=("r2",))
    result = [
        series([(10.0, "3")], pod="s-1", revision="r2"),
        series([(25.0, "3")], pod="s-1", revision="r1"),
        series([(25.0, "3")], pod="c-1", revision="some-git-commit"),
    ]
    readings = read_answer(result, query, pod_label="pod", after_ms=0).readings
    assert [(one.pod, one.at) for one in readings] == [("s-1", 25.0), ("c-1", 25.0)]


def test_a_scrape_with_what_is_not_a_number_counts_as_none_and_is_not_remembered() -> None:
    result = [
        series([(10.0, "3"), (25.0, "NaN"), (40.0, "5")], pod="s-1", code="200"),
        series([(10.0, "1"), (25.0, "1"), (40.0, "1")], pod="s-1", code="500"),
    ]
    readings = read_answer(result, a_query(), pod_label="pod", after_ms=0).readings
    assert [one.at for one in readings] == [10.0, 40.0]
    again = read_answer(result, a_query(), pod_label="pod", after_ms=0).readings
    assert disagreement(remembered(readings, after=0.0, until=50.0), again, ["s-1"]) is None


@pytest.mark.parametrize("result", [[{"values": []}], [{"metric": {"pod": "s-1"}, "values": [[1]]}]])
def test_what_is_no_answer_of_raw_samples_is_an_error(result: list[dict[str, Any]]) -> None:
    with pytest.raises((KeyError, ValueError)):
        read_answer(result, a_query(), pod_label="pod", after_ms=0)


def test_a_read_that_changes_the_past_disagrees_and_one_that_adds_to_it_does_not() -> None:
    def readings(*values: tuple[float, str]) -> Any:
        return read_answer([series(list(values), pod="s-1")], a_query(), pod_label="pod", after_ms=0).readings

    before = remembered(readings((5.0, "1"), (10.0, "3"), (25.0, "4")), after=5.0, until=20.0)
    assert set(before) == {("s-1", 10.0)}
    assert disagreement(before, readings((7.0, "2"), (10.0, "3")), ["s-1"]) is None
    assert "s-1 at 10.000 says something else" in str(disagreement(before, readings((10.0, "2")), ["s-1"]))
    assert "s-1 at 10.000 is no longer there" in str(disagreement(before, readings((10.4, "3")), ["s-1"]))
    assert disagreement(before, (), ["c-1"]) is None
