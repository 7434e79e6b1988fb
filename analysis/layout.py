"""What a design comes to in arrays: computed once, read at every look.

All counts of a tick lie in one vector of `width` categories: ratio metrics (good, bad) first, then
histograms. A *row* is one share of bad requests under test: each ratio metric has one, each histogram one a
watched bound. A *tilted* histogram is tested as a whole; the others through their rows.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from analysis import betting, dispersion, histograms
from analysis.words import Design, Kind, MetricDesign

Array = NDArray[np.float64]
Index = NDArray[np.intp]

# Harm ratios looked for and their prior weights: costs at most 1.36 times the delay of a test that knows
# the ratio, for every ratio in [1.5, 50].
HARMS = ((1.5, 0.22), (2.0, 0.22), (4.0, 0.20), (10.0, 0.10), (20.0, 0.18), (60.0, 0.08))

SINGLE_POD_CAP = 10.0
"""With one canary pod, one tick alone multiplies no alternative by more."""


@dataclass(frozen=True)
class Histogram:
    """One histogram metric: its place in the vector, and whether it is tested as a whole.

    Attributes:
        metric: its index in the design. place: its categories. share: its weight in the rollback evidence
            when `tilted`, else 0. user_edge: index of the bound that a user named.
        prior: weights of the tilts (J,).
    """

    metric: int
    place: slice
    share: float
    tilted: bool
    user_edge: int | None
    prior: Array


@dataclass(frozen=True)
class Layout:
    """A design in arrays. M metrics, R rows, W categories, H histograms, J alternatives a row.

    Attributes:
        places: of each metric in the vector. ratio_width: categories of all ratio metrics together.
        rows: (W, 2R): counts @ rows = (bad, all). totals: (W, M). reads: (W, 2R + M): bad, good, totals.
        row_metric, row_theta, row_share, row_margin, row_delta: (R,).
        harms, prior: (R, J); prior sums to 1 in each row.
        stakes: (R, J') weights of the harm processes: `prior`, or those of the fractions that are bet.
        rows_of: of each metric, its rows.
        shown: (S,) the row each metric's counts and confidence sequence speak of; shown_metric: (S,).
        histograms: all of them, tilted or not. cap: log of the greatest e of one tick with one canary pod.
        betting: no history of the stable.
    """

    design: Design
    places: tuple[slice, ...]
    ratio_width: int
    width: int
    rows: Array
    totals: Array
    reads: Array
    row_metric: Index
    row_theta: Array
    row_share: Array
    row_margin: Array
    row_delta: Array
    harms: Array
    prior: Array
    stakes: Array
    rows_of: tuple[tuple[int, ...], ...]
    shown: Index
    shown_metric: tuple[int, ...]
    histograms: tuple[Histogram, ...]
    cap: float
    betting: bool

    @cached_property
    def harm_stakes(self) -> Array:
        """(R J',) `stakes` times the share of their row."""
        return (self.stakes * self.row_share[:, None]).ravel()

    @cached_property
    def shown_prior(self) -> Array:
        """(S, 1, J, 1) the priors of the rows that are shown."""
        return self.prior[self.shown][:, None, :, None]

    @cached_property
    def tested_share(self) -> float:
        """Weight of all rows together."""
        return float(self.row_share.sum())

    @cached_property
    def idle_share(self) -> float:
        """Weight of metrics that can't be tested yet: it counts as 1."""
        return 1.0 - self.tested_share - sum(h.share for h in self.histograms)


def _even(rows: int) -> Array:
    """Equal stakes on all fractions of the bets."""
    fractions = len(betting.FRACTIONS)
    return np.full((rows, fractions), 1.0 / fractions)


def _totals(places: tuple[slice, ...], width: int) -> Array:
    """Which counts belong to which metric, (W, M), 0 or 1."""
    columns = np.arange(width)
    found: Array = np.stack([np.isin(columns, columns[place]) for place in places], axis=1).astype(float)
    return found


def lay_out(
    design: Design,
    *,
    with_history: bool = True,
    cap: float | None = SINGLE_POD_CAP,
    chosen: frozenset[str] = frozenset(),
) -> Layout:
    """The layout of a design.

    Args:
        design: with the watched bounds of its histograms filled in, as far as they are known.
        with_history: False: the rollback side bets on rates, tick by tick.
        cap: greatest e-value of one tick with one canary pod; None for no cap.
        chosen: metrics whose watched bounds were found in the counts; a single bound of any other is one
            that a user named, and is looked at by an alternative of its own.

    Raises:
        ValueError: a watched bound is not among the metric's bounds, or a ratio metric has bounds.
    """
    places, ratio_width, width = _places(design.metrics)
    rows = [r for i, m in enumerate(design.metrics) for r in _rows(i, m, places[i], width, with_history)]
    harms = [_harms(1.0 + design.metrics[r.metric].tolerance) for r in rows]
    metrics = [design.metrics[r.metric] for r in rows]
    rows_of = tuple(tuple(i for i, r in enumerate(rows) if r.metric == m) for m in range(len(places)))
    totals = _totals(places, width)
    bad, every = [r.bad for r in rows], [r.all for r in rows]
    good = [a - b for a, b in zip(every, bad, strict=True)]
    shape = (len(rows), len(HARMS))
    prior = np.array([h[1] for h in harms]).reshape(shape)
    return Layout(
        design=design,
        places=places,
        ratio_width=ratio_width,
        width=width,
        rows=np.column_stack([*bad, *every, np.zeros((width, 0))]),
        totals=totals,
        reads=np.column_stack([*bad, *good, totals]),
        row_metric=np.array([r.metric for r in rows], dtype=np.intp),
        row_theta=np.array([1.0 + m.tolerance for m in metrics]),
        row_share=np.array([r.share for r in rows]),
        row_margin=np.array([m.margin_ratio for m in metrics]),
        row_delta=np.array([m.margin_abs for m in metrics]),
        harms=np.array([h[0] for h in harms]).reshape(shape),
        prior=prior,
        stakes=prior if with_history else _even(len(rows)),
        rows_of=rows_of,
        shown=np.array([r[0] for r in rows_of if r], dtype=np.intp),
        shown_metric=tuple(m for m, r in enumerate(rows_of) if r),
        histograms=_histograms(design, places, with_history, chosen),
        cap=float(np.log(cap)) if cap is not None else np.inf,
        betting=not with_history,
    )


def _places(metrics: Sequence[MetricDesign]) -> tuple[tuple[slice, ...], int, int]:
    places: dict[int, slice] = {}
    at = 0
    for kind in (Kind.RATIO, Kind.HISTOGRAM):
        for i, metric in enumerate(metrics):
            if metric.kind is kind:
                size = 2 if kind is Kind.RATIO else len(metric.edges) + 1
                places[i] = slice(at, at + size)
                at += size
    ratio_width = 2 * sum(m.kind is Kind.RATIO for m in metrics)
    return tuple(places[i] for i in range(len(metrics))), ratio_width, at


@dataclass(frozen=True)
class _Row:
    metric: int
    bad: Array
    all: Array
    share: float


def _rows(index: int, metric: MetricDesign, place: slice, width: int, with_history: bool) -> list[_Row]:
    every = np.zeros(width)
    every[place] = 1.0
    if metric.kind is Kind.RATIO:
        bad = np.zeros(width)
        bad[place.stop - 1] = 1.0
        return [_Row(index, bad, every, metric.weight)]
    tested = not with_history or metric.tolerance > 0.0
    share = metric.weight / len(metric.watched) if tested and metric.watched else 0.0
    found = []
    for edge in metric.watched:
        if edge not in metric.edges:
            raise ValueError(
                f"metric {metric.name}: watched bound {edge:g} s is not a bucket bound; "
                f"want one of {', '.join(f'{e:g}' for e in metric.edges)}"
            )
        bad = np.zeros(width)
        bad[place.start + metric.edges.index(edge) + 1 : place.stop] = 1.0
        found.append(_Row(index, bad, every, share))
    return found


def _harms(theta: float) -> tuple[list[float], list[float]]:
    """Alternatives of a row and their weights; those that are tolerated weigh nothing."""
    beyond = [w if h > theta else 0.0 for h, w in HARMS]
    if not any(beyond):
        return [theta * h for h, _ in HARMS], [w for _, w in HARMS]
    total = sum(beyond)
    return [max(h, theta) for h, _ in HARMS], [w / total for w in beyond]


def _histograms(
    design: Design, places: Sequence[slice], with_history: bool, chosen: frozenset[str]
) -> tuple[Histogram, ...]:
    return tuple(
        _histogram(i, m, places[i], with_history, m.name not in chosen)
        for i, m in enumerate(design.metrics)
        if m.kind is Kind.HISTOGRAM
    )


def _histogram(index: int, metric: MetricDesign, place: slice, with_history: bool, given: bool) -> Histogram:
    tilted = with_history and metric.tolerance == 0.0
    named = metric.edges.index(metric.watched[0]) if given and len(metric.watched) == 1 else None
    return Histogram(
        metric=index,
        place=place,
        share=metric.weight if tilted else 0.0,
        tilted=tilted,
        user_edge=named,
        prior=histograms.weights(named is not None),
    )


def least_effect(layout: Layout, history: Array) -> Array:
    """The least design effect of each metric (M,): 4 where fewer than two pods of the stable can be compared.

    Args:
        history: (..., T, P, W) counts of the stable's pods.
    """
    pods = (np.matmul(history, layout.totals).sum(axis=-3) > 0.0).sum(axis=-2)
    fewest = pods.reshape(-1, pods.shape[-1]).min(axis=0, initial=2)
    return np.where(fewest < 2, dispersion.UNKNOWN_EFFECT, 1.0)
