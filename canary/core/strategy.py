"""What was asked for: the resolved configuration of one release, as plain values.

Durations are seconds (`_s`), weights are percent in [0, 100], rates and tolerances are fractions.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from canary.core.revision import Limits


class OnInconclusive(StrEnum):
    """What to do at the deadline when the evidence has not settled the question."""

    ROLLBACK = "rollback"
    PAUSE = "pause"
    PROMOTE = "promote"


class Capacity(StrEnum):
    """Whether canary pods take the place of stable pods (within surge) or come on top."""

    REPLACE = "replace"
    EXTRA = "extra"


class Promote(StrEnum):
    """Who puts a version that is judged good on the target: we, or somebody else (a GitOps tool)."""

    TARGET = "target"
    EXTERNAL = "external"


class Shift(StrEnum):
    """Who moves the traffic: we, by replicas, or somebody else (a recording that is replayed)."""

    REPLICAS = "replicas"
    GIVEN = "given"


class MetricKind(StrEnum):
    """How a metric is counted; a gauge is not: it is read as it stands, and serves guards alone."""

    RATIO = "ratio"
    HISTOGRAM = "histogram"
    GAUGE = "gauge"


@dataclass(frozen=True)
class Margin:
    """Worse by more than this is what promotion must rule out: by the larger of the two.

    Attributes:
        ratio: canary rate over stable rate, >= 1.
        abs: difference of rates as a fraction, in (0, 1); 0.005 is half a percentage point.
    """

    ratio: float = 1.5
    abs: float = 0.005


@dataclass(frozen=True)
class Metric:
    """One thing that is compared between the arms.

    Attributes:
        name: unique in a strategy; the http preset brings `errors` and `latency`.
        kind: `ratio` counts (bad, all); `histogram` counts requests per latency bucket.
        preset: name of the preset it comes from, or None for a metric of the user's own.
        bad, all: series selectors of the user's own ratio metric (both counters).
        histogram: series selector (without `_bucket`) of the user's own histogram.
        gauge: series selector of a gauge.
        slower_than_s: the user's latency threshold in seconds, or None.
        tolerance: theta0 - 1, >= 0; a canary worse by no more than this is never rolled back for it.
        margin: see `Margin`.
    """

    name: str
    kind: MetricKind
    preset: str | None = None
    bad: str | None = None
    all: str | None = None
    histogram: str | None = None
    gauge: str | None = None
    slower_than_s: float | None = None
    tolerance: float = 0.1
    margin: Margin = field(default_factory=Margin)


ERRORS = Metric("errors", MetricKind.RATIO, preset="http", tolerance=0.10, margin=Margin(1.5, 0.005))
LATENCY = Metric("latency", MetricKind.HISTOGRAM, preset="http", tolerance=0.25, margin=Margin(1.5, 0.01))


class GuardAction(StrEnum):
    """What a guard does when its condition comes true."""

    ALERT = "alert"
    PAUSE = "pause"
    ABORT = "abort"


@dataclass(frozen=True)
class Guard:
    """A rule over the canary that acts by itself, outside of what the statistics promise.

    Attributes:
        name: unique in a strategy. condition: its text on one line; see `canary.rules.grammar`.
        alert: people are told so in so many words, whatever else it does.
    """

    name: str
    condition: str
    action: GuardAction
    alert: bool = False

    @property
    def alerts(self) -> bool:
        """Whether people are told in so many words."""
        return self.alert or self.action is GuardAction.ALERT

    @property
    def does(self) -> str:
        """What it does, in words: `abort and alert`."""
        also = " and alert" if self.alert and self.action is not GuardAction.ALERT else ""
        return f"{self.action}{also}"

    def __str__(self) -> str:
        return f"{self.does} when {self.condition}"


@dataclass(frozen=True)
class Strategy:
    """How one release goes, fully resolved; recorded with the release and never changed under it.

    Attributes:
        steps: weights in percent, strictly increasing, each in (0, 100).
        hold_min_s: least time in a step. hold_max_s: at most this long amber before a pause.
        deadline_s: from the start to a conclusion. pause_max_s: bound of a pause nobody ends.
        interval_s: the grid of looks. scrape_interval_s: how often the source scrapes a pod.
        warm_up_min_s, warm_up_max_s: latency is judged only after the canary has settled.
        false_rollback_rate: over the whole release, all metrics, however often one looks.
        false_promotion_rate: for a canary worse than the margin.
        exclude: label name -> patterns (`*` wildcards) of requests that are not traffic.
        probe_rate: requests per second and pod that health checks and scrapes make by themselves.
        history_s: how much of the stable's past serves as the reference.
        bake_s: how long to watch after the promotion; 0 is not at all.
        ready_deadline_s: pods of the new version that are not ready after this long never will be.
        capacity, shift: how replicas are arranged, and whether it is us who move the traffic.
        promote: `external` ends with the verdict, and never touches the target.
        guards: rules over the canary. gauges: what they read beyond `metrics`.
        uncompared: metrics that only guards read: those of a release whose analysis is skipped.
        limits: of a pod, for guards that speak of parts of them.
    """

    steps: tuple[float, ...] = (10.0, 25.0, 50.0)
    hold_min_s: float = 60.0
    hold_max_s: float = 900.0
    deadline_s: float = 3600.0
    pause_max_s: float = 3600.0
    on_inconclusive: OnInconclusive = OnInconclusive.ROLLBACK
    interval_s: float = 15.0
    scrape_interval_s: float = 15.0
    warm_up_min_s: float = 60.0
    warm_up_max_s: float = 300.0
    false_rollback_rate: float = 0.01
    false_promotion_rate: float = 0.02
    metrics: tuple[Metric, ...] = (ERRORS, LATENCY)
    exclude: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    probe_rate: float = 0.0
    history_s: float = 2400.0
    bake_s: float = 0.0
    ready_deadline_s: float = 600.0
    capacity: Capacity = Capacity.REPLACE
    shift: Shift = Shift.REPLICAS
    promote: Promote = Promote.TARGET
    guards: tuple[Guard, ...] = ()
    gauges: tuple[Metric, ...] = ()
    uncompared: tuple[Metric, ...] = ()
    limits: Limits = field(default_factory=Limits)

    @property
    def counted(self) -> tuple[Metric, ...]:
        """The ratios and histograms that are read."""
        return self.metrics or self.uncompared

    @property
    def read(self) -> tuple[Metric, ...]:
        """All that is read of a pod."""
        return (*self.counted, *self.gauges)
