"""How far requests of one pod go wrong together: the design effect, from pods of the stable.

For a score y of each request with variance v inside a pod, and blocks of L ticks, the correlation of
two requests of the same pod and block is

    r_L = sum_b [ sum_i (y_ib - n_ib m_b)**2 - v sum_i n_ib (1 - n_ib/N_b) ]
          / ( v sum_b sum_i [ n_ib (n_ib - 1) (1 - n_ib/N_b)**2
                              + (n_ib/N_b)**2 sum_{j != i} n_jb (n_jb - 1) ] )

with m_b the mean of the block over all pods, so that drift common to the pods is not counted. Counts
of an arm with k pods and n requests are then worth 1 / max_L(1 + (L n/k - 1) r_L) of independent ones.
"""

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

BLOCKS = (1, 4)
"""Block lengths L, in ticks."""

UNKNOWN_EFFECT = 4.0
"""The design effect where fewer than two pods of the stable were seen: it can't be estimated from one."""

SHORT_HISTORY = 32
"""Ticks under which the estimate is raised by its standard error, up to UNKNOWN_EFFECT, instead of being
cut to 0 below it."""

_CLEAR = 1.5


def correlation(scores: Array, requests: Array, variance: Array) -> Array:
    """The correlation of requests of a pod, one value a score and block length.

    Args:
        scores: (..., T, P, S) sums of each of S scores over a pod's requests in a tick.
        requests: (..., T, P). variance: (..., S) of one request's score, at most about 1; for rare
            events it is their rate, and the noise of the estimate grows as 1 / events.

    Returns:
        (..., S, len(BLOCKS)), each in [0, 1].
    """
    found = [_block_correlation(scores, requests, variance, length) for length in BLOCKS]
    return np.stack(found, axis=-1)


def _blocked(values: Array, length: int, axis: int) -> Array:
    blocks = values.shape[axis] // length
    kept = np.take(values, np.arange(values.shape[axis] - blocks * length, values.shape[axis]), axis=axis)
    shape = (*kept.shape[:axis], blocks, length, *kept.shape[axis + 1 :])
    result: Array = kept.reshape(shape).sum(axis=axis + 1)
    return result


def _block_correlation(scores: Array, requests: Array, variance: Array, length: int) -> Array:
    axis = requests.ndim - 2
    short = requests.shape[axis] < SHORT_HISTORY
    if requests.shape[axis] < 4 * length and length > 1:
        return np.zeros(variance.shape)
    y, n = _blocked(scores, length, axis), _blocked(requests, length, axis)
    total = n.sum(axis=-1, keepdims=True)
    share = n / np.maximum(total, 1.0)
    mean = y.sum(axis=-2, keepdims=True) / np.maximum(total, 1.0)[..., None]
    apart = ((y - n[..., None] * mean) ** 2).sum(axis=(-3, -2))
    within = (n * (1.0 - share)).sum(axis=(-2, -1))[..., None]
    pairs = n * np.maximum(n - 1.0, 0.0)
    others = pairs.sum(axis=-1, keepdims=True) - pairs
    base = (pairs * (1.0 - share) ** 2 + share**2 * others).sum(axis=(-2, -1))[..., None]
    v = np.maximum(variance, 1e-12)
    found = (apart - v * within) / np.maximum(v * base, 1e-12)
    noise = _noise(n, v)
    held = np.where(found > _CLEAR * noise, found, 0.0)
    if short:
        # Where nothing can be told, as of a tail without a single event, no more is assumed than for pods
        # that were never seen: the bound would else make of any number of requests a handful.
        bound = (UNKNOWN_EFFECT - 1.0) / np.maximum(_size(n) - 1.0, 1e-9)[..., None]
        held = np.maximum(held, np.minimum(np.maximum(found, 0.0) + _CLEAR * noise, bound))
    return np.clip(np.where(base > 0.0, held, 0.0), 0.0, 1.0)


def _size(n: Array) -> Array:
    """Mean requests of a pod in a block in which it had any."""
    result: Array = n.sum(axis=(-2, -1)) / np.maximum((n > 0.0).sum(axis=(-2, -1)), 1)
    return result


def _noise(n: Array, variance: Array) -> Array:
    """Standard error of the correlation when there is none; infinite where a pod has one request a block."""
    seen = (n > 0.0).sum(axis=(-2, -1))
    blocks = np.maximum((n.sum(axis=-1) > 0.0).sum(axis=-1), 1)
    pods = np.maximum(seen / blocks, 1.0)
    size = _size(n)
    events = size[..., None] * np.minimum(variance, 1.0)
    spread = (2.0 + 1.0 / np.maximum(events, 1e-9)) / np.maximum((pods - 1.0) * blocks, 1e-9)[..., None]
    result: Array = np.sqrt(spread) / np.maximum(size - 1.0, 1e-9)[..., None]
    return result


def effect(requests: Array, pods: Array, correlations: Array, floor: Array) -> Array:
    """The design effect of an arm's counts in one tick, >= 1.

    Args:
        requests: (..., M) of the arm. pods: (..., M) that had any. correlations: (..., M, len(BLOCKS)).
        floor: (..., M) the least effect assumed, >= 1.
    """
    a_pod = (requests / np.maximum(pods, 1.0))[..., None]
    grown = 1.0 + (a_pod * _LENGTHS - 1.0) * correlations
    result: Array = np.maximum(grown.max(axis=-1), floor)
    return result


_LENGTHS = np.array(BLOCKS, dtype=float)
