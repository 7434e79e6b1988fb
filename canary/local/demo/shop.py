"""The shop itself: its pages, its health, its metrics, and the fault of its version."""

import asyncio
import time
from collections.abc import Callable, Iterator, Mapping
from http import HTTPStatus

import psutil
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, disable_created_metrics
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, generate_latest
from prometheus_client.registry import Collector

from canary.local.demo.faults import Nature
from canary.local.demo.wire import Reply, Request

PAGES: Mapping[str, frozenset[str]] = {
    "/": frozenset({"GET", "HEAD"}),
    "/cart": frozenset({"GET", "HEAD", "POST"}),
    "/checkout": frozenset({"POST"}),
}
"""What is sold here, by which methods. Only these turn out as the version's nature has it."""

BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0)
"""Source: the default buckets of prometheus_client, in seconds."""

_GET = frozenset({"GET", "HEAD"})
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


class _Used(Collector):
    """What this process uses. The client's own collector knows it on Linux only."""

    def __init__(self) -> None:
        self._process = psutil.Process()

    def collect(self) -> Iterator[GaugeMetricFamily | CounterMetricFamily]:
        with self._process.oneshot():
            memory, times = self._process.memory_info(), self._process.cpu_times()
        yield GaugeMetricFamily(
            "process_resident_memory_bytes", "Resident memory in bytes.", value=float(memory.rss)
        )
        yield CounterMetricFamily(
            "process_cpu_seconds_total", "CPU time in seconds.", value=times.user + times.system
        )


class Meters:
    """Counters of one process, as Prometheus scrapes them."""

    def __init__(self) -> None:
        # The extra `_created` series would triple what a scrape has to carry.
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self._registry = CollectorRegistry()
        self._requests = Counter(
            "http_requests_total", "Answers given.", ("method", "path", "status"), registry=self._registry
        )
        self._durations = Histogram(
            "http_request_duration_seconds",
            "From the whole request received to the answer sent.",
            ("path",),
            buckets=BUCKETS,
            registry=self._registry,
        )
        # The client's own collector knows the start of a process on Linux only.
        Gauge("process_start_time_seconds", "Unix time of the start.", registry=self._registry).set(
            time.time()
        )
        self._registry.register(_Used())

    def count(self, method: str, path: str, status: int, took_s: float) -> None:
        """One answer was given."""
        self._requests.labels(method, path, str(status)).inc()
        self._durations.labels(path).observe(took_s)

    def text(self) -> bytes:
        """All series in the text format 0.0.4."""
        return generate_latest(self._registry)


class Shop:
    """Answers requests; knows whether it is ready.

    Args:
        version: named on its pages.
        nature: how requests to its pages turn out.
        arrived: is called for every request to a page.
    """

    def __init__(self, version: str, nature: Nature, arrived: Callable[[], None]) -> None:
        self.ready = False
        self._version = version
        self._nature = nature
        self._arrived = arrived
        self._meters = Meters()
        self._services: Mapping[str, Callable[[], Reply]] = {
            "/health/live": self._live,
            "/health/ready": self._readiness,
            "/metrics": self._metrics,
        }

    def handle(self, request: Request, reply: Callable[[Reply], None]) -> None:
        """Answer one request, a page after its latency, everything else at once."""
        loop = asyncio.get_running_loop()
        began = loop.time()

        def done(answer: Reply) -> None:
            # Counted first: whoever has read the answer finds it in the metrics.
            method = request.method if request.method in _METHODS else "other"
            self._meters.count(method, _label(request.path), answer.status, loop.time() - began)
            reply(answer)

        refusal = _refusal(request)
        if refusal is not None:
            done(refusal)
        elif request.path in self._services:
            done(self._services[request.path]())
        else:
            self._arrived()
            draw = self._nature.draw()
            loop.call_later(draw.delay_s, lambda: done(self._page(request.path, draw.failed)))

    def _page(self, path: str, failed: bool) -> Reply:
        if failed:
            return Reply(HTTPStatus.INTERNAL_SERVER_ERROR, b"the shop failed\n")
        return Reply(HTTPStatus.OK, f"shop {self._version}: {path}\n".encode())

    def _live(self) -> Reply:
        return Reply(HTTPStatus.OK, b"alive\n")

    def _readiness(self) -> Reply:
        if self.ready:
            return Reply(HTTPStatus.OK, b"ready\n")
        return Reply(HTTPStatus.SERVICE_UNAVAILABLE, b"not ready\n")

    def _metrics(self) -> Reply:
        return Reply(HTTPStatus.OK, self._meters.text(), content_type=CONTENT_TYPE_PLAIN_0_0_4)


def _label(path: str) -> str:
    """The path as a label: made-up paths must not make new series."""
    return path if path in PAGES or path in {"/health/live", "/health/ready", "/metrics"} else "other"


def _refusal(request: Request) -> Reply | None:
    allowed = PAGES.get(request.path, _GET)
    if _label(request.path) == "other":
        return Reply(HTTPStatus.NOT_FOUND, b"no such page\n")
    if request.method not in allowed:
        return Reply(HTTPStatus.METHOD_NOT_ALLOWED, b"not by this method\n", allow=", ".join(sorted(allowed)))
    return None
