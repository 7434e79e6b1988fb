"""A real Prometheus and direct scraping, side by side: the same release gives equal counts, tick by tick."""

import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from random import Random

import psutil
import pytest

from canary.core.observation import Arm
from canary.core.release import ArmFacts, PodFact
from canary.core.strategy import ERRORS, LATENCY
from canary.core.ticks import Look, advance, begin
from canary.metrics.pods import Page, PodMetrics
from canary.metrics.prometheus import PrometheusMetrics
from canary.metrics.scrape import fetcher
from canary.ports import Clock, MetricsQuery
from tests.metrics.loopback import Asked, Loopback, loopback
from tests.metrics.test_prometheus_client import Settings

pytestmark = pytest.mark.e2e

STEP_S = 1.5
STEPS = 7
PODS = ("s1", "s2", "c1")
BOUNDS = ("0.05", "0.1", "1", "+Inf")
ARMS = {
    Arm.STABLE: ArmFacts(("r1",), (PodFact("s1", "1"), PodFact("s2", "2"))),
    Arm.CANARY: ArmFacts(("r2",), (PodFact("c1", "3"),)),
}


class SystemClock:
    """The real time, for a server that keeps real time."""

    interrupted: int | None = None

    def now(self) -> float:
        return time.time()

    def monotonic(self) -> float:
        return time.monotonic()

    def wait(self, seconds: float) -> None:
        time.sleep(max(0.0, seconds))


@dataclass
class Exporter:
    """Three pods whose counters advance on the grid alone, so that every scrape of a step sees the same.

    The canary comes up at step 1; s2 begins anew at step 4; the first server errors of s1 are born late.
    """

    since: float = 0.0
    asked_at: dict[tuple[str, str], list[float]] = field(default_factory=dict)

    def answer(self, asked: Asked) -> tuple[int, dict[str, str], bytes]:
        now, pod = time.time(), asked.path.strip("/")
        self.asked_at.setdefault((pod, asked.headers.get("User-Agent", "")[:4]), []).append(now)
        # Before the grid is laid, and in the history, the counters stand still.
        step = int((now - self.since) // STEP_S) if self.since and now > self.since else -1
        if pod == "c1" and step < 1:
            return 503, {}, b""
        born = {"c1": 1, "s2": 4 if step >= 4 else -1}.get(pod, -1)
        return 200, {"Content-Type": "text/plain; version=0.0.4"}, self.page(pod, born, step).encode()

    def page(self, pod: str, born: int, step: int) -> str:
        ok, failed, buckets = 0, 0, [0] * len(BOUNDS)
        for n in range(born, step + 1):
            made = Random(f"{pod} {n}")
            ok += made.randrange(40)
            failed += made.randrange(5) if n >= 3 or pod == "c1" else 0
            for bucket in range(len(BOUNDS)):
                buckets[bucket] += made.randrange(10)
        lines = ["# TYPE http_requests_total counter", f'http_requests_total{{code="200",path="/"}} {ok}']
        lines.append('http_requests_total{code="200",path="/health"} 12345')
        if failed:
            lines.append(f'http_requests_total{{code="500",path="/"}} {failed}')
        lines.append("# TYPE http_request_duration_seconds histogram")
        for n, bound in enumerate(BOUNDS):
            total = sum(buckets[: n + 1])
            lines.append(f'http_request_duration_seconds_bucket{{le="{bound}",path="/"}} {total}')
        lines.append(f'http_request_duration_seconds_count{{path="/"}} {sum(buckets)}')
        started = self.since + born * STEP_S if born > 0 else 1000.0
        lines.append(f"# TYPE process_start_time_seconds gauge\nprocess_start_time_seconds {started!r}")
        return "\n".join(lines) + "\n"


@contextmanager
def a_prometheus(binary: str, exporter: Loopback, folder: Path) -> Iterator[tuple[str, int]]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    host = exporter.url.removeprefix("http://")
    config = [f"global: {{scrape_interval: {STEP_S * 1000:.0f}ms, scrape_timeout: 1s}}", "scrape_configs:"]
    for pod in PODS:
        target = (
            f"[{{targets: ['{host}'], labels: {{pod: {pod}, revision: {'r2' if pod == 'c1' else 'r1'}}}}}]"
        )
        config.append(f"  - {{job_name: {pod}, metrics_path: /{pod}, static_configs: {target}}}")
    (folder / "prometheus.yml").write_text("\n".join(config))
    command = [
        binary,
        f"--config.file={folder / 'prometheus.yml'}",
        f"--storage.tsdb.path={folder / 'data'}",
        f"--web.listen-address=127.0.0.1:{port}",
        "--log.level=warn",
    ]
    with (folder / "log").open("wb") as log, subprocess.Popen(command, stdout=log, stderr=log) as process:
        try:
            yield f"http://127.0.0.1:{port}", process.pid
        finally:
            process.send_signal(signal.SIGCONT)
            process.terminate()
            process.wait(20)


def binary() -> str:
    found = shutil.which("prometheus")
    if found is None:
        words = "no `prometheus` on PATH: its counts are not compared. On Debian: apt install prometheus"
        if os.environ.get("CI") == "true":
            pytest.fail(words)
        pytest.skip(words)
    return found


def quietest_phase(arrivals: list[float]) -> float:
    """Seconds into the step at which no scrape is near."""
    phases = sorted(at % STEP_S for at in arrivals)
    around = [*phases, phases[0] + STEP_S]
    width, start = max((later - one, one) for one, later in pairwise(around))
    return (start + width / 2) % STEP_S


def wait_for(ready: Iterator[bool], within_s: float) -> None:
    until = time.monotonic() + within_s
    while not next(ready):
        assert time.monotonic() < until, "Prometheus did not scrape in time"
        time.sleep(0.05)


def counted(looks: tuple[Look, ...]) -> list[tuple[int, object, object]]:
    """The looks since the start; a server has a longer history than what was scraped from here."""
    return [(look.k, look.stable, look.canary) for look in looks if look.k > 0]


def a_query(start: float, end: float) -> MetricsQuery:
    return MetricsQuery((ERRORS, LATENCY), {"path": ("/health*",)}, ARMS, start, end)


def lay_the_grid(exporter: Exporter) -> None:
    """Wait until the phases of all scrapes of both are known, then begin soon on a grid that none is near."""
    both = 2 * len(PODS)

    def known() -> bool:
        found = list(exporter.asked_at.values())
        return len(found) == both and all(len(times) >= 2 for times in found)

    wait_for((known() for _ in iter(int, 1)), 30.0)
    phase = quietest_phase([at for times in list(exporter.asked_at.values()) for at in times[1:]])
    soon = time.time() + STEP_S
    exporter.since = soon + (phase - soon) % STEP_S


def looks_of(source: PodMetrics | PrometheusMetrics, since: float, ends: list[float]) -> tuple[Look, ...]:
    ticker = begin((ERRORS, LATENCY), since=since, interval_s=STEP_S, scrape_interval_s=STEP_S)
    looks: tuple[Look, ...] = ()
    for start, end in zip([since - 30.0, *ends], ends, strict=False):
        scrapes = source.read(a_query(start, end))
        assert scrapes.reachable, scrapes.note
        assert scrapes.edges in ({"latency": (0.05, 0.1, 1.0)}, {})
        ticker, more = advance(ticker, scrapes, end)
        looks += more
    return looks


def from_prometheus(server: Settings, clock: Clock, since: float, ends: list[float]) -> tuple[Look, ...]:
    source = PrometheusMetrics(server, clock=clock, interval_s=STEP_S, scrape_interval_s=STEP_S)
    try:
        return looks_of(source, since, ends)
    finally:
        source.close()


def test_a_real_prometheus_and_direct_scraping_count_the_same_tick_by_tick(tmp_path: Path) -> None:
    program, clock, exporter = binary(), SystemClock(), Exporter()
    with loopback() as pods:
        pods.answer = exporter.answer
        pages = {pod: Page(f"{pods.url}/{pod}") for pod in PODS}
        direct = PodMetrics(lambda: pages, fetcher(), clock, scrape_interval_s=STEP_S)
        with a_prometheus(program, pods, tmp_path) as (url, pid):
            direct.read(a_query(0.0, clock.now()))
            lay_the_grid(exporter)
            since = exporter.since
            for step in range(STEPS):
                # In the middle of each step, the last of the history first.
                clock.wait(since + (step - 0.5) * STEP_S - clock.now())
                assert direct.read(a_query(since - 30.0, clock.now())).reachable
            end = since + (STEPS - 1) * STEP_S
            clock.wait(end + STEP_S + 2.1 - clock.now())

            expected = tuple(look for look in looks_of(direct, since, [end]) if look.k > 0)
            direct.close()
            server = Settings(url, timeout_s=2.0)
            assert [look.k for look in expected] == [2, 3, 4, 5, 6]
            assert expected[0].canary["c1"]["errors"][0] > 0
            assert counted(from_prometheus(server, clock, since, [end])) == counted(expected)
            ticks = [since + k * STEP_S for k in range(STEPS)]
            assert counted(from_prometheus(server, clock, since, ticks)) == counted(expected)
            assert_a_stopped_server_is_out_of_reach(server, clock, pid, since)


def assert_a_stopped_server_is_out_of_reach(server: Settings, clock: Clock, pid: int, since: float) -> None:
    source = PrometheusMetrics(server, clock=clock, interval_s=STEP_S, scrape_interval_s=STEP_S)
    try:
        os.kill(pid, signal.SIGSTOP)
        # One of its threads may answer until all of them have stopped.
        wait_for((psutil.Process(pid).status() == psutil.STATUS_STOPPED for _ in iter(int, 1)), 5.0)
        began = time.monotonic()
        assert not source.read(a_query(since, since + STEP_S)).reachable
        assert time.monotonic() - began < server.timeout_s + 0.5
        os.kill(pid, signal.SIGCONT)
        assert source.read(a_query(since, since + STEP_S)).reachable
    finally:
        source.close()
