# ruff: noqa: E501 - pages as exporters show them
"""The presets over a real Prometheus, with series as well-known exporters show them, and what they cannot."""

from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from canary import wiring
from canary.config import schema
from canary.core.observation import Arm
from canary.core.release import ArmFacts, PodFact
from canary.core.strategy import ERRORS, LATENCY, Metric
from canary.errors import Exit, InvalidError
from canary.metrics.presets import PRESETS
from canary.metrics.prometheus import PrometheusMetrics
from canary.metrics.scrape import parse
from canary.ports import MetricsQuery
from tests.fakes import FakeClock
from tests.metrics.stored import VERSIONS, Point, a_server, write
from tests.metrics.test_prometheus_client import Settings

NOW = 1_700_000_000.0
EXCLUDE = {label: tuple(schema.PROBES) for label in schema.PROBE_LABELS}
STABLE, CANARY = "web-6f5d-abcde", "web-canary-77c4-xyz12"
ARMS = {
    Arm.STABLE: ArmFacts(pods=(PodFact(STABLE, "1"),)),
    Arm.CANARY: ArmFacts(pods=(PodFact(CANARY, "2"),)),
}
# What each shows in one scrape: 100 requests, of them 10 that failed and 40 within 0.1 s. More besides that must
# not count: probes, calls to others, bounds that only some of the series have.
PAGES = {
    "http, code, by client_golang": """
http_requests_total{code="200",method="get",handler="/pay"} 90
http_requests_total{code="503",method="get",handler="/pay"} 10
http_requests_total{code="200",method="get",handler="/healthz"} 5000
http_request_duration_seconds_bucket{handler="/pay",method="get",le="0.1"} 40
http_request_duration_seconds_bucket{handler="/pay",method="get",le="+Inf"} 100
http_request_duration_seconds_count{handler="/pay",method="get"} 100
http_request_duration_seconds_bucket{handler="/healthz",method="get",le="0.1"} 5000
http_request_duration_seconds_bucket{handler="/healthz",method="get",le="+Inf"} 5000
http_request_duration_seconds_count{handler="/healthz",method="get"} 5000
""",
    "http, status, by a FastAPI instrumentator": """
http_requests_total{handler="/pay",method="GET",status="2xx"} 90
http_requests_total{handler="/pay",method="GET",status="5xx"} 10
http_requests_total{handler="/metrics",method="GET",status="2xx"} 700
http_request_duration_seconds_bucket{handler="/pay",method="GET",le="0.1"} 40
http_request_duration_seconds_bucket{handler="/pay",method="GET",le="0.5"} 95
http_request_duration_seconds_bucket{handler="/pay",method="GET",le="+Inf"} 100
http_request_duration_seconds_bucket{handler="/old",method="GET",le="0.1"} 0
http_request_duration_seconds_bucket{handler="/old",method="GET",le="+Inf"} 0
""",
    "http, status_code and milliseconds, by a Node middleware": """
http_requests_total{method="GET",route="/pay",status_code="200"} 90
http_requests_total{method="GET",route="/pay",status_code="500"} 10
http_requests_total{method="GET",route="/ready",status_code="200"} 400
http_request_duration_milliseconds_bucket{route="/pay",status_code="200",le="100"} 40
http_request_duration_milliseconds_bucket{route="/pay",status_code="200",le="+Inf"} 90
http_request_duration_milliseconds_bucket{route="/pay",status_code="500",le="100"} 0
http_request_duration_milliseconds_bucket{route="/pay",status_code="500",le="+Inf"} 10
""",
    "http, the status on the histogram alone, by podinfo": """
http_request_duration_seconds_bucket{method="GET",path="pay",status="200",le="0.1"} 40
http_request_duration_seconds_bucket{method="GET",path="pay",status="200",le="+Inf"} 90
http_request_duration_seconds_count{method="GET",path="pay",status="200"} 90
http_request_duration_seconds_bucket{method="GET",path="pay",status="500",le="0.1"} 0
http_request_duration_seconds_bucket{method="GET",path="pay",status="500",le="+Inf"} 10
http_request_duration_seconds_count{method="GET",path="pay",status="500"} 10
""",
    "opentelemetry": """
http_server_request_duration_seconds_bucket{http_request_method="GET",http_response_status_code="200",http_route="/pay",le="0.1"} 40
http_server_request_duration_seconds_bucket{http_request_method="GET",http_response_status_code="200",http_route="/pay",le="+Inf"} 90
http_server_request_duration_seconds_count{http_request_method="GET",http_response_status_code="200",http_route="/pay"} 90
http_server_request_duration_seconds_bucket{error_type="500",http_response_status_code="500",http_route="/pay",le="0.1"} 0
http_server_request_duration_seconds_bucket{error_type="500",http_response_status_code="500",http_route="/pay",le="+Inf"} 10
http_server_request_duration_seconds_count{error_type="500",http_response_status_code="500",http_route="/pay"} 10
http_server_request_duration_seconds_bucket{http_response_status_code="200",http_route="/healthz",le="0.1"} 700
http_server_request_duration_seconds_bucket{http_response_status_code="200",http_route="/healthz",le="+Inf"} 700
http_server_request_duration_seconds_count{http_response_status_code="200",http_route="/healthz"} 700
http_client_request_duration_seconds_count{http_response_status_code="500"} 9000
""",
    "opentelemetry, before 1.23": """
http_server_duration_milliseconds_bucket{http_method="GET",http_status_code="200",le="100"} 40
http_server_duration_milliseconds_bucket{http_method="GET",http_status_code="200",le="+Inf"} 90
http_server_duration_milliseconds_count{http_method="GET",http_status_code="200"} 90
http_server_duration_milliseconds_bucket{http_method="GET",http_status_code="503",le="100"} 0
http_server_duration_milliseconds_bucket{http_method="GET",http_status_code="503",le="+Inf"} 10
http_server_duration_milliseconds_count{http_method="GET",http_status_code="503"} 10
""",
    "istio": """
istio_requests_total{reporter="destination",response_code="200",response_flags="-",source_workload="a"} 50
istio_requests_total{reporter="destination",response_code="200",response_flags="-",source_workload="b"} 40
istio_requests_total{reporter="destination",response_code="503",response_flags="UF",source_workload="a"} 10
istio_requests_total{reporter="source",response_code="503",destination_workload="db"} 4000
istio_request_duration_milliseconds_bucket{reporter="destination",source_workload="a",le="100"} 30
istio_request_duration_milliseconds_bucket{reporter="destination",source_workload="a",le="+Inf"} 60
istio_request_duration_milliseconds_bucket{reporter="destination",source_workload="b",le="100"} 10
istio_request_duration_milliseconds_bucket{reporter="destination",source_workload="b",le="+Inf"} 40
istio_request_duration_milliseconds_bucket{reporter="source",destination_workload="db",le="100"} 1
istio_request_duration_milliseconds_bucket{reporter="source",destination_workload="db",le="+Inf"} 4000
""",
    "linkerd": """
response_total{direction="inbound",srv_port="8080",route_name="default",status_code="200",classification="success"} 90
response_total{direction="inbound",srv_port="8080",route_name="default",status_code="500",classification="failure"} 10
response_total{direction="inbound",srv_port="8080",route_name="probe",status_code="200",classification="success"} 700
response_total{direction="inbound",srv_port="4191",route_name="default",status_code="200",classification="success"} 80
response_total{direction="outbound",dst_service="db",status_code="500",classification="failure"} 4000
response_latency_ms_bucket{direction="inbound",srv_port="8080",route_name="default",status_code="200",le="100"} 40
response_latency_ms_bucket{direction="inbound",srv_port="8080",route_name="default",status_code="200",le="+Inf"} 100
response_latency_ms_bucket{direction="inbound",srv_port="8080",route_name="probe",status_code="200",le="100"} 700
response_latency_ms_bucket{direction="inbound",srv_port="8080",route_name="probe",status_code="200",le="+Inf"} 700
response_latency_ms_bucket{direction="outbound",dst_service="db",le="100"} 4000
response_latency_ms_bucket{direction="outbound",dst_service="db",le="+Inf"} 4000
""",
}  # fmt: skip
AT_PROXY = {
    "ingress-nginx": """
nginx_ingress_controller_requests{canary="",host="shop",ingress="web",service="web",status="200"} 90
nginx_ingress_controller_requests{canary="",host="shop",ingress="web",service="web",status="502"} 10
nginx_ingress_controller_request_duration_seconds_bucket{ingress="web",service="web",status="200",le="0.1"} 40
nginx_ingress_controller_request_duration_seconds_bucket{ingress="web",service="web",status="200",le="+Inf"} 100
""",
    "traefik": """
traefik_service_requests_total{code="200",method="GET",protocol="http",service="shop-web-80@kubernetes"} 90
traefik_service_requests_total{code="502",method="GET",protocol="http",service="shop-web-80@kubernetes"} 10
traefik_service_request_duration_seconds_bucket{code="200",service="shop-web-80@kubernetes",le="0.1"} 40
traefik_service_request_duration_seconds_bucket{code="200",service="shop-web-80@kubernetes",le="+Inf"} 100
""",
}


@pytest.fixture(scope="module", params=VERSIONS)
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with a_server(request.param, tmp_path_factory.mktemp("prometheus")) as url:
        yield url


def scraped(page: str, target: Mapping[str, str], at: float, times: float = 1.0) -> Iterator[Point]:
    """What a scrape of this page stores, every count so many times as large."""
    for name, labels, value in parse(page).samples:
        yield Point(name, {**dict(labels), **target}, at, value * times)


def read(url: str, job: str, preset: str) -> dict[str, Mapping[str, tuple[float, ...]]]:
    """What the last scrape of every pod says."""
    metrics: tuple[Metric, ...] = (
        Metric("errors", ERRORS.kind, preset=preset),
        Metric("latency", LATENCY.kind, preset=preset),
    )
    server = Settings(url, selector={"job": job})
    source = PrometheusMetrics(server, clock=FakeClock(NOW + 60), interval_s=15.0, scrape_interval_s=15.0)
    scrapes = source.read(MetricsQuery(metrics, EXCLUDE, ARMS, NOW - 60, NOW + 30))
    source.close()
    return {sample.pod: sample.counters for sample in scrapes.samples}


@pytest.mark.e2e
@pytest.mark.parametrize("name", PAGES)
def test_a_preset_reads_what_its_exporter_shows_pod_by_pod(server: str, name: str) -> None:
    job = f"{name} apart"
    points = [
        *scraped(PAGES[name], {"job": job, "pod": STABLE, "instance": "10.0.0.1:8080"}, NOW),
        *scraped(PAGES[name], {"job": job, "pod": CANARY, "instance": "10.0.0.2:8080"}, NOW + 3, times=2),
        # Same labels, another owner: in neither arm.
        *scraped(PAGES[name], {"job": job, "pod": "web-by-hand", "instance": "10.0.0.3:8080"}, NOW + 4),
        *scraped(PAGES[name], {"job": job, "pod": f"{STABLE}2", "instance": "10.0.0.4:8080"}, NOW + 5),
    ]
    write(server, points)
    assert read(server, job, name.partition(",")[0]) == {
        STABLE: {"errors": (10, 100), "latency": (40, 100)},
        CANARY: {"errors": (20, 200), "latency": (80, 200)},
    }


@pytest.mark.e2e
@pytest.mark.parametrize("name", AT_PROXY)
def test_what_a_proxy_counts_is_nobodys(server: str, name: str) -> None:
    write(server, scraped(AT_PROXY[name], {"job": name, "pod": f"{name}-controller-1"}, NOW))
    assert read(server, name, name) == {}


def test_every_preset_is_shown_here() -> None:
    assert {name.partition(",")[0] for name in PAGES} | set(AT_PROXY) == set(PRESETS)


@pytest.mark.parametrize("name", AT_PROXY)
def test_a_preset_that_cannot_tell_the_arms_apart_is_refused_before_anything_is_touched(
    tmp_path: Path, name: str
) -> None:
    file = tmp_path / "canary.yaml"
    source = "source: {prometheus: {url: 'http://127.0.0.1:9'}}"
    file.write_text(
        "target: {namespace: shop, deployment: web}\nimage: shop/web\n"
        f"analysis: {{{source}, metrics: [{{preset: {name}}}]}}\n"
    )
    with pytest.raises(InvalidError, match="counts at the proxy") as refused:
        wiring.settings(file)
    assert refused.value.exit is Exit.USAGE
    assert "preset: http" in refused.value.remedy
