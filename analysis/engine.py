"""One look, in arrays: any number of releases at once, and each without each of its canary pods.

Axes: `...` releases (none live, 2000 in a simulation), V views (all canary pods, then all but one),
P canary pods, M metrics, R rows, W categories, J alternatives; see `analysis.layout`. Nothing is changed in
place once it was handed out.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from analysis import betting, dispersion, histograms, onset, proportions, sequence, settling
from analysis.layout import Layout, least_effect
from analysis.views import Views

Array = NDArray[np.float64]

HALF_LIFE = 80.0
"""Ticks after which stable counts weigh half in the reference."""

_FORGET = 0.5 ** (1.0 / HALF_LIFE)


@dataclass(frozen=True)
class Look:
    """The increments of one tick: canary (..., P, W), stable (..., W), stable pods with requests (..., M)."""

    t: float
    canary: Array
    stable: Array
    stable_pods: Array
    new_step: bool = False
    in_last_step: bool = False


@dataclass(frozen=True)
class State:
    """All that a look needs of those before it.

    Attributes:
        reference: (..., W) forgotten stable counts. correlations: (..., M, 2). floor: (M,) least effect.
        rows: (..., V, R, J) masses. tilts: of each tilted histogram (..., V, J).
        safety, safety_pooled: (..., R) logs. harm: (..., V). peak: (...).
        warm: (..., H, V, P). ring: (..., H, P, SPANS, 2). rates: betting only.
        counted: (4, ..., R) canary bad and good, stable bad and good. effects: (..., 2, M) of the last look.
        settled: latency of every canary pod counts (`warm` is 1 throughout).
    """

    looks: int
    steps: int
    t: float
    cash: float
    in_last_step: bool
    reference: Array
    correlations: Array
    floor: Array
    rows: Array
    tilts: tuple[Array, ...]
    safety: Array
    safety_pooled: Array
    harm: Array
    peak: Array
    warm: Array
    ring: Array
    rates: betting.Rates
    sequence: sequence.Sequence | None
    counted: Array
    effects: Array
    settled: bool = False


def begin(layout: Layout, views: Views, history: Array) -> State:
    """The state before the first look.

    Args:
        layout, views: as for every look. history: (..., T, Ps, W) counts of the stable's pods per tick
            before the start, oldest first; T may be 0.
    """
    batch, ticks = history.shape[:-3], history.shape[-3]
    age = np.arange(ticks, 0, -1, dtype=float) - 1.0
    reference = np.einsum("...tpw,t->...w", history, _FORGET**age)
    v, p = views.member.shape
    r, h = len(layout.row_theta), len(layout.histograms)
    return State(
        looks=0,
        steps=0,
        t=0.0,
        cash=1.0,
        in_last_step=False,
        reference=reference,
        correlations=correlations(layout, history),
        floor=least_effect(layout, history),
        rows=np.zeros((*batch, v, r, layout.stakes.shape[1])),
        tilts=tuple(np.zeros((*batch, v, len(g.prior))) for g in layout.histograms if g.tilted),
        safety=np.zeros((*batch, r)),
        safety_pooled=np.zeros((*batch, r)),
        harm=np.ones((*batch, v)),
        peak=np.ones(batch),
        warm=np.zeros((*batch, h, v, p)),
        ring=np.zeros((*batch, h, p, settling.SPANS, 2)),
        rates=betting.no_rates((*batch, r)),
        sequence=sequence.unknown(layout, batch) if views.sequences else None,
        counted=np.zeros((4, *batch, r)),
        effects=np.ones((*batch, 2, len(layout.design.metrics))),
        settled=h == 0 or p == 0,
    )


def correlations(layout: Layout, history: Array) -> Array:
    """The correlation of requests of a stable pod, (..., M, 2): each metric's largest over its scores."""
    shape = (*history.shape[:-3], len(layout.design.metrics), len(dispersion.BLOCKS))
    found = np.zeros(shape)
    if history.shape[-3] == 0 or history.shape[-2] < 2:
        return found
    tails = [(m, layout.rows[:, i]) for i, m in enumerate(layout.row_metric)]
    for m, place in enumerate(layout.places):
        counts = history[..., place]
        total = counts.sum(axis=(-3, -2))
        marks = [bad[place] * np.ones_like(total) for row, bad in tails if row == m]
        if layout.design.metrics[m].edges:
            marks.append(histograms.normal_scores(histograms.reference(total)))
        if marks:
            found[..., m, :] = _largest(counts, total, np.stack(marks, axis=-1))
    return found


def _largest(counts: Array, total: Array, marks: Array) -> Array:
    """Largest correlation over scores; marks: (..., K, S) the score of one request of each category."""
    n = np.maximum(total.sum(axis=-1), 1.0)[..., None]
    mean = np.einsum("...k,...ks->...s", total, marks) / n
    variance = np.einsum("...k,...ks->...s", total, marks**2) / n - mean**2
    scores = np.einsum("...tpk,...ks->...tps", counts, marks)
    found = dispersion.correlation(scores, counts.sum(axis=-1), variance)
    largest: Array = found.max(axis=-2)
    return largest


@dataclass(frozen=True)
class _Counted:
    """A tick's counts as the tests see them.

    raw (..., V, W), plain (4, ..., V, R) and the same thinned by the effects of both arms, live (..., V, R)
    where both have requests, caps (..., V, M) of the log of an e-value: infinite with two pods or more.
    """

    raw: Array
    plain: Array
    thinned: Array
    live: NDArray[np.bool_]
    caps: Array
    effects: tuple[Array, Array]


@dataclass(frozen=True)
class _Harm:
    """The rollback side after a tick; the names are the state's."""

    cash: float
    rows: Array
    tilts: tuple[Array, ...]
    harm: Array
    warm: Array
    ring: Array
    settled: bool
    sequence: sequence.Sequence | None


def advance(layout: Layout, views: Views, state: State, look: Look) -> State:
    """The state after one look."""
    joined = onset.mass(state.looks, state.steps, look.new_step, layout.design.ticks)
    seen = _count(layout, views, state, look)
    rate = _rates(layout, state.reference)
    tests = _tests(layout, views, seen, rate)
    gain = tests[..., views.margins]
    held = _evidence(layout, views, state, look, (seen, _capped(layout, views, seen, tests), joined))
    return State(
        looks=state.looks + 1,
        steps=state.steps + look.new_step,
        t=look.t,
        cash=held.cash,
        in_last_step=look.in_last_step,
        reference=state.reference * _FORGET + look.stable,
        correlations=state.correlations,
        floor=state.floor,
        rows=held.rows,
        tilts=held.tilts,
        safety=_restarted(state, look, gain),
        safety_pooled=state.safety_pooled + gain,
        harm=held.harm,
        peak=np.maximum(state.peak, held.harm[..., 0]),
        warm=held.warm,
        ring=held.ring,
        rates=_learn(layout, state, seen),
        sequence=held.sequence,
        counted=state.counted + seen.plain[..., 0, :] * seen.live[..., 0, :],
        effects=np.concatenate([seen.effects[0][..., :1, :], seen.effects[1][..., None, :]], axis=-2),
        settled=held.settled,
    )


def _evidence(
    layout: Layout, views: Views, state: State, look: Look, found: tuple[_Counted, Array, float]
) -> _Harm:
    """The rollback side one tick further: masses, warm-up, combined evidence."""
    seen, tests, joined = found
    cash = max(state.cash - joined, 0.0)
    factors = onset.factor(tests)
    rows = _grow_rows(layout, views, state, (seen, factors), joined)
    tilts = _grow_tilts(layout, state, look, seen, joined)
    held, masses = state.sequence, None
    if held is not None:
        factors = factors[..., views.margins.stop :].reshape(held.masses.shape)
        masses = onset.grown(held.masses, joined, factors)
    ring, warm, fading = _settle(layout, views, state, look)
    settled = state.settled
    if fading is not None:
        settled = bool(warm.all())
        if fading.any():
            rows, tilts, masses = _drop(layout, fading, (rows, tilts, masses), 1.0 - cash)
    if held is not None and masses is not None:
        held = sequence.advance(layout, held, masses, cash)
    return _Harm(cash, rows, tilts, _harm(layout, rows, tilts, cash), warm, ring, settled, held)


def _count(layout: Layout, views: Views, state: State, look: Look) -> _Counted:
    raw, pods = _joined(layout, views, state, look)
    size = len(layout.row_theta)
    canary, stable = np.matmul(raw, layout.reads), np.matmul(look.stable, layout.reads)
    n_c, n_s = canary[..., 2 * size :], stable[..., 2 * size :]
    effect_c = dispersion.effect(n_c, pods, state.correlations[..., None, :, :], state.floor)
    effect_s = dispersion.effect(n_s, look.stable_pods, state.correlations, state.floor)
    live = ((n_c > 0.0) & (n_s[..., None, :] > 0.0)).take(layout.row_metric, axis=-1)
    plain, thinned = np.empty((4, *live.shape)), np.empty((4, *live.shape))
    plain[0], plain[1] = canary[..., :size], canary[..., size : 2 * size]
    plain[2], plain[3] = stable[..., None, :size], stable[..., None, size : 2 * size]
    np.divide(plain[:2], effect_c.take(layout.row_metric, axis=-1), out=thinned[:2])
    np.divide(plain[2:], effect_s.take(layout.row_metric, axis=-1)[..., None, :], out=thinned[2:])
    thinned[1::2] += ~live
    caps = np.where(pods <= 1.0, layout.cap, np.inf)
    return _Counted(raw, plain, thinned, live, caps, (effect_c, effect_s))


def _joined(layout: Layout, views: Views, state: State, look: Look) -> tuple[Array, Array]:
    """Counts of each view (..., V, W), and how many pods had requests, (..., V, M)."""
    active = (np.matmul(look.canary, layout.totals) > 0.0).astype(float)
    if state.settled:
        return np.matmul(views.member, look.canary), np.matmul(views.member, active)
    raw = np.empty((*look.canary.shape[:-2], len(views.member), layout.width))
    raw[..., : layout.ratio_width] = np.matmul(views.member, look.canary[..., : layout.ratio_width])
    pods = np.matmul(views.member, active)
    for h, histogram in enumerate(layout.histograms):
        counting = views.member * state.warm[..., h, :, :]
        raw[..., histogram.place] = np.matmul(counting, look.canary[..., histogram.place])
        pods[..., histogram.metric] = np.matmul(counting, active[..., histogram.metric, None])[..., 0]
    return raw, pods


def _rates(layout: Layout, reference: Array) -> Array:
    size = len(layout.row_theta)
    rows = np.matmul(reference, layout.rows)
    return proportions.reference_rate(rows[..., :size], rows[..., size:])


def _tests(layout: Layout, views: Views, seen: _Counted, rate: Array) -> Array:
    """Log e of every test of this tick, (..., tests), before any cap."""
    flat = seen.thinned.reshape(*seen.thinned.shape[:-2], -1)
    counts, asked = flat.take(views.source, axis=-1), (views.theta, views.relative)
    rates = rate.take(views.row, axis=-1)
    e = proportions.joint_log_e(counts, rates, asked, views.margins, layout.row_delta)
    live = seen.live.reshape(*seen.live.shape[:-2], -1)
    if not live.all():
        e *= live.take(views.source, axis=-1)
    return e


def _capped(layout: Layout, views: Views, seen: _Counted, tests: Array) -> Array:
    """The tests as the rollback side takes them."""
    caps = seen.caps.take(layout.row_metric, axis=-1)
    caps = caps.reshape(*caps.shape[:-2], -1).take(views.source, axis=-1)
    return np.minimum(tests, caps, out=caps)


def _grow_rows(
    layout: Layout, views: Views, state: State, found: tuple[_Counted, Array], joined: float
) -> Array:
    seen, factors = found
    if not layout.betting:
        return onset.grown(state.rows, joined, factors[..., : views.harms].reshape(state.rows.shape))
    e = betting.log_e(seen.plain, state.rates, layout.row_theta)
    return onset.grow(state.rows, joined, np.minimum(e, seen.caps[..., layout.row_metric, None]))


def _grow_tilts(layout: Layout, state: State, look: Look, seen: _Counted, joined: float) -> tuple[Array, ...]:
    grown = []
    for histogram, masses in zip((h for h in layout.histograms if h.tilted), state.tilts, strict=True):
        place, metric = histogram.place, histogram.metric
        q = histograms.reference(state.reference[..., place])
        tilted = histograms.tilts(q, histogram.user_edge)
        canary = seen.raw[..., place] / seen.effects[0][..., metric, None]
        stable = look.stable[..., place] / seen.effects[1][..., metric, None]
        e = histograms.log_e(canary, stable, q, tilted)
        grown.append(onset.grow(masses, joined, np.minimum(e, seen.caps[..., metric, None], out=e)))
    return tuple(grown)


def _settle(
    layout: Layout, views: Views, state: State, look: Look
) -> tuple[Array, Array, NDArray[np.bool_] | None]:
    """Scores remembered, pods whose latency counts from the next tick on, and those that fade after all.

    Returns:
        ring, warm, and a flag (..., H, V) of views in which a counted cohort turned out to be fading;
        None when every pod is beyond the longest warm-up.
    """
    shortest, longest = layout.design.warm_up_min_s, layout.design.warm_up_max_s
    if not layout.histograms or (state.settled and look.t - views.youngest >= longest):
        return state.ring, state.warm, None
    age = look.t - views.born
    old = age >= longest
    found = np.empty((*state.ring.shape[:-2], 2))
    variance = np.empty(state.ring.shape[:-3])
    for h, histogram in enumerate(layout.histograms):
        q = histograms.reference(state.reference[..., histogram.place])
        z = histograms.normal_scores(q)
        counts = look.canary[..., histogram.place]
        found[..., h, :, 0] = np.matmul(counts, z[..., None])[..., 0]
        found[..., h, :, 1] = counts.sum(axis=-1)
        variance[..., h] = (q * z * z).sum(axis=-1)
    span = shortest / 4.0
    fresh = 1 if span <= 0.0 or look.t // span > state.t // span else 0
    ring = settling.record(state.ring, found, fresh)
    fall, doubt = settling.trend(ring, views.cohorts, variance)
    counted = state.warm > 0.0
    early = doubt & (age < 2.0 * shortest)
    calm = np.where(counted, fall <= settling.FADING_Z, (fall < settling.SETTLED_Z) & ~early)
    warm = (old | ((age >= shortest) & calm)).astype(float)
    left = counted & ~calm & ~old & (views.member > 0.0)
    fading: NDArray[np.bool_] = np.any(left, axis=-1)
    return ring, warm, fading


def _drop(
    layout: Layout,
    fading: NDArray[np.bool_],
    held: tuple[Array, tuple[Array, ...], Array | None],
    start: float,
) -> tuple[Array, tuple[Array, ...], Array | None]:
    """Evidence of a fading canary's latency brought down to what it was at the start, never raised."""
    rows, tilts, masses = held
    of_metric = np.zeros((*fading.shape[:-2], fading.shape[-1], len(layout.design.metrics)), dtype=bool)
    for h, histogram in enumerate(layout.histograms):
        of_metric[..., histogram.metric] = fading[..., h, :]
    rows = _lowered(rows, layout.stakes, start, of_metric[..., layout.row_metric])
    tilted = [h for h in layout.histograms if h.tilted]
    tilts = tuple(
        _lowered(m, h.prior, start, of_metric[..., h.metric]) for h, m in zip(tilted, tilts, strict=True)
    )
    if masses is not None:
        which = of_metric[..., 0, layout.row_metric[layout.shown]][..., None, None]
        masses = _lowered(masses, layout.prior[layout.shown][:, None, None, :], start, which)
    return rows, tilts, masses


def _lowered(masses: Array, prior: Array, start: float, where: NDArray[np.bool_]) -> Array:
    worth = (masses * prior).sum(axis=-1)
    factor = np.where(where, np.minimum(1.0, start / np.maximum(worth, 1e-300)), 1.0)
    return masses * factor[..., None]


def _harm(layout: Layout, rows: Array, tilts: tuple[Array, ...], cash: float) -> Array:
    """The combined rollback e-process of each view."""
    total = np.matmul(rows.reshape(*rows.shape[:-2], -1), layout.harm_stakes)
    total += cash * layout.tested_share + layout.idle_share
    tilted = (h for h in layout.histograms if h.tilted)
    for histogram, masses in zip(tilted, tilts, strict=True):
        total += histogram.share * (np.matmul(masses, histogram.prior) + cash)
    result: Array = total
    return result


def _restarted(state: State, look: Look, gain: Array) -> Array:
    if not look.in_last_step:
        return np.zeros_like(state.safety)
    return (state.safety if state.in_last_step else 0.0) + gain


def _learn(layout: Layout, state: State, seen: _Counted) -> betting.Rates:
    if not layout.betting:
        return state.rates
    bad, good = seen.plain[2][..., 0, :], seen.plain[3][..., 0, :]
    return betting.learn(state.rates, bad, bad + good)
