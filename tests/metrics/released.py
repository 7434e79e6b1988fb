"""Whole releases in memory, judged by what real Prometheus servers have scraped; time is virtual.

The loop, the policy and the source are the real ones. What the pods of a fake cluster count is written to the
servers as they would have scraped it, each pod at an offset of its own, and is asked for through a front that
may answer wrongly.
"""

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from zlib import crc32

import httpx

from canary.core.actions import Decision
from canary.core.assessed import Assessed, Look
from canary.core.observation import Arm, Observation
from canary.core.strategy import MetricKind
from canary.metrics.prometheus import PrometheusMetrics
from canary.ports import Recorded
from tests.fake_cluster import EDGES, FakePod
from tests.fakes import FakeReporter
from tests.metrics.stored import STALE, Point, write
from tests.stage import Stage

HANG_S = 0.05
Answer = tuple[int, bytes, int]
"""Status, body, and the length that is told of it."""


def _changed(body: bytes, change: Callable[[dict[str, Any]], None]) -> Answer:
    document = json.loads(body)
    change(document)
    told = json.dumps(document).encode()
    return 200, told, len(told)


def _emptied(document: dict[str, Any]) -> None:
    document["data"]["result"] = []


def _halved(document: dict[str, Any]) -> None:
    document["warnings"] = ["store 10.0.0.7:10901 did not answer"]
    document["data"]["result"] = document["data"]["result"][::2]


def _not_numbers(document: dict[str, Any]) -> None:
    for series in document["data"]["result"]:
        series["values"] = [[at, "NaN"] for at, _ in series["values"]]


FAULTS: dict[str, Callable[[bytes], Answer]] = {
    "503": lambda _: (503, b"", 0),
    "hangs": lambda body: (200, body, len(body)),
    "truncated": lambda body: (200, body[: len(body) // 2], len(body) // 2),
    "cut off": lambda body: (200, body[: len(body) // 2], len(body)),
    "partial": lambda body: _changed(body, _halved),
    "empty": lambda body: _changed(body, _emptied),
    "NaN": lambda body: _changed(body, _not_numbers),
}
"""What a front makes of a right answer; besides, it may refuse connections."""


@dataclass
class Replica:
    """A Prometheus that scrapes the pods.

    Attributes:
        phase_s: added to every pod's offset. lag_s: from a scrape until it can be read.
        misses: whether it does not scrape this pod at this time (unix seconds).
        scraped: (unix seconds, pod, arm, requests that the pod had counted) of every scrape.
    """

    url: str
    phase_s: float = 0.0
    lag_s: float = 0.0
    misses: Callable[[str, float], bool] = lambda _pod, _at: False
    waiting: list[tuple[float, Point]] = field(default_factory=list)
    ended: set[str] = field(default_factory=set)
    scraped: list[tuple[float, str, Arm, float]] = field(default_factory=list)

    def stored_until(self, at: float) -> None:
        """All that can be read at this time is in the server."""
        due = [point for when, point in self.waiting if when <= at]
        self.waiting = [one for one in self.waiting if one[0] > at]
        write(self.url, due)


@dataclass
class Noting(FakeReporter):
    """Keeps the looks, and why the release was held, with the time."""

    def __post_init__(self) -> None:
        super().__init__()
        self.looks: list[Look] = []
        self.held: list[tuple[float, str, str]] = []
        self.looks_made_at: list[float] = []

    def tick(self, recorded: Recorded, seen: Observation, assessed: object, decision: Decision) -> None:
        super().tick(recorded, seen, assessed, decision)
        assert isinstance(assessed, Assessed)
        new = [look for look in assessed.looks if look.number > len(self.looks)]
        self.looks += new
        self.looks_made_at += [seen.at for _ in new]
        if assessed.lacking is not None:
            self.held.append((seen.at, str(assessed.lacking), assessed.lacking_detail))


class Scraped(Stage):
    """A stage whose pods are scraped by real servers.

    Attributes:
        servers: those behind the front. base: pod -> requests it had counted at the release's start.
        seen_by: what the reporter was told. began: unix seconds of the start.
    """

    def begin(self, servers: list[Replica], front: "Front", history_s: float = 300.0) -> None:
        """Pods that have been scraped for so long; from now on the clock brings the scrapes."""
        self.servers, self.front = servers, front
        self.scrape_s = self.strategy.scrape_interval_s
        self.seen_by = Noting()
        self.reporter = self.seen_by
        self.began = self.clock.now()
        self._past(history_s)
        self.base = {pod.name: pod.counters()[MetricKind.RATIO][1] for pod in self.cluster.pods}
        self.clock.every(1.0, self._second)
        front.stage = self
        strategy = self.strategy
        self.source = PrometheusMetrics(
            front.settings,
            clock=self.clock,
            interval_s=strategy.interval_s,
            scrape_interval_s=strategy.scrape_interval_s,
        )
        self.metrics = self.source  # type: ignore[assignment]

    def _past(self, history_s: float) -> None:
        """Counters of the time before, at the same rate."""
        each = self.rate / len(self.cluster.pods)
        for back in range(int(history_s), -1, -1):
            for pod in self.cluster.pods:
                pod.requests = each * (history_s - back)
                pod.errors = pod.requests * pod.behaviour.error_rate
                self._scrape(pod, self.began - back)

    def _second(self) -> None:
        self.cluster.catch_up()
        for pod in self.cluster.pods:
            self._scrape(pod, self.clock.now())

    def _scrape(self, pod: FakePod, at: float) -> None:
        """By every server whose turn it is."""
        offset = crc32(pod.name.encode()) % int(self.scrape_s)
        for server in self.servers:
            if (at + offset + server.phase_s) % self.scrape_s == 0 and pod.name not in server.ended:
                if pod.ended is not None:
                    server.ended.add(pod.name)
                if pod.ended is not None or not server.misses(pod.name, at):
                    if pod.ended is None:
                        server.scraped.append((at, pod.name, pod.arm, pod.counters()[MetricKind.RATIO][1]))
                    server.waiting += [(at + server.lag_s, point) for point in exposed(pod, at)]

    def counted(self, arm: Arm) -> dict[str, tuple[float, float]]:
        """(good, bad) and requests of the histogram over all looks so far."""
        looks = self.seen_by.looks
        found = [look.canary if arm is Arm.CANARY else look.stable for look in looks]
        errors = [one.get("errors", (0.0, 0.0)) for one in found]
        slow = sum(sum(one.get("latency", ())) for one in found)
        return {
            "errors": (sum(one[0] for one in errors), sum(one[1] for one in errors)),
            "latency": (slow, slow),
        }

    def served(self, arm: Arm) -> float:
        """Requests that the arm's pods have really answered since the start."""
        return sum(
            pod.counters()[MetricKind.RATIO][1] - self.base.get(pod.name, 0.0)
            for pod in self.cluster.pods
            if pod.arm is arm
        )


def exposed(pod: FakePod, at: float) -> Iterator[Point]:
    """What a scrape of the pod stores; of one that has ended, that its series are stale."""
    counters = pod.counters()
    bad, total = counters[MetricKind.RATIO]
    series: list[tuple[str, dict[str, str], float]] = [
        ("http_requests_total", {"code": "200"}, total - bad),
        ("http_requests_total", {"code": "500"}, bad),
        ("process_start_time_seconds", {}, pod.started),
        *((name, {}, value) for name, value in pod.behaviour.shows(at - pod.born).items()),
    ]
    bounds = [*(f"{bound:g}" for bound in EDGES), "+Inf"]
    for bound, count in zip(bounds, counters[MetricKind.HISTOGRAM], strict=True):
        series.append(("http_request_duration_seconds_bucket", {"le": bound}, count))
    target = {"pod": pod.name, "job": "pods", "instance": f"{pod.name}:80"}
    for name, labels, value in series:
        yield Point(name, {**labels, **target}, at, STALE if pod.ended is not None else value)


@dataclass
class FrontSettings:
    """How to ask a front; nobody waits long for one that hangs."""

    front: "Front"
    token_file: None = None
    ca_file: None = None
    selector: dict[str, str] = field(default_factory=dict)
    pod_label: str = "pod"

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.front.port}"

    @property
    def timeout_s(self) -> float:
        return HANG_S if self.front.fault(self.front.stage.clock.now()) == "hangs" else 10.0


class Front:
    """One address before the servers of a stage.

    Attributes:
        fault: unix seconds -> which of FAULTS is made of the answer then, or None.
        choose: which of the servers answers the n-th question, from 0.
        asked: questions so far. failed: how many were answered wrongly.
    """

    stage: Scraped

    def __init__(self) -> None:
        self.fault: Callable[[float], str | None] = lambda _: None
        self.choose: Callable[[int], int] = lambda _: 0
        self.asked = 0
        self.failed = 0
        self._client = httpx.Client(trust_env=False, timeout=20)
        self._listening: ThreadingHTTPServer | None = None
        self.port = 0
        self._listen()
        self.settings = FrontSettings(self)

    def _listen(self) -> None:
        handler = type("Handler", (_Handler,), {"front": self})
        server = ThreadingHTTPServer(("127.0.0.1", self.port), handler)
        server.daemon_threads = True
        self.port, self._listening = server.server_port, server
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()

    def refuse(self) -> None:
        """Connections are refused from now on."""
        server, self._listening = self._listening, None
        if server is not None:
            server.shutdown()
            server.server_close()

    def accept(self) -> None:
        """And now they are not."""
        if self._listening is None:
            self._listen()

    def close(self) -> None:
        self.refuse()
        self._client.close()

    def answer(self, path: str) -> Answer:
        """What is said to this question, right or wrong."""
        at = self.stage.clock.now()
        server = self.stage.servers[self.choose(self.asked) % len(self.stage.servers)]
        self.asked += 1
        server.stored_until(at)
        body = self._client.get(f"{server.url}{path}").raise_for_status().content
        fault = self.fault(at)
        if fault is None:
            return 200, body, len(body)
        self.failed += 1
        if fault == "hangs":
            time.sleep(2 * HANG_S)
        return FAULTS[fault](body)


class _Handler(BaseHTTPRequestHandler):
    front: Front

    def do_GET(self) -> None:
        status, body, told = self.front.answer(self.path)
        with suppress(OSError):  # who asked may have given up
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(told))
            self.end_headers()
            self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        pass


@contextmanager
def a_front() -> Iterator[Front]:
    front = Front()
    try:
        yield front
    finally:
        front.close()
