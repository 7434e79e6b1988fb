"""What the service counts of itself, as Prometheus reads it."""

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    GCCollector,
    Histogram,
    PlatformCollector,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
)

disable_created_metrics()  # type: ignore[no-untyped-call]

BUCKETS_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""Upper bounds of the durations, seconds."""

UNKNOWN = "unknown"
"""Stands for every path that the service does not have: else whoever asks for paths makes series."""


class Metrics:
    """One process's counters.

    Args:
        version: told as a label of `project_ai_info`.
    """

    def __init__(self, version: str) -> None:
        self._registry = CollectorRegistry()
        ProcessCollector(registry=self._registry)
        PlatformCollector(registry=self._registry)
        GCCollector(registry=self._registry)
        self._requests = Counter(
            "http_requests", "Requests answered.", ("method", "path", "status"), registry=self._registry
        )
        self._durations = Histogram(
            "http_request_duration_seconds",
            "From the request to its answer.",
            ("method", "path", "status"),
            buckets=BUCKETS_S,
            registry=self._registry,
        )
        info = Gauge("project_ai_info", "Which release this is.", ("version",), registry=self._registry)
        info.labels(version).set(1)
        self.ready = Gauge("project_ai_ready", "Whether it wants traffic.", registry=self._registry)

    def count(self, method: str, path: str, status: int, took_s: float) -> None:
        """One answer. `path`: as a template, `/users/<id>`; never what somebody typed."""
        labels = (method, path, str(status))
        self._requests.labels(*labels).inc()
        self._durations.labels(*labels).observe(took_s)

    def page(self) -> bytes:
        """The page, in the text format."""
        return generate_latest(self._registry)
