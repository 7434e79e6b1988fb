"""Exact expectations: every outcome of one small tick, with its probability."""

import itertools
import math

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


def binomial_outcomes(n_c: int, n_s: int, p_c: float, p_s: float) -> tuple[Array, Array]:
    """All (bad, good, bad, good) counts of canary and stable, (4, N), and their probabilities (N,)."""
    counts, chances = [], []
    for x, y in itertools.product(range(n_c + 1), range(n_s + 1)):
        counts.append((x, n_c - x, y, n_s - y))
        canary = math.comb(n_c, x) * p_c**x * (1 - p_c) ** (n_c - x)
        chances.append(canary * math.comb(n_s, y) * p_s**y * (1 - p_s) ** (n_s - y))
    return np.array(counts, dtype=float).T, np.array(chances)


def multinomial_outcomes(n: int, shares: tuple[float, ...]) -> list[tuple[tuple[int, ...], float]]:
    """All counts of n requests over the categories, and their probabilities."""
    found = []
    for counts in itertools.product(range(n + 1), repeat=len(shares)):
        if sum(counts) == n:
            ways = math.factorial(n) / math.prod(math.factorial(c) for c in counts)
            found.append((counts, ways * math.prod(p**c for p, c in zip(shares, counts, strict=True))))
    return found
