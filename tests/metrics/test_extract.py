"""Which series count, and how they are summed."""

import pytest

from canary.config import schema
from canary.core.observation import Arm
from canary.core.strategy import ERRORS, LATENCY, Metric, MetricKind
from canary.errors import InvalidError
from canary.metrics.extract import Exposition, Reading, edges, read, sample
from canary.metrics.presets import PRESETS
from canary.metrics.scrape import parse

Counted = dict[str, tuple[float, ...]]


def counted(text: str, *metrics: Metric, exclude: dict[str, tuple[str, ...]] | None = None) -> Counted:
    found = sample(
        parse(text),
        pod="a",
        arm=Arm.STABLE,
        at=1.0,
        metrics=metrics or (ERRORS, LATENCY),
        exclude=exclude or {},
    )
    return dict(found.counters)


def preset(name: str) -> tuple[Metric, Metric]:
    return (
        Metric("errors", MetricKind.RATIO, preset=name),
        Metric("latency", MetricKind.HISTOGRAM, preset=name),
    )


@pytest.mark.parametrize("label", ["code", "status", "status_code"])
def test_server_errors_are_counted_by_whichever_status_label_there_is(label: str) -> None:
    text = f"""
# HELP http_requests_total all
# TYPE http_requests_total counter
http_requests_total{{{label}="200",path="/"}} 90
http_requests_total{{{label}="404",path="/"}} 5
http_requests_total{{{label}="500",path="/"}} 3
http_requests_total{{{label}="503",path="/a"}} 2
"""
    assert counted(text) == {"errors": (5, 100)}


def test_no_error_series_is_zero_errors_when_the_total_is_there() -> None:
    assert counted('http_requests_total{code="200"} 7') == {"errors": (0, 7)}


def test_no_series_at_all_is_no_metric_rather_than_zero() -> None:
    assert counted("up_something 1") == {}


def test_a_total_without_a_status_cannot_say_what_failed_and_is_no_metric() -> None:
    assert counted("http_requests_total 7") == {}


def test_gauges_are_read_as_they_stand_one_value_a_series() -> None:
    queue = Metric("queue", MetricKind.GAUGE, gauge='shop_queue{kind="a"}')
    page = parse('shop_queue{kind="a",of="1"} 7\nshop_queue{kind="a",of="2"} 9\nshop_queue{kind="b"} 99')
    found = sample(page, pod="a", arm=Arm.CANARY, at=1.0, metrics=(ERRORS, queue), exclude={"kind": ("*",)})
    assert (dict(found.gauges), dict(found.counters)) == ({"queue": (7.0, 9.0)}, {})
    empty = sample(parse("up 1"), pod="a", arm=Arm.CANARY, at=1.0, metrics=(queue,), exclude={})
    assert dict(empty.gauges) == {}


def test_a_gauge_whose_selector_cannot_be_read_is_refused() -> None:
    queue = Metric("queue", MetricKind.GAUGE, gauge="rate(shop_queue[1m])")
    with pytest.raises(InvalidError, match="cannot be read"):
        sample(parse("up 1"), pod="a", arm=Arm.CANARY, at=1.0, metrics=(queue,), exclude={})


PODINFO = """
# TYPE http_request_duration_seconds histogram
http_request_duration_seconds_bucket{method="GET",path="root",status="200",le="0.1"} 8
http_request_duration_seconds_bucket{method="GET",path="root",status="200",le="1"} 9
http_request_duration_seconds_bucket{method="GET",path="root",status="200",le="+Inf"} 10
http_request_duration_seconds_sum{method="GET",path="root",status="200"} 3.5
http_request_duration_seconds_count{method="GET",path="root",status="200"} 10
http_request_duration_seconds_bucket{method="GET",path="root",status="500",le="0.1"} 1
http_request_duration_seconds_bucket{method="GET",path="root",status="500",le="1"} 2
http_request_duration_seconds_bucket{method="GET",path="root",status="500",le="+Inf"} 2
http_request_duration_seconds_count{method="GET",path="root",status="500"} 2
process_start_time_seconds 1.7e+09
"""


def test_the_histogram_alone_tells_errors_when_it_carries_the_status() -> None:
    assert counted(PODINFO) == {"errors": (2, 12), "latency": (9, 11, 12)}
    assert parse(PODINFO).started == 1.7e9


def test_the_requests_total_goes_before_the_histograms_count() -> None:
    assert counted(PODINFO + 'http_requests_total{code="500"} 1\n')["errors"] == (1, 1)


def test_milliseconds_become_seconds() -> None:
    text = "\n".join(
        f'http_request_duration_milliseconds_bucket{{le="{le}"}} {count}'
        for le, count in (("5", 1), ("250", 2), ("+Inf", 4))
    )
    assert edges([parse(text)], LATENCY) == (0.005, 0.25)
    assert counted(text) == {"latency": (1, 2, 4)}


def test_bounds_written_differently_are_the_same_bound() -> None:
    text = """
x_bucket{p="a",le="1"} 3
x_bucket{p="a",le="+Inf"} 4
x_bucket{p="b",le="1.0"} 10
x_bucket{p="b",le="+Inf"} 20
"""
    own = Metric("x", MetricKind.HISTOGRAM, histogram="x")
    assert counted(text, own) == {"x": (13, 24)}


def test_opentelemetry_is_read_by_its_own_names() -> None:
    text = """
http_server_request_duration_seconds_bucket{http_response_status_code="200",le="0.5"} 6
http_server_request_duration_seconds_bucket{http_response_status_code="200",le="+Inf"} 7
http_server_request_duration_seconds_count{http_response_status_code="200"} 7
http_server_request_duration_seconds_count{http_response_status_code="502"} 1
"""
    expected = {"errors": (1, 8), "latency": (6, 7)}
    assert counted(text) == counted(text, *preset("opentelemetry")) == expected


def test_opentelemetry_is_read_by_its_names_before_1_23_as_well() -> None:
    text = """
http_server_duration_milliseconds_bucket{http_status_code="200",le="500"} 6
http_server_duration_milliseconds_bucket{http_status_code="200",le="+Inf"} 7
http_server_duration_milliseconds_count{http_status_code="200"} 7
http_server_duration_milliseconds_count{http_status_code="502"} 1
"""
    assert counted(text, *preset("opentelemetry")) == {"errors": (1, 8), "latency": (6, 7)}


EXAMPLES = {
    "ingress-nginx": """
nginx_ingress_controller_requests{status="200",ingress="a"} 90
nginx_ingress_controller_requests{status="502",ingress="a"} 10
nginx_ingress_controller_request_duration_seconds_bucket{status="200",le="0.1"} 40
nginx_ingress_controller_request_duration_seconds_bucket{status="200",le="+Inf"} 100
""",
    "istio": """
istio_requests_total{reporter="destination",response_code="200"} 90
istio_requests_total{reporter="destination",response_code="503"} 10
istio_requests_total{reporter="source",response_code="503"} 1000
istio_request_duration_milliseconds_bucket{reporter="destination",le="100"} 40
istio_request_duration_milliseconds_bucket{reporter="destination",le="+Inf"} 100
istio_request_duration_milliseconds_bucket{reporter="source",le="100"} 40
istio_request_duration_milliseconds_bucket{reporter="source",le="+Inf"} 100
""",
    "linkerd": """
response_total{direction="inbound",classification="success"} 90
response_total{direction="inbound",classification="failure"} 10
response_total{direction="outbound",classification="failure"} 1000
response_total{direction="inbound",classification="success",route_name="probe"} 1000
response_total{direction="inbound",classification="success",srv_port="4191"} 1000
response_latency_ms_bucket{direction="inbound",le="100"} 40
response_latency_ms_bucket{direction="inbound",le="+Inf"} 100
""",
    "traefik": """
traefik_service_requests_total{code="200",service="a"} 90
traefik_service_requests_total{code="500",service="a"} 10
traefik_service_request_duration_seconds_bucket{code="200",le="0.1"} 40
traefik_service_request_duration_seconds_bucket{code="200",le="+Inf"} 100
""",
}


@pytest.mark.parametrize("name", sorted(EXAMPLES))
def test_a_preset_reads_its_exporter(name: str) -> None:
    text = EXAMPLES[name]
    assert counted(text, *preset(name)) == {"errors": (10, 100), "latency": (40, 100)}
    assert edges([parse(text)], preset(name)[1]) == (0.1,)


def test_every_preset_has_both_a_ratio_and_a_histogram() -> None:
    assert {"http", "opentelemetry", *EXAMPLES} == set(PRESETS)
    assert all(one.ratio and one.histogram for one in PRESETS.values())


def test_an_unknown_preset_is_refused_with_the_ones_there_are() -> None:
    with pytest.raises(InvalidError, match="no preset 'htpp'") as caught:
        counted("a 1", preset("htpp")[0])
    assert "ingress-nginx" in caught.value.remedy


def test_probes_and_scrapes_are_no_traffic() -> None:
    text = """
http_requests_total{code="200",path="/health"} 1000
http_requests_total{code="503",path="/health/live"} 50
http_requests_total{code="200",path="/pay"} 7
http_request_duration_seconds_bucket{path="/health",le="1"} 1000
http_request_duration_seconds_bucket{path="/health",le="+Inf"} 1050
http_request_duration_seconds_bucket{path="/pay",le="1"} 6
http_request_duration_seconds_bucket{path="/pay",le="+Inf"} 7
"""
    assert counted(text, exclude={"path": ("/health*", "/metrics")}) == {"errors": (0, 7), "latency": (6, 7)}


TWOFOLD = """
http_request_duration_seconds_bucket{method="GET",path="healthz",status="200",le="0.5"} 30
http_request_duration_seconds_bucket{method="GET",path="healthz",status="200",le="+Inf"} 30
http_request_duration_seconds_count{method="GET",path="healthz",status="200"} 30
http_request_duration_seconds_bucket{method="GET",path="readyz",status="503",le="0.5"} 9
http_request_duration_seconds_bucket{method="GET",path="readyz",status="503",le="+Inf"} 9
http_request_duration_seconds_count{method="GET",path="readyz",status="503"} 9
http_request_duration_seconds_bucket{method="GET",path="root",status="200",le="0.5"} 4
http_request_duration_seconds_bucket{method="GET",path="root",status="200",le="+Inf"} 6
http_request_duration_seconds_count{method="GET",path="root",status="200"} 6
http_request_duration_seconds_bucket{method="GET",path="root",status="500",le="0.5"} 1
http_request_duration_seconds_bucket{method="GET",path="root",status="500",le="+Inf"} 1
http_request_duration_seconds_count{method="GET",path="root",status="500"} 1
http_requests_total{status="200"} 36
http_requests_total{status="500"} 1
http_requests_total{status="503"} 9
"""
"""As podinfo tells it: the path is on the histogram alone, and without slashes."""


def test_a_form_that_tells_probes_from_traffic_goes_before_one_that_cannot() -> None:
    usual: dict[str, tuple[str, ...]] = dict.fromkeys(schema.PROBE_LABELS, schema.PROBES)
    assert counted(TWOFOLD, exclude=usual) == {"errors": (1, 7), "latency": (5, 7)}
    assert counted(TWOFOLD)["errors"] == (10, 46)


def test_only_probes_is_zero_traffic_rather_than_no_metric() -> None:
    text = 'http_requests_total{code="200",handler="/health"} 1000'
    assert counted(text, exclude={"handler": ("/health",)}) == {"errors": (0, 0)}


def test_an_excluding_pattern_must_fit_the_whole_label() -> None:
    text = 'http_requests_total{code="200",path="/healthy-food"} 4'
    assert counted(text, exclude={"path": ("/health", "health*", ".health*")}) == {"errors": (0, 4)}


def test_own_metrics_are_read_by_their_selectors() -> None:
    text = """
# TYPE checkout_failed counter
checkout_failed{kind="card",shop="a"} 3
checkout_failed{kind="other",shop="a"} 100
checkout_total{shop="a"} 50
checkout_total{shop="b"} 500
wait_ms_bucket{shop="a",le="20"} 1
wait_ms_bucket{shop="a",le="+Inf"} 2
wait_ms_bucket{shop="b",le="20"} 7
wait_ms_bucket{shop="b",le="+Inf"} 9
"""
    ratio = Metric(
        "checkout",
        MetricKind.RATIO,
        bad='checkout_failed{kind=~"card|cash", shop!="b"}',
        all='checkout_total{shop="a"}',
    )
    histogram = Metric("wait", MetricKind.HISTOGRAM, histogram='wait_ms{shop="a"}')
    assert counted(text, ratio, histogram) == {"checkout": (3, 50), "wait": (1, 2)}
    assert edges([parse(text)], histogram) == (0.02,)


def a_histogram(pod: str, **buckets: float) -> Exposition:
    series = tuple(
        ("x_bucket", (("le", le.replace("_", ".").replace("le", "")), ("pod", pod)), count)
        for le, count in buckets.items()
    )
    return Exposition((*series, ("x_bucket", (("le", "+Inf"), ("pod", pod)), 9.0)))


OWN = Metric("x", MetricKind.HISTOGRAM, histogram="x")


def test_pods_with_different_buckets_are_brought_to_the_common_bounds() -> None:
    readings = [
        Reading("b", Arm.CANARY, 2.0, a_histogram("b", le0_1=1, le0_5=3, le2=4)),
        Reading("a", Arm.STABLE, 1.0, a_histogram("a", le0_5=6, le1=7, le2=8)),
        Reading("c", Arm.STABLE, 3.0, Exposition(())),
    ]
    samples, bounds = read(readings, metrics=(OWN,), exclude={})
    assert bounds == {"x": (0.5, 2.0)}
    assert [(one.pod, dict(one.counters)) for one in samples] == [
        ("a", {"x": (6, 8, 9)}),
        ("b", {"x": (3, 4, 9)}),
        ("c", {}),
    ]


def test_bounds_that_were_given_up_once_do_not_come_back() -> None:
    reading = Reading("b", Arm.CANARY, 2.0, a_histogram("b", le0_1=1, le0_5=3, le2=4))
    samples, bounds = read([reading], metrics=(OWN,), exclude={}, known={"x": (0.5, 1.0, 2.0)})
    assert bounds == {"x": (0.5, 2.0)}
    assert samples[0].counters == {"x": (3, 4, 9)}


def test_pods_without_a_common_bound_have_no_such_metric() -> None:
    readings = [
        Reading("a", Arm.STABLE, 1.0, a_histogram("a", le1=6)),
        Reading("b", Arm.CANARY, 2.0, a_histogram("b", le2=6)),
    ]
    samples, bounds = read(readings, metrics=(OWN,), exclude={})
    assert bounds == {"x": ()}
    assert all("x" not in one.counters for one in samples)


def test_a_repeated_reading_is_one_scrape() -> None:
    reading = Reading("a", Arm.STABLE, 1.0, a_histogram("a", le1=6))
    assert len(read([reading, reading], metrics=(OWN,), exclude={})[0]) == 1
