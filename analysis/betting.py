"""Betting on rates tick by tick: the rollback test where the stable has no history.

    D_t = (x_c/n_c - theta0 x_s/n_s) / theta0 max(B_t, x_s/n_s)        e_t = 1 + f D_t, f in FRACTIONS

needs only that the mean rates of ticks are as claimed, so requests of a tick may depend on each other in
any way. 1 + f D >= 0 always. `B_t` is a rate that the stable hardly exceeds, from earlier ticks: where it
does exceed it, the bet is cut and slightly favours harm, hence the generous bound.

Source: the betting idea of Waudby-Smith and Ramdas, arXiv 2010.09686.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

FRACTIONS = (0.03, 0.08, 0.2, 0.45, 0.85)
FIRST_BET = 4
"""Ticks of stable traffic before the first bet: the bound needs some."""


@dataclass(frozen=True)
class Rates:
    """Running moments of the stable's rates per tick: ticks, mean, sum of squares about the mean."""

    seen: Array
    mean: Array
    square: Array


def no_rates(shape: tuple[int, ...]) -> Rates:
    """Before the first tick."""
    return Rates(np.zeros(shape), np.zeros(shape), np.zeros(shape))


def learn(rates: Rates, bad: Array, total: Array) -> Rates:
    """The moments with one tick more; ticks without stable requests teach nothing."""
    some = total > 0.0
    seen = rates.seen + some
    rate = bad / np.where(some, total, 1.0)
    step = (rate - rates.mean) * some
    mean = rates.mean + step / np.maximum(seen, 1.0)
    return Rates(seen, mean, rates.square + step * (rate - mean))


def bound(rates: Rates, total: Array) -> Array:
    """A rate that the next stable tick of `total` requests hardly exceeds.

    Mean + 3 standard deviations of past ticks, and never less than three errors and three Poisson standard
    deviations above the mean, so that a few quiet ticks don't make it too small.
    """
    n = np.maximum(total, 1.0)
    spread = np.sqrt(rates.square / np.maximum(rates.seen - 1.0, 1.0))
    return rates.mean + np.maximum(3.0 * spread, 3.0 * np.sqrt(rates.mean / n) + 3.0 / n)


def log_e(counts: Array, rates: Rates, theta: Array) -> Array:
    """Log e of each fraction.

    Args:
        counts: (4, ..., V, R): canary bad and good, stable bad and good (broadcast over V).
        rates: of earlier ticks, (..., R). theta: (R,) the largest tolerated ratio.

    Returns:
        (..., V, R, len(FRACTIONS)); 0 where an arm has no request or the stable is too little known.
    """
    n_c, n_s = counts[0] + counts[1], counts[2] + counts[3]
    stable = theta * counts[2] / np.maximum(n_s, 1e-12)
    limit = np.maximum(bound(rates, n_s[..., 0, :])[..., None, :] * theta, stable)
    gain = (counts[0] / np.maximum(n_c, 1e-12) - stable) / np.maximum(limit, 1e-12)
    live = (n_c > 0.0) & (n_s > 0.0) & (rates.seen >= FIRST_BET)[..., None, :]
    bets = np.asarray(FRACTIONS) * np.where(live, np.maximum(gain, -1.0), 0.0)[..., None]
    result: Array = np.log1p(bets)
    return result
