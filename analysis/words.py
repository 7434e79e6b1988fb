"""The plain types that go into and come out of the analysis. Standard library only.

Counts come per pod and category. A ratio metric has two categories, `(good, bad)`; a histogram has one
per finite bucket bound (requests that fell into that bucket, not cumulative) and one for everything above
the last bound. Counts are increments of one tick, nonnegative.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

Counts = Mapping[str, Mapping[str, Sequence[float]]]
"""pod -> metric -> increments per category."""


class Kind(StrEnum):
    """How a metric is counted."""

    RATIO = "ratio"
    HISTOGRAM = "histogram"


@dataclass(frozen=True)
class MetricDesign:
    """How one metric is tested.

    Attributes:
        weight: share of the rollback evidence, in (0, 1]; weights of a design sum to 1.
        tolerance: theta0 - 1, >= 0.
        margin_ratio: >= 1. margin_abs: fraction in (0, 1). Worse by more than the larger is the
            promotion null.
        edges: finite bucket bounds, ascending, seconds (histogram only); K = len(edges) + 1 categories.
        watched: the bounds among `edges` whose tail fraction the safety test (and, with a
            tolerance, the rollback test) watches. Empty: chosen from the stable's history (first
            bounds above its p90 and p99); see `judge.watched_edges`.
    """

    name: str
    kind: Kind
    weight: float
    tolerance: float = 0.0
    margin_ratio: float = 1.5
    margin_abs: float = 0.005
    edges: tuple[float, ...] = ()
    watched: tuple[float, ...] = ()


@dataclass(frozen=True)
class Design:
    """How a whole release is tested; fixed before its first look.

    Attributes:
        false_rollback_rate: over all metrics and looks. false_promotion_rate: per metric.
        ticks: number of grid ticks until the deadline; spreads the onset prior.
        warm_up_min_s, warm_up_max_s: latency counts of a canary pod join after its warm-up.
        window: k tests at false_rollback_rate * 2**-k. 0 where the past can be read again; without history
            the first is 1 and each new beginning one more, so that all of them together keep to the rate.
    """

    metrics: tuple[MetricDesign, ...]
    false_rollback_rate: float = 0.01
    false_promotion_rate: float = 0.02
    ticks: int = 240
    warm_up_min_s: float = 60.0
    warm_up_max_s: float = 300.0
    window: int = 0


@dataclass(frozen=True)
class Tick:
    """The increments between two looks.

    Attributes:
        t: seconds from the start of the release to the end of the tick, > 0.
        canary, stable: counts per pod. A pod without traffic may be left out.
        new_step: a weight step (not the first) began in this tick: the onset prior adds mass.
        in_last_step: the whole tick lies in the last step: the deciding safety process runs.
    """

    t: float
    canary: Counts
    stable: Counts
    new_step: bool = False
    in_last_step: bool = False


@dataclass(frozen=True)
class Interval:
    """A confidence sequence at one look: holds at all looks together with its stated coverage."""

    low: float
    high: float


@dataclass(frozen=True)
class MetricEvidence:
    """What the looks so far say about one metric.

    Attributes:
        harm: its own rollback e-process now, starting at 1 (unweighted).
        safety: the deciding non-inferiority e-process, now; 1 before the last step. With several
            watched edges the smallest of them: each must pass.
        safety_pooled: the same over all steps; for the forecast only.
        warming: latency only: no canary pod has finished its warm-up yet.
        canary_bad, canary_all, stable_bad, stable_all: requests counted so far (histogram: bad is
            slower than the first watched edge). Raw counts, before the design effect.
        ratio: confidence sequence of canary rate over stable rate (of bad), 95 %.
        edge: the watched edge in seconds that `*_bad` and `ratio` speak of; None for a ratio metric.
        design_effect: the factors (canary, stable) by which counts were divided at this look, >= 1.
    """

    name: str
    harm: float
    safety: float
    safety_pooled: float
    canary_bad: float
    canary_all: float
    stable_bad: float
    stable_all: float
    ratio: Interval
    warming: bool = False
    edge: float | None = None
    design_effect: tuple[float, float] = (1.0, 1.0)


@dataclass(frozen=True)
class Evidence:
    """What all looks so far say. No verdict: that is decided elsewhere.

    Attributes:
        looks: ticks judged. t: seconds since the start of the last one (0 before the first).
        harm: the combined rollback e-process now. harm_peak: its maximum since the start.
        harm_limit: rollback at `harm_peak >= harm_limit`. harm_without: canary pod -> combined
            e-process without that pod, now; empty with fewer than two canary pods.
        safety_limit: promotion needs every metric's `safety >= safety_limit`.
        method: "ripr" with stable history, "betting" without.
    """

    looks: int
    t: float
    harm: float
    harm_peak: float
    harm_limit: float
    safety_limit: float
    harm_without: Mapping[str, float] = field(default_factory=dict)
    metrics: tuple[MetricEvidence, ...] = ()
    method: str = "ripr"

    @property
    def p_value(self) -> float:
        """The always-valid p-value of "the canary is no worse than tolerated"."""
        return min(1.0, 1.0 / max(self.harm_peak, 1e-300))
