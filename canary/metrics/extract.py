"""From the series of one scrape to a sample: which series count, summed how. Pure.

A source gives `Reading`s, one a scrape of a pod; `read` makes samples of them, with histograms brought
to the bounds that all have in common. Direct scraping, the ring on disk and Prometheus all go through
here, so that they count the same.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from math import inf, isnan

from canary.core.observation import Arm
from canary.core.samples import Sample
from canary.core.strategy import Metric, MetricKind
from canary.metrics.presets import HistogramForm, RatioForm, gauge_of, histogram_forms, ratio_forms
from canary.metrics.selectors import Selector

PROCESS_START = "process_start_time_seconds"

Labels = tuple[tuple[str, str], ...]
Exclude = Mapping[str, tuple[str, ...]]
Edges = Mapping[str, tuple[float, ...]]


@dataclass(frozen=True)
class Exposition:
    """What a pod said in one scrape.

    Attributes:
        samples: (name, labels sorted by name, value) of every series, names as exposed.
        started: unix seconds at which the process started, or None if it does not tell.
    """

    samples: tuple[tuple[str, Labels, float], ...]
    started: float | None = None

    @cached_property
    def by_name(self) -> Mapping[str, Sequence[tuple[Mapping[str, str], float]]]:
        """Name -> (labels, value) of its series."""
        found: dict[str, list[tuple[Mapping[str, str], float]]] = {}
        for name, labels, value in self.samples:
            found.setdefault(name, []).append((dict(labels), value))
        return found


@dataclass(frozen=True)
class Reading:
    """One scrape of one pod: whose, when (unix seconds), and what it said."""

    pod: str
    arm: Arm
    at: float
    exposition: Exposition


def sample(
    exposition: Exposition,
    *,
    pod: str,
    arm: Arm,
    at: float,
    metrics: Sequence[Metric],
    exclude: Exclude,
) -> Sample:
    """Sum the series of one scrape into a sample; histograms at the bounds that its own series share.

    Args:
        exposition: what the pod said.
        pod: whose scrape it is.
        arm: where that pod belongs.
        at: time of the scrape in unix seconds.
        metrics: what to count; one whose series are not there is left out of the sample.
        exclude: label name -> patterns (`*` stands for any text) of requests that are not traffic.

    Raises:
        InvalidError: unknown preset, or a selector that cannot be read.
    """
    return _sample(Reading(pod, arm, at, exposition), metrics, exclude, {})


def _sample(reading: Reading, metrics: Sequence[Metric], exclude: Exclude, bounds: Edges) -> Sample:
    counters: dict[str, tuple[float, ...]] = {}
    gauges: dict[str, tuple[float, ...]] = {}
    for metric in metrics:
        if metric.kind is MetricKind.GAUGE:
            if values := _gauge(reading.exposition, metric):
                gauges[metric.name] = values
            continue
        if metric.kind is MetricKind.HISTOGRAM:
            found = _histogram(reading.exposition, metric, exclude, bounds.get(metric.name))
        else:
            found = _ratio(reading.exposition, metric, exclude)
        if found is not None:
            counters[metric.name] = found
    blind = bool(exclude) and any(_is_blind(reading.exposition, metric, exclude) for metric in metrics)
    started = reading.exposition.started
    return Sample(reading.pod, reading.arm, reading.at, counters, started, blind, gauges)


def _is_blind(exposition: Exposition, metric: Metric, exclude: Exclude) -> bool:
    """Whether nothing could be excluded: no series of all requests has a label that `exclude` speaks of."""
    if metric.kind is not MetricKind.RATIO or metric.preset is None:
        return False
    form = _ratio_form(exposition, metric, exclude)
    return form is not None and not _tells(exposition, form, exclude)


def _tells(exposition: Exposition, form: RatioForm, exclude: Exclude) -> bool:
    """Whether a series of all requests has a label that `exclude` speaks of."""
    return any(label in exclude for labels, _ in _series(exposition, form.all) for label in labels)


def edges(expositions: Iterable[Exposition], metric: Metric) -> tuple[float, ...]:
    """The finite bucket bounds, in seconds, ascending, that every series of every scrape has.

    Scrapes without the histogram have no say. Empty when there is none, or no common bound.
    """
    return tuple(sorted(_common(expositions, metric) or ()))


def _common(expositions: Iterable[Exposition], metric: Metric) -> set[float] | None:
    """None when no scrape shows the histogram at all."""
    common: set[float] | None = None
    for exposition in expositions:
        form = _histogram_form(exposition, metric)
        if form is not None:
            mine = _common_bounds(_groups(exposition, form).values())
            common = mine if common is None else common & mine
    return common


def read(
    readings: Sequence[Reading], *, metrics: Sequence[Metric], exclude: Exclude, known: Edges | None = None
) -> tuple[tuple[Sample, ...], dict[str, tuple[float, ...]]]:
    """Samples of many scrapes in order of time, and the common bounds of each histogram.

    Two readings of one pod at one time are one scrape: the first counts.

    Args:
        readings: scrapes of any pods, in any order.
        metrics: what to count.
        exclude: label name -> patterns of requests that are not traffic.
        known: bounds that an earlier read gave: only what is common with these stays, so that
            answers to one release never widen again.

    Raises:
        InvalidError: unknown preset, or a selector that cannot be read.
    """
    bounds = dict(known or {})
    for metric in metrics:
        if metric.kind is MetricKind.HISTOGRAM:
            found = _common((reading.exposition for reading in readings), metric)
            if found is not None:
                kept = found.intersection(bounds.get(metric.name, found))
                bounds[metric.name] = tuple(sorted(kept))
    once: dict[tuple[str, float], Reading] = {}
    for reading in readings:
        once.setdefault((reading.pod, reading.at), reading)
    ordered = sorted(once.values(), key=lambda reading: (reading.at, reading.pod))
    samples = tuple(_sample(one, metrics, exclude, bounds) for one in ordered)
    return samples, bounds


def _series(exposition: Exposition, selector: Selector) -> Iterator[tuple[Mapping[str, str], float]]:
    for labels, value in exposition.by_name.get(selector.name, ()):
        if selector.accepts(labels):
            yield labels, value


def _gauge(exposition: Exposition, metric: Metric) -> tuple[float, ...]:
    return tuple(value for _, value in _series(exposition, gauge_of(metric)))


def _any(exposition: Exposition, selector: Selector) -> bool:
    return next(_series(exposition, selector), None) is not None


def _ratio(exposition: Exposition, metric: Metric, exclude: Exclude) -> tuple[float, float] | None:
    form = _ratio_form(exposition, metric, exclude)
    if form is None:
        return None
    return _total(exposition, form.bad, exclude), _total(exposition, form.all, exclude)


def _ratio_form(exposition: Exposition, metric: Metric, exclude: Exclude) -> RatioForm | None:
    """The first form that is there, but one that tells probes from traffic goes before those that do not."""
    there = [form for form in ratio_forms(metric) if _any(exposition, form.all)]
    return next((form for form in there if _tells(exposition, form, exclude)), there[0] if there else None)


def _total(exposition: Exposition, selector: Selector, exclude: Exclude) -> float:
    found = _series(exposition, selector)
    return sum((value for labels, value in found if not is_excluded(labels, exclude)), 0.0)


def _histogram_form(exposition: Exposition, metric: Metric) -> HistogramForm | None:
    return next((form for form in histogram_forms(metric) if _any(exposition, form.buckets)), None)


def _histogram(
    exposition: Exposition, metric: Metric, exclude: Exclude, bounds: Sequence[float] | None
) -> tuple[float, ...] | None:
    form = _histogram_form(exposition, metric)
    if form is None:
        return None
    groups = _groups(exposition, form)
    wanted = tuple(sorted(_common_bounds(groups.values()))) if bounds is None else tuple(bounds)
    counted = [group for labels, group in groups.items() if not is_excluded(dict(labels), exclude)]
    if not wanted or any(bound not in group for group in counted for bound in (*wanted, inf)):
        return None
    return tuple(sum(group[bound] for group in counted) for bound in (*wanted, inf))


def _groups(exposition: Exposition, form: HistogramForm) -> dict[Labels, dict[float, float]]:
    """Labels without `le` -> bound in seconds -> cumulative count."""
    groups: dict[Labels, dict[float, float]] = {}
    for labels, value in _series(exposition, form.buckets):
        bound = _bound(labels.get("le", ""))
        if bound is not None:
            rest = tuple((name, text) for name, text in labels.items() if name != "le")
            groups.setdefault(rest, {})[bound / form.per_second] = value
    return groups


def _common_bounds(groups: Iterable[Mapping[float, float]]) -> set[float]:
    bounds = [frozenset(bound for bound in group if bound < inf) for group in groups]
    return set(frozenset.intersection(*bounds)) if bounds else set()


@lru_cache(maxsize=4096)
def _bound(text: str) -> float | None:
    """`1`, `1.0` and `1e0` are one bound: client libraries and Prometheus 3 write them differently."""
    try:
        bound = float(text)
    except ValueError:
        return None
    return None if isnan(bound) else bound


def is_excluded(labels: Mapping[str, str], exclude: Exclude) -> bool:
    """Whether a series counts requests that are no traffic: one of its labels fits one of the patterns."""
    return any(
        label in labels and any(_pattern(pattern).fullmatch(labels[label]) for pattern in patterns)
        for label, patterns in exclude.items()
    )


@lru_cache(maxsize=1024)
def _pattern(text: str) -> re.Pattern[str]:
    return re.compile(".*".join(re.escape(part) for part in text.split("*")), re.DOTALL)
