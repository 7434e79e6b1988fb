"""What `analysis.metrics` asks to be compared, as the core has it."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from canary.config import schema
from canary.core.strategy import ERRORS, LATENCY, Margin, Metric, MetricKind


def metrics_of(analysis: schema.Analysis) -> tuple[Metric, ...]:
    """The metrics of a file without faults, those that a preset stands for each by itself."""
    return tuple(one for metric in analysis.metrics for one in _each(metric))


def _each(metric: schema.Metric) -> Iterator[Metric]:
    if metric.preset is not None:
        both = metric.errors is None and metric.latency is None
        if metric.errors is not None or both:
            yield _tuned(
                replace(ERRORS, preset=metric.preset), metric.errors or schema.Errors.model_validate({})
            )
        if metric.latency is not None or both:
            yield _tuned(
                replace(LATENCY, preset=metric.preset), metric.latency or schema.Latency.model_validate({})
            )
        return
    own: dict[str, Any] = {"preset": None, "name": metric.name}
    if metric.ratio is not None:
        usual = replace(ERRORS, kind=MetricKind.RATIO, bad=metric.ratio.bad, all=metric.ratio.all, **own)
    else:
        usual = replace(LATENCY, kind=MetricKind.HISTOGRAM, histogram=metric.histogram, **own)
    yield _tuned(usual, metric)


def _tuned(usual: Metric, given: schema.Errors | schema.Latency | schema.Metric) -> Metric:
    tolerance = given.tolerance if given.tolerance is not None else usual.tolerance
    slower_than_s = None if isinstance(given, schema.Errors) else given.slower_than
    margin = _margin(given.margin, usual.margin, tolerance)
    return replace(usual, tolerance=tolerance, slower_than_s=slower_than_s, margin=margin)


def _margin(given: schema.Margin | None, usual: Margin, tolerance: float) -> Margin:
    """The margin asked for. Of two parts the larger counts, so a part left out must not widen the other."""
    ratio, difference = (given.ratio, given.abs) if given is not None else (None, None)
    if ratio is None:
        ratio = 1 + tolerance if difference is not None else max(usual.ratio, 1 + tolerance)
    return Margin(ratio, difference if difference is not None else usual.abs)
