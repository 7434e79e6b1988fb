import math
from dataclasses import replace

import pytest

from analysis.words import Interval
from canary.core.actions import Wait
from canary.core.assessed import Hold
from canary.core.observation import Observation, Workload, World
from canary.core.release import Outcome, Pause, Phase, Stage
from canary.view import words
from canary.view.snapshot import ArmRow, MetricRow, Snapshot, carried, ended, take
from tests.view.scripted import NEW, OLD, START, a_metric, a_release, a_world, assessed, pods

WAIT = Wait("held 4 s of at least 10 s")


def snap(**changes: object) -> Snapshot:
    release = a_release(**changes)
    return take(release, Observation(START + 20, a_world()), assessed(a_metric()), WAIT)


def test_a_step_is_told_with_its_weight_its_share_and_the_time_left() -> None:
    shown = snap()
    assert (shown.step, shown.asked, shown.share) == (0, 25.0, 0.241)
    assert (shown.elapsed_s, shown.in_step_s, shown.left_s) == (20, 17, 580)


def test_arms_are_told_with_ready_and_asked_replicas_and_their_traffic() -> None:
    shown = take(a_release(), Observation(START + 5, a_world(3, 2, ready=1)), assessed(), WAIT)
    assert shown.arms == (
        ArmRow("stable", "v1.0.0", 3, 3, 0, 122.0),
        ArmRow("canary", "v1.1.0", 1, 2, 1, 38.1),
    )


def test_a_metric_is_told_with_both_counts_its_interval_and_its_limits() -> None:
    (row,) = snap().metrics
    margin = (38 / 12204 + 0.005) / (38 / 12204)
    assert row == MetricRow("errors", "bad", (12, 3802), (38, 12204), 0.42, 2.31, 1.1, margin, 1.2)
    assert row.canary_rate == 12 / 3802


def test_the_margin_is_the_ratio_where_the_rate_is_high_enough_for_it_to_be_the_larger() -> None:
    (row,) = take(
        a_release(),
        Observation(START + 5, a_world()),
        assessed(a_metric(stable_bad=1200, stable_all=12000)),
        WAIT,
    ).metrics
    assert row.margin == 1.5


def test_a_metric_without_requests_has_no_rate() -> None:
    nothing = a_metric(canary_all=0, canary_bad=0, stable_all=0, stable_bad=0, ratio=Interval(0, math.inf))
    (row,) = take(a_release(), Observation(START + 5, a_world()), assessed(nothing), WAIT).metrics
    assert (row.canary_rate, row.stable_rate, row.margin) == (None, None, math.inf)


def test_latency_says_what_counts_as_slow() -> None:
    (row,) = take(
        a_release(), Observation(START + 5, a_world()), assessed(a_metric("latency", edge=0.25)), WAIT
    ).metrics
    assert (row.bad_is, row.tolerated) == ("> 250ms", 1.25)


def test_a_hold_is_told_by_its_kind() -> None:
    held = take(
        a_release(),
        Observation(START + 5, a_world()),
        assessed(),
        Wait("the canary is quiet", Hold.NO_TRAFFIC),
    )
    assert (held.hold, held.doing) == ("no_traffic", "the canary is quiet")


def test_a_pause_tells_who_why_and_for_how_long() -> None:
    shown = snap(pause=Pause("ann@laptop", START + 10, START + 3610, "graphs"))
    assert (shown.pause, shown.pause_left_s) == ("by ann@laptop: graphs", 3590)
    assert shown.next == ("canary resume", "canary promote", "canary abort")


def test_promotion_tells_how_many_replicas_run_the_new_version() -> None:
    world = World(Workload(NEW, 4, pods(NEW, 1) + pods(OLD, 3)), Workload(NEW, 2, pods(NEW, 2)))
    shown = take(a_release(phase=Phase.PROMOTING), Observation(START + 50, world), None, WAIT)
    assert shown.arm("stable") == ArmRow("stable", "v1.1.0", 4, 4, 1)
    assert (shown.asked, shown.left_s) == (100.0, None)


def test_a_replica_in_trouble_is_named_with_what_is_wrong() -> None:
    broken = replace(pods(NEW, 1)[0], ready=False, trouble="port 80 in use")
    world = World(a_world().stable, Workload(NEW, 1, (broken,)))
    shown = take(a_release(stage=Stage.SCALING), Observation(START + 5, world), None, WAIT)
    assert shown.arm("canary") == ArmRow("canary", "v1.1.0", 0, 1, 0, None, "shop-bbbb-0: port 80 in use")


def test_a_target_that_is_gone_shows_no_arms() -> None:
    assert take(a_release(), Observation(START + 5, None), None, WAIT).arms == ()


def test_figures_stay_on_the_screen_when_the_evidence_is_closed() -> None:
    before = snap()
    after = take(a_release(phase=Phase.PROMOTING), Observation(START + 50, a_world()), None, WAIT)
    assert after.metrics == ()
    kept = carried(before, after)
    assert (kept.metrics, kept.looks, kept.phase) == (before.metrics, before.looks, Phase.PROMOTING)


def test_figures_of_another_version_are_not_carried_over() -> None:
    after = take(a_release(version="v9"), Observation(START + 50, a_world()), None, WAIT)
    assert carried(snap(), after).metrics == ()


@pytest.mark.parametrize(
    ("phase", "outcome", "told"),
    [
        (Phase.PROMOTED, Outcome.PROMOTED, "PROMOTED: shop v1.1.0, now running v1.1.0"),
        (
            Phase.ROLLED_BACK,
            Outcome.REGRESSION,
            "ROLLED BACK, worse than stable: shop v1.1.0, now running v1.0.0",
        ),
        (Phase.ROLLED_BACK, Outcome.ABORTED, "ABORTED: shop v1.1.0, now running v1.0.0"),
    ],
)
def test_the_end_is_told_in_one_line(phase: Phase, outcome: Outcome, told: str) -> None:
    assert ended(snap(), a_release(phase=phase, outcome=outcome)).ending == told


@pytest.mark.parametrize(
    ("seconds", "told"),
    [(0, "0s"), (59.6, "1m00s"), (185, "3m05s"), (7800, "2h10m"), (90000, "1d01h"), (-5, "0s"), (None, "-")],
)
def test_durations_are_short(seconds: float | None, told: str) -> None:
    assert words.duration(seconds) == told


@pytest.mark.parametrize(
    ("fraction", "told"),
    [(0.0031, "0.31 %"), (0.024, "2.4 %"), (0.25, "25 %"), (0, "0 %"), (0.00001, "<0.01 %"), (None, "-")],
)
def test_rates_keep_the_digits_that_matter(fraction: float | None, told: str) -> None:
    assert words.percent(fraction) == told


@pytest.mark.parametrize(
    ("value", "told"),
    [(1.0, "1"), (0.001, "<0.01"), (34.2, "34"), (1234567, "1.2e+06"), (math.inf, "inf"), (math.nan, "-")],
)
def test_evidence_is_told_in_few_digits(value: float, told: str) -> None:
    assert words.evidence(value) == told
