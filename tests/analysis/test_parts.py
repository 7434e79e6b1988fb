"""The onset mixture, the design effect, betting, the settling of a cold canary."""

import numpy as np
import pytest
from numpy.typing import NDArray

from analysis import betting, dispersion, onset, settling

Array = NDArray[np.float64]


def masses(ticks: int, steps_at: tuple[int, ...], looks: int) -> list[float]:
    found = []
    steps = 0
    for look in range(looks):
        found.append(onset.mass(look, steps, look in steps_at, ticks))
        steps += look in steps_at
    return found


def test_the_first_tick_takes_the_greatest_part_and_each_of_three_steps_a_little() -> None:
    found = masses(100, (8, 16, 24, 32), 40)
    assert found[0] == pytest.approx(0.85 + 0.06 / 100)
    assert found[8] == pytest.approx(0.03 + 0.06 / 100)
    assert found[32] == pytest.approx(0.06 / 100)


@pytest.mark.parametrize("steps_at", [(), (3,), (3, 4, 5), (1, 2, 3, 4, 5, 6)])
def test_all_masses_together_never_exceed_one(steps_at: tuple[int, ...]) -> None:
    assert sum(masses(20, steps_at, 500)) <= 1.0 + 1e-12


def test_mass_of_steps_that_do_not_come_stays_cash() -> None:
    assert 1.0 - sum(masses(20, (), 500)) == pytest.approx(0.09)


def test_the_mixture_grows_by_the_product_of_mass_and_e_and_stays_finite() -> None:
    grown = onset.grow(np.array([0.5]), 0.25, np.array([np.log(2.0)]))
    assert grown[0] == pytest.approx(1.5)
    for _ in range(100):
        grown = onset.grow(grown, 0.0, np.array([1e9]))
    assert np.isfinite(grown).all()


def clustered(rng: np.random.Generator, icc: float, ticks: int = 160, pods: int = 4, n: int = 400) -> Array:
    p = 0.02
    chance = np.full((ticks, pods), p)
    if icc > 0:
        chance = rng.beta(p * (1 - icc) / icc, (1 - p) * (1 - icc) / icc, (ticks, pods))
    return rng.binomial(n, chance).astype(float)


def found_correlation(errors: Array, n: int = 400) -> Array:
    v = np.array([0.02 * 0.98])
    found: Array = dispersion.correlation(errors[..., None], np.full(errors.shape, float(n)), v)[0]
    return found


def test_independent_requests_have_no_correlation() -> None:
    rng = np.random.default_rng(1)
    found = np.array([found_correlation(clustered(rng, 0.0)) for _ in range(200)])
    assert (found[:, 0] == 0).mean() > 0.85
    assert found.max() < 0.002


def test_correlated_requests_are_found_out() -> None:
    rng = np.random.default_rng(2)
    found = np.array([found_correlation(clustered(rng, 0.02)) for _ in range(100)])
    assert found[:, 0].mean() == pytest.approx(0.02, rel=0.1)


def test_drift_that_all_pods_share_is_no_correlation() -> None:
    rng = np.random.default_rng(3)
    p = 0.02 * (1 + 0.8 * np.sin(np.arange(160) / 10))[:, None]
    found = np.array(
        [found_correlation(rng.binomial(400, np.repeat(p, 4, axis=1)).astype(float)) for _ in range(50)]
    )
    assert np.median(found) == 0.0


def test_a_short_history_raises_the_estimate_by_its_uncertainty() -> None:
    found = found_correlation(clustered(np.random.default_rng(4), 0.0, ticks=8))
    assert found[0] > 0.0
    assert found[0] > found_correlation(clustered(np.random.default_rng(4), 0.0, ticks=30))[0]


def test_the_effect_is_one_plus_what_a_pods_other_requests_add() -> None:
    effect = dispersion.effect(np.array([200.0]), np.array([2.0]), np.array([[0.01, 0.005]]), np.ones(1))
    assert effect[0] == pytest.approx(max(1 + 99 * 0.01, 1 + 399 * 0.005))


def test_the_effect_is_never_under_its_floor() -> None:
    assert dispersion.effect(np.array([5.0]), np.array([1.0]), np.zeros((1, 2)), np.array([4.0]))[0] == 4.0


def known(rate: float, ticks: int, n: float) -> betting.Rates:
    rates = betting.no_rates((1,))
    for i in range(ticks):
        bad = np.array([rate * n + (1 if i % 2 else -1)])
        rates = betting.learn(rates, bad, np.array([n]))
    return rates


def test_running_moments_are_those_of_the_rates() -> None:
    rates = betting.no_rates((1,))
    values = [0.1, 0.3, 0.2]
    for value in values:
        rates = betting.learn(rates, np.array([value * 50]), np.array([50.0]))
    rates = betting.learn(rates, np.array([0.0]), np.array([0.0]))
    assert rates.mean[0] == pytest.approx(np.mean(values))
    assert rates.square[0] / 2 == pytest.approx(np.var(values, ddof=1))


def bet(x: tuple[float, float], n: tuple[float, float], rates: betting.Rates, theta: float = 1.0) -> Array:
    counts = np.array([x[0], n[0] - x[0], x[1], n[1] - x[1]]).reshape(4, 1, 1)
    found: Array = betting.log_e(counts, rates, np.array([theta]))[0, 0]
    return found


def test_the_first_ticks_place_no_bet() -> None:
    assert (bet((50, 1), (100, 900), known(0.01, 3, 900)) == 0).all()
    assert (bet((50, 1), (100, 900), known(0.01, 4, 900)) > 0).all()


def test_a_bet_never_loses_all_and_wins_when_the_canary_is_worse() -> None:
    rates = known(0.05, 40, 400)
    assert np.isfinite(bet((0, 400), (100, 400), rates)).all()
    assert (bet((0, 30), (100, 400), rates) < 0).all()
    assert (bet((40, 20), (100, 400), rates) > 0).all()


def test_a_bet_expects_at_most_one_for_equal_rates_however_requests_hang_together() -> None:
    rng = np.random.default_rng(5)
    rates = known(0.02, 100, 400)
    wins = []
    for _ in range(4000):
        shared = rng.beta(2, 98, 2)
        wins.append(np.exp(bet((100 * shared[0], 400 * min(shared[1], 0.1)), (100, 400), rates)))
    mean, error = np.mean(wins, axis=0), np.std(wins, axis=0) / np.sqrt(len(wins))
    assert (mean <= 1.0 + 4 * error + 0.01).all()


def ring_of(scores: list[float], n: float) -> Array:
    ring = np.zeros((1, settling.SPANS, 2))
    for score in scores:
        ring = settling.record(ring, np.array([[score * n, n]]), 1)
    return ring


ALONE = np.ones((1, 1, 1))
UNIT = np.array(1.0)


def test_a_canary_that_gets_faster_is_seen_to_fall() -> None:
    fall, _ = settling.trend(ring_of([2.1, 1.8, 1.5, 1.2], 100), ALONE, UNIT)
    assert fall[0, 0] > settling.FADING_Z


def test_a_steady_canary_is_seen_to_be_steady_however_slow() -> None:
    fall, doubt = settling.trend(ring_of([1.0] * 8, 1000), ALONE, UNIT)
    assert fall[0, 0] == pytest.approx(0.0, abs=1e-9)
    assert not doubt[0, 0]


def test_few_requests_of_a_clearly_slow_canary_leave_a_doubt() -> None:
    _, doubt = settling.trend(ring_of([1.5] * 4, 15), ALONE, UNIT)
    assert doubt[0, 0]


def test_a_canary_that_is_hardly_slow_leaves_no_doubt() -> None:
    _, doubt = settling.trend(ring_of([0.1] * 4, 15), ALONE, UNIT)
    assert not doubt[0, 0]


def test_nothing_seen_is_no_fall() -> None:
    fall, doubt = settling.trend(ring_of([], 1), ALONE, UNIT)
    assert fall[0, 0] == 0
    assert not doubt[0, 0]


def test_ticks_of_one_span_are_added_up() -> None:
    ring = settling.record(np.zeros((1, settling.SPANS, 2)), np.array([[3.0, 2.0]]), 1)
    ring = settling.record(ring, np.array([[1.0, 2.0]]), 0)
    assert ring[0, -1].tolist() == [4.0, 4.0]
    assert ring[0, -2].tolist() == [0.0, 0.0]


def test_a_short_history_without_a_single_event_is_worth_no_less_than_an_unknown_one() -> None:
    requests = np.full((12, 4), 100.0)
    none = np.zeros((12, 4, 1))
    found = dispersion.correlation(none, requests, np.array([1e-12]))
    pods, floor = np.array([2.0]), np.array([1.0])
    effect = dispersion.effect(np.array([200.0]), pods, found, floor)
    assert 1.0 < float(effect[0]) <= dispersion.UNKNOWN_EFFECT + 1e-9
