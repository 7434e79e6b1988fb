"""A scrape summed up as soon as it was made: small enough to keep a whole release of them. Pure.

Sources that scrape for themselves keep these, and bring their histograms to common bounds when they are read.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from canary.core.observation import Arm
from canary.core.samples import Sample
from canary.core.strategy import Metric, MetricKind
from canary.metrics.extract import Edges, Exclude, Exposition, edges, sample


@dataclass(frozen=True)
class Kept:
    """One scrape. `edges`: histogram metric -> the finite bounds, ascending, at which it was counted."""

    sample: Sample
    edges: Edges


def summed_up(
    exposition: Exposition, *, pod: str, at: float, metrics: Sequence[Metric], exclude: Exclude
) -> Kept:
    """What one page says of these metrics; of which arm the pod is gets known when it is read.

    Raises:
        InvalidError: unknown preset, or a selector that cannot be read.
    """
    found = sample(exposition, pod=pod, arm=Arm.STABLE, at=at, metrics=metrics, exclude=exclude)
    histograms = [one for one in metrics if one.kind is MetricKind.HISTOGRAM and one.name in found.counters]
    return Kept(found, {metric.name: edges([exposition], metric) for metric in histograms})


class CommonEdges:
    """The bounds that all scrapes so far have in common: they only ever get fewer.

    Counts of one release must keep their categories, so an answer never widens again.
    """

    def __init__(self) -> None:
        self._bounds: dict[str, tuple[float, ...]] = {}

    @property
    def shared(self) -> dict[str, tuple[float, ...]]:
        """Histogram metric -> bounds; one without a common bound is left out."""
        return {name: found for name, found in self._bounds.items() if found}

    def narrow(self, found: Edges) -> None:
        """Take in the bounds of one scrape."""
        for name, bounds in found.items():
            before = self._bounds.get(name)
            if before is None:
                self._bounds[name] = tuple(bounds)
            elif before != bounds:
                self._bounds[name] = tuple(bound for bound in before if bound in bounds)

    def applied(self, found: Sample, bounds: Mapping[str, tuple[float, ...]]) -> Sample:
        """The sample with its histograms, counted at these bounds, at the common ones."""
        if all(self._bounds[name] == mine for name, mine in bounds.items()):
            return found
        counters = dict(found.counters)
        for name, mine in bounds.items():
            counts = counters.get(name)
            if counts is None:
                continue
            at_bound = dict(zip(mine, counts, strict=False))
            counters[name] = (*(at_bound[bound] for bound in self._bounds[name]), counts[-1])
        return replace(found, counters=counters)
