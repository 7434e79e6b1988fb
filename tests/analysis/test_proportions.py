import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize_scalar

from analysis import proportions
from tests.analysis.exact import binomial_outcomes

RATES = st.floats(1e-4, 0.6)
SIZES = st.integers(1, 12)


def of(value: float) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    return np.array([value])


def divergence(q: float, p: float) -> float:
    return float(q * np.log(q / p) + (1 - q) * np.log((1 - q) / (1 - p)))


def ratio_expectation(
    n: tuple[int, int], p: tuple[float, float], rate: float, theta: float, seek: float
) -> float:
    counts, chance = binomial_outcomes(*n, *p)
    ones = np.ones(len(chance))
    e = np.exp(proportions.ratio_log_e(counts, rate * ones, theta * ones, seek * ones))
    return float((e * chance).sum())


def margin_expectation(
    n: tuple[int, int], p: tuple[float, float], rate: float, margin: tuple[float, float]
) -> float:
    counts, chance = binomial_outcomes(*n, *p)
    ones = np.ones(len(chance))
    e = np.exp(proportions.margin_log_e(counts, rate * ones, margin[0] * ones, margin[1] * ones))
    return float((e * chance).sum())


@settings(max_examples=150, deadline=None)
@given(
    st.tuples(SIZES, SIZES),
    RATES,
    st.floats(0.0, 1.0),
    st.floats(1e-5, 0.5),
    st.floats(1.0, 3.0),
    st.floats(1.05, 60.0),
)
def test_the_rollback_e_variable_expects_at_most_one_wherever_the_canary_is_tolerated(
    n: tuple[int, int], p_s: float, fraction: float, rate: float, theta: float, beyond: float
) -> None:
    p_c = min(fraction * theta * p_s, 1.0)
    assert ratio_expectation(n, (p_c, p_s), rate, theta, theta * beyond) <= 1.0 + 1e-9


@settings(max_examples=100, deadline=None)
@given(
    st.tuples(SIZES, SIZES),
    RATES,
    st.floats(1.0, 5.0),
    st.floats(1e-5, 0.5),
    st.floats(0.2, 3.0),
    st.floats(1.05, 20.0),
)
def test_the_opposite_e_variable_expects_at_most_one_wherever_the_canary_is_no_better(
    n: tuple[int, int], p_s: float, more: float, rate: float, theta: float, beyond: float
) -> None:
    p_c = theta * p_s * more
    if p_c <= 1.0:
        assert ratio_expectation(n, (p_c, p_s), rate, theta, theta / beyond) <= 1.0 + 1e-9


@settings(max_examples=200, deadline=None)
@given(
    st.tuples(SIZES, SIZES),
    RATES,
    st.floats(0.0, 1.0),
    st.floats(1e-5, 0.5),
    st.floats(1.0, 3.0),
    st.floats(1e-3, 0.3),
)
def test_the_safety_e_variable_expects_at_most_one_wherever_the_canary_is_worse_than_the_larger_margin(
    n: tuple[int, int], p_s: float, more: float, rate: float, theta: float, delta: float
) -> None:
    least = max(theta * p_s, p_s + delta)
    if least < 1.0:
        p_c = least + more * (1.0 - least)
        assert margin_expectation(n, (p_c, p_s), rate, (theta, delta)) <= 1.0 + 1e-9


def test_the_expectation_is_one_exactly_at_the_nearest_null_point() -> None:
    p_c, p_s = proportions.ratio_null(of(6), of(9), of(0.3), of(0.1), of(1.25))
    found = ratio_expectation((6, 9), (float(p_c[0]), float(p_s[0])), 0.1, 1.25, 3.0)
    assert found == pytest.approx(1.0, abs=1e-12)
    assert p_c[0] == pytest.approx(1.25 * p_s[0])


def test_the_expectation_grows_beyond_one_when_the_canary_is_as_bad_as_looked_for() -> None:
    assert ratio_expectation((10, 10), (0.3, 0.1), 0.1, 1.0, 3.0) > 1.2


def test_safety_expects_more_than_one_for_a_canary_like_the_stable() -> None:
    assert margin_expectation((12, 12), (0.05, 0.05), 0.05, (1.5, 0.2)) > 1.2


def test_with_equal_rates_tolerated_the_null_point_is_the_pooled_rate() -> None:
    p_c, p_s = proportions.ratio_null(of(10), of(30), of(0.2), of(0.1), of(1.0))
    assert p_c[0] == pytest.approx((10 * 0.2 + 30 * 0.1) / 40)
    assert p_s[0] == pytest.approx(p_c[0])


def test_log_e_of_a_tick_is_what_one_computes_by_hand() -> None:
    counts = np.array([[2.0], [8.0], [1.0], [29.0]])
    pooled = (10 * 0.2 + 30 * 0.1) / 40
    by_hand = (
        2 * np.log(0.2 / pooled)
        + 8 * np.log(0.8 / (1 - pooled))
        + np.log(0.1 / pooled)
        + 29 * np.log(0.9 / (1 - pooled))
    )
    assert proportions.ratio_log_e(counts, of(0.1), of(1.0), of(2.0))[0] == pytest.approx(by_hand)


@pytest.mark.parametrize("n", [(1.0, 1.0), (3.5, 400.0), (1e5, 2e5)])
@pytest.mark.parametrize("rate", [1e-5, 0.004, 0.2, 0.5])
@pytest.mark.parametrize("delta", [1e-4, 0.005, 0.3])
def test_the_nearest_point_at_a_difference_is_the_minimum_of_the_divergence(
    n: tuple[float, float], rate: float, delta: float
) -> None:
    p_c, p_s = proportions.difference_null(of(n[0]), of(n[1]), of(rate), of(delta))

    def cost(p: float) -> float:
        return n[0] * divergence(rate, p + delta) + n[1] * divergence(rate, p)

    best = minimize_scalar(cost, bounds=(1e-12, rate), method="bounded", options={"xatol": 1e-14})
    assert p_c[0] - p_s[0] == pytest.approx(delta)
    assert cost(float(p_s[0])) <= float(best.fun) * (1 + 1e-9) + 1e-15 * sum(n)


@pytest.mark.parametrize(("rate", "binding"), [(0.3, "ratio"), (0.001, "difference")])
def test_the_larger_margin_binds(rate: float, binding: str) -> None:
    p_c, p_s = proportions.margin_null(of(100.0), of(100.0), of(rate), of(1.5), of(0.05))
    if binding == "ratio":
        assert p_c[0] == pytest.approx(1.5 * p_s[0])
        assert p_c[0] >= p_s[0] + 0.05
    else:
        assert p_c[0] == pytest.approx(p_s[0] + 0.05)
        assert p_c[0] >= 1.5 * p_s[0]


def test_where_both_margins_bind_the_nearest_point_is_the_corner_in_which_they_meet() -> None:
    p_c, p_s = proportions.margin_null(of(100.0), of(100.0), of(0.125), of(1.5), of(0.05))
    assert (p_c[0], p_s[0]) == pytest.approx((0.15, 0.10))


def test_many_releases_at_once_are_judged_as_each_alone_whichever_margin_binds() -> None:
    """Rates on either side of the corner and in it: one batch of releases, one margin per test."""
    rate = np.array([[0.3, 0.001], [0.125, 0.125], [0.001, 0.3]])
    counts = np.array([10.0, 90.0, 12.0, 88.0]).reshape(4, 1, 1) * np.ones((3, 2))
    theta, delta = np.array([1.5, 1.5]), np.array([0.05, 0.05])
    together = proportions.margin_log_e(counts, rate, theta, delta)
    alone = [
        [
            proportions.margin_log_e(counts[:, i, j : j + 1], of(rate[i, j]), of(1.5), of(0.05))[0]
            for j in range(2)
        ]
        for i in range(3)
    ]
    assert together == pytest.approx(np.array(alone))


def test_an_alternative_cut_down_into_the_tolerated_side_wins_nothing() -> None:
    counts = np.array([[10.0], [0.0], [5.0], [5.0]])
    assert proportions.ratio_log_e(counts, of(0.5), of(3.0), of(4.0))[0] == 0.0


def test_the_reference_rate_is_a_smoothed_share_within_its_limits() -> None:
    assert proportions.reference_rate(of(9.5), of(900.0))[0] == pytest.approx(0.01)
    assert proportions.reference_rate(of(1000.0), of(1000.0))[0] == 0.5
