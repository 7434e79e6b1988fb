"""The promised rates and the speed, on thousands of seeded releases driven through the live engine."""

import numpy as np
import pytest
from scipy.stats import binom

from bench.power import ROWS, middle
from bench.simulate import AS_MEASURED, Outcome, Rules, World, design, run

pytestmark = pytest.mark.statistics

RELEASES = 2000
FALSE_ROLLBACK, FALSE_PROMOTION = 0.01, 0.02
TRAFFIC = {"low": 1.0, "medium": 20.0, "high": 500.0}
PAIR = Rules(cap=10.0, leave_one_out=True)

SAME_ARMS = {
    **{f"independent-{k}": (World(rps), AS_MEASURED, FALSE_ROLLBACK) for k, rps in TRAFFIC.items()},
    **{
        f"overdispersed-{k}": (World(rps, icc=0.005), AS_MEASURED, FALSE_ROLLBACK)
        for k, rps in TRAFFIC.items()
    },
    **{f"diurnal-{k}": (World(rps, diurnal=True), AS_MEASURED, FALSE_ROLLBACK) for k, rps in TRAFFIC.items()},
    "cold-start-medium": (World(20, hump=45.0), AS_MEASURED, FALSE_ROLLBACK),
    "cold-start-high": (World(500, hump=45.0), AS_MEASURED, FALSE_ROLLBACK),
    "no-history-medium": (World(20), Rules(history=False, cap=10.0), FALSE_ROLLBACK),
}

# A burst confined to the only canary pod is a regression to any test: no method keeps the promise there, and
# 6.85 % (7.6 % for betting) is what the cap brings it down to. From two canary pods on it is kept.
BURSTS = {
    **{
        k: (World(rps, bursts=True, canary_pods=2, stable_pods=10), PAIR, FALSE_ROLLBACK)
        for k, rps in TRAFFIC.items()
    },
    "high-single-pod": (World(500.0, bursts=True), Rules(cap=10.0), 0.0685),
}


def at_most(outcome: Outcome, count: int, promised: float) -> None:
    limit = binom.ppf(0.999, len(outcome.rolled_back), promised)
    assert count <= limit, (
        f"{count} of {len(outcome.rolled_back)}; promised {promised:.1%}, allowed {limit:.0f}"
    )


@pytest.mark.parametrize("cell", SAME_ARMS)
def test_a_healthy_canary_is_rolled_back_no_more_often_than_promised(cell: str) -> None:
    world, rules, promised = SAME_ARMS[cell]
    outcome = run(world, design(), RELEASES, 101, rules)
    at_most(outcome, int(np.isfinite(outcome.rolled_back).sum()), promised)


@pytest.mark.parametrize("traffic", BURSTS)
def test_bursts_of_single_pods_roll_back_no_more_often_than_stated(traffic: str) -> None:
    world, rules, promised = BURSTS[traffic]
    outcome = run(world, design(), RELEASES, 102, rules)
    at_most(outcome, int(np.isfinite(outcome.rolled_back).sum()), promised)


def test_the_simulation_can_fail_bursts_without_leave_one_out_break_the_bound() -> None:
    world, _, promised = BURSTS["high"]
    outcome = run(world, design(), 500, 103, AS_MEASURED)
    assert np.isfinite(outcome.rolled_back).sum() > binom.ppf(0.999, 500, promised)


@pytest.mark.parametrize("rps", [20.0, 500.0])
def test_a_canary_at_the_margin_is_proved_safe_no_more_often_than_promised(rps: float) -> None:
    outcome = run(World(rps, 0.001, 0.002), design(), RELEASES, 104)
    at_most(outcome, int(np.isfinite(outcome.proved).sum()), FALSE_PROMOTION)


@pytest.mark.parametrize(("base", "loaded"), [(0.003, 0.0045), (0.001, 0.002)])
def test_a_canary_bad_only_under_load_is_proved_safe_no_more_often_than_promised(
    base: float, loaded: float
) -> None:
    outcome = run(World(100, base, loaded, under_load_only=True), design(), RELEASES, 105)
    at_most(outcome, int(np.isfinite(outcome.proved).sum()), FALSE_PROMOTION)


def test_a_healthy_canary_is_promoted_at_high_traffic() -> None:
    outcome = run(World(500), design(), 400, 106, Rules(ticks=60))
    assert np.isfinite(outcome.promoted).mean() > 0.95


@pytest.mark.parametrize("row", [r for r, (_, figure, _) in ROWS.items() if np.isfinite(figure)])
def test_a_regression_is_found_about_as_soon_as_the_reference_figure(row: str) -> None:
    world, figure, looks = ROWS[row]
    outcome = run(world, design(), 400, 107, Rules(ticks=looks))
    assert middle(outcome) <= 1.15 * figure


def test_tolerated_differences_are_not_found_and_larger_ones_are() -> None:
    rules = Rules(ticks=120)
    tolerated = run(World(500, 0.01, 0.0108), design(0.10, 0.25), 400, 108, rules)
    assert np.isfinite(tolerated.rolled_back).sum() <= binom.ppf(0.999, 400, FALSE_ROLLBACK)
    beyond = run(World(500, 0.01, 0.02), design(0.10, 0.25), 400, 108, rules)
    assert np.isfinite(beyond.rolled_back).all()
