"""From scrapes of the canary's pods to the figures that guards speak of. Pure.

Rates and latencies are of the last minute (or of the last four scrapes, where those take longer), counted
from counters as everywhere: never extrapolated. What has too few requests to be told is left out.
"""

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import ceil, inf, isfinite, nextafter

from canary.core.counters import Categories, Gains, PodCounters, categories
from canary.core.samples import Sample
from canary.core.strategy import Metric, MetricKind, Strategy
from canary.core.vocabulary import CPU, MEMORY, PROCESS, QUANTILES, figure_of
from canary.rules.engine import Figure

WINDOW_S = 60.0
WINDOW_SCRAPES = 4
LEAST_REQUESTS = 20
"""A share of fewer requests is not told. A quantile wants one request beyond it, too."""
FRESH_SCRAPES = 1.5
"""A pod's last scrape speaks for it for so many scrape intervals: scrapes jitter."""
SILENT_SCRAPES = 3
"""What happened in a longer silence of a pod is not counted, as in `canary.core.ticks`."""


class Tracked:
    """One pod's scrapes so far. Mutable: `Pods` works on clones.

    Attributes:
        at: unix seconds of the last scrape. gauges: as it showed them.
        cores: CPU time per second between its last two scrapes; None where that cannot be told.
        counters: see `PodCounters`.
        requests, took_s: counted within the window, and over how many seconds.
    """

    __slots__ = ("at", "cores", "counters", "cpu", "gauges", "requests", "started", "took_s")

    def __init__(self, counters: PodCounters) -> None:
        self.at = -inf
        self.gauges: Mapping[str, tuple[float, ...]] = {}
        self.cores: float | None = None
        self.cpu: float | None = None
        self.started: float | None = None
        self.counters = counters
        self.requests = 0.0
        self.took_s = 0.0

    def clone(self) -> "Tracked":
        """An independent copy."""
        copy = Tracked(self.counters.clone())
        copy.at, copy.gauges, copy.started = self.at, self.gauges, self.started
        copy.cores, copy.cpu = self.cores, self.cpu
        copy.requests, copy.took_s = self.requests, self.took_s
        return copy

    def feed(self, sample: Sample, now: Gains, silence_s: float) -> tuple[float, Gains]:
        """Take in the pod's next scrape, later than the last one.

        Returns:
            Unix seconds since which it was counted, and the increments; none: it only made a base.
        """
        self._use_cpu(sample, silence_s)
        self.gauges = sample.gauges
        self.counters.feed(sample, now, silence_s=silence_s)
        since, gained = self.counters.since, self.counters.take()
        self.at, self.started = sample.at, sample.started
        return since, gained

    def _use_cpu(self, sample: Sample, silence_s: float) -> None:
        """CPU time since the last scrape; not across a restart or a silence."""
        used = sum(sample.gauges.get(CPU, ()), 0.0) if CPU in sample.gauges else None
        before, took = self.cpu, sample.at - self.at
        same = self.started == sample.started and took <= silence_s
        self.cores = (used - before) / took if same and used is not None and before is not None else None
        if self.cores is not None and not 0 <= self.cores < inf:
            self.cores = None
        self.cpu = used


@dataclass(frozen=True)
class _Gained:
    """What one scrape of a pod brought: increments over (since, at], unix seconds."""

    at: float
    pod: str
    since: float
    gains: Gains


class Pods:
    """All pods of the canary. Mutable: made anew by `clone` for each advance.

    Args:
        strategy: of the release. since: unix seconds of its start.
        wanted: names of the figures that are asked for; no others are made.
    """

    def __init__(self, strategy: Strategy, since: float, wanted: frozenset[str]) -> None:
        self._strategy = strategy
        self._since = since
        self._wanted = wanted
        self._ratios = frozenset(one.name for one in strategy.counted if one.kind is MetricKind.RATIO)
        self._pods: dict[str, Tracked] = {}
        self._edges: Mapping[str, tuple[float, ...]] = {}
        # Within the window, in order of time, with their sum: a sum anew at each scrape would be slow.
        self._window: deque[_Gained] = deque()
        self._sums: Gains = {}

    def clone(self) -> "Pods":
        """An independent copy."""
        copy = Pods(self._strategy, self._since, self._wanted)
        copy._pods = {name: pod.clone() for name, pod in self._pods.items()}
        copy._edges, copy._window, copy._sums = self._edges, self._window.copy(), dict(self._sums)
        return copy

    @property
    def window_s(self) -> float:
        """Over which rates and latencies are taken, seconds."""
        return max(WINDOW_S, WINDOW_SCRAPES * self._strategy.scrape_interval_s)

    def last(self, pod: str) -> float:
        """Unix seconds of a pod's last scrape; long ago when there was none."""
        found = self._pods.get(pod)
        return found.at if found is not None else -inf

    def bounds(self, edges: Mapping[str, tuple[float, ...]]) -> None:
        """The bounds of the histograms; where they are others than before, counting begins anew."""
        changed = {name for name, found in edges.items() if self._edges.get(name, found) != found}
        self._edges = {**self._edges, **edges}
        if not changed:
            return
        self._window.clear()
        self._sums.clear()
        for pod in self._pods.values():
            pod.requests = pod.took_s = 0.0
            for metric in changed:
                pod.counters.forget(metric)

    def feed(self, sample: Sample) -> None:
        """Take in one scrape; one that is not later than the pod's last is passed over."""
        pod = self._pods.get(sample.pod)
        if pod is None:
            young = sample.started is not None and sample.started > self._since
            born = sample.started if young and sample.started is not None else self._since
            counters = PodCounters(sample.arm, from_zero=young, born=min(born, sample.at))
            pod = self._pods[sample.pod] = Tracked(counters)
        if sample.at <= pod.at:
            return
        silence_s = SILENT_SCRAPES * self._strategy.scrape_interval_s
        since, gains = pod.feed(sample, categories(sample.counters, self._ratios), silence_s)
        if gains:
            self._window.append(_Gained(sample.at, sample.pod, since, gains))
            self._count(self._window[-1], 1.0)

    def _count(self, gained: _Gained, sign: float) -> None:
        """Add to the sums of the window, or take off them."""
        pod = self._pods[gained.pod]
        pod.requests += sign * max(map(sum, gained.gains.values()))
        pod.took_s += sign * (gained.at - gained.since)
        for name, counts in gained.gains.items():
            have = self._sums.get(name, (0.0,) * len(counts))
            self._sums[name] = tuple(old + sign * new for old, new in zip(have, counts, strict=True))

    def figures(self, at: float) -> dict[str, tuple[Figure, ...]]:
        """What is known at a time, by name; what is not is left out.

        Args:
            at: unix seconds; not before any scrape that was taken in, nor before the last time asked for.
        """
        while self._window and self._window[0].at <= at - self.window_s:
            self._count(self._window.popleft(), -1.0)
        fresh_s = FRESH_SCRAPES * self._strategy.scrape_interval_s
        fresh = {name: pod for name, pod in self._pods.items() if at - pod.at <= fresh_s}
        found = {
            gauge.name: tuple(_of_gauge(gauge, fresh))
            for gauge in self._strategy.gauges
            if gauge.name not in PROCESS
        }
        found |= self._used(fresh)
        if fresh and self._window:
            found |= {name: (figure,) for name, figure in self._counted()}
        return {name: figures for name, figures in found.items() if figures}

    def _used(self, fresh: Mapping[str, Tracked]) -> dict[str, tuple[Figure, ...]]:
        """Memory and CPU of each pod, and their parts of the limits."""
        limits, found = self._strategy.limits, dict[str, tuple[Figure, ...]]()
        memory = ((name, sum(pod.gauges[MEMORY])) for name, pod in fresh.items() if MEMORY in pod.gauges)
        cores = ((name, pod.cores) for name, pod in fresh.items() if pod.cores is not None)
        for base, part, limit, used in (
            ("memory_bytes", "memory_usage", limits.memory_bytes, memory),
            ("cpu_cores", "cpu_usage", limits.cpu_cores, cores),
        ):
            if base in self._wanted or part in self._wanted:
                known = [(name, value) for name, value in used if isfinite(value)]
                found[base] = tuple(Figure.of(value, name) for name, value in known)
                if limit is not None:
                    found[part] = tuple(Figure.of(value / limit, name) for name, value in known)
        return found

    def _counted(self) -> Iterator[tuple[str, Figure]]:
        """Rates and latencies of all pods together, those that ended within the window included."""
        for metric in self._strategy.counted:
            counts = self._sums.get(metric.name)
            if counts is not None:
                yield from _shares(metric, counts, self._edges.get(metric.name, ()))
        if "request_rate" in self._wanted:
            rates = (pod.requests / pod.took_s for pod in self._pods.values() if pod.took_s > 1e-6)
            yield "request_rate", Figure.of(sum(rates))


def _of_gauge(gauge: Metric, fresh: Mapping[str, Tracked]) -> Iterator[Figure]:
    for name, pod in fresh.items():
        for value in pod.gauges.get(gauge.name, ()):
            if isfinite(value):
                yield Figure.of(value, name)


def _shares(metric: Metric, counts: Categories, edges: Sequence[float]) -> Iterator[tuple[str, Figure]]:
    total = sum(counts)
    if total < LEAST_REQUESTS:
        return
    if metric.kind is MetricKind.RATIO:
        yield figure_of(metric), Figure.of(counts[1] / total)
        return
    if len(edges) + 1 != len(counts):
        return
    for name, share in QUANTILES.items():
        if total * (1 - share) >= 1 - 1e-9:
            yield f"{metric.name}_{name}", _quantile(counts, edges, ceil(share * total - 1e-9))


def _quantile(counts: Categories, edges: Sequence[float], rank: int) -> Figure:
    """The bucket in which the request of this rank lies: no more than that is known of it."""
    below, passed = 0.0, 0.0
    for edge, count in zip((*edges, inf), counts, strict=True):
        passed += count
        if passed >= rank:
            # Slower than the bound below, so above it by the least there is.
            return Figure(nextafter(below, inf) if below else 0.0, edge)
        below = edge
    return Figure(below, inf)
