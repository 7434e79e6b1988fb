"""The confidence sequence of the ratio of two rates: which ratios the looks so far speak against.

For every ratio theta of a grid around the tolerated one, both one-sided tests run: "the canary is worse than
theta" and "better than theta", with the alternatives, the onset mixture and the counts of the rollback test.
So at the tolerated ratio the sequence *is* the rollback test, and the two never disagree on a screen.
A ratio is out once its e-process reached 2/.05; what is out stays out.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from analysis.layout import Layout

Array = NDArray[np.float64]
Flags = NDArray[np.bool_]

MISS_RATE = 0.05
"""The interval holds at all looks together with probability at least 1 minus this."""

GRID = np.exp(0.1246 * np.sinh(np.linspace(-4.0, 4.0, 41)))
"""Ratios tried, relative to the tolerated one: 2.5 % apart in the middle, 1/30 to 30."""


@dataclass(frozen=True)
class Sequence:
    """State of the confidence sequences of S rows.

    Attributes:
        masses: (..., S, 2, G, J). out: (..., S, 2, G) ratios rejected so far, first by "worse than".
        low, high: (..., S) ends, see `bounds`; they move only when `rejected`, the number out, grows.
    """

    masses: Array
    out: Flags
    low: Array
    high: Array
    rejected: int = 0


def unknown(layout: Layout, batch: tuple[int, ...]) -> Sequence:
    """Before the first look: no ratio is out."""
    shape = (*batch, len(layout.shown), 2, len(GRID))
    return resumed(layout, np.zeros((*shape, layout.prior.shape[1])), np.zeros(shape, dtype=np.bool_))


def resumed(layout: Layout, masses: Array, out: Flags) -> Sequence:
    """The state with these masses and ratios out."""
    return Sequence(masses, out, *bounds(layout, out), int(np.count_nonzero(out)))


def thetas(layout: Layout) -> tuple[Array, Array]:
    """Tested ratios and looked-for ones, each (S, 2, G, J)."""
    base = layout.row_theta[layout.shown][:, None, None, None]
    theta = base * GRID[None, None, :, None]
    beyond = (layout.harms[layout.shown] / layout.row_theta[layout.shown][:, None])[:, None, :]
    relative = np.stack([theta[:, 0] * beyond, theta[:, 0] / beyond], axis=1)
    return np.broadcast_to(theta, relative.shape), relative


def advance(layout: Layout, before: Sequence, masses: Array, cash: float) -> Sequence:
    """The state after a look that left these masses."""
    e = np.matmul(masses, layout.shown_prior)[..., 0]
    out = e >= 2.0 / MISS_RATE - cash
    out |= before.out
    if np.count_nonzero(out) == before.rejected:
        return Sequence(masses, before.out, before.low, before.high, before.rejected)
    return resumed(layout, masses, out)


def bounds(layout: Layout, out: Flags) -> tuple[Array, Array]:
    """Low and high ends, (..., S): 0 and infinity where nothing is out yet.

    An end moves only over ratios that are out without a gap from the outside in: then missing the true
    ratio needs the one grid ratio next to it to be out, and the promise needs no union over the grid.
    """
    grid = layout.row_theta[layout.shown][:, None] * GRID
    below = np.logical_and.accumulate(out[..., 0, :], axis=-1)
    above = np.logical_and.accumulate(out[..., 1, ::-1], axis=-1)[..., ::-1]
    low = np.max(np.where(below, grid, 0.0), axis=-1, initial=0.0)
    high = np.min(np.where(above, grid, np.inf), axis=-1, initial=np.inf)
    return low, high
