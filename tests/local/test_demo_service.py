import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from canary.local.demo.load import PAGES
from tests.local.demo_process import LOAD, SERVICE, Running, service


def counters(running: Running) -> dict[tuple[str, str, str], float]:
    """(method, path, status) -> requests, as its metrics tell."""
    families = text_string_to_metric_families(running.get("/metrics")[2])
    return {
        (s.labels["method"], s.labels["path"], s.labels["status"]): s.value
        for family in families
        for s in family.samples
        if s.name == "http_requests_total"
    }


def histogram(running: Running, le: str) -> float:
    families = text_string_to_metric_families(running.get("/metrics")[2])
    return sum(
        s.value
        for family in families
        for s in family.samples
        if s.name == "http_request_duration_seconds_bucket"
        and s.labels["le"] == le
        and s.labels["path"] in {path for _, path, _ in PAGES}
    )


def shoot(running: Running, folder: Path, requests: int) -> str:
    command = [sys.executable, "-m", LOAD, "--url", running.url, "--rps", "500", "--seconds", "30"]
    more = ["--requests", str(requests), "--seed", "1", "--summary", str(folder / "summary.json")]
    subprocess.run([*command, *more], check=True, timeout=60)
    return (folder / "summary.json").read_text()


def test_metrics_tell_exactly_what_clients_counted(tmp_path: Path) -> None:
    with service("--fault", "errors", "--seed", "3") as running:
        summary = shoot(running, tmp_path, 600)
        counted = counters(running)
        pages = {path for _, path, _ in PAGES}
        failed = sum(v for (_, path, status), v in counted.items() if status == "500" and path in pages)
        assert sum(v for (_, path, _), v in counted.items() if path in pages) == 600
        assert f'"500": {failed:.0f}' in summary
        assert 1 <= failed <= 30
        assert histogram(running, "+Inf") == 600
        assert ("POST", "/checkout", "200") in counted


def test_slow_requests_land_in_the_buckets_above_a_quarter_of_a_second(tmp_path: Path) -> None:
    with service("--fault", "latency", "--seed", "3") as running:
        shoot(running, tmp_path, 600)
        slow = histogram(running, "+Inf") - histogram(running, "0.25")
        # Bin(600, 0.045): mean 27, standard deviation 5.1.
        assert 8 <= slow <= 48
        assert histogram(running, "0.25") - histogram(running, "0.1") <= 5


def test_the_version_is_in_a_header_and_its_fault_in_a_table() -> None:
    with service("--faults", "v1.1.0=never-ready,v1.0.0=errors", version="v1.1.0") as running:
        status, headers, _ = running.get("/health/ready")
        assert status == 503
        assert headers["X-Version"] == "v1.1.0"
        assert running.get("/health/live")[0] == 200


def test_the_start_of_the_process_is_told_in_unix_seconds() -> None:
    before = time.time()
    with service() as running:
        for family in text_string_to_metric_families(running.get("/metrics")[2]):
            if family.name == "process_start_time_seconds":
                assert before - 1 <= family.samples[0].value <= time.time()
                return
    raise AssertionError("no process_start_time_seconds")


def test_a_slow_start_is_not_ready_until_its_time() -> None:
    with service("--fault", "slow-start:1") as running:
        assert running.get("/health/ready")[0] == 503
        time.sleep(1.2)
        assert running.get("/health/ready")[0] == 200


def test_a_crash_ends_the_process_with_its_status_after_its_time() -> None:
    with service("--fault", "crash:0.5") as running:
        assert running.get("/health/ready")[0] == 200
        assert running.process.wait(timeout=10) == 70


def test_sigterm_makes_it_not_ready_at_once_and_lets_open_requests_finish() -> None:
    with service("--fault", "latency") as running:
        sockets = [socket.create_connection(("127.0.0.1", running.port)) for _ in range(200)]
        probe = socket.create_connection(("127.0.0.1", running.port))
        for client in sockets:
            client.settimeout(5)
            client.sendall(b"GET / HTTP/1.1\r\n\r\n")
        running.process.send_signal(signal.SIGTERM)
        time.sleep(0.05)
        probe.settimeout(5)
        probe.sendall(b"GET /health/ready HTTP/1.1\r\n\r\n")
        assert probe.recv(4096).startswith(b"HTTP/1.1 503 ")
        answers = [client.recv(4096) for client in sockets]
        for client in (*sockets, probe):
            client.close()
        assert sum(b"X-Version: v1.0.0" in answer for answer in answers) == 200
        assert running.process.wait(timeout=5) == 0


def test_sigterm_ends_it_soon_though_a_client_keeps_its_connection_open() -> None:
    with service() as running, socket.create_connection(("127.0.0.1", running.port)) as client:
        client.sendall(b"GET / HTTP/1.1\r\n\r\n")
        assert client.recv(4096).startswith(b"HTTP/1.1 ")
        began = time.monotonic()
        running.process.send_signal(signal.SIGTERM)
        assert running.process.wait(timeout=5) == 0
        assert time.monotonic() - began < 2


def test_a_port_in_use_is_said_with_what_to_do() -> None:
    with service() as running:
        command = [sys.executable, "-m", SERVICE, "--version", "v1", "--port", str(running.port)]
        second = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)
        assert second.returncode == 1
        assert "Address already in use; choose another --port" in second.stderr
        assert "Traceback" not in second.stderr


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["--port", "0"], "--port 0 is no port"),
        (["--port", "1", "--fault", "fire"], "'fire' is not known"),
        (["--port", "1", "--fault", "load"], "--shared"),
    ],
)
def test_wrong_arguments_end_with_status_2_and_a_message(arguments: list[str], named: str) -> None:
    command = [sys.executable, "-m", SERVICE, "--version", "v1", *arguments]
    found = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)
    assert found.returncode == 2
    assert named in found.stderr


def test_unknown_paths_and_methods_are_refused_and_make_no_new_series() -> None:
    with service() as running:
        assert running.get("/wp-admin.php")[0] == 404
        assert running.get("/", method="BREW")[0] == 405
        assert {path for _, path, _ in counters(running)} == {"/", "other"}
        assert {method for method, _, _ in counters(running)} == {"GET", "other"}


def test_two_processes_of_a_busy_version_see_their_common_load(tmp_path: Path) -> None:
    """Each serves 50 requests a second, under the level of 80; together they are above it."""
    shared = ["--fault", "load:80", "--shared", str(tmp_path), "--seed", "1"]
    with service(*shared) as one, service(*shared) as two:
        command = [sys.executable, "-m", LOAD, "--rps", "50", "--seconds", "5", "--url"]
        books = [tmp_path / "one.json", tmp_path / "two.json"]
        runs = [
            threading.Thread(target=subprocess.run, args=([*command, url, "--summary", str(book)],))
            for url, book in zip((one.url, two.url), books, strict=True)
        ]
        for run in runs:
            run.start()
        for run in runs:
            run.join()
        # About 400 requests above the level: Bin(400, 0.02) is 0 with probability 0.0003; the base gives 1.2.
        failed = sum(v for r in (one, two) for (_, _, status), v in counters(r).items() if status == "500")
        assert failed >= 2


def process(running: Running) -> dict[str, float]:
    """What its page says of its process."""
    families = text_string_to_metric_families(running.get("/metrics")[2])
    return {s.name: s.value for family in families for s in family.samples if s.name.startswith("process_")}


def test_its_page_tells_the_memory_and_the_cpu_time_of_its_process() -> None:
    with service() as running:
        found = process(running)
        assert found.keys() == {
            "process_start_time_seconds",
            "process_resident_memory_bytes",
            "process_cpu_seconds_total",
        }
        assert 5 * 2**20 < found["process_resident_memory_bytes"] < 500 * 2**20
        assert 0 < found["process_cpu_seconds_total"] < 60


def test_a_version_that_leaks_takes_ever_more_memory() -> None:
    with service("--fault", "leak:50") as running:
        before = process(running)["process_resident_memory_bytes"]
        end = time.monotonic() + 30
        while (now := process(running)["process_resident_memory_bytes"]) < before + 50 * 2**20:
            assert time.monotonic() < end, now - before
            time.sleep(0.1)
