"""How well-known exporters name what we compare: for each preset the forms it may take, best first. Pure.

A form applies to a scrape when at least one of its series is there. The first that applies is used, but one
whose series tell probes from traffic goes before those that cannot.

Source:
    http: client libraries of Prometheus (code, status, status_code by framework; podinfo has the path on the
    duration histogram alone, without slashes). OpenTelemetry: semantic conventions for HTTP metrics, 1.23
    and later, and the names before that. ingress-nginx, Istio, Linkerd, Traefik: their reference of
    exported metrics.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from canary.core.strategy import Metric, MetricKind
from canary.errors import InvalidError
from canary.metrics.selectors import Matcher, Selector, parse_selector


@dataclass(frozen=True)
class RatioForm:
    """Bad among all. Both are sums of counters; no bad series is zero bad ones."""

    bad: Selector
    all: Selector


@dataclass(frozen=True)
class HistogramForm:
    """Requests per bucket.

    Attributes:
        buckets: the `_bucket` series. per_second: unit of its bounds, 1 for seconds, 1000 for milliseconds.
    """

    buckets: Selector
    per_second: float = 1.0


@dataclass(frozen=True)
class Preset:
    """What an exporter gives: forms of its error ratio and of its latency histogram.

    Attributes:
        at_proxy: counted by a proxy in front of all pods, under the proxy's own name: it cannot tell which
            of them answered.
    """

    ratio: tuple[RatioForm, ...]
    histogram: tuple[HistogramForm, ...]
    at_proxy: bool = False


def _by_status(series: str, *labels: str, where: tuple[Matcher, ...] = ()) -> tuple[RatioForm, ...]:
    # A series without the label cannot say whether it failed, so it is no part of the total either.
    return tuple(
        RatioForm(
            bad=Selector(series, (*where, Matcher(label, "=~", "5.."))),
            all=Selector(series, (*where, Matcher(label, "!=", ""))),
        )
        for label in labels
    )


def _buckets(histogram: str, *, per_second: float = 1.0, where: tuple[Matcher, ...] = ()) -> HistogramForm:
    return HistogramForm(Selector(f"{histogram}_bucket", where), per_second)


_STATUS = ("code", "status", "status_code")
_OTEL = "http_server_request_duration_seconds"
_OTEL_BEFORE = "http_server_duration_milliseconds"
# Both ends of a call report it: counted at the receiving end alone, or it would count twice.
_DESTINATION = (Matcher("reporter", "=", "destination"),)
# The sidecar sees the kubelet's probes, and the scrapes of its own admin port, as requests that come in.
_INBOUND = (
    Matcher("direction", "=", "inbound"),
    Matcher("route_name", "!=", "probe"),
    Matcher("srv_port", "!=", "4191"),
)

PRESETS: Mapping[str, Preset] = {
    "http": Preset(
        (
            *_by_status("http_requests_total", *_STATUS),
            *_by_status("http_request_duration_seconds_count", *_STATUS),
            *_by_status("http_request_duration_milliseconds_count", *_STATUS),
            *_by_status(f"{_OTEL}_count", "http_response_status_code"),
        ),
        (
            _buckets("http_request_duration_seconds"),
            _buckets("http_request_duration_milliseconds", per_second=1000.0),
            _buckets(_OTEL),
        ),
    ),
    "opentelemetry": Preset(
        (
            *_by_status(f"{_OTEL}_count", "http_response_status_code"),
            *_by_status(f"{_OTEL_BEFORE}_count", "http_status_code"),
        ),
        (_buckets(_OTEL), _buckets(_OTEL_BEFORE, per_second=1000.0)),
    ),
    "ingress-nginx": Preset(
        _by_status("nginx_ingress_controller_requests", "status"),
        (_buckets("nginx_ingress_controller_request_duration_seconds"),),
        at_proxy=True,
    ),
    "istio": Preset(
        _by_status("istio_requests_total", "response_code", where=_DESTINATION),
        (_buckets("istio_request_duration_milliseconds", per_second=1000.0, where=_DESTINATION),),
    ),
    "linkerd": Preset(
        (
            RatioForm(
                bad=Selector("response_total", (*_INBOUND, Matcher("classification", "=", "failure"))),
                all=Selector("response_total", _INBOUND),
            ),
        ),
        (_buckets("response_latency_ms", per_second=1000.0, where=_INBOUND),),
    ),
    "traefik": Preset(
        _by_status("traefik_service_requests_total", "code"),
        (_buckets("traefik_service_request_duration_seconds"),),
        at_proxy=True,
    ),
}


def ratio_forms(metric: Metric) -> tuple[RatioForm, ...]:
    """The forms of a ratio metric, best first.

    Raises:
        InvalidError: unknown preset, or a selector that cannot be read.
    """
    if metric.preset is not None:
        return _preset(metric).ratio
    if metric.bad is None or metric.all is None:
        raise _incomplete(metric, "`ratio: {bad: ..., all: ...}`")
    return (RatioForm(parse_selector(metric.bad), parse_selector(metric.all)),)


def histogram_forms(metric: Metric) -> tuple[HistogramForm, ...]:
    """The forms of a histogram metric, best first. A name in `_milliseconds` or `_ms` is taken at its word.

    Raises:
        InvalidError: unknown preset, or a selector that cannot be read.
    """
    if metric.preset is not None:
        return _preset(metric).histogram
    if metric.histogram is None:
        raise _incomplete(metric, "`histogram: NAME`")
    chosen = parse_selector(metric.histogram)
    name = chosen.name.removesuffix("_bucket")
    per_second = 1000.0 if name.endswith(("_milliseconds", "_ms")) else 1.0
    return (_buckets(name, per_second=per_second, where=chosen.matchers),)


def gauge_of(metric: Metric) -> Selector:
    """The series of a gauge.

    Raises:
        InvalidError: a selector that cannot be read.
    """
    if metric.gauge is None:
        raise _incomplete(metric, "`gauges: {NAME: SELECTOR}`")
    return parse_selector(metric.gauge)


def series_of(metric: Metric) -> tuple[Selector, ...]:
    """Every selector that reading this metric may touch, in order, each once."""
    found: dict[Selector, None] = {}
    if metric.kind is MetricKind.GAUGE:
        found[gauge_of(metric)] = None
    elif metric.kind is MetricKind.HISTOGRAM:
        found.update((form.buckets, None) for form in histogram_forms(metric))
    else:
        for form in ratio_forms(metric):
            found.update({form.all: None, form.bad: None})
    return tuple(found)


def check_arms(metric: Metric) -> None:
    """Make sure that what the metric counts can be told by pod.

    Raises:
        InvalidError: its preset is counted at a proxy, which does not say which pod answered.
    """
    if metric.preset is not None and _preset(metric).at_proxy:
        raise InvalidError(
            f"metric {metric.name!r}: the preset {metric.preset!r} counts at the proxy, under the proxy's "
            "own name: it does not say what a canary pod answered, so the arms cannot be told apart",
            remedy="Count where requests are answered: `preset: http` or `opentelemetry` (the pods), `istio` "
            "or `linkerd` (their sidecars). To release the proxy itself, name its counters under `ratio` "
            "or `histogram`.",
        )


def _preset(metric: Metric) -> Preset:
    try:
        return PRESETS[str(metric.preset)]
    except KeyError:
        raise InvalidError(
            f"metric {metric.name!r}: there is no preset {metric.preset!r}",
            remedy=f"Choose one of {', '.join(sorted(PRESETS))}, or give `ratio` or `histogram` yourself.",
        ) from None


def _incomplete(metric: Metric, wanted: str) -> InvalidError:
    return InvalidError(
        f"metric {metric.name!r} is of kind {metric.kind} and names no series",
        remedy=f"Give it a `preset`, or {wanted}.",
    )
