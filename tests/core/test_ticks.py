"""When a look is made, and what it covers."""

from collections.abc import Sequence

from canary.core.observation import Arm
from canary.core.samples import Sample, Scrapes
from canary.core.strategy import ERRORS, LATENCY
from canary.core.ticks import Look, Ticker, advance, begin

S, C = Arm.STABLE, Arm.CANARY


def scrape(pod: str, at: float, total: float, bad: float = 0.0, started: float | None = None) -> Sample:
    arm = C if pod.startswith("c") else S
    return Sample(pod, arm, at, {"errors": (bad, total)}, started)


def a_ticker(scrape_interval_s: float = 15.0, reads_from: float = -1e18) -> Ticker:
    return begin(
        (ERRORS, LATENCY),
        since=0.0,
        interval_s=15.0,
        scrape_interval_s=scrape_interval_s,
        reads_from=reads_from,
    )


def looks_of(
    samples: Sequence[Sample], until: float, ticker: Ticker | None = None, **answer: object
) -> tuple[Look, ...]:
    return advance(ticker or a_ticker(), answered(samples, until, **answer), until)[1]


def answered(samples: Sequence[Sample], until: float, **answer: object) -> Scrapes:
    return Scrapes(tuple(samples), settled_until=until, **answer)  # type: ignore[arg-type]


def good(look: Look, arm: Arm = C) -> dict[str, float]:
    return {pod: counts["errors"][0] for pod, counts in (look.canary if arm is C else look.stable).items()}


def test_both_arms_are_counted_on_the_grid() -> None:
    samples = [scrape("s", -5, 100), scrape("s", 10, 160, 2), scrape("c", 12, 7, 1)]
    (look,) = looks_of(samples, 15)
    assert (look.k, look.at) == (1, 15.0)
    assert look.stable == {"s": {"errors": (58, 2)}}
    assert look.canary == {"c": {"errors": (6, 1)}}
    assert look.requests(S) == 60
    assert look.requests(C) == 7


def test_what_the_stable_counted_before_the_start_is_in_no_look_of_the_release() -> None:
    """Scraped too seldom for a look at every grid point of the history."""
    stable = [scrape("s", at, 1000 + 10 * at) for at in (-80.0, -20.0, 10.0)]
    other = [scrape("t", at, 1000 + 10 * at) for at in (-70.0, -10.0, 5.0)]
    ticker = a_ticker(scrape_interval_s=60.0)
    looks = looks_of([*stable, *other, scrape("c", 12, 7)], 15, ticker)
    assert [(look.k, good(look, S)) for look in looks if look.k > 0] == [(1, {"s": 300, "t": 150})]


def test_a_scrape_on_the_grid_point_itself_belongs_to_it() -> None:
    samples = [scrape("s", 0, 100), scrape("s", 15, 160), scrape("c", 15, 7)]
    assert [look.k for look in looks_of(samples, 15)] == [1]


def test_a_grid_point_that_is_not_settled_waits() -> None:
    samples = [scrape("s", -5, 100), scrape("s", 10, 160), scrape("c", 12, 7)]
    state, looks = advance(a_ticker(), answered(samples, 14.9), 100.0)
    assert looks == ()
    assert [look.k for look in advance(state, answered((), 15.0), 100.0)[1]] == [1]


def test_the_stables_history_is_looked_at_on_the_same_grid() -> None:
    samples = [scrape("s", at, 1000 + at) for at in (-40.0, -25.0, -10.0)]
    looks = looks_of(samples, 0)
    assert [(look.k, look.stable, look.canary) for look in looks] == [
        (-1, {"s": {"errors": (15, 0)}}, {}),
        (0, {"s": {"errors": (15, 0)}}, {}),
    ]


def test_a_tick_is_extended_until_every_serving_pod_was_scraped_again() -> None:
    samples = [scrape("s1", 0, 0), scrape("s2", 0, 0), scrape("c", 1, 1)]
    samples += [
        scrape("s1", 14, 10),
        scrape("c", 14, 5),
        scrape("s1", 29, 20),
        scrape("s2", 29, 33),
        scrape("c", 29, 9),
    ]
    looks = [look for look in looks_of(samples, 30) if look.k > 0]
    assert [look.k for look in looks] == [2]
    assert good(looks[0], S) == {"s1": 20, "s2": 33}
    assert good(looks[0]) == {"c": 9}


def test_slow_scrapes_at_staggered_offsets_make_looks_that_lose_nothing() -> None:
    ticker = a_ticker(scrape_interval_s=60.0)
    offsets = {"s1": 3.0, "s2": 21.0, "s3": 44.0, "c1": 13.0, "c2": 58.0}
    samples = [
        scrape(pod, offset + 60 * n, 10 * (offset + 60 * n + 600))
        for pod, offset in offsets.items()
        for n in range(-5, 20)
        if pod[0] == "s"
    ]
    samples += [
        scrape(pod, offset + 60 * n, 600 * (n + 1))
        for pod, offset in offsets.items()
        for n in range(20)
        if pod[0] == "c"
    ]
    samples.sort(key=lambda one: one.at)
    looks = [look for look in looks_of(samples, 1200, ticker) if look.k > 0]
    assert len(looks) >= 1200 / 75 - 1
    for look in looks[1:]:
        assert set(look.stable) == {"s1", "s2", "s3"}
        assert set(look.canary) == {"c1", "c2"}
    for pod in ("c1", "c2"):
        last = max(one.counters["errors"][1] for one in samples if one.pod == pod and one.at <= looks[-1].at)
        assert sum(look.canary[pod]["errors"][0] for look in looks if pod in look.canary) == last


def test_when_a_look_is_made_does_not_depend_on_what_was_counted() -> None:
    times = [("s", -5.0), ("s", 10.0), ("c", 12.0), ("s", 25.0), ("c", 31.0), ("s", 40.0), ("c", 44.0)]
    healthy = [scrape(pod, at, 100 + at) for pod, at in times]
    failing = [scrape(pod, at, 100 + at, 90 + at) for pod, at in times]
    falling = [scrape(pod, at, 100 - at) for pod, at in times]
    ks = [[look.k for look in looks_of(samples, 45)] for samples in (healthy, failing, falling)]
    assert ks[0] == ks[1] == ks[2] == [1, 3]


def test_nothing_is_looked_at_while_there_is_no_canary_and_the_wait_is_not_compared() -> None:
    samples = [scrape("s", at, 1000 + at) for at in range(-5, 100, 15)]
    samples += [scrape("c", 84, 3)]
    (first,) = looks_of(samples, 90)
    assert first.k == 6
    assert good(first, S) == {"s": 15}
    assert first.began == 0.0


def test_began_says_when_the_earliest_base_was_counted() -> None:
    samples = [scrape("s", -5, 100), scrape("s", 10, 160), scrape("c", 12, 7, started=6.0)]
    samples += [scrape("s", 25, 170), scrape("c", 27, 9, started=6.0)]
    looks = [look for look in looks_of(samples, 30) if look.k > 0]
    assert [look.began for look in looks] == [-5, 10]


def test_a_pod_that_is_gone_is_not_waited_for_and_its_last_increments_count() -> None:
    samples = [scrape("s1", -1, 0), scrape("s2", -1, 0), scrape("c", 3, 1)]
    samples += [scrape("s1", 14, 10), scrape("s2", 14, 10), scrape("c", 14, 5)]
    samples += [scrape("s2", 17, 13), scrape("s1", 29, 20), scrape("c", 29, 8)]
    samples += [scrape("s1", 44, 30), scrape("c", 44, 11)]
    looks = [look for look in looks_of(samples, 45, gone={"s2": 18.0}) if look.k > 0]
    assert [(look.k, good(look, S)) for look in looks] == [
        (1, {"s1": 10, "s2": 10}),
        (2, {"s1": 10, "s2": 3}),
        (3, {"s1": 10}),
    ]


def test_the_last_errors_of_the_only_canary_pod_count_although_it_is_gone() -> None:
    samples = [scrape("s", -5, 0), scrape("s", 10, 10), scrape("c", 12, 7, bad=7)]
    (look,) = (look for look in looks_of(samples, 15, gone={"c": 13.0}) if look.k > 0)
    assert look.canary == {"c": {"errors": (0, 7)}}


def test_a_silent_pod_is_waited_for_three_scrape_intervals_then_left_out_and_its_hole_not_counted() -> None:
    samples = [scrape("s1", -1, 0), scrape("s2", -1, 0)]
    for k in range(1, 10):
        samples += [scrape("s1", 15 * k - 1, 10 * k), scrape("c", 15 * k - 1, 5 * k)]
    samples += [scrape("s2", 14, 7), scrape("s2", 119, 1000), scrape("s2", 134, 1003)]
    samples.sort(key=lambda one: one.at)
    looks = {look.k: look for look in looks_of(samples, 135) if look.k > 0}
    assert sorted(looks) == [1, 4, 5, 6, 7, 8, 9]
    assert [good(looks[k], S) for k in (1, 4)] == [{"s1": 10, "s2": 7}, {"s1": 30}]
    assert good(looks[8], S) == {"s1": 10}
    assert good(looks[9], S) == {"s1": 10, "s2": 3}


def test_an_outage_of_the_source_is_neither_merged_nor_counted() -> None:
    samples = [
        scrape(pod, at, 100 * at)
        for at in (-1.0, 14.0, 29.0, 209.0, 224.0)
        for pod in ("s", "c")
        if pod == "s" or at > 0
    ]
    state, looks = advance(a_ticker(), answered(samples, 225), 225)
    assert [look.k for look in looks if look.k > 0] == [1, 2, 14, 15]
    assert good(looks[-2], S) == {}
    assert good(looks[-1], S) == {"s": 1500}
    # 29 s was the last scrape: grid points 60 ... 195 lie more than a scrape and a half after it.
    assert state.unseen == 10


def test_a_repeated_scrape_is_no_new_scrape() -> None:
    once = [scrape("s", -5, 0), scrape("s", 10, 10), scrape("c", 12, 5)]
    state, looks = advance(a_ticker(), answered(once, 15), 15)
    assert [look.k for look in looks] == [1]
    again = [scrape("s", 10, 10), scrape("c", 12, 5), scrape("c", 12, 5)]
    assert advance(state, answered(again, 30), 30)[1] == ()


def test_an_unreachable_source_changes_nothing() -> None:
    state, _ = advance(a_ticker(), answered([scrape("s", -5, 0)], 0), 0)
    assert advance(state, Scrapes(reachable=False), 100) == (state, ())


def test_a_stable_pod_born_after_the_start_counts_from_zero() -> None:
    samples = [scrape("s1", -5, 500, started=-900), scrape("s1", 10, 510, started=-900)]
    samples += [
        scrape("s2", 11, 40, started=3),
        scrape("s3", 11, 600, started=-800),
        scrape("c", 12, 1, started=2),
    ]
    (look,) = (look for look in looks_of(samples, 15) if look.k > 0)
    assert good(look, S) == {"s1": 10, "s2": 40}


def test_a_pod_of_unknown_age_counts_from_zero_only_where_its_arm_was_watched_before() -> None:
    samples = [scrape("s1", at, 500 + at) for at in (-50.0, -35.0, -20.0, -5.0, 10.0)]
    samples += [scrape("s2", 11, 40), scrape("c", 12, 1)]
    assert good(looks_of(samples, 15)[-1], S) == {"s1": 15, "s2": 40}
    # Staggered first scrapes of old pods are no births.
    fresh = [scrape("s1", 4, 500), scrape("s2", 9, 700), scrape("c", 12, 1)]
    assert good(looks_of(fresh, 15)[-1], S) == {}


def test_where_evidence_begins_anew_an_old_canary_only_gives_a_base() -> None:
    ticker = a_ticker(reads_from=600.0)
    samples = [scrape("s", 601, 900), scrape("c1", 602, 300, bad=100), scrape("c2", 602, 300, started=50.0)]
    samples += [scrape("s", 616, 910), scrape("c1", 617, 304, bad=101), scrape("c2", 617, 309, started=50.0)]
    looks = looks_of(samples, 630, ticker)
    assert [look.at for look in looks] == [615.0, 630.0]
    assert looks[0].canary == {}
    assert looks[1].canary == {"c1": {"errors": (3, 1)}, "c2": {"errors": (9, 0)}}


def test_bucket_bounds_that_change_are_never_subtracted_from_each_other() -> None:
    def sample(pod: str, at: float, counts: tuple[float, ...]) -> Sample:
        return Sample(pod, C if pod == "c" else S, at, {"latency": counts})

    first = [sample("s", -5, (1, 2, 9)), sample("s", 10, (2, 4, 20)), sample("c", 10, (1, 1, 3))]
    state, _ = advance(a_ticker(), answered(first, 15, edges={"latency": (0.1, 0.5)}), 15)
    second = [sample("s", 25, (30, 60, 90)), sample("c", 25, (3, 4, 5))]
    state, (look,) = advance(state, answered(second, 30, edges={"latency": (0.2, 0.5)}), 30)
    assert (look.stable, look.canary) == ({}, {})
    third = [sample("s", 40, (31, 62, 93)), sample("c", 40, (3, 4, 6))]
    state, (look,) = advance(state, answered(third, 45, edges={"latency": (0.2, 0.5)}), 45)
    assert look.stable == {"s": {"latency": (1, 1, 1)}}


def test_what_was_scraped_last_is_known() -> None:
    samples = [scrape("s", -5, 0), scrape("s", 10, 10), scrape("c", 12, 5)]
    state, _ = advance(a_ticker(), answered(samples, 20), 20)
    assert state.last_scrapes == {"s": (S, 10), "c": (C, 12)}
    assert state.passed == 15.0
    assert a_ticker().passed is None


def test_the_state_before_stays_good_for_going_on_from() -> None:
    early = [scrape("s", -5, 0), scrape("s", 10, 10), scrape("c", 12, 5)]
    late = [scrape("s", 25, 20), scrape("c", 27, 9)]
    state, _ = advance(a_ticker(), answered(early, 15), 15)
    assert advance(state, answered(late, 30), 30)[1] == advance(state, answered(late, 30), 30)[1] != ()
