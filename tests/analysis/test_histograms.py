import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from analysis import histograms
from tests.analysis.exact import multinomial_outcomes

SHARES = st.tuples(st.floats(0.02, 1), st.floats(0.02, 1), st.floats(0.02, 1), st.floats(0.02, 1))


def normal(values: tuple[float, ...]) -> NDArray[np.float64]:
    found: NDArray[np.float64] = np.array(values) / sum(values)
    return found


def no_slower(stable: NDArray[np.float64], moved: tuple[float, ...]) -> NDArray[np.float64]:
    """The stable's shares with a part of each category moved to the next faster one."""
    found = stable.copy()
    for k, part in enumerate(moved, start=1):
        found[k - 1] += part * stable[k]
        found[k] -= part * stable[k]
    return found


def expectations(
    n: tuple[int, int],
    p_c: NDArray[np.float64],
    p_s: NDArray[np.float64],
    q: NDArray[np.float64],
    user: int | None,
) -> NDArray[np.float64]:
    tilted = histograms.tilts(q, user)
    total = np.zeros(len(tilted))
    for h_c, chance_c in multinomial_outcomes(n[0], tuple(p_c)):
        for h_s, chance_s in multinomial_outcomes(n[1], tuple(p_s)):
            e = histograms.log_e(np.array([h_c], dtype=float), np.array(h_s, dtype=float), q, tilted)
            total += chance_c * chance_s * np.exp(e[0])
    return total


@settings(max_examples=25, deadline=None)
@given(SHARES, SHARES, st.tuples(*[st.floats(0, 1)] * 3), st.sampled_from([(1, 1), (2, 1), (1, 3), (2, 3)]))
def test_every_tilt_expects_at_most_one_while_the_canary_is_not_slower(
    stable: tuple[float, ...], reference: tuple[float, ...], moved: tuple[float, ...], n: tuple[int, int]
) -> None:
    p_s = normal(stable)
    found = expectations(n, no_slower(p_s, moved), p_s, normal(reference), 1)
    assert (found <= 1.0 + 1e-9).all()


def test_a_slower_canary_is_expected_to_win() -> None:
    q = normal((4.0, 3.0, 2.0, 1.0))
    tilted = histograms.tilts(q, None)
    found = expectations((3, 3), tilted[3], q, q, None)
    assert found[3] > 1.5


@given(SHARES)
def test_tilts_are_distributions_that_favour_slower_categories_more_and_more(
    stable: tuple[float, ...],
) -> None:
    q = normal(stable)
    for tilt in histograms.tilts(q, 0):
        assert tilt.sum() == pytest.approx(1.0)
        assert (np.diff(tilt / q) >= -1e-9).all()


def test_weights_sum_to_one_with_and_without_a_bound_of_the_user() -> None:
    assert histograms.weights(False).sum() == pytest.approx(1.0)
    assert histograms.weights(True).sum() == pytest.approx(1.0)
    assert len(histograms.weights(True)) == len(histograms.weights(False)) + 1


def test_a_shift_by_one_puts_mass_where_a_normal_shifted_by_one_has_it() -> None:
    q = np.array([0.5, 0.5])
    assert histograms.tilts(q, None)[3] == pytest.approx([0.158655, 0.841345], abs=1e-6)


def test_a_tail_multiplies_the_odds_beyond_its_bound() -> None:
    q = np.array([0.90, 0.095, 0.005])
    tilted = histograms.tilts(q, None)
    raised = tilted[5]
    assert raised[2] / (1 - raised[2]) == pytest.approx(4 * 0.005 / 0.995)


def test_a_tick_without_one_arm_says_nothing() -> None:
    q = normal((1.0, 2.0, 3.0))
    nothing, some = np.zeros((1, 3)), np.array([[5.0, 1.0, 0.0]])
    assert (histograms.log_e(nothing, some[0], q, histograms.tilts(q, None)) == 0).all()
    assert (histograms.log_e(some, nothing[0], q, histograms.tilts(q, None)) == 0).all()


def test_normal_scores_rise_and_average_to_zero() -> None:
    q = normal((0.2, 0.3, 0.4, 0.1))
    z = histograms.normal_scores(q)
    assert (np.diff(z) > 0).all()
    assert (z * q).sum() == pytest.approx(0.0, abs=1e-12)
