"""Which canary pods count where: all of them together, and all without each one."""

import math
from collections.abc import Sequence as Seq
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from analysis import sequence
from analysis.layout import Layout

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Views:
    """Which canary pods count where, and the tests that follow.

    Attributes:
        member: (V, P) 1 where a pod belongs to a view. cohorts: (V, P, P) 1 where the third axis' pod
            appeared in the same tick as the second's and belongs to the view. born: (P,) seconds.
        source: index into views x rows of each test. row: index into rows. theta, relative: of each test.
            A test is one alternative of one row; the harm tests (V, R, J) come first, then the margin
            tests (R) of the first view, then its confidence sequences' (S, 2, G, J).
        harms: how many of the tests are harm tests. margins: where the margin tests are.
        youngest: the latest of `born`; minus infinity without pods.
    """

    member: Array
    cohorts: Array
    born: Array
    source: NDArray[np.intp]
    row: NDArray[np.intp]
    theta: Array
    relative: Array
    harms: int
    margins: slice
    youngest: float

    @property
    def sequences(self) -> bool:
        """Whether there are confidence sequences."""
        return bool(len(self.source) > self.margins.stop)


def see(layout: Layout, born: Seq[float], *, leave_one_out: bool = True, intervals: bool = True) -> Views:
    """The views over canary pods that appeared at `born` (seconds); equal times make a cohort."""
    pods = len(born)
    at = np.array(born, dtype=float)
    member = np.ones((1 + pods if leave_one_out else 1, pods))
    if leave_one_out:
        member[1:][np.eye(pods, dtype=bool)] = 0.0
    cohorts = (at[:, None] == at[None, :]) * member[:, None, :]
    views, rows, harms = len(member), *layout.harms.shape
    if layout.betting:
        views = 0
    source = np.repeat(np.arange(views * rows), harms)
    row = np.repeat(np.tile(np.arange(rows), views), harms)
    theta, relative = layout.row_theta[row], np.tile(layout.harms.ravel(), views)
    count = len(row)
    source, row = (np.concatenate([which, np.arange(rows)]) for which in (source, row))
    theta = np.concatenate([theta, layout.row_margin])
    relative = np.concatenate([relative, np.ones(rows)])
    if intervals:
        tried, looked_for = sequence.thetas(layout)
        extra = np.repeat(layout.shown, tried[0].size if len(tried) else 0)
        source, row = np.concatenate([source, extra]), np.concatenate([row, extra])
        theta = np.concatenate([theta, tried.ravel()])
        relative = np.concatenate([relative, looked_for.ravel()])
    margins = slice(count, count + rows)
    youngest = max(born, default=-math.inf)
    return Views(member, cohorts, at, source, row, theta, relative, count, margins, youngest)
