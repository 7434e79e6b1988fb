"""From scrapes to looks: increments per pod on the grid `since + k * interval`. Pure and incremental.

The looks are a function of the samples alone: however they are handed over, all at once or one by one,
the same looks come out. When a look is made depends on scrape times, never on what was counted.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from math import floor, inf
from operator import add, attrgetter

from canary.core.counters import Categories, Gains, PodCounters, categories
from canary.core.observation import Arm
from canary.core.samples import Sample, Scrapes
from canary.core.strategy import Metric, MetricKind

# A pod that was not scraped for longer than this many scrape intervals is left out of its arm.
SILENT_SCRAPES = 3
# Within this many scrape intervals something must have been scraped, or the grid point is unseen. More
# than one, because scrapes jitter.
UNSEEN_SCRAPES = 1.5


@dataclass(frozen=True)
class Grid:
    """Where looks fall and how scrapes are taken.

    Attributes:
        since: unix seconds of the release's start. interval_s: between grid points, > 0.
        scrape_interval_s: how often the source scrapes a pod, > 0.
        reads_from: unix seconds from which scrapes are there at all; later than `since` when evidence
            began anew without history. Pods older than this only give a base.
        ratios: names of the metrics counted as `(bad, all)`; all others are histograms.
    """

    since: float
    interval_s: float
    scrape_interval_s: float
    reads_from: float = -inf
    ratios: frozenset[str] = frozenset()

    def at(self, k: int) -> float:
        """Unix seconds of grid point `k`; 0 is the start."""
        return self.since + k * self.interval_s

    @property
    def silence_s(self) -> float:
        """A pod silent for longer than this is left out."""
        return SILENT_SCRAPES * self.scrape_interval_s

    @property
    def unseen_s(self) -> float:
        """A grid point without any scrape for this long is unseen."""
        return max(self.interval_s, UNSEEN_SCRAPES * self.scrape_interval_s)


PodGains = Mapping[str, Mapping[str, Categories]]
"""Pod -> metric -> increments per category: `(good, bad)`, or requests per bucket."""


@dataclass(frozen=True)
class Look:
    """The increments between two looks.

    Attributes:
        k: grid point; 0 and below lie in the stable's history. at: its unix seconds.
        canary, stable, baseline: counts per pod; a pod without any is left out.
        began: unix seconds of the earliest base that entered: the look covers (began, at].
        unseen: grid points since the start that nobody scraped, up to this one.
    """

    k: int
    at: float
    canary: PodGains
    stable: PodGains
    began: float
    baseline: PodGains = field(default_factory=dict)
    unseen: int = 0

    def requests(self, arm: Arm) -> float:
        """Requests of the arm in this look, by the metric that saw most of them."""
        pods = {Arm.CANARY: self.canary, Arm.STABLE: self.stable, Arm.BASELINE: self.baseline}[arm]
        return most(summed(pods))


def summed(pods: PodGains) -> dict[str, Categories]:
    """Counts of all pods of an arm together, per metric."""
    found: dict[str, Categories] = {}
    for metrics in pods.values():
        for name, values in metrics.items():
            have = found.get(name)
            found[name] = tuple(values) if have is None else tuple(map(add, have, values))
    return found


def most(counts: Mapping[str, Categories]) -> float:
    """Requests by the metric that saw most of them."""
    return max(map(sum, counts.values()), default=0.0)


@dataclass(frozen=True)
class Ticker:
    """All that further looks need to know of the samples so far. Begin with `begin`, go on with `advance`.

    Attributes:
        grid: see `Grid`.
        settled_until: unix seconds up to which every scrape has been handed over.
        unseen: grid points since the start by which neither arm had been scraped for `Grid.unseen_s`.
        edges: bucket bounds that the bases belong to.
        gone: pod -> unix seconds of its end.
    """

    grid: Grid
    settled_until: float = -inf
    unseen: int = 0
    edges: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    gone: Mapping[str, float] = field(default_factory=dict)
    _next: int | None = None
    _pods: Mapping[str, PodCounters] = field(default_factory=dict)
    _pending: tuple[Sample, ...] = ()
    _first: Mapping[Arm, float] = field(default_factory=dict)

    @property
    def last_scrapes(self) -> Mapping[str, tuple[Arm, float]]:
        """Pod -> its arm and unix seconds of its last scrape, up to the last grid point passed."""
        return {name: (pod.arm, pod.at) for name, pod in self._pods.items()}

    @property
    def passed(self) -> float | None:
        """Unix seconds of the last grid point passed, looked at or not; None before the first."""
        return None if self._next is None else self.grid.at(self._next - 1)


def begin(
    metrics: Iterable[Metric],
    *,
    since: float,
    interval_s: float,
    scrape_interval_s: float,
    reads_from: float = -inf,
) -> Ticker:
    """A ticker that has seen nothing yet.

    Args:
        metrics: those that the samples will bring.
        since: unix seconds of the release's start.
        interval_s: between grid points, > 0.
        scrape_interval_s: how often the source scrapes a pod, > 0.
        reads_from: see `Grid`.
    """
    ratios = frozenset(metric.name for metric in metrics if metric.kind is MetricKind.RATIO)
    return Ticker(Grid(since, interval_s, scrape_interval_s, reads_from, ratios))


def advance(state: Ticker, scrapes: Scrapes, until: float) -> tuple[Ticker, tuple[Look, ...]]:
    """Hand over more scrapes and pass every grid point that is settled.

    Args:
        state: where the last call left off; not changed.
        scrapes: an answer of the source. Samples that were handed over before are passed over. An
            unreachable source changes nothing.
        until: unix seconds; grid points after it are left for later.

    Returns:
        The new state, and the looks made, in order of time.
    """
    if not scrapes.reachable:
        return state, ()
    run = _Run(state, scrapes)
    looks = run.pass_grid(min(until, run.settled))
    return run.state(), tuple(looks)


class _Run:
    """One call of `advance`: clones of the state, changed in place."""

    __slots__ = ("edges", "first", "gone", "grid", "next", "pending", "pods", "read", "settled", "unseen")

    def __init__(self, state: Ticker, scrapes: Scrapes) -> None:
        self.grid = state.grid
        self.pods = {name: pod.clone() for name, pod in state._pods.items()}
        self.first = dict(state._first)
        self.gone = {**state.gone, **scrapes.gone}
        self.settled = max(state.settled_until, scrapes.settled_until)
        self.unseen = state.unseen
        self.next = state._next
        pods = self.pods
        new = [one for one in scrapes.samples if one.pod not in pods or one.at > pods[one.pod].at]
        self.pending: Sequence[Sample] = sorted((*state._pending, *new), key=attrgetter("at", "pod"))
        self.read = 0
        self.edges = state.edges
        if scrapes.edges != state.edges:
            self.edges = {**state.edges, **scrapes.edges}
            for metric, edges in self.edges.items():
                if state.edges.get(metric, edges) != edges:
                    for pod in pods.values():
                        pod.forget(metric)

    def state(self) -> Ticker:
        return Ticker(
            grid=self.grid,
            settled_until=self.settled,
            unseen=self.unseen,
            edges=self.edges,
            gone=self.gone,
            _next=self.next,
            _pods=self.pods,
            _pending=tuple(self.pending[self.read :]),
            _first=self.first,
        )

    def pass_grid(self, limit: float) -> list[Look]:
        grid, looks = self.grid, list[Look]()
        k = self._first_point() if self.next is None else self.next
        while (at := grid.at(k)) <= limit:
            if k == 1:
                # What no look into the history has taken belongs to the time before the release.
                for pod in self.pods.values():
                    pod.take()
            self._feed_until(at)
            look = self._look(k, at)
            # In the history a look at nothing but first bases says nothing.
            if look is not None and (k > 0 or look.stable):
                looks.append(look)
            k += 1
            self.next = k
        return looks

    def _first_point(self) -> int:
        if not self.pending:
            return 1
        return min(1, floor((self.pending[0].at - self.grid.since) / self.grid.interval_s))

    def _feed_until(self, at: float) -> None:
        pods, pending, ratios = self.pods, self.pending, self.grid.ratios
        silence_s, since = self.grid.silence_s, self.grid.since
        read, last = self.read, len(pending)
        while read < last and (sample := pending[read]).at <= at:
            read += 1
            pod = pods.get(sample.pod)
            if pod is None:
                pod = pods[sample.pod] = self._new(sample)
            # The same scrape again: no news.
            if sample.at > pod.at:
                pod.feed(sample, categories(sample.counters, ratios), silence_s=silence_s)
                if sample.at <= since and pod.arm is not Arm.STABLE:
                    # An earlier canary of the same revision: what it counted belongs to another release.
                    pod.take()
        self.read = read

    def _new(self, sample: Sample) -> PodCounters:
        grid, started = self.grid, sample.started
        beginning = max(grid.since, grid.reads_from)
        first = self.first.setdefault(sample.arm, sample.at)
        if started is not None and started > beginning:
            return PodCounters(sample.arm, from_zero=True, born=min(started, sample.at))
        if sample.arm is Arm.CANARY and grid.reads_from <= grid.since < sample.at:
            return PodCounters(sample.arm, from_zero=True, born=beginning)
        # Of a pod that does not tell its age: others of its arm have been scraped for so long that this
        # one would have been too, had it been there.
        watched_s = sample.at - max(first, grid.reads_from)
        from_zero = started is None and sample.at > beginning and watched_s >= 2 * grid.scrape_interval_s
        return PodCounters(sample.arm, from_zero=from_zero, born=beginning)

    def _look(self, k: int, at: float) -> Look | None:
        pods = self.pods if k > 0 else {n: pod for n, pod in self.pods.items() if pod.arm is Arm.STABLE}
        oldest, gone = at - self.grid.silence_s, self.gone
        stable, canary, waiting, seen_at = False, k <= 0, False, -inf
        for name, pod in pods.items():
            pod_at, arm = pod.at, pod.arm
            seen_at = max(seen_at, pod_at)
            if pod_at >= oldest and not (name in gone and pod_at <= gone[name] <= at):
                waiting = waiting or not pod.fresh
            elif not pod.fresh:
                continue
            stable = stable or (pod.based and arm is Arm.STABLE)
            canary = canary or (pod.based and arm is Arm.CANARY)
        if k > 0 and seen_at < at - self.grid.unseen_s:
            self.unseen += 1
        if not (stable and canary):
            # What one arm counts while there is no other has nothing to be compared with: merged into a
            # later look it would set one arm's past against the other's present.
            for pod in pods.values():
                pod.take()
            return None
        return None if waiting else _taken(k, at, pods, self.unseen)


def _taken(k: int, at: float, pods: Mapping[str, PodCounters], unseen: int) -> Look:
    stable, canary, baseline = dict[str, Gains](), dict[str, Gains](), dict[str, Gains]()
    began = at
    for name, pod in pods.items():
        began = min(began, pod.since)
        gained = pod.take()
        if gained:
            arm = pod.arm
            (stable if arm is Arm.STABLE else canary if arm is Arm.CANARY else baseline)[name] = gained
    return Look(k, at, canary, stable, began, baseline, unseen)
