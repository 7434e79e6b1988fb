"""A Prometheus that tells what a script says: counters of the pods that a namespace really has.

It looks at the pods every `SCRAPE_S`, as a scrape would, and answers range selectors with raw samples. Pods
that were there when it started have a past.
"""

import json
import re
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

from canary.kube.objects import split_image
from canary.kube.session import Session

SCRAPE_S = 0.5
PAST_S = 600.0
PAST_SCRAPE_S = 5.0
EDGES = ("0.1", "0.25", "0.5", "1", "+Inf")
Json = dict[str, Any]


@dataclass(frozen=True)
class Traffic:
    """What the pods of a version count.

    Attributes:
        rate: requests a second of one pod. errors: share that fails.
        latency: shares of requests per bucket of EDGES, summing to 1.
        shows: further series on a pod's page, by its age in seconds.
    """

    rate: float = 200.0
    errors: float = 0.003
    latency: tuple[float, ...] = (0.7, 0.2, 0.08, 0.015, 0.005)
    shows: Callable[[float], Mapping[str, float]] = lambda age_s: {}


@dataclass
class Served:
    """What a pod has counted so far."""

    version: str
    started: float
    requests: float = 0.0
    errors: float = 0.0
    buckets: list[float] = field(default_factory=lambda: [0.0] * len(EDGES))
    seen_at: float = 0.0
    scrapes: list[tuple[float, list[float]]] = field(default_factory=list)
    shown: list[tuple[float, Mapping[str, float]]] = field(default_factory=list)

    def count(self, traffic: Traffic, seconds: float) -> None:
        new = traffic.rate * seconds
        self.requests += new
        self.errors += new * traffic.errors
        for i, share in enumerate(traffic.latency):
            self.buckets[i] += new * share

    def values(self) -> list[float]:
        """Good and bad requests, the buckets, and all requests: whole numbers, as a process counts."""
        total, bad, cumulative = int(self.requests), int(self.errors), 0.0
        values = [float(total - bad), float(bad)]
        for share in self.buckets:
            cumulative += share
            values.append(float(int(cumulative + 1e-6)))
        values[-1] = float(total)
        return [*values, float(total)]

    def scrape(self, at: float, traffic: Traffic) -> None:
        self.scrapes.append((round(at, 3), self.values()))
        self.shown.append((round(at, 3), traffic.shows(at - self.started)))


class ScriptedPrometheus:
    """Serves one namespace. `versions`: by image tag; an unknown one is like `Traffic()`.

    Attributes:
        url: of its API. broken: an HTTP status to answer with instead, or 0. quiet: no pod counts anything.
        wrong: `empty` or `NaN` to answer with nothing, or with no numbers, or "".
        asked: how many questions came.
    """

    def __init__(self, session: Session, versions: Mapping[str, Traffic]) -> None:
        self.broken = 0
        self.quiet = False
        self.wrong = ""
        self.hangs_s = 0.0
        self.asked = 0
        self._session = session
        self._versions = versions
        self._pods: dict[str, Served] = {}
        self._lock = threading.Lock()
        self._over = threading.Event()
        self._away = threading.Event()
        self._server = self._listening(0)
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def start(self) -> None:
        self._look(first=True)
        self._serve()
        threading.Thread(target=self._follow, daemon=True).start()

    def close(self) -> None:
        self._over.set()
        self._server.shutdown()
        self._server.server_close()

    @contextmanager
    def refusing(self) -> Iterator[None]:
        """Connections are refused meanwhile; pods are scraped all the same."""
        self._away.set()
        self._server.shutdown()
        self._server.server_close()
        try:
            yield
        finally:
            self._away.clear()
            self._server = self._listening(self._server.server_port)
            self._serve()

    def is_away(self) -> bool:
        """Whether open connections are to end, too."""
        return self._away.is_set()

    def _listening(self, port: int) -> ThreadingHTTPServer:
        handler = type("Handler", (_Handler,), {"prometheus": self})
        server = ThreadingHTTPServer(("127.0.0.1", port), handler)
        server.daemon_threads = True
        return server

    def _serve(self) -> None:
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def _follow(self) -> None:
        while not self._over.wait(SCRAPE_S):
            try:
                self._look()
            except Exception:  # noqa: BLE001 - the API server may be away on purpose: no scrape then
                continue

    def _look(self, *, first: bool = False) -> None:
        items = self._session.get(self._session.path("v1", "pods")).get("items") or []
        now = time.time()
        with self._lock:
            for item in items:
                ready = any(
                    one["type"] == "Ready" and one["status"] == "True"
                    for one in item.get("status", {}).get("conditions") or []
                )
                if ready and "deletionTimestamp" not in item["metadata"]:
                    self._scrape(item, now, first=first)

    def _scrape(self, item: Json, now: float, *, first: bool) -> None:
        name = item["metadata"]["name"]
        version = split_image(item["spec"]["containers"][0]["image"])[1]
        traffic = self._versions.get(version, Traffic())
        pod = self._pods.get(name)
        if pod is None:
            pod = self._pods[name] = Served(version, now - PAST_S if first else now, seen_at=now)
            if first:
                for step in range(int(PAST_S / PAST_SCRAPE_S)):
                    pod.count(traffic, PAST_SCRAPE_S)
                    pod.scrape(now - PAST_S + (step + 1) * PAST_SCRAPE_S, traffic)
                return
        elif not self.quiet:
            pod.count(traffic, now - pod.seen_at)
        pod.seen_at = now
        pod.scrape(now, traffic)

    def shown(self, version: str, series: str) -> list[tuple[float, float]]:
        """Unix seconds and value of each scrape of a series of this version's pods, in order of time."""
        with self._lock:
            pods = [pod for pod in self._pods.values() if pod.version == version]
            return sorted((at, shown[series]) for pod in pods for at, shown in pod.shown if series in shown)

    def answer(self, query: str, at: float) -> Json:
        found = re.search(r'pod=~"([^"]*)".*\[(\d+)ms\]', query)
        if found is None:
            return {"resultType": "matrix", "result": []}
        names = [name.replace("\\\\", "") for name in found[1].split("|")]
        start = at - int(found[2]) / 1000
        with self._lock:
            result = [one for name in names if name in self._pods for one in self._series(name, start, at)]
        if self.wrong == "empty":
            result = []
        elif self.wrong == "NaN":
            result = [{**one, "values": [[t, "NaN"] for t, _ in one["values"]]} for one in result]
        return {"resultType": "matrix", "result": result}

    def _series(self, name: str, start: float, end: float) -> Iterator[Json]:
        pod = self._pods[name]
        rows = [(t, values) for t, values in pod.scrapes if start < t <= end]
        labels: list[dict[str, str]] = [
            {"__name__": "http_requests_total", "code": "200"},
            {"__name__": "http_requests_total", "code": "500"},
            *({"__name__": "http_request_duration_seconds_bucket", "le": edge} for edge in EDGES),
            {"__name__": "http_request_duration_seconds_count"},
        ]
        for i, label in enumerate(labels):
            if rows:
                yield {"metric": {**label, "pod": name}, "values": [[t, str(v[i])] for t, v in rows]}
        shown = [(t, more) for t, more in pod.shown if start < t <= end]
        for series in sorted({series for _, more in shown for series in more}):
            values = [[t, str(more[series])] for t, more in shown if series in more]
            yield {"metric": {"__name__": series, "pod": name}, "values": values}
        if rows:
            label = {"__name__": "process_start_time_seconds", "pod": name}
            yield {"metric": label, "values": [[t, str(pod.started)] for t, _ in rows]}


class _Handler(BaseHTTPRequestHandler):
    prometheus: ScriptedPrometheus
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self._answer(parse_qs(urlsplit(self.path).query))

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode()
        self._answer(parse_qs(body))

    def _answer(self, asked: dict[str, list[str]]) -> None:
        if self.prometheus.is_away():
            self.close_connection = True
            return
        self.prometheus.asked += 1
        time.sleep(self.prometheus.hangs_s)
        status = self.prometheus.broken or 200
        at = float(asked.get("time", [str(time.time())])[0])
        data = self.prometheus.answer(asked.get("query", [""])[0], at)
        body = json.dumps({"status": "success", "data": data}).encode()
        with suppress(OSError):  # who asked may have given up
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        pass


@contextmanager
def scripted(session: Session, versions: Mapping[str, Traffic]) -> Iterator[ScriptedPrometheus]:
    """Serving; its pods must be there already, to have a past."""
    serving = ScriptedPrometheus(session, versions)
    serving.start()
    try:
        yield serving
    finally:
        serving.close()
