"""Tests on shares of bad requests: the e-variables of one tick and the null points they are measured from.

One tick gives `x_c` bad of `n_c` canary requests and `x_s` bad of `n_s` stable ones. For any convex set
of null pairs (p_c, p_s) and any alternative (q_c, q_s) fixed before the tick,

    e = (q_c/p_c)**x_c ((1-q_c)/(1-p_c))**(n_c-x_c) (q_s/p_s)**x_s ((1-q_s)/(1-p_s))**(n_s-x_s)

has expectation at most 1 on the whole null when (p_c, p_s) is the null point nearest to the alternative
in n_c KL(q_c||p_c) + n_s KL(q_s||p_s). It is exact for any counts and for rates that change with time.

Source: Turner, Ly, Grünwald, "Generic E-variables for exact sequential k-sample tests", arXiv 2106.02693.
"""

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

_TINY = 1e-12
_RATE_FLOOR = 1e-6
_RATE_CEILING = 0.5
_CANARY_FLOOR = 1e-9
_CANARY_CEILING = 0.95
_TURN = 2.0 * np.pi / 3.0


def reference_rate(bad: Array, total: Array) -> Array:
    """The expected share of bad requests, from forgotten stable counts: a smoothed fraction in [1e-6, .5].

    Args:
        bad: forgotten bad requests of earlier ticks, any shape. total: forgotten requests, same shape.
    """
    rate = (bad + 0.5) / (total + 100.0)
    np.maximum(rate, _RATE_FLOOR, out=rate)
    return np.minimum(rate, _RATE_CEILING, out=rate)


def ratio_null(n_c: Array, n_s: Array, q_c: Array, q_s: Array, theta: Array) -> Array:
    """The point (p_c, p_s) of the line p_c = theta p_s nearest to (q_c, q_s), as (2, ...).

    All broadcast; n_c + n_s > 0.
    """
    bad = n_c * q_c
    b = bad + n_s
    stable_bad = n_s * q_s
    bad += stable_bad
    # b = bad (1 + theta) + theta n_c (1 - q_c) + n_s (1 - q_s), with what cancels left out.
    b = b + theta * (n_c + stable_bad)
    lost = bad * theta
    lost *= 4.0 * (n_c + n_s)
    root = b * b
    root -= lost
    np.maximum(root, 0.0, out=root)
    np.sqrt(root, out=root)
    root += b
    p = np.empty((2, *root.shape))
    np.divide(bad + bad, root, out=p[1])
    np.multiply(p[1], theta, out=p[0])
    return _inside(p)


def _inside(p: Array) -> Array:
    """`p`, brought into (0, 1) in place: only ever given fresh arrays."""
    np.maximum(p, _TINY, out=p)
    return np.minimum(p, 1.0 - _TINY, out=p)


def log_e(counts: Array, q: Array, p: Array) -> Array:
    """Log of the e-variable of one tick.

    Args:
        counts: shape (4, ...): canary bad, canary good, stable bad, stable good; fractions allowed.
        q: alternative (canary, stable), shape (2, ...). p: null point, likewise.
    """
    odds = np.empty(counts.shape)
    np.divide(q, p, out=odds[0::2])
    np.divide(1.0 - q, 1.0 - p, out=odds[1::2])
    np.log(odds, out=odds)
    odds *= counts
    total: Array = np.add.reduce(odds, axis=0)
    return total


def ratio_log_e(counts: Array, rate: Array, theta: Array, relative: Array) -> Array:
    """Log e of "the canary's share of bad is `relative` times the reference" against p_c = theta p_s.

    Against p_c <= theta p_s where relative > theta, against p_c >= theta p_s where it is smaller; where
    keeping the alternative below 1 would put it on the null's own side, e = 1.

    Args:
        counts: (4, ...) as for `log_e`, with n_c > 0 and n_s > 0 everywhere.
        rate: reference share of bad, fixed before the tick. theta, relative: > 0. All broadcast.
    """
    return joint_log_e(counts, rate, (theta, relative), slice(0, 0), np.empty(0))


def joint_log_e(
    counts: Array, rate: Array, asked: tuple[Array, Array], margins: slice, delta: Array
) -> Array:
    """`ratio_log_e` of many tests in one pass, some of which are `margin_log_e`.

    Args:
        counts, rate: as for `ratio_log_e`. asked: theta and relative, likewise.
        margins: where along the last axis the margin tests are: theta is their ratio, relative is 1.
        delta: of the margin tests.
    """
    theta, relative = asked
    q = np.empty((2, *counts.shape[1:]))
    q[1] = rate
    np.multiply(relative, rate, out=q[0])
    np.maximum(q[0], _CANARY_FLOOR, out=q[0])
    np.minimum(q[0], _CANARY_CEILING, out=q[0])
    n = counts[0::2] + counts[1::2]
    null = ratio_null(n[0], n[1], q[0], q[1], theta)
    if margins.stop > margins.start:
        place = (..., margins)
        nearest = _beyond_margin(null[place], n[place], q[1][place], (theta[place], delta))
        null[place] = nearest
    e = log_e(counts, q, null)
    e *= (q[0] > theta * rate) == (relative > theta)
    return e


def difference_null(n_c: Array, n_s: Array, rate: Array, delta: Array) -> Array:
    """The point of the line p_c = p_s + delta nearest to (rate, rate), as (2, ...); 0 < delta < 1.

    The derivative of the divergence, times its denominators, is a cubic with one root below 0, one in
    (max(0, rate - delta), rate) and one above: the middle one is wanted, taken in closed form.
    """
    rho = n_c / (n_c + n_s)
    rest = 1.0 - rho
    u, v = delta - rate, 1.0 - delta
    w = rate * delta
    a = rho * (1.0 - u) + rest * (v - u)
    b = rho * u + rest * (u * v + w)
    c = rest * (w * v)
    third = a / 3.0
    spread = np.sqrt(np.maximum(third * third + b / 3.0, _TINY * _TINY))
    turn = (third * (third * third + b * 0.5) - c * 0.5) / (spread * spread * spread)
    angle = np.arccos(np.minimum(np.maximum(turn, -1.0), 1.0))
    p = third + (spread + spread) * np.cos(angle / 3.0 - _TURN)
    value = ((p - a) * p - b) * p + c
    p -= value / np.minimum((3.0 * p - (a + a)) * p - b, -_TINY)
    np.maximum(p, np.maximum(-u, _TINY), out=p)
    np.minimum(p, rate, out=p)
    found = np.empty((2, *p.shape))
    np.add(p, delta, out=found[0])
    found[1] = p
    return _inside(found)


def margin_null(n_c: Array, n_s: Array, rate: Array, theta: Array, delta: Array) -> Array:
    """The point of {p_c >= theta p_s and p_c >= p_s + delta} nearest to (rate, rate); theta >= 1."""
    by_ratio = ratio_null(n_c, n_s, rate, rate, theta)
    return _beyond_margin(by_ratio, np.stack([n_c, n_s]), rate, (theta, delta))


def _beyond_margin(by_ratio: Array, n: Array, rate: Array, margin: tuple[Array, Array]) -> Array:
    """`margin_null`, given the nearest point by the ratio alone; n: requests (canary, stable)."""
    theta, delta = margin
    by_difference = difference_null(n[0], n[1], rate, delta)
    use_ratio = (by_ratio[0] >= by_ratio[1] + delta) & (theta > 1.0)
    use_difference = by_difference[0] >= theta * by_difference[1]
    # Where both margins bind, the nearest point is the corner in which they meet.
    if not (use_ratio | use_difference).all():
        met = _inside(delta / np.maximum(theta - 1.0, _TINY))
        corner = np.broadcast_to(met, use_difference.shape)
        both = _inside(np.stack([theta * corner, corner]))
        by_difference = np.where(use_difference, by_difference, both)
    return np.where(use_ratio, by_ratio, by_difference)


def margin_log_e(counts: Array, rate: Array, theta: Array, delta: Array) -> Array:
    """Log e of "both arms have the reference rate" against "worse by more than the larger margin".

    Its product over ticks grows while the canary is not worse than
    `max(theta * p_s, p_s + delta)`; `counts` as for `ratio_log_e`.
    """
    n_c, n_s = counts[0] + counts[1], counts[2] + counts[3]
    null = margin_null(n_c, n_s, rate, theta, delta)
    return log_e(counts, np.broadcast_to(rate, null.shape), null)
