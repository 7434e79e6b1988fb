"""From cumulative counters of one pod to increments: bases, resets, gaps and torn scrapes.

Nothing is ever invented: where it cannot be known how much was counted, less is counted.
"""

from collections.abc import Mapping
from math import inf
from operator import add, sub

from canary.core.observation import Arm
from canary.core.samples import Sample

Categories = tuple[float, ...]
Gains = dict[str, Categories]

# Exporters that derive their start from an uptime wobble by their rounding to whole seconds.
WOBBLE_S = 1.0


class PodCounters:
    """What is known of one pod's counters after its samples so far. Mutable: a `Ticker` works on clones.

    Attributes:
        arm: the arm of its first sample.
        at: unix seconds of its last scrape, whatever came of it.
        based: False: the next good sample only becomes the base.
        base: metric -> categories from which the next difference is taken. A metric that is missing
            counts whole when it appears; one with None only becomes a base then.
        base_at: unix seconds at which the base was counted.
        started: of the process that the base belongs to.
        low, low_at: a sample that fell below the base without a restart, until the next one explains it.
        gained: increments since they were last taken. since: when the earliest base in them was counted.
        fresh: scraped since they were last taken.
    """

    __slots__ = (
        "arm",
        "at",
        "base",
        "base_at",
        "based",
        "fresh",
        "gained",
        "low",
        "low_at",
        "since",
        "started",
    )

    def __init__(self, arm: Arm, *, from_zero: bool, born: float) -> None:
        self.arm = arm
        self.at = -inf
        self.based = from_zero
        self.base: Mapping[str, Categories | None] = {}
        self.base_at = born
        self.started: float | None = None
        self.low: Mapping[str, Categories] | None = None
        self.low_at = inf
        self.gained: Gains = {}
        self.since = inf
        self.fresh = False

    def clone(self) -> "PodCounters":
        """An independent copy; the mappings inside are only ever replaced, never changed."""
        copy = PodCounters.__new__(PodCounters)
        # Spelled out: this runs for every pod at every tick.
        copy.arm, copy.at, copy.since, copy.fresh = self.arm, self.at, self.since, self.fresh
        copy.base, copy.base_at, copy.based = self.base, self.base_at, self.based
        copy.low, copy.low_at = self.low, self.low_at
        copy.started, copy.gained = self.started, self.gained
        return copy

    def take(self) -> Gains:
        """The increments since the last taking; from now on they are counted anew."""
        gained = self.gained
        self.gained = {}
        self.since = inf
        self.fresh = False
        return gained

    def forget(self, metric: str) -> None:
        """Its categories mean something else from now on: its next value only becomes a base."""
        self.gained = {name: counts for name, counts in self.gained.items() if name != metric}
        self.low = None
        if metric in self.base:
            self.base = {**self.base, metric: None}

    def feed(self, sample: Sample, now: Gains, *, silence_s: float) -> None:
        """Take in the pod's next scrape.

        Args:
            sample: the scrape; later than the one before.
            now: its categories (see `categories`); a torn scrape changes no count.
            silence_s: a silence longer than this is a hole, and what happened in it is not counted.
        """
        before, self.at = self.at, sample.at
        self.fresh = True
        if sample.at - before > silence_s and before > -inf:
            self.based, self.base = False, dict.fromkeys(self.base)
        known, told = self.started, sample.started
        moved_s = 0.0 if known is None or told is None else told - known
        # A start further back comes from a source that still shows the process before this one.
        if moved_s < -WOBBLE_S:
            return
        if not self.based:
            if not is_torn(now):
                self._rest_on(sample, now)
            return
        if told is not None and moved_s > WOBBLE_S and self._is_restart(now, told, before):
            self.base, self.low, self.base_at = {}, None, max(before, min(told, sample.at))
        self._count(sample, now)

    def _is_restart(self, now: Gains, told: float, before: float) -> bool:
        # A new process that has already counted further than the old one shows by its start alone.
        return not is_torn(now) and (told > before or gains(now, self.base) is None)

    def _count(self, sample: Sample, now: Gains) -> None:
        gained, counted_at = gains(now, self.base), self.base_at
        if gained is None and self.low is not None:
            gained, counted_at = gains(now, {**self.base, **self.low}), self.low_at
        if gained is None:
            if not is_torn(now):
                self.low, self.low_at = now, sample.at
            return
        self.gained = _sums(self.gained, gained) if self.gained else gained
        self.since = min(self.since, counted_at)
        self._rest_on(sample, now)

    def _rest_on(self, sample: Sample, now: Gains) -> None:
        # What this scrape does not show keeps its base: it would count whole when it comes back.
        self.base = now if self.base.keys() <= now.keys() else {**self.base, **now}
        self.based = True
        self.base_at = sample.at
        self.low = None
        if sample.started is not None:
            self.started = sample.started


def categories(counters: Mapping[str, tuple[float, ...]], ratios: frozenset[str]) -> Gains:
    """Counts per category, `(good, bad)` or requests per bucket, of one scrape's cumulative counters.

    Args:
        counters: as in `Sample.counters`.
        ratios: names of the metrics that are `(bad, all)`; the others are histograms.
    """
    found: Gains = {}
    for name, values in counters.items():
        if name in ratios:
            bad, total = values
            found[name] = (total - bad, bad)
        else:
            found[name] = tuple(map(sub, values, (0.0, *values)))
    return found


def is_torn(counts: Mapping[str, Categories]) -> bool:
    """Whether a scrape contradicts itself: more bad than all, buckets that shrink, or no numbers."""
    return not all(_is_sound(categories) for categories in counts.values())


def gains(now: Mapping[str, Categories], base: Mapping[str, Categories | None]) -> Gains | None:
    """Increments per metric from `base` to `now`, or None when any category decreased or is torn.

    A metric without a base counts whole; one whose base is None, or has other categories, not at all.
    """
    found: Gains = {}
    for name, counts in now.items():
        before = base.get(name)
        if before is not None and len(before) == len(counts):
            gained = tuple(map(sub, counts, before))
        elif name not in base:
            gained = counts
        elif _is_sound(counts):
            continue
        else:
            return None
        # On a sound base a sound increment means a sound scrape; one check does for both.
        if not (min(gained) >= 0.0 and sum(gained) < inf):
            return None
        found[name] = gained
    return found


def _is_sound(counts: Categories) -> bool:
    # The sum is there for NaN, which compares as it likes.
    return min(counts) >= 0.0 and sum(counts) < inf


def _sums(one: Mapping[str, Categories], other: Mapping[str, Categories]) -> Gains:
    sums = dict(one)
    for name, counts in other.items():
        before = sums.get(name)
        if before is None or len(before) != len(counts):
            sums[name] = counts
        else:
            sums[name] = tuple(map(add, before, counts))
    return sums
