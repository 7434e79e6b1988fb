"""What guards see of scrapes and workloads, and how they stand."""

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from canary.core import guards
from canary.core.assessed import GuardEvent, GuardState
from canary.core.guards import Watch
from canary.core.observation import Arm, Observation
from canary.core.release import Phase, Release, Stage
from canary.core.samples import Sample, Scrapes
from canary.core.strategy import Guard
from tests.core.builders import START, STRATEGY, V2, at_step, release, seen, workload, world
from tests.guarding import MIB, guard, guarded_by

COUNTED = ("errors", "latency")
EDGES = {"latency": (0.1, 0.5, 1.0)}


def watched(*asked: Guard, **fields: Any) -> Release:
    """A release that scrapes each second and has these guards."""
    return release(strategy=replace(STRATEGY, scrape_interval_s=1.0, **guarded_by(*asked)), **fields)


def scrape(at: float, pod: str = "web-1", **shown: float | tuple[float, ...]) -> Sample:
    """A scrape so many seconds after the start: counters and gauges by name."""
    values = {name: one if isinstance(one, tuple) else (one,) for name, one in shown.items()}
    counters = {name: one for name, one in values.items() if name in COUNTED}
    gauges = {name: one for name, one in values.items() if name not in COUNTED}
    return Sample(pod, Arm.CANARY, START + at, counters, START + 0.5, gauges=gauges)


def looked(
    subject: Release,
    samples: Iterable[Sample],
    *,
    watch: Watch | None = None,
    after_s: float = 600.0,
    found: Observation | None = None,
) -> tuple[Watch, tuple[GuardEvent, ...], dict[str, GuardState]]:
    """One look at all of these scrapes."""
    at = START + after_s
    scrapes = Scrapes(tuple(samples), edges=EDGES, settled_until=at)
    now = found or seen(at_step(), after_s=after_s)
    watch, events = guards.advance(subject, watch or guards.begin(subject), now, scrapes)
    return watch, events, {one.guard.name: one for one in guards.states(subject, watch, at)}


def fires(condition: str, *samples: Sample) -> bool:
    return looked(watched(guard(condition)), samples)[2]["it"].fired


# ── what figures there are


def test_memory_is_compared_in_bytes_and_as_a_part_of_the_limit() -> None:
    assert fires("memory_bytes > 80MiB", scrape(5, memory_bytes=81 * MIB))
    assert fires("memory_usage > 80%", scrape(5, memory_bytes=81 * MIB))
    assert not fires("memory_usage > 82%", scrape(5, memory_bytes=81 * MIB))


def test_cpu_is_what_was_used_between_two_scrapes() -> None:
    used = [scrape(5, cpu_seconds=10.0), scrape(6, cpu_seconds=10.5), scrape(7, cpu_seconds=10.6)]
    assert fires("cpu_cores > 0.4", *used)
    assert fires("cpu_usage >= 50%", *used)
    assert not fires("cpu_usage > 60%", *used)
    assert not fires("cpu_usage >= 0%", used[0])


def test_cpu_is_not_told_across_a_restart_or_a_silence() -> None:
    again = replace(scrape(6, cpu_seconds=90.0), started=START + 5.5)
    assert not fires("cpu_cores > 0", scrape(5, cpu_seconds=1.0), again)
    assert not fires("cpu_cores > 0", scrape(5, cpu_seconds=1.0), scrape(9, cpu_seconds=2.0))


def test_the_worst_pod_and_the_worst_series_of_a_gauge_count() -> None:
    several = [scrape(5, "web-1", queue=(1.0, 7.0)), scrape(5, "web-2", queue=2.0)]
    assert fires("queue > 6", *several)
    assert fires("queue < 2", *several)
    assert not fires("queue > 7", *several)


def test_errors_are_those_of_the_last_minute_and_of_requests_enough() -> None:
    few = [scrape(5, errors=(0.0, 0.0)), scrape(6, errors=(10.0, 19.0))]
    assert not fires("error_rate > 0%", *few)
    enough = [scrape(5, errors=(0.0, 0.0)), scrape(6, errors=(1.0, 20.0))]
    assert fires("error_rate >= 5%", *enough)
    later = [scrape(70 + n, errors=(1.0, 1000.0 + 20 * n)) for n in range(3)]
    state = looked(watched(guard("error_rate >= 5%")), [*enough, *later])[2]["it"]
    assert (state.fired, state.firing) == (True, False)


def test_requests_are_counted_over_all_pods_by_their_own_time() -> None:
    pods = ("web-1", "web-2")
    both = [scrape(at, pod, errors=(0.0, 30 * (at - 0.5))) for at in range(2, 8) for pod in pods]
    assert fires("request_rate > 59", *both)
    assert not fires("request_rate > 61", *both)


def test_a_latency_is_known_as_far_as_its_bucket_tells() -> None:
    # Of 100 requests 98 within 100 ms, one within 500 ms, one within 1 s.
    slow = [scrape(5, latency=(0.0,) * 4), scrape(6, latency=(98.0, 99.0, 100.0, 100.0))]
    assert fires("latency_p99 > 100ms", *slow)
    assert fires("latency_p99 <= 500ms", *slow)
    assert not fires("latency_p99 > 200ms", *slow)
    assert not fires("latency_p99 <= 200ms", *slow)
    assert fires("latency_p50 <= 100ms", *slow)


def test_a_quantile_of_too_few_requests_is_not_told() -> None:
    slow = [scrape(5, latency=(0.0,) * 4), scrape(6, latency=(0.0, 0.0, 50.0, 50.0))]
    assert not fires("latency_p99 > 100ms", *slow)
    assert fires("latency_p95 > 100ms", *slow)


def test_other_buckets_than_before_begin_the_count_anew() -> None:
    subject = watched(guard("latency_p50 > 100ms and request_rate > 1"))
    slow = [scrape(5, latency=(0.0,) * 4), scrape(6, latency=(0.0, 50.0, 50.0, 50.0))]
    watch, _, states = looked(subject, slow, after_s=7)
    assert states["it"].firing
    fewer = [
        scrape(7, latency=(50.0, 60.0)),
        scrape(8, latency=(80.0, 90.0)),
        scrape(9, latency=(110.0, 120.0)),
    ]
    scrapes = Scrapes(tuple(fewer), edges={"latency": (0.5,)}, settled_until=START + 70)
    watch, _ = guards.advance(subject, watch, seen(at_step(), after_s=70), scrapes)
    assert guards.states(subject, watch, START + 70)[0].truth is None
    later = [scrape(70, latency=(110.0, 120.0)), scrape(71, latency=(110.0, 220.0))]
    scrapes = Scrapes(tuple(later), edges={"latency": (0.5,)}, settled_until=START + 80)
    watch, _ = guards.advance(subject, watch, seen(at_step(), after_s=80), scrapes)
    assert guards.states(subject, watch, START + 80)[0].told == "latency_p50 above 500ms, request_rate 100"


def test_scrapes_of_one_turn_are_looked_at_together_and_none_is_missed() -> None:
    subject = watched(guard("queue > 5"))
    turn = [scrape(10.0, "web-1", queue=9.0), scrape(10.1, "web-2", queue=1.0)]
    _, events, _ = looked(subject, [*turn, scrape(10.3, "web-3", queue=1.0)], after_s=11)
    assert [(one.fired, round(one.at - START, 3)) for one in events] == [(True, 10.1)]


def test_restarts_and_ready_pods_are_seen_without_any_scrape() -> None:
    found = seen(world(canary=workload(V2, 2, arm="canary", restarts=3)), after_s=9)
    subject = watched(guard("restarts > 2", name="r"), guard("ready_pods < 2 or ready_pods > 2", name="p"))
    watch, events = guards.advance(subject, guards.begin(subject), found, None)
    states = {one.guard.name: one for one in guards.states(subject, watch, found.at)}
    assert (states["r"].firing, states["p"].truth) == (True, False)
    assert [(one.guard, one.fired) for one in events] == [("r", True)]


def test_ready_pods_are_not_counted_while_a_step_is_being_reached() -> None:
    subject = watched(guard("ready_pods < 5"), stage=Stage.SCALING)
    watch, events = guards.advance(subject, guards.begin(subject), seen(at_step(), after_s=9), None)
    assert (events, guards.states(subject, watch, START + 9)[0].truth) == ((), None)


def test_runtime_counts_from_the_start_of_the_release() -> None:
    subject = watched(guard("runtime > 10m"))
    watch = guards.begin(subject)
    for after_s, firing in ((600.0, False), (600.1, True)):
        watch, _ = guards.advance(subject, watch, seen(at_step(), after_s=after_s), None)
        assert guards.states(subject, watch, START + after_s)[0].firing is firing


def test_what_is_seen_with_and_without_scrapes_can_be_said_in_one() -> None:
    subject = watched(guard("queue > 5 and ready_pods > 1"))
    watch, _ = guards.advance(subject, guards.begin(subject), seen(at_step(), after_s=9), None)
    assert looked(subject, [scrape(10, queue=6.0)], watch=watch, after_s=11)[2]["it"].firing


# ── over time


def test_a_guard_fires_when_it_was_true_for_so_long_and_says_since_when_and_by_what() -> None:
    rising = [scrape(float(at), memory_bytes=(80 + at) * MIB) for at in range(1, 30)]
    _, events, states = looked(watched(guard("memory_usage > 90% for 5s")), rising)
    assert [(one.fired, one.at - START, one.since - START) for one in events] == [(True, 16.0, 11.0)]
    assert states["it"].told == "memory_usage 109% (web-1)"
    assert events[0].told == "memory_usage 96% (web-1)"


def test_a_pod_that_is_scraped_no_more_speaks_no_more() -> None:
    full = [scrape(5, "web-1", queue=9.0)]
    calm = [scrape(float(at), "web-2", queue=1.0) for at in range(5, 10)]
    _, events, _ = looked(watched(guard("queue > 5")), [*full, *calm])
    assert [(one.fired, one.at - START) for one in events] == [(True, 5.0), (False, 7.0)]


def test_scrapes_that_are_not_settled_wait() -> None:
    subject = watched(guard("queue > 5"))
    scrapes = Scrapes((scrape(10, queue=9.0),), settled_until=START + 9)
    watch, events = guards.advance(subject, guards.begin(subject), seen(at_step(), after_s=11), scrapes)
    assert events == ()
    settled = Scrapes((), settled_until=START + 10.3)
    _, events = guards.advance(subject, watch, seen(at_step(), after_s=12), settled)
    assert [one.fired for one in events] == [True]


def test_a_silent_source_leaves_guards_as_they_were() -> None:
    subject = watched(guard("queue > 5"))
    watch, _, _ = looked(subject, [scrape(10, queue=9.0)], after_s=11)
    now = seen(at_step(), after_s=30)
    watch, events = guards.advance(subject, watch, now, Scrapes(reachable=False))
    state = guards.states(subject, watch, now.at)[0]
    assert (events, state.firing) == ((), True)


def test_what_the_stable_does_and_what_was_before_the_release_is_no_matter() -> None:
    stable = replace(scrape(5, queue=9.0), arm=Arm.STABLE)
    assert not looked(watched(guard("queue > 5")), [stable, scrape(-5, queue=9.0)])[2]["it"].fired


def test_promoted_pods_are_watched_wherever_they_run() -> None:
    subject = watched(guard("queue > 5"), phase=Phase.BAKING)
    found = seen(world(workload(V2, 4)), after_s=20)
    asked = guards.query(subject, guards.begin(subject), found)
    assert {pod.name for pod in asked.arms[Arm.CANARY].pods} >= {f"stable-{V2.hash}-{n}" for n in range(4)}
    assert asked.arms[Arm.STABLE].revisions == (V2.hash,)
    promoted = replace(scrape(10, queue=9.0), arm=Arm.STABLE)
    assert looked(subject, [promoted], found=found)[2]["it"].firing


def test_what_has_no_figure_for_too_long_is_said() -> None:
    subject = watched(guard("memory_usage > 90% and queue > 5"))
    early = looked(subject, [scrape(float(n), queue=1.0 + n) for n in range(1, 10)], after_s=9.5)
    assert early[2]["it"].unseen == ""
    late = looked(subject, [scrape(float(n), queue=6.0) for n in range(1, 20)], after_s=20)
    assert late[2]["it"].unseen == "no figure for memory_usage"


def test_a_guard_whose_answer_is_known_anyway_is_not_unseen() -> None:
    subject = watched(guard("memory_usage > 90% and queue > 5"))
    known = looked(subject, [scrape(float(n), queue=1.0) for n in range(1, 20)], after_s=20)
    assert (known[2]["it"].unseen, known[2]["it"].truth) == ("", False)


@pytest.mark.parametrize("phase", [Phase.PENDING, Phase.ROLLING_BACK, Phase.PROMOTED])
def test_guards_watch_only_while_there_is_something_to_decide(phase: Phase) -> None:
    assert guards.watching(watched(guard("queue > 5")))
    assert not guards.watching(watched(guard("queue > 5"), phase=phase))
    assert not guards.watching(watched())


# ── read again

PAST = st.lists(
    st.tuples(st.integers(1, 4), st.floats(0, 10), st.sampled_from(["web-1", "web-2"])),
    min_size=1,
    max_size=40,
)


@given(PAST, st.data())
def test_read_in_parts_or_twice_or_all_at_once_it_comes_to_the_same(
    past: list[tuple[int, float, str]], data: st.DataObject
) -> None:
    subject = watched(guard("queue > 5 for 3s", name="a"), guard("queue > 8", "pause", name="b"))
    at, samples = 0.0, []
    for step, value, pod in past:
        at += step
        samples.append(scrape(at, pod, queue=value))
    whole = looked(subject, samples, after_s=at)
    watch, told = guards.begin(subject), list[GuardEvent]()
    for cut in sorted(data.draw(st.lists(st.integers(0, len(samples)), max_size=4))):
        done = samples[cut - 1].at - START if cut else 0.5
        watch, events, _ = looked(subject, samples[:cut], watch=watch, after_s=done)
        told += events
        if data.draw(st.booleans()):
            watch = guards.anew(watch, subject)
    watch, events, states = looked(subject, samples, watch=watch, after_s=at)
    assert states == whole[2]
    assert [*told, *events] == sorted([*told, *events], key=lambda one: one.at)
    assert sorted({*told, *events}, key=str) == sorted(whole[1], key=str)
