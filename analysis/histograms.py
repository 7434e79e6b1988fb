"""Tests on whole latency histograms: is the canary stochastically slower than the stable?

The alternatives are monotone tilts of the reference histogram q: q_c[k] / q[k] never falls with k. With
p = rho q_c + (1 - rho) q and rho = n_c / (n_c + n_s),

    log e = sum_k h_c[k] ln(q_c[k] / p[k]) + h_s[k] ln(q[k] / p[k])

has E[e] <= 1 whenever the canary is not slower in the usual stochastic order, whatever shape both share.
Shapes: every `q` is (..., K), alternatives are (..., J, K), the worst (slowest) category last.
"""

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr, ndtri

Array = NDArray[np.float64]

# Shifts on the normal scale (a lognormal with sigma .7 slowed by 10 % is .136) and tails: odds times psi
# beyond the first bound that at most tau of the reference exceeds. Weights tuned over x1.05 to x2 and
# slow tails of .2 to 5 %.
SHIFTS = ((0.06, 0.05), (0.12, 0.22), (0.35, 0.12), (1.0, 0.06))
TAILS = ((0.12, 1.6, 0.09), (0.01, 4.0, 0.24), (0.001, 40.0, 0.16), (0.001, 200.0, 0.06))
USER_TAIL = (3.0, 0.1)

_SHIFT = np.array([s[0] for s in SHIFTS])[:, None]
_TAU = np.array([t[0] for t in TAILS])[:, None]
_PSI = np.array([t[1] for t in TAILS])[:, None]
_RATIO_FLOOR = 1e-9
_PLAIN = len(SHIFTS) + len(TAILS)


def weights(user_edge: bool) -> Array:
    """Prior weights of the alternatives in the order `tilts` gives them; they sum to 1."""
    plain = np.array([s[1] for s in SHIFTS] + [t[2] for t in TAILS])
    plain = plain / plain.sum()
    return np.append(plain * (1.0 - USER_TAIL[1]), USER_TAIL[1]) if user_edge else plain


def reference(counts: Array) -> Array:
    """The expected histogram from forgotten stable counts (..., K), smoothed by half a request in all."""
    k = counts.shape[-1]
    result: Array = (counts + 0.5 / k) / (np.add.reduce(counts, axis=-1, keepdims=True) + 0.5)
    return result


def tilts(q: Array, user_edge: int | None) -> Array:
    """The alternatives for the canary's histogram, (..., J, K).

    Args:
        q: the reference (..., K), all > 0. user_edge: index among the K - 1 bounds of the bound a user
            named: one more alternative, odds times 3 beyond it.
    """
    q = q[..., None, :]
    beyond = np.add.accumulate(q[..., :0:-1], axis=-1)[..., ::-1]
    slower = ndtr(ndtri(np.minimum(beyond, 1.0 - 1e-15)) + _SHIFT)
    found = np.empty((*q.shape[:-2], _PLAIN + (user_edge is not None), q.shape[-1]))
    shifted, tails = found[..., : len(SHIFTS), :], found[..., len(SHIFTS) : _PLAIN, :]
    np.subtract(1.0, slower[..., 0], out=shifted[..., 0])
    np.subtract(slower[..., :-1], slower[..., 1:], out=shifted[..., 1:-1])
    shifted[..., -1] = slower[..., -1]
    np.maximum(shifted, _RATIO_FLOOR * q, out=shifted)
    tails[..., 0] = q[..., 0]
    np.multiply(q[..., 1:], np.where(beyond <= _TAU, _PSI, 1.0), out=tails[..., 1:])
    # The last category always counts.
    np.multiply(q[..., -1], _PSI[:, 0], out=tails[..., -1])
    if user_edge is not None:
        found[..., -1, :] = q[..., 0, :]
        found[..., -1, user_edge + 1 :] *= USER_TAIL[0]
    found /= np.add.reduce(found, axis=-1, keepdims=True)
    return found


def log_e(canary: Array, stable: Array, q: Array, tilted: Array) -> Array:
    """Log e of each alternative for one tick.

    Args:
        canary: (..., V, K) counts, of V views. stable: (..., K). q: (..., K). tilted: (..., J, K).

    Returns:
        (..., V, J); 0 where either arm has no request.
    """
    both = canary + stable[..., None, :]
    n_c, n_s = np.add.reduce(canary, axis=-1), np.add.reduce(stable, axis=-1)[..., None]
    some = (n_c > 0.0) & (n_s > 0.0)
    rho = n_c / np.maximum(n_c + n_s, 1e-300)
    # Everything relative to q, so that its own logarithm drops out.
    ratio = tilted / q[..., None, :]
    mixed = rho[..., None, None] * (ratio - 1.0)[..., None, :, :]
    mixed += 1.0
    np.log(mixed, out=mixed)
    np.log(ratio, out=ratio)
    result: Array = np.matmul(canary, np.swapaxes(ratio, -1, -2))
    result -= np.matmul(mixed, both[..., None])[..., 0]
    result *= some[..., None]
    return result


def normal_scores(q: Array) -> Array:
    """The mean standard normal value of each category when q is seen as a sorted normal sample, (..., K)."""
    below = np.cumsum(q, axis=-1)[..., :-1]
    height = np.exp(-0.5 * ndtri(np.minimum(below, 1.0 - 1e-15)) ** 2) / np.sqrt(2.0 * np.pi)
    edge = np.zeros((*q.shape[:-1], q.shape[-1] + 1))
    edge[..., 1:-1] = height
    return (edge[..., :-1] - edge[..., 1:]) / q
