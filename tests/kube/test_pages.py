"""Where pods show their metrics, and what machines ask of them."""

from typing import Any

import pytest

from canary.config.settings import PodsSource
from canary.errors import InvalidError
from canary.kube import pages
from canary.metrics.pods import Page
from tests.kube.documents import a_pod

Json = dict[str, Any]
ANY = PodsSource()


def a_document(*ports: Json, notes: Json | None = None, sidecar: tuple[Json, ...] = ()) -> Json:
    found = a_pod(ready=True, phase="Running", podIP="10.1.2.3")
    found["metadata"]["annotations"] = notes
    found["spec"] = {
        "containers": [{"name": "app", "ports": list(ports)}, {"name": "proxy", "ports": list(sidecar)}]
    }
    return found


def port(number: int, name: str = "", protocol: str = "TCP") -> Json:
    return {"containerPort": number, "protocol": protocol, **({"name": name} if name else {})}


def url(document: Json, asked: PodsSource = ANY) -> str:
    return pages.pages([document], "app", asked)["web-1"].url


def test_what_is_configured_counts_before_the_annotations() -> None:
    document = a_document(port(80), notes={pages.PORT: "9102", pages.PATH: "/stats", pages.SCHEME: "https"})
    assert url(document) == "https://10.1.2.3:9102/stats"
    assert url(document, PodsSource(port=8080, path="/m")) == "https://10.1.2.3:8080/m"


@pytest.mark.parametrize(
    ("document", "wanted"),
    [
        (a_document(port(80), port(9090, "metrics")), 9090),
        (a_document(port(80), port(81), sidecar=(port(15090, "metrics"),)), 15090),
        (a_document(port(8080)), 8080),
        (a_document(port(8080), port(53, protocol="UDP")), 8080),
        (a_document(port(8080), sidecar=(port(15001),)), 8080),
    ],
)
def test_a_port_called_metrics_counts_before_the_only_one_of_the_container(
    document: Json, wanted: int
) -> None:
    assert url(document) == f"http://10.1.2.3:{wanted}/metrics"


@pytest.mark.parametrize(
    ("document", "said"),
    [
        (a_document(), r"the container app has no port"),
        (a_document(port(80), port(81)), r"the container app has the ports 80, 81"),
        (
            a_document(port(80), notes={pages.PORT: "http"}),
            r"prometheus.io/port: found http, wanted a port number",
        ),
        (a_document(port(80), notes={pages.PORT: "0"}), r"found 0, wanted a port number"),
        (
            a_document(port(80), notes={pages.SCHEME: "ftp"}),
            r"prometheus.io/scheme: found ftp, wanted http or https",
        ),
    ],
)
def test_a_page_that_cannot_be_told_is_refused_with_what_to_set(document: Json, said: str) -> None:
    with pytest.raises(InvalidError, match=said) as caught:
        pages.check(document, "app", ANY)
    assert caught.value.remedy
    with pytest.raises(InvalidError, match=said):
        pages.pages([document], "app", ANY)


def test_an_address_of_ipv6_stands_in_brackets() -> None:
    document = a_document(port(80))
    document["status"]["podIP"] = "fd00::7"
    assert url(document) == "http://[fd00::7]:80/metrics"


def test_a_pod_without_an_address_or_that_does_not_run_has_no_page() -> None:
    waiting, over = a_document(port(80)), a_document(port(80))
    waiting["status"]["podIP"] = ""
    over["status"]["phase"] = "Pending"
    assert pages.pages([waiting, over], "app", ANY) == {}


def test_a_restarted_container_tells_when_it_began() -> None:
    document = a_document(port(80))
    running = {"running": {"startedAt": "2026-01-01T00:00:10Z"}}
    document["status"]["containerStatuses"] = [
        {"name": "proxy", "state": {"running": {"startedAt": "2026-01-01T00:00:00Z"}}},
        {"name": "app", "state": running},
    ]
    assert pages.pages([document], "app", ANY) == {"web-1": Page("http://10.1.2.3:80/metrics", 1767225610.0)}


def probe(period: int | None = None, kind: str = "httpGet") -> Json:
    return {kind: {}, **({"periodSeconds": period} if period else {})}


@pytest.mark.parametrize(
    ("probes", "rate"),
    [
        ({}, 0.0),
        ({"readinessProbe": probe()}, 0.1),
        ({"readinessProbe": probe(2), "livenessProbe": probe(5)}, 0.7),
        ({"readinessProbe": probe(kind="tcpSocket"), "livenessProbe": probe(kind="exec")}, 0.0),
        ({"startupProbe": probe(1), "livenessProbe": probe(5)}, 1.0),
        ({"startupProbe": probe(), "readinessProbe": probe(1)}, 1.0),
    ],
)
def test_http_probes_of_the_released_container_are_counted(probes: Json, rate: float) -> None:
    template = {
        "spec": {"containers": [{"name": "app", **probes}, {"name": "proxy", "livenessProbe": probe(1)}]}
    }
    assert pages.probe_rate(template, "app") == pytest.approx(rate)
