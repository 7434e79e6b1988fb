"""What a Prometheus scrapes of the monitor, and where its health is asked for."""

import http.server
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field

from prometheus_client import CollectorRegistry, Counter, Gauge, disable_created_metrics
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, generate_latest

from canary.errors import InvalidError
from canary.safety.vocabulary import OBSERVED

HEALTHY_S = 5.0
"""A monitor whose last pulse is older than this is not healthy."""


@dataclass
class Meters:
    """The metrics of one monitor. Written by its main thread, read by scrapes.

    Attributes:
        pulse: monotonic seconds at which the main thread last came round. ready: it sees a sandbox start.
    """

    rules: tuple[str, ...]
    pulse: float = 0.0
    ready: bool = False
    state: str = "starting"
    registry: CollectorRegistry = field(default_factory=CollectorRegistry)

    def __post_init__(self) -> None:
        # The extra `_created` series say nothing here.
        disable_created_metrics()  # type: ignore[no-untyped-call]

        def gauge(name: str, told: str, *labels: str) -> Gauge:
            return Gauge(f"canary_guard_{name}", told, labels, registry=self.registry)

        self.watching = gauge("watching", "1 while a container is watched.")
        self.looked = gauge("last_look_timestamp_seconds", "Unix time of the last look at the container.")
        self.blind = gauge(
            "blind_seconds", "How long the sense that is longest silent has not worked.", "sense"
        )
        self.figure = gauge("figure", "The figures of the last look, in base units.", "name")
        self.firing = gauge("rule_firing", "1 while a rule fires.", "rule")
        self.throttled = gauge("throttled", "1 while the container's CPU is halved.")
        self.entries = gauge("ledger_entries", "Number of the last entry that is written.")
        self.written = gauge(
            "ledger_written_timestamp_seconds", "Unix time of the last entry that is written."
        )
        self.waiting = gauge("ledger_waiting_seconds", "How long the oldest entry has waited to be written.")
        self.watchdog = gauge("watchdog_alive", "1 while the watchdog is heard.")
        self.kills = Counter(
            "canary_guard_kills",
            "Containers ended, by cause and rule.",
            ("cause", "rule"),
            registry=self.registry,
        )
        self.reports = Counter("canary_guard_reports", "Reports of the workload.", registry=self.registry)
        for rule in self.rules:
            self.firing.labels(rule).set(0)

    def set_figures(self, figures: Mapping[str, float]) -> None:
        """Of the last look."""
        for name in OBSERVED:
            if name in figures:
                self.figure.labels(name).set(figures[name])

    def page(self) -> bytes:
        """What is scraped."""
        return generate_latest(self.registry)

    def health(self) -> tuple[int, str]:
        """Status and text of the health page."""
        silent = time.monotonic() - self.pulse
        if not self.ready:
            return 503, self.state
        if silent > HEALTHY_S:
            return 503, f"the monitor has not come round for {silent:.0f} s"
        return 200, self.state


class Exporter:
    """Serves `/metrics` and `/healthz`.

    Args:
        host, port: to listen at; port 0: any that is free.

    Raises:
        InvalidError: it cannot listen there.
    """

    def __init__(self, host: str, port: int, meters: Meters) -> None:
        class Handler(_Handler):
            shown = meters

        try:
            self._server = http.server.ThreadingHTTPServer((host, port), Handler)
        except OSError as fault:
            raise InvalidError(
                f"--listen: cannot listen at {host}:{port}: {fault.strerror or fault}",
                remedy="Name another address and port, such as 127.0.0.1:9464.",
            ) from fault
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, name="metrics", daemon=True).start()

    @property
    def port(self) -> int:
        """Where it listens."""
        return int(self._server.server_address[1])

    def close(self) -> None:
        """Listen no more."""
        self._server.shutdown()
        self._server.server_close()


class _Handler(http.server.BaseHTTPRequestHandler):
    """Answers GET of two pages; whoever does not ask in time is cut off."""

    timeout = 5.0
    shown: Meters

    def do_GET(self) -> None:
        if self.path == "/metrics":
            self._answer(200, CONTENT_TYPE_PLAIN_0_0_4, self.shown.page())
        elif self.path == "/healthz":
            status, text = self.shown.health()
            self._answer(status, "text/plain; charset=utf-8", f"{text}\n".encode())
        else:
            self._answer(404, "text/plain; charset=utf-8", b"there is /metrics and /healthz\n")

    def _answer(self, status: int, kind: str, page: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(page)))
        self.end_headers()
        self.wfile.write(page)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its name in the base class
        """Scrapes are not worth a line."""
