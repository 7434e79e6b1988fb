"""The metrics port over the ring that the supervisor keeps."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

from canary.config.settings import LocalService
from canary.core.observation import Arm
from canary.core.release import ArmFacts
from canary.core.samples import Sample, Scrapes
from canary.core.strategy import Metric, MetricKind
from canary.errors import CanaryError
from canary.local import status
from canary.local.layout import Layout
from canary.local.ring import RingReader, Scrape, Series
from canary.metrics.extract import Exposition, edges, sample
from canary.metrics.kept import CommonEdges
from canary.ports import MetricsQuery

Edges = dict[str, tuple[float, ...]]


@dataclass(frozen=True)
class _Kept:
    sample: Sample
    revision: str
    edges: Edges


class RingMetrics:
    """Implements `ports.Metrics`: any stretch that the ring still has, as often as one likes.

    What was read is kept in memory, already summed up, so a read costs only what is new.

    Args:
        service: whose ring.
    """

    def __init__(self, service: LocalService) -> None:
        self._layout = Layout.of(service)
        self._asked: tuple[object, ...] = ()
        self._reader: RingReader[_Kept] | None = None
        self._common = CommonEdges()

    @property
    def keeps_history(self) -> bool:
        """Always: a stretch reads the same again, for as long as the ring keeps it."""
        return True

    def read(self, query: MetricsQuery) -> Scrapes:
        """All scrapes in (start, end] of pods whose workload and revision are of an asked arm.

        An arm without revisions has none. The stable's past holds pods of its pinned revision alone,
        whatever else the target ran.
        """
        try:
            self._layout.check()
            observed = status.load(self._layout.observed)
            # The watermark first: what it covers is in the ring by then.
            kept, gone = self._reader_for(query).read(query.start)
        except CanaryError as fault:
            return Scrapes(reachable=False, note=fault.message)
        if observed is None:
            return Scrapes(
                reachable=False, note="nothing has been scraped yet: is `canary local up` running?"
            )
        chosen = [
            one for one in kept if query.start < one.sample.at <= query.end and _is_asked(one, query.arms)
        ]
        for one in chosen:
            self._common.narrow(one.edges)
        chosen.sort(key=lambda one: (one.sample.at, one.sample.pod))
        pods = {one.sample.pod for one in chosen}
        pods |= {fact.name for facts in query.arms.values() for fact in facts.pods}
        return Scrapes(
            tuple(self._common.applied(one.sample, one.edges) for one in chosen),
            {pod: at for pod, at in gone.items() if pod in pods and at <= query.end},
            self._common.shared,
            settled_until=observed.at,
            note="; ".join(observed.problems),
        )

    def _reader_for(self, query: MetricsQuery) -> RingReader[_Kept]:
        metrics = tuple(query.metrics)
        asked = (metrics, tuple(sorted(query.exclude.items())))
        if self._reader is None or asked != self._asked:
            exclude = {label: tuple(patterns) for label, patterns in query.exclude.items()}
            self._asked, self._common = asked, CommonEdges()
            self._reader = RingReader(self._layout.ring, _keeper(metrics, exclude))
        return self._reader


def _is_asked(one: _Kept, arms: Mapping[Arm, ArmFacts]) -> bool:
    facts = arms.get(one.sample.arm)
    return facts is not None and one.revision in facts.revisions


class _Keeper:
    """Sums a scrape up. The bounds of its histograms follow from its series alone, so they are remembered."""

    def __init__(self, metrics: Sequence[Metric], exclude: Mapping[str, tuple[str, ...]]) -> None:
        self._metrics = metrics
        self._exclude = exclude
        self._bounds = lru_cache(maxsize=256)(self._bounds_of)

    def __call__(self, scrape: Scrape, series: Series) -> _Kept | None:
        if not math.isfinite(scrape.at):
            return None
        found = sample(
            scrape.exposition,
            pod=scrape.pod,
            arm=Arm(scrape.arm),
            at=scrape.at,
            metrics=self._metrics,
            exclude=self._exclude,
        )
        bounds = self._bounds(series)
        return _Kept(
            found, scrape.revision, {name: bounds[name] for name in bounds if name in found.counters}
        )

    def _bounds_of(self, series: Series) -> Edges:
        empty = Exposition(tuple((name, labels, 0.0) for name, labels in series))
        return {
            metric.name: edges([empty], metric)
            for metric in self._metrics
            if metric.kind is MetricKind.HISTOGRAM
        }


def _keeper(metrics: Sequence[Metric], exclude: Mapping[str, tuple[str, ...]]) -> _Keeper:
    return _Keeper(metrics, exclude)
