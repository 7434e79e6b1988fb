import json
import random
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from canary.local.demo.load import parse_url
from canary.local.demo.tally import Failure, Latencies, Summary, Tally, read_summary
from tests.local.demo_process import LOAD, free_port, service


def run_load(folder: Path, url: str, *arguments: str) -> Summary:
    command = [sys.executable, "-m", LOAD, "--url", url, "--summary", str(folder / "s.json"), *arguments]
    subprocess.run(command, check=True, timeout=60)
    found = read_summary(folder / "s.json")
    assert found is not None
    return found


@contextmanager
def listener(answers: list[bytes]) -> Iterator[int]:
    """A server that gives its clients these answers in turn, and closes after each."""
    with socket.create_server(("127.0.0.1", 0), backlog=128) as server:

        def serve() -> None:
            for answer in answers:
                client, _ = server.accept()
                with client:
                    client.recv(4096)
                    client.sendall(answer)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield int(server.getsockname()[1])
        thread.join(5)


def test_the_books_balance_and_name_the_version(tmp_path: Path) -> None:
    with service("--fault", "errors", "--seed", "5", version="v9") as running:
        found = run_load(tmp_path, running.url, "--rps", "300", "--seconds", "20", "--requests", "500")
    assert (found.sent, found.answered, found.failed, found.open) == (500, 500, 0, 0)
    assert list(found.versions) == ["v9"]
    assert found.versions["v9"].requests == 500
    assert found.versions["v9"].errors == found.statuses["500"]
    assert 15 < found.versions["v9"].latency_ms["p50"] < 60


def test_refused_short_and_unowned_answers_are_failures_and_not_answers(tmp_path: Path) -> None:
    whole = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX-Version: v1\r\n\r\nok"
    nobody = b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 2\r\n\r\nno"
    answers = [whole, whole[:-1], b"", nobody]
    with listener(answers) as port:
        found = run_load(
            tmp_path, f"http://127.0.0.1:{port}", "--rps", "20", "--seconds", "9", "--requests", "4"
        )
    assert found.answered == 1
    assert found.failures == {"no_replica": 1, "short": 2}
    assert len(found.examples) == 3
    refused = run_load(
        tmp_path, f"http://127.0.0.1:{free_port()}", "--rps", "50", "--seconds", "9", "--requests", "5"
    )
    assert refused.failures == {"refused": 5}


def test_the_same_seed_sends_as_many_requests_and_another_seed_not(tmp_path: Path) -> None:
    dead = f"http://127.0.0.1:{free_port()}"
    sent = [
        run_load(tmp_path, dead, "--rps", "400", "--seconds", "0.7", "--seed", seed).sent
        for seed in ("4", "4", "5")
    ]
    assert sent[0] == sent[1] != sent[2]


def test_arrivals_do_not_wait_for_answers(tmp_path: Path) -> None:
    """A server that never answers is asked as often as any other: 100 a second for a second."""
    with socket.create_server(("127.0.0.1", 0), backlog=256) as server:
        port = server.getsockname()[1]
        command = [
            sys.executable,
            "-m",
            LOAD,
            "--url",
            f"http://127.0.0.1:{port}",
            "--rps",
            "100",
            "--seed",
            "2",
        ]
        files = ["--seconds", "1", "--live", str(tmp_path / "live.json")]
        with subprocess.Popen([*command, *files]) as process:
            time.sleep(2.2)
            live = read_summary(tmp_path / "live.json")
            process.kill()
    assert live is not None
    assert 60 <= live.sent <= 140
    assert live.open == live.sent


def test_sigterm_ends_it_early_with_its_books_written(tmp_path: Path) -> None:
    with service() as running:
        command = [sys.executable, "-m", LOAD, "--url", running.url, "--rps", "100", "--seconds", "600"]
        with subprocess.Popen([*command, "--summary", str(tmp_path / "s.json")]) as process:
            time.sleep(1.5)
            process.send_signal(signal.SIGTERM)
            assert process.wait(timeout=5) == 0
    found = read_summary(tmp_path / "s.json")
    assert found is not None
    assert 0 < found.sent < 300
    assert found.open == 0
    assert found.failed == 0


@pytest.mark.parametrize(
    "url",
    [
        "http://example.org",
        "https://127.0.0.1:8080",
        "http://10.0.0.1:80",
        "http://127.0.0.1:80/page",
        "nonsense",
    ],
)
def test_only_loopback_addresses_are_accepted(url: str) -> None:
    with pytest.raises(ValueError, match="wanted a loopback address"):
        parse_url(url)


def test_loopback_addresses_are_accepted_by_name_and_number() -> None:
    assert parse_url("http://localhost:8080") == ("127.0.0.1", 8080)
    assert parse_url("http://[::1]:81/") == ("::1", 81)


@pytest.mark.parametrize(
    "bounds", [["--rps", "9999"], ["--seconds", "0"], ["--requests", "-1"], ["--rps", "nan"]]
)
def test_what_is_out_of_bounds_is_refused(bounds: list[str]) -> None:
    given = {"--url": "http://127.0.0.1:9", "--rps": "1", "--seconds": "1"} | {bounds[0]: bounds[1]}
    command = [sys.executable, "-m", LOAD, *(word for pair in given.items() for word in pair)]
    found = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)
    assert found.returncode == 2
    assert "out of bounds" in found.stderr


def test_quantiles_are_within_two_percent() -> None:
    rng = random.Random(1)
    values = sorted(rng.lognormvariate(-4, 0.5) for _ in range(5000))
    latencies = Latencies()
    for value in values:
        latencies.add(value)
    for share in (0.5, 0.9, 0.99):
        found = latencies.quantile(share)
        assert found is not None
        exact = values[int(share * 5000) - 1]
        assert exact <= found <= exact * 1.021
    assert Latencies().quantile(0.5) is None


def test_a_summary_survives_its_file_and_a_torn_one_is_refused(tmp_path: Path) -> None:
    tally = Tally(1000.0)
    tally.sent = 3
    tally.answered("v1", 200, 0.02)
    tally.failed(Failure.RESET, 1002.5, "connection reset")
    path = tmp_path / "books.json"
    assert read_summary(path) is None
    tally.summary(1010.0).write(path)
    found = read_summary(path)
    assert found is not None
    assert (found.open, found.failures) == (1, {"reset": 1})
    assert found.examples == ["2.500 s: reset: connection reset"]
    path.write_text(json.dumps({"at": 1}))
    with pytest.raises(ValueError, match="not a summary"):
        read_summary(path)
