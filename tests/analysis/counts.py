"""Designs and seeded counts for tests of the judge."""

import numpy as np

from analysis.words import Counts, Design, Kind, MetricDesign, Tick

EDGES = (0.05, 0.1, 0.25, 0.5, 1.0)
SHARES = (0.25, 0.35, 0.30, 0.09, 0.008, 0.002)
SLOW = (0.15, 0.30, 0.35, 0.17, 0.02, 0.01)


def design(tolerance: float = 0.0, **changes: object) -> Design:
    """Errors and latency, weights .55 and .45."""
    fields: dict[str, object] = {
        "metrics": (
            MetricDesign("errors", Kind.RATIO, 0.55, tolerance=tolerance),
            MetricDesign("latency", Kind.HISTOGRAM, 0.45, tolerance=tolerance, edges=EDGES, margin_abs=0.01),
        ),
    }
    return Design(**{**fields, **changes})  # type: ignore[arg-type]


def errors_only(tolerance: float = 0.0, **changes: object) -> Design:
    """One ratio metric with all the weight."""
    return Design(metrics=(MetricDesign("errors", Kind.RATIO, 1.0, tolerance=tolerance),), **changes)  # type: ignore[arg-type]


def pod(
    rng: np.random.Generator, n: int, p: float, shares: tuple[float, ...] = SHARES
) -> dict[str, tuple[float, ...]]:
    """One pod's increments of a tick: n requests."""
    bad = int(rng.binomial(n, p))
    return {"errors": (float(n - bad), float(bad)), "latency": tuple(map(float, rng.multinomial(n, shares)))}


def history(
    rng: np.random.Generator, ticks: int = 40, pods: int = 4, n: int = 300, p: float = 0.01
) -> list[Counts]:
    """Counts of independent stable pods before the start."""
    return [{f"s{i}": pod(rng, n, p) for i in range(pods)} for _ in range(ticks)]


def exact(n: float, bad: float) -> dict[str, tuple[float, ...]]:
    """Errors only, not random."""
    return {"errors": (n - bad, bad)}


def tick(t: float, canary: Counts, stable: Counts, **flags: bool) -> Tick:
    """A tick ending t seconds after the start."""
    return Tick(t, canary, stable, **flags)
