"""The judge of a release: counts of pods in, evidence out, one look after another.

    state = begin(design, history)
    state = advance(state, tick)        # once a tick
    found = evidence(state)             # whenever one wants to look

This is the layer of names over `analysis.engine`, which holds the numbers; simulations of thousands of
releases drive the same engine. What is promised, for any number of looks:

* P(harm_peak ever reaches harm_limit) <= false_rollback_rate while the canary is no worse than tolerated.
* P(safety of a metric reaches safety_limit in the last step) <= false_promotion_rate while it is worse than
  the larger of its margins there.

The tests are exact for independent requests. Requests of a pod that go wrong together are allowed for by
the design effect, learnt from the stable's pods before the start. Without history the rollback side bets on
rates of ticks, which allows any dependence inside a tick; the safety side thins by 4 until four ticks
of two stable pods were seen, and then by the design effect of the stable's ticks so far, never of a tick
that is being judged: its promise then rests on few ticks in the beginning, which the estimate is raised for.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from analysis import engine, sequence
from analysis.layout import Layout, lay_out, least_effect
from analysis.views import Views, see
from analysis.words import Counts, Design, Evidence, Interval, Kind, MetricDesign, MetricEvidence, Tick

Array = NDArray[np.float64]

LEAST_HISTORY = 4
"""Ticks with stable traffic before the start that make a history."""

_LEARNT = 160
_RELEARN = 8
_HUGE = 1e250


@dataclass(frozen=True)
class State:
    """A release's looks so far. Nothing in it is for reading: that is what `evidence` is for.

    Attributes:
        layout, views, numbers: see `analysis.engine`. lacking: metrics without history of the stable.
        chosen: histograms whose watched bounds the design did not name.
        pods: canary pods in order of appearance. born: seconds at which each was first seen.
        past: while a metric is lacking history, the stable's counts of the last ticks.
    """

    layout: Layout
    views: Views
    numbers: engine.State
    lacking: frozenset[str] = frozenset()
    chosen: frozenset[str] = frozenset()
    pods: tuple[str, ...] = ()
    born: tuple[float, ...] = ()
    past: tuple[Counts, ...] = ()


def begin(design: Design, history: Sequence[Counts]) -> State:
    """The state before the first look.

    Args:
        design: see `words.Design`; histograms without watched bounds get them from the history.
        history: counts of the stable's pods before the start, oldest first, one a tick; may be empty.

    Raises:
        ValueError: a watched bound that is not among its metric's bounds, or counts that don't fit.
    """
    lacking = frozenset(m.name for m in design.metrics if _ticks_with(m.name, history) < LEAST_HISTORY)
    known = len(lacking) < len(design.metrics)
    kept = history if known else ()
    chosen = frozenset(m.name for m in design.metrics if m.kind is Kind.HISTOGRAM and not m.watched)
    layout = lay_out(_with_watched(design, kept), with_history=known, chosen=chosen)
    views = see(layout, ())
    return State(layout, views, engine.begin(layout, views, _stack(layout, kept)), lacking, chosen)


def advance(state: State, tick: Tick) -> State:
    """The state after one tick more; `state` itself stays as it was.

    Raises:
        ValueError: counts of a metric with another number of categories than its design has.
    """
    state = _joined_by(state, [pod for pod in tick.canary if pod not in state.pods])
    layout = state.layout
    stable = _matrix(layout, tick.stable, sorted(tick.stable))
    look = engine.Look(
        t=tick.t,
        canary=_matrix(layout, tick.canary, state.pods),
        stable=np.add.reduce(stable, axis=0),
        stable_pods=np.add.reduce(np.matmul(stable, layout.totals) > 0.0, axis=0, dtype=float),
        new_step=tick.new_step,
        in_last_step=tick.in_last_step,
    )
    numbers = engine.advance(layout, state.views, state.numbers, look)
    grown = State(
        layout, state.views, numbers, state.lacking, state.chosen, state.pods, state.born, state.past
    )
    return _learnt(grown, tick) if state.lacking else grown


def evidence(state: State) -> Evidence:
    """What the looks so far say."""
    design, numbers, layout = state.layout.design, state.numbers, state.layout
    harm = [min(x, _HUGE) for x in numbers.harm.tolist()]
    several = len(state.pods) > 1
    return Evidence(
        looks=numbers.looks,
        t=numbers.t,
        harm=harm[0],
        harm_peak=_finite(float(numbers.peak)),
        harm_limit=2.0**design.window / design.false_rollback_rate,
        safety_limit=1.0 / design.false_promotion_rate,
        harm_without=dict(zip(state.pods, harm[1:], strict=True)) if several else {},
        metrics=_metrics(state),
        method="betting" if layout.betting else "ripr",
    )


def watched_edges(
    edges: Sequence[float], history: Sequence[Counts], metric: str, threshold: float | None
) -> tuple[float, ...]:
    """The bounds whose tail fractions are watched, to be pinned when a release starts.

    Args:
        edges: the metric's bounds, ascending. history: counts of the stable before the start.
        metric: its name. threshold: the user's, in the unit of the bounds: the bound nearest to it is taken,
            the upper one of two equally near; the caller compares and says so when it is not the same.

    Returns:
        With a threshold one bound; else the first bounds above the stable's p90 and p99 (one when they
        agree), or none where the history has no request.
    """
    if threshold is not None:
        return (min(edges, key=lambda edge: (abs(edge - threshold), -edge)),) if edges else ()
    totals = [
        sum(c)
        for c in zip(*(m[metric] for tick in history for m in tick.values() if metric in m), strict=True)
    ]
    if not edges or sum(totals) <= 0.0:
        return ()
    below = np.cumsum(totals)[:-1] / sum(totals)
    found = []
    for share in (0.90, 0.99):
        beyond = np.flatnonzero(below >= share)
        found.append(edges[int(beyond[0])] if len(beyond) else edges[-1])
    return tuple(dict.fromkeys(found))


def _ticks_with(metric: str, history: Sequence[Counts]) -> int:
    return sum(any(sum(pod.get(metric, ())) > 0.0 for pod in tick.values()) for tick in history)


def _with_watched(design: Design, history: Sequence[Counts]) -> Design:
    def known(metric: MetricDesign) -> MetricDesign:
        if metric.kind is not Kind.HISTOGRAM or metric.watched:
            return metric
        return replace(metric, watched=watched_edges(metric.edges, history, metric.name, None))

    return replace(design, metrics=tuple(known(m) for m in design.metrics))


def _vector(layout: Layout, pod: str, counts: Mapping[str, Sequence[float]]) -> list[float]:
    into = [0.0] * layout.width
    for metric, place in zip(layout.design.metrics, layout.places, strict=True):
        found = counts.get(metric.name)
        if found is None:
            continue
        if len(found) != place.stop - place.start:
            raise ValueError(
                f"pod {pod}, metric {metric.name}: {len(found)} categories; "
                f"want {place.stop - place.start}, one a bucket and one beyond the last bound"
            )
        into[place] = found
    return into


def _matrix(layout: Layout, counts: Counts, pods: Iterable[str]) -> Array:
    found = [_vector(layout, pod, counts.get(pod, {})) for pod in pods]
    return np.array(found, dtype=float).reshape(len(found), layout.width)


def _stack(layout: Layout, history: Sequence[Counts]) -> Array:
    pods = sorted({pod for tick in history for pod in tick})
    found = np.zeros((len(history), len(pods), layout.width))
    for i, tick in enumerate(history):
        found[i] = _matrix(layout, tick, pods)
    return found


def _joined_by(state: State, fresh: Sequence[str]) -> State:
    """The state with room for pods seen for the first time: without them, all was as it is for all."""
    if not fresh:
        return state
    count = len(fresh)
    born = (*state.born, *([state.numbers.t] * count))
    n = state.numbers
    views = see(state.layout, born)
    grown = replace(
        n,
        rows=_copied(n.rows, 0, count),
        tilts=tuple(_copied(m, 0, count) for m in n.tilts),
        harm=_copied(n.harm, 0, count),
        warm=np.pad(_copied(n.warm, 1, count), ((0, 0), (0, 0), (0, count))),
        ring=np.pad(n.ring, ((0, 0), (0, count), (0, 0), (0, 0))),
        settled=not state.layout.histograms,
    )
    return replace(state, views=views, numbers=grown, pods=(*state.pods, *fresh), born=born)


def _copied(values: Array, axis: int, count: int) -> Array:
    """`values` with the first view appended `count` times."""
    first = np.take(values, [0] * count, axis=axis)
    result: Array = np.concatenate([values, first], axis=axis)
    return result


def _learnt(state: State, tick: Tick) -> State:
    """Where history is lacking: the design effect and the watched bounds, from the release's stable ticks."""
    past = (*state.past, tick.stable)[-_LEARNT:]
    state = replace(state, past=past)
    if any(m.kind is Kind.HISTOGRAM and not m.watched for m in state.layout.design.metrics):
        state = _watching(state)
    if len(past) < LEAST_HISTORY or state.numbers.looks % _RELEARN != LEAST_HISTORY:
        return state
    counts = _stack(state.layout, past)
    lacking = np.array([m.name in state.lacking for m in state.layout.design.metrics])
    n, found = state.numbers, engine.correlations(state.layout, counts)
    floor = np.where(lacking, least_effect(state.layout, counts), n.floor)
    correlations = np.where(lacking[:, None], found, n.correlations)
    return replace(state, numbers=replace(n, correlations=correlations, floor=floor))


def _watching(state: State) -> State:
    """The state with rows for bounds chosen from the ticks so far; the rows there were keep what they had."""
    design = _with_watched(state.layout.design, state.past)
    if design == state.layout.design:
        return state
    layout = lay_out(design, with_history=not state.layout.betting, chosen=state.chosen)
    views = see(layout, state.born)
    old = {(m, i): r for r, (m, i) in enumerate(_row_names(state.layout))}
    kept = [old.get(name, -1) for name in _row_names(layout)]
    n = state.numbers
    fresh = engine.begin(layout, views, np.zeros((0, 0, layout.width)))
    shown_before = {m: i for i, m in enumerate(state.layout.shown_metric)}
    shown = [shown_before.get(m, -1) for m in layout.shown_metric]
    grown = replace(
        n,
        rows=_carried(n.rows, kept, -2),
        safety=_carried(n.safety, kept, -1),
        safety_pooled=_carried(n.safety_pooled, kept, -1),
        counted=_carried(n.counted, kept, -1),
        rates=replace(
            n.rates,
            seen=_carried(n.rates.seen, kept, -1),
            mean=_carried(n.rates.mean, kept, -1),
            square=_carried(n.rates.square, kept, -1),
        ),
        sequence=fresh.sequence,
    )
    if n.sequence is not None and fresh.sequence is not None:
        masses, out = _carried(n.sequence.masses, shown, 0), _carried(n.sequence.out, shown, 0)
        grown = replace(grown, sequence=sequence.resumed(layout, masses, out))
    return replace(state, layout=layout, views=views, numbers=grown)


def _row_names(layout: Layout) -> list[tuple[int, int]]:
    seen: dict[int, int] = {}
    names = []
    for metric in layout.row_metric.tolist():
        names.append((metric, seen.get(metric, 0)))
        seen[metric] = seen.get(metric, 0) + 1
    return names


def _carried(values: NDArray[Any], kept: Sequence[int], axis: int) -> NDArray[Any]:
    """Entries `kept` of an axis, zeros where an entry is new (-1)."""
    shape = list(values.shape)
    shape[axis] = 1
    result: NDArray[Any] = np.concatenate([values, np.zeros(shape, values.dtype)], axis=axis)
    return np.take(result, kept, axis=axis)


def _metrics(state: State) -> tuple[MetricEvidence, ...]:
    layout, n = state.layout, state.numbers
    row_harm = (np.add.reduce(n.rows[0] * layout.stakes, axis=-1) + n.cash).tolist()
    whole: dict[int, float] = {}
    tilted = (h for h in layout.histograms if h.tilted)
    for histogram, masses in zip(tilted, n.tilts, strict=True):
        whole[histogram.metric] = _finite(masses[0] @ histogram.prior + n.cash)
    intervals = _intervals(state)
    safety, pooled, counted = n.safety.tolist(), n.safety_pooled.tolist(), n.counted.T.tolist()
    effects = n.effects.T.tolist()
    found = []
    for m, (metric, rows) in enumerate(zip(layout.design.metrics, layout.rows_of, strict=True)):
        harm = whole[m] if m in whole else _mean([row_harm[r] for r in rows])
        counts = counted[rows[0]] if rows else [0.0] * 4
        found.append(
            MetricEvidence(
                name=metric.name,
                harm=harm,
                safety=_least([safety[r] for r in rows]),
                safety_pooled=_least([pooled[r] for r in rows]),
                canary_bad=counts[0],
                canary_all=counts[0] + counts[1],
                stable_bad=counts[2],
                stable_all=counts[2] + counts[3],
                ratio=intervals.get(m, _UNKNOWN),
                warming=_warming(state, m),
                edge=metric.watched[0] if metric.watched else None,
                design_effect=(effects[m][0], effects[m][1]),
            )
        )
    return tuple(found)


_UNKNOWN = Interval(0.0, math.inf)


def _intervals(state: State) -> dict[int, Interval]:
    if state.numbers.sequence is None:
        return {}
    held = state.numbers.sequence
    ends = zip(held.low.tolist(), held.high.tolist(), strict=True)
    return {m: Interval(*pair) for m, pair in zip(state.layout.shown_metric, ends, strict=True)}


def _mean(values: list[float]) -> float:
    return _finite(sum(values) / len(values)) if values else 1.0


def _least(logs: list[float]) -> float:
    return math.exp(min(*logs, 575.0)) if logs else 1.0


def _warming(state: State, metric: int) -> bool:
    if state.numbers.settled and state.pods:
        return False
    for h, histogram in enumerate(state.layout.histograms):
        if histogram.metric == metric:
            return not bool(state.numbers.warm[h, 0].any())
    return False


def _finite(value: float | np.float64) -> float:
    return min(float(value), _HUGE)
