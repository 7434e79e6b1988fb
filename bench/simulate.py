"""Seeded releases by the thousand, judged by the very engine that judges a live one.

A world says what the two arms are like; `run` ramps 5, 10, 25, 50 % (120 s each, the last one to the end)
in ticks of 15 s over 60 minutes, after 40 minutes of history, and says when each release would have been
rolled back or promoted. Latency: lognormal, median 80 ms, sigma .7, Prometheus' default buckets.
"""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

from analysis import engine
from analysis.layout import Layout, lay_out
from analysis.views import see
from analysis.words import Design, Kind, MetricDesign

Array = NDArray[np.float64]

TICK_S = 15.0
TICKS = 240
HISTORY = 160
RAMP = ((120.0, 0.05), (240.0, 0.10), (360.0, 0.25), (np.inf, 0.50))
LAST_STEP_S = 360.0
EDGES = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
MEDIAN_S, SIGMA = 0.08, 0.7
AMBER = 5.0
HOLD_MIN_S = 60.0
_CHUNK = 500


@dataclass(frozen=True)
class World:
    """What the arms of a simulated release are like.

    Attributes:
        rps: requests per second of both arms together. error_rate: of the stable, fraction.
        canary_error_rate: None: the same. under_load_only: the regression shows in the last step only.
        shape: the canary's latency: `same`, `scale`, `p99` (tail stretched beyond p90 so that p99 grows by
            half) or `bimodal` (5 % of requests one second later). scale: factor of `scale`.
        hump: x: the canary starts 1 + hump_size exp(-t / x s) times slower; 0: no cold start.
        icc: correlation of errors inside a pod and tick. bursts: pods at 10 % errors for a minute on average,
            each with probability .21 an hour. diurnal: errors, latency and traffic drift over an hour.
    """

    rps: float
    error_rate: float = 0.005
    canary_error_rate: float | None = None
    under_load_only: bool = False
    shape: str = "same"
    scale: float = 1.0
    hump: float = 0.0
    hump_size: float = 4.0
    icc: float = 0.0
    bursts: bool = False
    diurnal: bool = False
    canary_pods: int = 1
    stable_pods: int = 4


@dataclass(frozen=True)
class Outcome:
    """Seconds from the start, infinite where it did not come, (N,).

    Attributes:
        rolled_back: even after a promotion. promoted: as decided, if not rolled back before. proved: every
            metric's safety reached its limit, whatever the evidence of harm said.
    """

    rolled_back: Array
    promoted: Array
    proved: Array

    def found(self) -> Array:
        """Seconds to rollback of releases that had not been promoted before."""
        return np.where(self.rolled_back <= self.promoted, self.rolled_back, np.inf)


def design(
    errors: float = 0.0,
    latency: float = 0.0,
    *,
    margin_abs: tuple[float, float] = (0.001, 0.01),
    warm_up: tuple[float, float] = (60.0, 300.0),
) -> Design:
    """The two metrics of the http preset with tolerances and absolute margins (errors, latency)."""
    return Design(
        metrics=(
            MetricDesign("errors", Kind.RATIO, 0.55, tolerance=errors, margin_abs=margin_abs[0]),
            MetricDesign(
                "latency",
                Kind.HISTOGRAM,
                0.45,
                tolerance=latency,
                margin_abs=margin_abs[1],
                edges=EDGES,
                watched=(0.25, 0.5),
            ),
        ),
        ticks=TICKS,
        warm_up_min_s=warm_up[0],
        warm_up_max_s=warm_up[1],
    )


@dataclass(frozen=True)
class Rules:
    """How simulated releases are judged.

    Attributes:
        history: False: none, the rollback side bets. cap: see `lay_out`. leave_one_out: rolled back only
            when the evidence without each canary pod is at least 5 as well. ticks: looks a release.
    """

    history: bool = True
    cap: float | None = None
    leave_one_out: bool = False
    ticks: int = TICKS


AS_MEASURED = Rules()
"""With history, neither cap nor leave-one-out: how the reference figures were measured."""


def run(world: World, plan: Design, releases: int, seed: int, rules: Rules = AS_MEASURED) -> Outcome:
    """Simulates `releases` releases of one world."""
    layout = lay_out(plan, with_history=rules.history, cap=rules.cap)
    parts = []
    for i, start in enumerate(range(0, releases, _CHUNK)):
        rng = np.random.default_rng([seed, i])
        size = min(_CHUNK, releases - start)
        traffic = Traffic(world, rng, size)
        past = traffic.past(HISTORY) if rules.history else np.zeros((size, 0, 0, layout.width))
        parts.append(_release(layout, traffic, past, rules))
    return Outcome(
        np.concatenate([p.rolled_back for p in parts]),
        np.concatenate([p.promoted for p in parts]),
        np.concatenate([p.proved for p in parts]),
    )


def _release(layout: Layout, traffic: "Traffic", past: Array, rules: Rules) -> Outcome:
    world = traffic.world
    views = see(layout, [0.0] * world.canary_pods, leave_one_out=rules.leave_one_out, intervals=False)
    state = engine.begin(layout, views, past)
    limit, safe = 1.0 / layout.design.false_rollback_rate, np.log(1.0 / layout.design.false_promotion_rate)
    rolled_back = np.full(traffic.size, np.inf)
    promoted, proved = rolled_back.copy(), rolled_back.copy()
    stable_pods = np.full(len(layout.design.metrics), float(world.stable_pods))
    for k in range(1, rules.ticks + 1):
        canary, stable = traffic.tick(k)
        t = k * TICK_S
        began = t - TICK_S
        look = engine.Look(
            t=t,
            canary=canary,
            stable=stable,
            stable_pods=stable_pods,
            new_step=began in (120.0, 240.0, 360.0),
            in_last_step=began >= LAST_STEP_S,
        )
        state = engine.advance(layout, views, state, look)
        harmful = state.peak >= limit
        if rules.leave_one_out:
            harmful &= state.harm[..., 1:].min(axis=-1) >= AMBER
        rolled_back = np.where(harmful & np.isinf(rolled_back), t, rolled_back)
        passed = (state.safety >= safe).all(axis=-1)
        proved = np.where(passed & np.isinf(proved), t, proved)
        passed &= (state.harm[..., 0] < AMBER) & np.isinf(rolled_back) & np.isinf(promoted)
        promoted = np.where(passed & (t >= LAST_STEP_S + HOLD_MIN_S), t, promoted)
    return Outcome(rolled_back, promoted, proved)


class Traffic:
    """Counts of simulated releases: 14 categories a pod, errors (good, bad) then 12 of latency."""

    def __init__(self, world: World, rng: np.random.Generator, size: int) -> None:
        """`size` releases drawn from `rng`; each arm's pods burst or not on their own."""
        self.world, self.rng, self.size = world, rng, size
        self._phase = rng.uniform(0.0, 2.0 * np.pi, size)
        self._bursting = {
            arm: np.zeros((size, pods), dtype=bool)
            for arm, pods in (("canary", world.canary_pods), ("stable", world.stable_pods))
        }

    def past(self, ticks: int) -> Array:
        """Counts of the stable's pods before the start, (size, ticks, stable pods, 14)."""
        found = [self._arm("stable", -TICK_S * (ticks - k), 1.0, False) for k in range(ticks)]
        return np.stack(found, axis=1)

    def tick(self, k: int) -> tuple[Array, Array]:
        """Counts of tick k >= 1: canary a pod (size, P, 14), stable in all (size, 14)."""
        began = (k - 1) * TICK_S
        share = next(s for until, s in RAMP if began < until)
        bad = not self.world.under_load_only or began >= LAST_STEP_S
        return (
            self._arm("canary", began, share, bad),
            self._arm("stable", began, 1.0 - share, False).sum(axis=1),
        )

    def _arm(self, arm: str, began: float, share: float, bad: bool) -> Array:
        world, rng = self.world, self.rng
        pods = self._bursting[arm].shape[1]
        wave = np.sin(self._phase + 2.0 * np.pi * began / 3600.0) if world.diurnal else np.zeros(self.size)
        rate = world.rps * TICK_S * share / pods * (1.0 + 0.5 * wave)
        n = rng.poisson(np.repeat(rate[:, None], pods, axis=1))
        p = world.error_rate
        if bad and world.canary_error_rate is not None:
            p = world.canary_error_rate
        chance = np.repeat((p * (1.0 + 0.8 * wave))[:, None], pods, axis=1)
        errors = rng.binomial(n, self._mixed(arm, chance))
        factor = np.exp(0.2 * wave)
        if arm == "canary" and world.hump > 0.0:
            factor = factor * (1.0 + world.hump_size * np.exp(-(began + TICK_S / 2.0) / world.hump))
        shares = latency_shares(
            world if bad else replace(world, shape="same"), factor[: None if factor.std() else 1]
        )
        counts = np.empty((self.size, pods, 2 + len(EDGES) + 1))
        counts[..., 0], counts[..., 1] = n - errors, errors
        counts[..., 2:] = rng.multinomial(n, shares[:, None, :])
        return counts

    def _mixed(self, arm: str, chance: Array) -> Array:
        world, rng = self.world, self.rng
        if world.icc > 0.0:
            spread = (1.0 - world.icc) / world.icc
            chance = rng.beta(chance * spread, (1.0 - chance) * spread)
        if world.bursts:
            on = self._bursting[arm]
            starts = rng.random(on.shape) < -np.log1p(-0.21) / TICKS
            on = np.where(on, rng.random(on.shape) >= TICK_S / 60.0, starts)
            self._bursting[arm] = on
            chance = np.where(on, 0.10, chance)
        return chance


def latency_shares(world: World, factor: Array) -> Array:
    """Probability of each latency category for releases `factor` times slower, (len(factor), 12)."""
    edges = np.array(EDGES)[None, :] / factor[:, None]
    z = np.log(edges / MEDIAN_S) / SIGMA
    below = ndtr(z)
    if world.shape == "scale":
        below = ndtr(z - np.log(world.scale) / SIGMA)
    elif world.shape == "bimodal":
        late = np.where(edges > 1.0, ndtr(np.log(np.maximum(edges - 1.0, 1e-9) / MEDIAN_S) / SIGMA), 0.0)
        below = 0.95 * below + 0.05 * late
    elif world.shape == "p99":
        from_z, to_z = 1.2816, 2.3263
        grown = np.log(1.5) / (to_z - from_z)
        stretched = (z * SIGMA + grown * from_z) / (SIGMA + grown)
        below = np.where(z <= from_z, below, ndtr(stretched))
    bounds = np.concatenate([np.zeros((len(below), 1)), below, np.ones((len(below), 1))], axis=1)
    return np.maximum(np.diff(bounds, axis=1), 0.0)
