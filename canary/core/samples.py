"""Scrapes as any source gives them: cumulative counters of one pod at one time."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from canary.core.observation import Arm
from canary.core.release import ArmFacts
from canary.core.strategy import Metric


@dataclass(frozen=True)
class Sample:
    """One scrape of one pod, already summed over its series and cleared of probe traffic.

    Attributes:
        pod: the pod's name. arm: which arm it belongs to.
        at: unix seconds, the scrape's own timestamp.
        blind: no label tells what a request was for, so health checks and scrapes are counted too.
        started: unix seconds at which the process started, or None if it does not tell. A decrease
            of a counter is a reset only if this changed.
        counters: metric name -> cumulative counts. A ratio: `(bad, all)`. A histogram: one count per
            finite bucket bound, cumulative over the bounds (as Prometheus gives them), then the
            total. A metric whose series do not exist in this scrape is left out.
        gauges: gauge's name -> its values, one a series; one without series is left out.
    """

    pod: str
    arm: Arm
    at: float
    counters: Mapping[str, tuple[float, ...]]
    started: float | None = None
    blind: bool = False
    gauges: Mapping[str, tuple[float, ...]] = field(default_factory=dict)


@dataclass(frozen=True)
class Scrapes:
    """An answer of a source for a stretch of time.

    Attributes:
        samples: in order of time; per pod strictly increasing in `at`.
        gone: pods that the source knows to have ended, with unix seconds of their end.
        edges: histogram metric name -> finite bucket bounds, ascending, in seconds. Equal for all
            pods: where pods differ, the source merges them to the common bounds.
        settled_until: every scrape up to this time (unix seconds) is in; later ones may be missing.
        reachable: False when the source did not answer: nothing is known, nothing is invented.
        anew: the source has another history from now on: what was read before must be read again.
        note: in words, what is odd (refused, partial, no such series), or empty.
    """

    samples: tuple[Sample, ...] = ()
    gone: Mapping[str, float] = field(default_factory=dict)
    edges: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    settled_until: float = 0.0
    reachable: bool = True
    anew: bool = False
    note: str = ""


@dataclass(frozen=True)
class MetricsQuery:
    """A stretch of scrapes to read.

    Attributes:
        metrics: what to count. exclude: requests that are not traffic (label -> patterns).
        arms: which pods belong to which arm.
        start, end: unix seconds, (start, end].
    """

    metrics: Sequence[Metric]
    exclude: Mapping[str, tuple[str, ...]]
    arms: Mapping[Arm, ArmFacts]
    start: float
    end: float
