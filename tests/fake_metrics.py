"""Metrics in memory: what a fake cluster's pods would be scraped for. Any stretch reads the same again."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

from canary.core.observation import Arm
from canary.core.release import ArmFacts
from canary.core.samples import Sample, Scrapes
from canary.core.strategy import MetricKind
from canary.ports import MetricsQuery
from tests.fake_cluster import EDGES, FakeCluster, FakePod


@dataclass(frozen=True)
class _Scraped:
    pod: str
    arm: Arm
    revision: str
    at: float
    started: float
    counters: Mapping[MetricKind, tuple[float, ...]]
    gauges: Mapping[str, float]


@dataclass
class FakeMetrics:
    """`ports.Metrics` in memory: scrapes every pod of a cluster each `scrape_s`, and keeps all scrapes.

    Attributes:
        reachable: while False, a read answers so; scrapes are kept all the same.
        scraping: while False, no scrapes are made: they are missing for ever.
        hidden: names of pods that are not scraped.
        keeps_history: without it, a read gives only scrapes made since `begun`.
        begun: unix seconds at which the process began that scrapes now.
        lag_s: scrapes younger than this are not in the answer yet.
        by_name: it finds pods by the names in the query alone, not by their revision.
        gauges: what a pod shows at a time, by the names that are asked for.
        reads: every query, in order.
    """

    cluster: FakeCluster
    scrape_s: float = 15.0
    history_s: float = 1200.0
    keeps_history: bool = True
    begun: float = 0.0
    lag_s: float = 0.0
    by_name: bool = False
    reachable: bool = True
    scraping: bool = True
    hidden: set[str] = field(default_factory=set)
    gauges: Callable[[FakePod, float], Mapping[str, float]] = lambda pod, at: {}
    reads: list[MetricsQuery] = field(default_factory=list)
    _scrapes: list[_Scraped] = field(default_factory=list)

    def __post_init__(self) -> None:
        now, each = self.cluster.clock.now(), self.cluster.rate / max(1, len(self.cluster.pods))
        past = int(self.history_s // self.scrape_s)
        for pod in self.cluster.pods:
            pod.requests = each * self.history_s
            pod.errors = pod.requests * pod.behaviour.error_rate
        for back in range(past, -1, -1):
            for pod in self.cluster.pods:
                earlier = replace(pod, requests=pod.requests - each * back * self.scrape_s)
                earlier.errors = earlier.requests * pod.behaviour.error_rate
                self._keep(earlier, now - back * self.scrape_s)
        self.cluster.clock.every(self.scrape_s, self.scrape)

    def scrape(self) -> None:
        """Scrape every living pod now."""
        self.cluster.catch_up()
        for pod in self.cluster.pods:
            if self.scraping and pod.ended is None and pod.name not in self.hidden:
                self._keep(pod, self.cluster.clock.now())

    def read(self, query: MetricsQuery) -> Scrapes:
        self.reads.append(query)
        self.cluster.catch_up()
        if not self.reachable:
            return Scrapes(reachable=False, note="the source does not answer")
        now = self.cluster.clock.now()
        settled = now - self.lag_s
        start = query.start if self.keeps_history else max(query.start, self.begun)
        asked = replace(query, arms=_named(query.arms)) if self.by_name else query
        samples = (_sample(one, asked) for one in self._scrapes if start < one.at <= min(query.end, settled))
        return Scrapes(
            tuple(one for one in samples if one is not None),
            gone={pod.name: pod.ended for pod in self.cluster.pods if pod.ended is not None},
            edges={one.name: EDGES for one in query.metrics if one.kind is MetricKind.HISTOGRAM},
            settled_until=settled,
        )

    def _keep(self, pod: FakePod, at: float) -> None:
        shown = pod.counters(), self.gauges(pod, at)
        self._scrapes.append(_Scraped(pod.name, pod.arm, pod.revision.hash, at, pod.started, *shown))


def _named(arms: Mapping[Arm, ArmFacts]) -> dict[Arm, ArmFacts]:
    return {arm: replace(facts, revisions=()) for arm, facts in arms.items()}


def _sample(scraped: _Scraped, query: MetricsQuery) -> Sample | None:
    for arm, facts in query.arms.items():
        listed = any(pod.name == scraped.pod for pod in facts.pods)
        if listed or (scraped.arm is arm and scraped.revision in facts.revisions):
            counted = [metric for metric in query.metrics if metric.kind is not MetricKind.GAUGE]
            counters = {metric.name: scraped.counters[metric.kind] for metric in counted}
            asked = {metric.name for metric in query.metrics} & scraped.gauges.keys()
            gauges = {name: (scraped.gauges[name],) for name in asked}
            return Sample(scraped.pod, arm, scraped.at, counters, scraped.started, gauges=gauges)
    return None
