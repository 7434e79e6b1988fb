"""Where pods show their metrics, and what is asked of them by machines alone. Pure."""

from collections.abc import Iterable, Mapping
from typing import Any

from canary.config.settings import PodsSource
from canary.errors import InvalidError
from canary.kube.objects import container_of
from canary.kube.pods import seconds
from canary.metrics.pods import Page

PORT = "prometheus.io/port"
PATH = "prometheus.io/path"
SCHEME = "prometheus.io/scheme"
NAMED = "metrics"
PERIOD_S = 10.0
"""Of a probe that says nothing else, as Kubernetes has it."""

Json = Mapping[str, Any]


def check(template: Json, container: str | None, asked: PodsSource) -> None:
    """Whether it can be told where pods of this template show their metrics.

    Raises:
        InvalidError: it cannot; says what to set.
    """
    _scheme(_annotations(template))
    port_of(template, container, asked)


def port_of(document: Json, container: str | None, asked: PodsSource) -> int:
    """The port of the metrics page.

    The configured one; else that of the annotation; else the container port named `metrics`, the released
    container's first; else the only port of the released container.

    Args:
        document: a pod, or a template of pods. container: whose image is released; None: there is but one.
        asked: what is configured.

    Raises:
        InvalidError: it cannot be told.
    """
    if asked.port is not None:
        return asked.port
    remedy = (
        "Set `analysis: {source: {pods: {port: ...}}}`, annotate the pods with "
        f"{PORT}, or name a container port `{NAMED}`; or set `analysis.source.prometheus`."
    )
    if (text := _annotations(document).get(PORT)) is not None:
        if str(text).isdecimal() and 0 < int(text) < 65536:
            return int(text)
        raise InvalidError(f"the pods' annotation {PORT}: found {text}, wanted a port number", remedy=remedy)
    released = container_of(document, container)
    for one in (released, *document["spec"]["containers"]):
        if (found := next((port for port in _ports(one) if port.get("name") == NAMED), None)) is not None:
            return int(found["containerPort"])
    ports = sorted({int(one["containerPort"]) for one in _ports(released)})
    if len(ports) == 1:
        return ports[0]
    has = f"has the ports {', '.join(map(str, ports))}" if ports else "has no port"
    raise InvalidError(
        f"there is no Prometheus to read from, and it is not known at which port the pods show their "
        f"metrics: the container {released['name']} {has}",
        remedy=remedy,
    )


def pages(pods: Iterable[Json], container: str | None, asked: PodsSource) -> dict[str, Page]:
    """Pod name -> its page, for the pods that run and have an address.

    Args:
        pods: documents; those that are on their way out left out. container, asked: see `port_of`.

    Raises:
        InvalidError: it cannot be told where their pages are.
    """
    found = {}
    for pod in pods:
        status = pod.get("status", {})
        if (address := status.get("podIP")) and status.get("phase") == "Running":
            notes = _annotations(pod)
            host = f"[{address}]" if ":" in address else address
            path = asked.path or str(notes.get(PATH) or "/metrics")
            url = f"{_scheme(notes)}://{host}:{port_of(pod, container, asked)}/{path.lstrip('/')}"
            found[pod["metadata"]["name"]] = Page(url, _started(status, container))
    return found


def _started(status: Json, container: str | None) -> float | None:
    """When the released container was started last: a restart of it is a reset of its counters."""
    for one in status.get("containerStatuses") or []:
        if container is None or one.get("name") == container:
            running = (one.get("state") or {}).get("running") or {}
            return seconds(running.get("startedAt"))
    return None


def _annotations(document: Json) -> Json:
    return document.get("metadata", {}).get("annotations") or {}


def _scheme(notes: Json) -> str:
    scheme = str(notes.get(SCHEME) or "http")
    if scheme not in ("http", "https"):
        raise InvalidError(
            f"the pods' annotation {SCHEME}: found {scheme}, wanted http or https",
            remedy="Mend the annotation in the Deployment's template.",
        )
    return scheme


def _ports(container: Json) -> list[Json]:
    return [one for one in container.get("ports") or [] if one.get("protocol", "TCP") == "TCP"]


def probe_rate(template: Json, container: str | None) -> float:
    """Requests per second that the kubelet's HTTP probes make to the released container of one pod.

    While the startup probe is asked the others are not, so the larger of the two counts.

    Args:
        template: of the pods. container: whose image is released; None: there is but one.

    Raises:
        InvalidError: the container cannot be told.
    """
    released = container_of(template, container)

    def rate(kind: str) -> float:
        probe = released.get(kind) or {}
        return 1.0 / float(probe.get("periodSeconds") or PERIOD_S) if "httpGet" in probe else 0.0

    return max(rate("startupProbe"), rate("readinessProbe") + rate("livenessProbe"))
