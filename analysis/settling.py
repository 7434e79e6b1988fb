"""Has a cold canary settled? Latency counts of a pod join when its cohort's slowness no longer falls.

A cohort is the canary pods that appeared in the same tick. Each span (a tick, or a quarter of the shortest
warm-up when ticks are shorter) gives its mean normal score; `trend` fits a line to the last eight.

* From the shortest warm-up on a cohort joins in the tick after its fall was under half a standard error.
* A cohort that is clearly slow and has so few requests that steady and fading look alike waits on, until
  twice the shortest warm-up at most: steady slowness costs such a canary two or three ticks.
* A cohort that joined and turns out to be fading leaves again, and evidence of its latency falls back to
  what it was at the start (lowering an e-process is always allowed). After the longest warm-up all stay.

Whether a tick counts is settled before it, so the tests stay exact for a canary that is no slower.

Measured (false rollbacks within 11 minutes of a canary 1 + a exp(-t / x s) times slower, promise 1 %,
n = 2000, rules as in `bench.aa`): a = 4, x = 45: 0.4 % at 20 requests/s, 1.0 % at 5, 0.4 % at 10,
0.2 % at 500; a = 4, x = 60: 0.9 % at 20; a = 1: 0.4 % at 100, 0.1 % at 500; a = .4: 0.5 and 0.2 %.
Comparing the last three spans with the three before, without the second and third rule, gave 6.3 % at 20 and
8.5 % at 10 (a = 4, x = 45). The price on steady regressions, mean delay: 12 s for 5 % of requests one second
late at 20 requests/s, 8 s for all 10 % slower at 20, 3 s at 500.
A hump that is there for much longer than the longest warm-up is a regression by any measure: x = 90 is
rolled back in about half of all runs.
"""

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

SPANS = 8
"""Spans remembered, oldest first; the last one may still be growing."""

SETTLED_Z = 0.5
"""A cohort joins while the fall is under this many standard errors."""

FADING_Z = 2.0
"""A cohort that joined leaves again above this many."""

SLOW_Z = 4.0
"""Clearly slow: the last `RECENT` spans together are this many standard errors above the stable."""

APART_Z = 4.0
"""Steady and fading look alike while the fall is not this many standard errors under a fading one's."""

SLOW = 0.25
"""... and on average by more than this on the normal scale (a lognormal with sigma .7: 19 % slower)."""

RECENT = 3
FADE_SPANS = 4.0
"""Spans (together the shortest warm-up) in which a fading canary would lose its present slowness."""

_PLACE = np.arange(SPANS, dtype=float)


def record(ring: Array, found: Array, fresh: int) -> Array:
    """The ring of (score sum, requests) with one tick more.

    Args:
        ring: (..., P, SPANS, 2). found: (..., P, 2) of this tick. fresh: 1 when a span began in it, else 0.
    """
    grown = np.zeros(ring.shape)
    grown[..., : SPANS - fresh, :] = ring[..., fresh:, :]
    grown[..., -1, :] += found
    return grown


def trend(ring: Array, cohorts: Array, variance: Array) -> tuple[Array, NDArray[np.bool_]]:
    """How clearly each cohort's slowness falls, and whether it may be fading all the same.

    Args:
        ring: (..., P, SPANS, 2). cohorts: (V, P, P) 1 where a pod counts for a pod's cohort in a view.
        variance: (...) of one request's normal score.

    Returns:
        The fall by least squares, in standard errors, (..., V, P), 0 without requests in two spans; and
        True where the cohort is clearly slow and steady and fading look alike.
    """
    flat = ring.reshape(*ring.shape[:-2], 2 * SPANS)
    pooled = np.matmul(cohorts, flat[..., None, :, :])
    pooled = pooled.reshape(*pooled.shape[:-1], SPANS, 2)
    scores, n = pooled[..., 0], pooled[..., 1]
    total = np.maximum(n.sum(axis=-1, keepdims=True), 1e-12)
    when = _PLACE - (n * _PLACE).sum(axis=-1, keepdims=True) / total
    spread = (n * when * when).sum(axis=-1)
    some = spread > 1e-9
    scale = np.sqrt(np.where(some, spread, 1.0) * variance[..., None, None])
    fall = np.where(some, -(when * scores).sum(axis=-1) / scale, 0.0)
    recent = np.maximum(n[..., -RECENT:].sum(axis=-1), 1e-12)
    level = scores[..., -RECENT:].sum(axis=-1) / recent
    slow = (level * np.sqrt(recent / variance[..., None, None]) > SLOW_Z) & (level > SLOW)
    expected = level / FADE_SPANS * scale / variance[..., None, None] * some
    return fall, slow & (fall > expected - APART_Z)
