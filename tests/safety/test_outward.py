"""What the monitor says to others: Docker, people, Prometheus; and none of them holds it up."""

import gc
import json
import socket
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from math import inf
from pathlib import Path

import httpx
import pytest

from canary.errors import ConflictError, DeniedError, InvalidError, MissingError, TransientError
from canary.monitor.alerts import ATTEMPTS, Alerts, name_of, url_in
from canary.monitor.docker import Docker
from canary.monitor.exporter import Exporter, Meters
from canary.monitor.hands import limits
from canary.monitor.voice import Voice
from canary.safety.container import Container
from tests.safety.test_texts import described

Answer = Callable[[socket.socket, bytes], None]


@contextmanager
def served(path: Path, answer: Answer) -> Iterator[list[bytes]]:
    """A server on a socket of the file system; what it was asked."""
    asked: list[bytes] = []
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()

        def serve() -> None:
            while True:
                try:
                    one, _ = listener.accept()
                except OSError:
                    return
                with one:
                    one.settimeout(10)
                    try:
                        head = one.recv(65536)
                        asked.append(head)
                        answer(one, head)
                    except OSError:
                        continue

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield asked
        listener.shutdown(socket.SHUT_RDWR)
    thread.join(5)


def status(number: int, body: bytes = b'{"message": "no"}') -> Answer:
    def answer(one: socket.socket, _: bytes) -> None:
        one.sendall(b"HTTP/1.1 %d X\r\nContent-Length: %d\r\n\r\n%s" % (number, len(body), body))

    return answer


def docker(path: Path, timeout_s: float = 1.0) -> Docker:
    return Docker(f"unix://{path}", "box", timeout_s=timeout_s)


def test_it_asks_by_name_and_for_one_container_alone(tmp_path: Path) -> None:
    with served(tmp_path / "s", status(200, json.dumps(described()).encode())) as asked:
        found = docker(tmp_path / "s").inspect()
        assert found is not None
        assert found.name == "box"
        docker(tmp_path / "s").kill("SIGTERM")
        docker(tmp_path / "s").update({"NanoCpus": 5})
    assert [one.split(b" HTTP")[0] for one in asked] == [
        b"GET /containers/box/json",
        b"POST /containers/box/kill?signal=SIGTERM",
        b"POST /containers/box/update",
    ]


@pytest.mark.parametrize(
    ("number", "fault"),
    [
        (403, DeniedError),
        (405, DeniedError),
        (409, ConflictError),
        (500, TransientError),
        (404, MissingError),
    ],
)
def test_each_refusal_is_a_fault_that_says_what_was_asked(
    tmp_path: Path, number: int, fault: type[Exception]
) -> None:
    with served(tmp_path / "s", status(number)), pytest.raises(fault, match="POST /containers/box/update"):
        docker(tmp_path / "s").update({})


def test_a_container_that_is_not_there_is_an_answer(tmp_path: Path) -> None:
    with served(tmp_path / "s", status(404)):
        assert docker(tmp_path / "s").inspect() is None
        assert docker(tmp_path / "s").kill() is False


def silent(one: socket.socket, _: bytes) -> None:
    one.recv(1)


def dripping(one: socket.socket, _: bytes) -> None:
    one.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
    for _n in range(100):
        one.sendall(b" ")
        time.sleep(0.1)


def endless(one: socket.socket, _: bytes) -> None:
    one.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
    while True:
        one.sendall(b" " * 65536)


@pytest.mark.parametrize(
    "answer",
    [
        silent,
        dripping,
        endless,
        status(200, b"nonsense"),
        status(200, b"[]"),
        lambda one, _: one.sendall(b"\x00\xff"),
    ],
    ids=["silent", "dripping", "endless", "no JSON", "no container", "no HTTP"],
)
def test_an_answer_that_is_none_is_a_fault_in_time(tmp_path: Path, answer: Answer) -> None:
    with served(tmp_path / "s", answer):
        begun = time.monotonic()
        with pytest.raises(TransientError):
            docker(tmp_path / "s", 0.5).inspect()
        assert time.monotonic() - begun < 5


@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")
def test_nobody_there_is_a_fault_and_a_wrong_address_another(tmp_path: Path) -> None:
    with pytest.raises(TransientError, match="does not answer"):
        docker(tmp_path / "nobody").inspect()
    # httpcore leaves a socket that it could not connect to the collector.
    gc.collect()
    for address in ("/var/run/docker.sock", "unix://relative", "ftp://x", ""):
        with pytest.raises(InvalidError):
            Docker(address, "box")


LIMITS = [
    (Container("a", "b", nano_cpus=2 * 10**9), 1.0, {"NanoCpus": 10**9}, {"NanoCpus": 2 * 10**9}),
    (
        Container("a", "b", cpu_period=50_000, cpu_quota=25_000),
        0.25,
        {"CpuPeriod": 50_000, "CpuQuota": 12_500},
        {"CpuPeriod": 50_000, "CpuQuota": 25_000},
    ),
    (Container("a", "b"), 0.5, {"CpuPeriod": 100_000, "CpuQuota": 50_000}, {"CpuQuota": -1}),
]


@pytest.mark.parametrize(("container", "cores", "down", "back"), LIMITS)
def test_half_of_its_cpu_is_taken_and_given_back_in_the_words_it_was_given_in(
    container: Container, cores: float, down: dict[str, int], back: dict[str, int]
) -> None:
    assert limits(container, on=True) == (cores, down)
    assert limits(container, on=False) == (container.cores, back)
    assert container.cores in (2.0, 0.5, inf)


def test_an_alert_that_gets_there_is_sent_once(monkeypatch: pytest.MonkeyPatch) -> None:
    came, said = [], list[str]()

    def take(request: httpx.Request) -> httpx.Response:
        came.append(json.loads(request.content))
        return httpx.Response(204)

    alerts = Alerts("https://alerts.example/secret", said.append, httpx.MockTransport(take))
    alerts.send({"said": "one"})
    alerts.send({"said": "two"})
    assert alerts.settle(5)
    assert (came, said) == ([{"said": "one"}, {"said": "two"}], [])


def test_an_alert_is_tried_again_and_in_the_end_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("canary.monitor.alerts.WAIT_S", (0.01, 0.01, 0.01))
    tries, said = list[int](), list[str]()

    def refuse(_: httpx.Request) -> httpx.Response:
        tries.append(1)
        raise httpx.ConnectTimeout("late")

    alerts = Alerts("https://alerts.example/secret", said.append, httpx.MockTransport(refuse))
    alerts.send({})
    assert alerts.settle(5)
    assert len(tries) == ATTEMPTS
    assert said == ["an alert was given up after 4 attempts: https://alerts.example: ConnectTimeout"]


def test_sending_returns_at_once_whatever_the_other_side_does() -> None:
    def hang(_: httpx.Request) -> httpx.Response:
        time.sleep(1)
        return httpx.Response(200)

    alerts = Alerts("https://alerts.example/x", lambda _: None, httpx.MockTransport(hang))
    begun = time.monotonic()
    for _ in range(500):
        alerts.send({})
    assert time.monotonic() - begun < 5


def test_the_address_of_alerts_is_read_from_a_file_and_never_shown(tmp_path: Path) -> None:
    path = tmp_path / "url"
    path.write_text("https://alerts.example:8443/hook/SECRET\n")
    assert name_of(url_in(path)) == "https://alerts.example:8443"
    path.write_text("SECRET without a scheme")
    with pytest.raises(InvalidError) as fault:
        url_in(path)
    assert "SECRET" not in str(fault.value)
    with pytest.raises(MissingError):
        url_in(tmp_path / "none")


def test_a_reader_that_sleeps_or_has_gone_holds_up_nobody() -> None:
    def sleep(_: str) -> None:
        time.sleep(0.5)

    def gone(_: str) -> None:
        raise BrokenPipeError

    for write in (sleep, gone):
        voice = Voice(write)
        begun = time.monotonic()
        for _ in range(5000):
            voice.say("line")
        assert time.monotonic() - begun < 5
    voice.settle(5)


def fetch(port: int, path: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=5) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as fault:
        return fault.code, fault.read().decode()


def test_the_health_is_that_of_the_main_thread() -> None:
    meters = Meters(("egress",))
    exporter = Exporter("127.0.0.1", 0, meters)
    try:
        assert fetch(exporter.port, "/healthz")[0] == 503
        meters.ready, meters.pulse, meters.state = True, time.monotonic(), "waiting for box"
        assert fetch(exporter.port, "/healthz") == (200, "waiting for box\n")
        meters.pulse -= 60
        assert fetch(exporter.port, "/healthz")[0] == 503
        assert 'canary_guard_rule_firing{rule="egress"} 0.0' in fetch(exporter.port, "/metrics")[1]
        assert fetch(exporter.port, "/")[0] == 404
        with pytest.raises(InvalidError, match="cannot listen"):
            Exporter("127.0.0.1", exporter.port, meters)
    finally:
        exporter.close()
