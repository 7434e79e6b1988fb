import copy
import dataclasses
import math
from collections.abc import Sequence

import numpy as np
import pytest

from analysis import engine, judge, onset, proportions
from analysis.layout import HARMS, lay_out
from analysis.views import see
from analysis.words import Counts, Design, Evidence, Kind, MetricDesign, Tick
from tests.analysis.counts import EDGES, SLOW, design, errors_only, exact, history, pod, tick

STEADY = [{f"s{i}": exact(300, 3) for i in range(4)} for _ in range(40)]


def run(plan: Design, past: Sequence[Counts], ticks: Sequence[Tick]) -> Evidence:
    state = judge.begin(plan, past)
    for each in ticks:
        state = judge.advance(state, each)
    return judge.evidence(state)


def ticks_of(
    seed: int, count: int, canary: tuple[str, ...], p: float, *, slow: bool = False, last_from: int = 10**9
) -> list[Tick]:
    rng = np.random.default_rng(seed)
    shares = SLOW if slow else None
    found = []
    for k in range(1, count + 1):
        mine = {c: pod(rng, 60, p, shares) if shares else pod(rng, 60, p) for c in canary}
        theirs = {f"s{i}": pod(rng, 250, 0.01) for i in range(4)}
        found.append(Tick(15.0 * k, mine, theirs, new_step=k in (9, 17), in_last_step=k >= last_from))
    return found


def test_before_the_first_look_nothing_is_known() -> None:
    found = judge.evidence(judge.begin(design(), STEADY))
    assert (found.looks, found.harm, found.harm_peak, found.p_value) == (0, 1.0, 1.0, 1.0)
    assert [m.safety for m in found.metrics] == [1.0, 1.0]
    assert (found.metrics[0].ratio.low, found.metrics[0].ratio.high) == (0.0, math.inf)


def test_one_tick_is_what_one_computes_by_hand() -> None:
    found = run(
        errors_only(), STEADY, [tick(15.0, {"a": exact(100, 4), "b": exact(100, 2)}, {"s0": exact(900, 9)})]
    )
    weights = 0.5 ** (np.arange(40)[::-1] / engine.HALF_LIFE)
    rate = (12 * weights.sum() + 0.5) / (1200 * weights.sum() + 100)
    joined = onset.mass(0, 0, False, 240)
    value = 1.0 - joined
    for harm, weight in HARMS:
        pooled = (200 * harm * rate + 900 * rate) / 1100
        e = (harm * rate / pooled) ** 6 * ((1 - harm * rate) / (1 - pooled)) ** 194
        value += joined * weight * e * (rate / pooled) ** 9 * ((1 - rate) / (1 - pooled)) ** 891
    assert found.harm == pytest.approx(value)
    assert (found.metrics[0].canary_bad, found.metrics[0].canary_all) == (6.0, 200.0)
    assert (found.metrics[0].stable_bad, found.metrics[0].stable_all) == (9.0, 900.0)


@pytest.mark.parametrize("arm", ["canary", "stable", "both"])
def test_a_tick_without_an_arm_changes_no_evidence(arm: str) -> None:
    some: Counts = {"a": exact(100, 50), "b": exact(100, 50)}
    found = run(
        errors_only(),
        STEADY,
        [tick(15.0, {} if arm in ("canary", "both") else some, {} if arm in ("stable", "both") else some)],
    )
    assert found.harm == pytest.approx(1.0)
    assert found.metrics[0].safety_pooled == 1.0
    assert found.metrics[0].canary_all == 0.0
    assert found.looks == 1


def test_a_clear_regression_reaches_the_limit_and_both_pods_carry_it() -> None:
    found = run(design(), history(np.random.default_rng(1)), ticks_of(2, 20, ("a", "b"), 0.05))
    assert found.harm_peak >= found.harm_limit == 100.0
    assert min(found.harm_without.values()) >= 5.0
    assert found.metrics[0].ratio.low > 1.0
    assert found.p_value <= 0.01


def test_one_bad_pod_of_two_is_seen_as_one_bad_pod() -> None:
    rng = np.random.default_rng(3)
    ticks = [
        Tick(15.0 * k, {"a": exact(60, 8), "b": exact(60, 0)}, {"s0": pod(rng, 1000, 0.01)})
        for k in range(1, 21)
    ]
    found = run(errors_only(), STEADY, ticks)
    assert found.harm_peak >= found.harm_limit
    assert found.harm_without["a"] < 1.0
    assert found.harm_without["b"] > 100.0


@pytest.mark.parametrize("tolerance", [0.0, 0.25])
@pytest.mark.parametrize("past", [0, 40])
def test_the_view_without_a_pod_is_a_run_that_never_had_it(tolerance: float, past: int) -> None:
    ticks = ticks_of(5, 40, ("a", "b", "c"), 0.015, slow=True)
    late = [
        dataclasses.replace(t, canary={p: c for p, c in t.canary.items() if p != "b" or t.t > 200})
        for t in ticks
    ]
    without = [dataclasses.replace(t, canary={p: c for p, c in t.canary.items() if p != "b"}) for t in late]
    before = history(np.random.default_rng(6), past)
    assert run(design(tolerance), before, late).harm_without["b"] == pytest.approx(
        run(design(tolerance), before, without).harm, rel=1e-9
    )


def test_with_one_canary_pod_one_tick_is_worth_ten_at_most() -> None:
    bad = tick(15.0, {"a": exact(1000, 900)}, {"s0": exact(1000, 10)})
    single = run(errors_only(), STEADY, [bad])
    assert 5.0 < single.harm <= 10.0
    assert single.harm_without == {}
    halves = {"a": exact(500, 450), "b": exact(500, 450)}
    assert run(errors_only(), STEADY, [tick(15.0, halves, bad.stable)]).harm > 1e6


def test_the_reference_of_a_tick_does_not_know_the_tick() -> None:
    layout = lay_out(errors_only())
    views = see(layout, [0.0, 0.0])
    state = engine.begin(layout, views, np.full((40, 3, 2), 50.0))
    look = engine.Look(15.0, np.full((2, 2), 10.0), np.array([10.0, 990.0]), np.array([3.0]))
    after = engine.advance(layout, views, state, look)
    thinned = np.array([20.0, 20.0, 10.0, 990.0])[[1, 0, 3, 2]]
    rate = proportions.reference_rate(state.reference[1:], state.reference.sum(keepdims=True))
    joined = onset.mass(0, 0, False, layout.design.ticks)
    e = proportions.ratio_log_e(thinned[:, None] * np.ones((4, 6)), rate, np.ones(6), layout.harms[0])
    assert after.rows[0, 0] == pytest.approx(joined * np.exp(e))
    assert after.reference[1] > state.reference[1] * 1.1


def test_safety_restarts_at_the_last_step_and_the_pooled_one_does_not() -> None:
    ticks = ticks_of(7, 30, ("a", "b"), 0.01, last_from=21)
    past = history(np.random.default_rng(8))
    before, after = run(errors_only(), past, ticks[:20]), run(errors_only(), past, ticks)
    assert before.metrics[0].safety == 1.0
    assert before.metrics[0].safety_pooled > 1.0
    last = [dataclasses.replace(t, in_last_step=True) for t in ticks]
    assert run(errors_only(), past, last).metrics[0].safety == pytest.approx(after.metrics[0].safety_pooled)
    assert after.metrics[0].safety == pytest.approx(
        after.metrics[0].safety_pooled / before.metrics[0].safety_pooled
    )


def test_safety_is_read_at_its_current_value() -> None:
    good = [dataclasses.replace(t, in_last_step=True) for t in ticks_of(9, 40, ("a", "b"), 0.01)]
    bad = [dataclasses.replace(t, t=t.t + 600, in_last_step=True) for t in ticks_of(10, 40, ("a", "b"), 0.04)]
    past = history(np.random.default_rng(11))
    assert run(errors_only(), past, good).metrics[0].safety > 50.0
    assert run(errors_only(), past, good + bad).metrics[0].safety < 1.0


def test_of_several_watched_bounds_each_must_pass() -> None:
    rng = np.random.default_rng(12)
    shares = (0.25, 0.35, 0.30, 0.05, 0.01, 0.04)
    ticks = [
        Tick(
            15.0 * k, {c: pod(rng, 300, 0.01, shares) for c in "ab"}, {"s": pod(rng, 900, 0.01)}, False, True
        )
        for k in range(1, 41)
    ]
    found = run(design(), history(rng), ticks)
    assert judge.watched_edges(EDGES, history(rng), "latency", None) == (0.5, 1.0)
    assert found.metrics[1].safety < 1.0
    first_only = dataclasses.replace(design().metrics[1], watched=(0.25,), margin_abs=0.1)
    alone = dataclasses.replace(design(), metrics=(design().metrics[0], first_only))
    assert run(alone, history(rng), ticks).metrics[1].safety > 1.0


def test_a_wider_margin_makes_safety_easier() -> None:
    past = history(np.random.default_rng(13))
    ticks = [dataclasses.replace(t, in_last_step=True) for t in ticks_of(14, 20, ("a", "b"), 0.01)]
    found = []
    for margin in (0.003, 0.01, 0.03):
        plan = Design(metrics=(MetricDesign("errors", Kind.RATIO, 1.0, margin_abs=margin),))
        found.append(run(plan, past, ticks).metrics[0].safety)
    assert found[0] < found[1] < found[2]


def test_what_is_tolerated_is_no_harm() -> None:
    ticks = ticks_of(15, 80, ("a", "b"), 0.018)
    past = history(np.random.default_rng(16))
    strict, lenient = run(errors_only(), past, ticks), run(errors_only(1.0), past, ticks)
    assert strict.harm_peak > 100.0
    assert lenient.harm_peak < 10.0


@pytest.mark.parametrize(("window", "limit"), [(0, 100.0), (1, 200.0), (2, 400.0)])
def test_a_window_opened_anew_has_a_smaller_share_of_the_rate(window: int, limit: float) -> None:
    found = judge.evidence(judge.begin(errors_only(window=window), STEADY))
    assert found.harm_limit == pytest.approx(limit)
    assert found.safety_limit == pytest.approx(50.0)


def test_all_windows_together_keep_the_promised_rate() -> None:
    rates = [1 / judge.evidence(judge.begin(errors_only(window=k), [])).harm_limit for k in range(1, 12)]
    assert 0.009 < sum(rates) <= 0.01


def test_latency_waits_for_the_warm_up_and_errors_do_not() -> None:
    ticks = ticks_of(17, 30, ("a", "b"), 0.05, slow=True)
    past = history(np.random.default_rng(18))
    early = run(design(), past, ticks[:4])
    assert early.metrics[1].warming
    assert early.metrics[1].harm == pytest.approx(1.0)
    assert early.metrics[1].canary_all == 0.0
    assert early.metrics[0].harm > 5.0
    late = run(design(), past, ticks)
    assert not late.metrics[1].warming
    assert late.metrics[1].harm > 100.0


def test_a_pod_that_joins_later_warms_up_on_its_own() -> None:
    ticks = ticks_of(19, 30, ("a", "b"), 0.01)
    late = [
        dataclasses.replace(t, canary={p: c for p, c in t.canary.items() if p == "a" or t.t > 300})
        for t in ticks
    ]
    past = history(np.random.default_rng(18))
    counted = [run(design(), past, late[:n]).metrics[1].canary_all for n in (20, 22, 30)]
    assert counted[1] - counted[0] == 2 * 60.0
    assert counted[2] - counted[1] > 8 * 60.0


def test_no_warm_up_is_no_wait() -> None:
    found = run(
        design(warm_up_min_s=0.0, warm_up_max_s=0.0),
        history(np.random.default_rng(18)),
        ticks_of(20, 2, ("a", "b"), 0.01),
    )
    assert not found.metrics[1].warming
    assert found.metrics[1].canary_all == 120.0  # a pod counts from its second tick on


def test_metrics_average_by_their_weights() -> None:
    found = run(design(), history(np.random.default_rng(21)), ticks_of(22, 25, ("a", "b"), 0.03, slow=True))
    assert found.harm == pytest.approx(
        sum(w * m.harm for w, m in zip((0.55, 0.45), found.metrics, strict=True))
    )


@pytest.mark.parametrize("tolerance", [0.0, 0.1])
def test_harm_beyond_doubt_and_the_interval_never_contradict(tolerance: float) -> None:
    state = judge.begin(errors_only(tolerance), history(np.random.default_rng(23)))
    crossed = False
    for each in ticks_of(24, 60, ("a", "b"), 0.025):
        state = judge.advance(state, each)
        found = judge.evidence(state)
        if found.metrics[0].harm >= 40.0:
            crossed = True
            assert found.metrics[0].ratio.low >= 1.0 + tolerance
    assert crossed


def test_the_interval_closes_on_the_true_ratio_and_only_narrows() -> None:
    state = judge.begin(errors_only(), history(np.random.default_rng(25)))
    low, high = 0.0, math.inf
    for each in ticks_of(26, 200, ("a", "b", "c", "d"), 0.01):
        state = judge.advance(state, each)
        ratio = judge.evidence(state).metrics[0].ratio
        assert ratio.low >= low
        assert ratio.high <= high
        low, high = ratio.low, ratio.high
    assert 0.6 < low < 1.0 < high < 1.6


def test_advancing_leaves_the_state_before_as_it_was() -> None:
    state = judge.begin(design(), history(np.random.default_rng(27)))
    for each in ticks_of(28, 12, ("a", "b"), 0.02, slow=True):
        before, seen = copy.deepcopy(state), judge.evidence(state)
        first = judge.evidence(judge.advance(state, each))
        assert judge.evidence(state) == seen
        assert judge.evidence(judge.advance(state, each)) == first
        for name in ("rows", "reference", "ring", "warm", "counted", "safety"):
            assert (getattr(state.numbers, name) == getattr(before.numbers, name)).all()
        state = judge.advance(state, each)


@pytest.mark.parametrize("tolerance", [0.0, 0.25])
@pytest.mark.parametrize("past", [0, 40])
def test_the_named_layer_and_a_batch_of_many_reach_the_same_numbers(tolerance: float, past: int) -> None:
    metrics = design(tolerance).metrics
    plan = design(tolerance, metrics=(metrics[0], dataclasses.replace(metrics[1], watched=(0.25, 0.5))))
    before = [history(np.random.default_rng(30 + i), past) for i in range(2)]
    many = [ticks_of(40 + i, 12, ("a", "b"), 0.02, slow=True) for i in range(2)]
    layout = lay_out(plan, with_history=past > 0)
    views = see(layout, [0.0, 0.0])
    flat = [[[[*c["errors"], *c["latency"]] for c in t.values()] for t in b] for b in before]
    state = engine.begin(layout, views, np.array(flat).reshape(2, past, 4 if past else 0, 8))
    if not past:
        state = dataclasses.replace(state, floor=np.full(2, 4.0))
    for pair in zip(*many, strict=True):
        canary = [[[*c["errors"], *c["latency"]] for c in t.canary.values()] for t in pair]
        stable = [[[*c["errors"], *c["latency"]] for c in t.stable.values()] for t in pair]
        look = engine.Look(
            pair[0].t, np.array(canary), np.array(stable).sum(axis=1), np.full(2, 4.0), pair[0].new_step
        )
        state = engine.advance(layout, views, state, look)
    for i in range(2):
        alone = run(plan, before[i], many[i])
        assert [float(x) for x in state.harm[i]] == pytest.approx([alone.harm, *alone.harm_without.values()])


def test_without_history_the_rollback_side_bets_and_still_finds_harm() -> None:
    found = run(design(), [], ticks_of(50, 40, ("a", "b"), 0.08))
    assert found.method == "betting"
    assert found.harm_peak >= found.harm_limit
    assert run(design(), [], ticks_of(51, 40, ("a", "b"), 0.01)).harm_peak < 20.0


def test_without_history_bounds_are_chosen_from_the_first_ticks_and_counted_from_the_next() -> None:
    ticks = ticks_of(52, 8, ("a", "b"), 0.01)
    assert run(design(), [], ticks[:0]).metrics[1].edge is None
    assert run(design(), [], ticks[:1]).metrics[1].edge == 0.5
    assert run(design(), [], ticks[:3]).metrics[0].canary_all == 360.0


def test_without_history_counts_are_thinned_by_four_until_the_release_itself_has_taught_better() -> None:
    ticks = ticks_of(53, 8, ("a", "b"), 0.01)
    assert run(design(), [], ticks[:3]).metrics[0].design_effect == (4.0, 4.0)
    assert run(design(), [], ticks[:6]).metrics[0].design_effect[1] < 4.0


def test_one_stable_pod_in_the_history_thins_by_four() -> None:
    past = [{"s0": exact(300, 3)}] * 40
    found = run(errors_only(), past, [tick(15.0, {"a": exact(100, 1)}, {"s0": exact(300, 3)})])
    assert found.metrics[0].design_effect == (4.0, 4.0)


def test_a_history_without_requests_is_none() -> None:
    assert judge.evidence(judge.begin(errors_only(), [{"s0": exact(0, 0)}] * 50)).method == "betting"


HUNDRED = [{"s": {"latency": (50.0, 30.0, 12.0, 5.0, 2.5, 0.5)}}]


@pytest.mark.parametrize(
    ("threshold", "wanted"),
    [(None, (0.25, 1.0)), (0.5, (0.5,)), (0.45, (0.5,)), (0.3, (0.25,)), (0.375, (0.5,)), (9.0, (1.0,))],
)
def test_watched_bounds(threshold: float | None, wanted: tuple[float, ...]) -> None:
    assert judge.watched_edges(EDGES, HUNDRED, "latency", threshold) == wanted


def test_no_history_no_watched_bounds() -> None:
    assert judge.watched_edges(EDGES, [], "latency", None) == ()
    assert judge.watched_edges(EDGES, [], "latency", 0.5) == (0.5,)


def test_counts_that_do_not_fit_are_refused_with_their_place() -> None:
    state = judge.begin(errors_only(), STEADY)
    with pytest.raises(ValueError, match="pod a, metric errors: 3 categories; want 2"):
        judge.advance(state, tick(15.0, {"a": {"errors": (1.0, 2.0, 3.0)}}, {}))


def test_a_watched_bound_that_is_no_bound_is_refused() -> None:
    metric = MetricDesign("latency", Kind.HISTOGRAM, 1.0, edges=EDGES, watched=(0.3,))
    with pytest.raises(ValueError, match=r"metric latency: watched bound 0\.3 s"):
        judge.begin(Design(metrics=(metric,)), [])
