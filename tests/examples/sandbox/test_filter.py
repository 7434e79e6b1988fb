"""The filter before Docker's socket, asked request by request, before the real daemon."""

import json
import re
import socket
from contextlib import suppress
from dataclasses import dataclass

import pytest

from tests.docker import images
from tests.examples.sandbox.stage import SANDBOX, Box

pytestmark = pytest.mark.docker

OWN = f"/containers/{SANDBOX}"
FORBIDDEN, BAD = 403, 400


@dataclass(frozen=True)
class Answer:
    status: int
    body: bytes


def spoken(box: Box, raw: bytes) -> bytes:
    """Say this to the filter as it stands; all that it answers."""
    pid = box.inspect(f"{SANDBOX}-filter")["State"]["Pid"]
    with socket.socket(socket.AF_UNIX) as way:
        way.settimeout(10)
        way.connect(f"/proc/{pid}/root/run/filter/docker.sock")
        way.sendall(raw)
        found = b""
        with suppress(ConnectionResetError):  # it has answered, and does not read the rest
            while part := way.recv(65536):
                found += part
    return found


def ask(box: Box, method: str, url: str, body: bytes = b"", *headers: str) -> Answer:
    """One request; `url` goes out as it is."""
    lines = [f"{method} {url} HTTP/1.1", "Host: docker", *headers]
    if body:
        lines += ["Content-Type: application/json", f"Content-Length: {len(body)}"]
    found = spoken(box, "\r\n".join((*lines, "", "")).encode() + body)
    head, _, rest = found.partition(b"\r\n\r\n")
    return Answer(int(head.split()[1]), rest)


def test_the_sandbox_is_looked_at(standing: Box) -> None:
    found = ask(standing, "GET", f"{OWN}/json")
    assert found.status == 200
    assert re.search(rb'"Id":"([0-9a-f]{64})"', found.body)


@pytest.mark.parametrize("body", [b'{"NanoCpus":500000000}', b'{"NanoCpus":1000000000}'])
def test_its_share_of_the_processor_is_changed(standing: Box, body: bytes) -> None:
    assert ask(standing, "POST", f"{OWN}/update", body).status == 200
    wanted = next(iter(json.loads(body).values()))
    assert standing.inspect()["HostConfig"]["NanoCpus"] == wanted


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{}",
        b'{"Memory":0}',
        b'{"NanoCpus":500000000,"Memory":1073741824}',
        b'{"Memory":1073741824,"NanoCpus":500000000}',
        b'{"RestartPolicy":{"Name":"always"}}',
        b'{"NanoCpus":500000000,"RestartPolicy":{"Name":"always"}}',
        b'{"PidsLimit":-1}',
        b'{"NanoCpus":1000000001}',
        b'{"CpuQuota":-1}',
        b'{"CpuPeriod":100000,"CpuQuota":50000}',
        b'{"NanoCpus":500000000}{"Memory":0}',
        b'{"NanoCpus":500000000}\n{"Memory":0}',
        b'\n{"Memory":0,\n"NanoCpus":500000000}',
        b'{"Nano\\u0043pus":500000000}',
        b'{"nanocpus":1}',
        b'{"NanoCPUs":500000000}',
        b'[{"NanoCpus":500000000}]',
        b'{"NanoCpus":500000000' + b" " * 20000 + b',"Memory":0}',
    ],
)
def test_no_other_limit_of_it_is_changed(standing: Box, body: bytes) -> None:
    before = standing.inspect()["HostConfig"]
    assert ask(standing, "POST", f"{OWN}/update", body).status in (FORBIDDEN, BAD)
    assert standing.inspect()["HostConfig"] == before


@pytest.mark.parametrize(
    "url",
    [
        "/_ping",
        "/version",
        "/info",
        "/events",
        "/containers/json",
        "/containers/json?all=1",
        f"/containers/{SANDBOX}-filter/json",
        f"/containers/{SANDBOX}-door/json",
        f"{OWN}/top",
        f"{OWN}/logs?stdout=1",
        f"{OWN}/archive?path=/",
        f"{OWN}/export",
        f"{OWN}/changes",
        f"{OWN}/stats",
        "/images/json",
        "/volumes",
        "/networks",
        "/secrets",
    ],
)
def test_nothing_else_is_looked_at(standing: Box, url: str) -> None:
    assert ask(standing, "GET", url).status == FORBIDDEN


@pytest.mark.parametrize(
    ("method", "url"),
    [
        ("POST", "/containers/create"),
        ("POST", f"{OWN}/exec"),
        ("POST", f"{OWN}/start"),
        ("POST", f"{OWN}/restart"),
        ("POST", f"{OWN}/rename?name=other"),
        ("POST", f"{OWN}/attach?stream=1"),
        ("POST", f"{OWN}/pause"),
        ("POST", f"{OWN}/kill"),
        ("POST", f"{OWN}/kill?signal=SIGSTOP"),
        ("POST", f"{OWN}/kill?signal=SIGKILL&signal=SIGCONT"),
        ("POST", f"/containers/{SANDBOX}-door/kill?signal=SIGKILL"),
        ("POST", f"/containers/{SANDBOX}-filter/kill?signal=SIGKILL"),
        ("POST", "/containers/kill?signal=SIGKILL"),
        ("POST", "/build"),
        ("POST", "/commit"),
        ("POST", "/images/create?fromImage=alpine"),
        ("POST", "/images/load"),
        ("POST", "/volumes/create"),
        ("POST", "/networks/create"),
        ("POST", "/auth"),
        ("POST", "/session"),
        ("POST", "/grpc"),
        ("POST", "/swarm/init"),
        ("POST", "/plugins/pull?remote=x"),
        ("DELETE", OWN),
        ("DELETE", f"{OWN}?force=1"),
        ("PUT", f"{OWN}/archive?path=/"),
        ("HEAD", f"{OWN}/json"),
        ("OPTIONS", f"{OWN}/json"),
        ("TRACE", f"{OWN}/json"),
        ("get", f"{OWN}/json"),
        ("POST", f"{OWN}/json"),
        ("GET", f"{OWN}/kill?signal=SIGKILL"),
        ("GET", f"{OWN}/update"),
    ],
)
def test_nothing_else_is_done(standing: Box, method: str, url: str) -> None:
    before = standing.containers()
    assert ask(standing, method, url).status in (FORBIDDEN, BAD)
    assert standing.containers() == before
    assert standing.inspect()["State"]["Running"]


@pytest.mark.parametrize(
    "url",
    [
        f"/v1.41{OWN}/json",
        f"/v1.24{OWN}/json",
        f"/{OWN}/json",
        f"{OWN}//json",
        f"{OWN}/json/",
        f"{OWN}/./json",
        f"/containers/../containers/{SANDBOX}/json",
        f"{OWN}/json/../../json",
        f"{OWN}/../{SANDBOX}-door/json",
        f"{OWN}%2fjson",
        "/containers/%70roject-ai-sandbox/json",
        f"/containers/{SANDBOX}%2d%64oor/json",
        f"/%63ontainers/{SANDBOX}/json",
        f"{OWN}/%2e%2e/json",
        f"{OWN}/json?size=1",
        f"{OWN}/json?",
        f"{OWN}/json;x",
        f"{OWN}/json%00",
        f"{OWN}/json%20HTTP/1.1",
        f"{OWN}/JSON",
        f"http://docker{OWN}/json",
        f"http://docker/images/json?{OWN}/json",
        f"//docker{OWN}/json",
        "*",
        f"{OWN}/json#x",
        f"\\containers\\{SANDBOX}\\json",
    ],
)
def test_another_way_of_writing_it_does_not_pass(standing: Box, url: str) -> None:
    assert ask(standing, "GET", url).status in (FORBIDDEN, BAD)
    assert ask(standing, "POST", url.replace("/json", "/start")).status in (FORBIDDEN, BAD)


@pytest.mark.parametrize(
    ("method", "url", "headers"),
    [
        ("GET", f"{OWN}/json", ("Connection: Upgrade", "Upgrade: tcp")),
        ("GET", f"{OWN}/json", ("Connection: upgrade", "Upgrade: websocket")),
        ("GET", f"{OWN}/json", ("Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AA")),
        ("POST", "/session", ("Connection: Upgrade", "Upgrade: h2c")),
        ("POST", f"{OWN}/attach?stream=1&stdin=1", ("Connection: Upgrade", "Upgrade: tcp")),
        ("CONNECT", "docker:80", ()),
    ],
)
def test_no_connection_becomes_something_else(
    standing: Box, method: str, url: str, headers: tuple[str, ...]
) -> None:
    assert ask(standing, method, url, b"", *headers).status in (FORBIDDEN, BAD)


def test_a_request_does_not_hide_another(standing: Box) -> None:
    look = f"GET {OWN}/json HTTP/1.1\r\nHost: docker\r\n"
    images_too = b"GET /images/json HTTP/1.1\r\nHost: docker\r\n\r\n"
    pipelined = spoken(standing, f"{look}\r\n".encode() + images_too)
    assert pipelined.count(b"HTTP/1.1 200") == 1
    assert b"RepoTags" not in pipelined
    for framing in (
        "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
        "Content-Length: 0\r\nContent-Length: 50\r\n",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n",
        "Transfer-Encoding : chunked\r\n",
        "Transfer-Encoding: xchunked\r\n",
    ):
        smuggled = spoken(standing, f"{look}{framing}\r\n0\r\n\r\n".encode() + images_too)
        assert b"RepoTags" not in smuggled, framing
    assert b"400" in spoken(standing, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").splitlines()[0]


def test_who_says_nothing_is_not_waited_for(standing: Box) -> None:
    assert b"408" in spoken(standing, b"GET /containers").splitlines()[0]
    assert ask(standing, "GET", f"{OWN}/json").status == 200


def test_the_sandbox_is_killed_through_it(box: Box) -> None:
    """Last: what is killed does not come back."""
    box.box("up")
    assert ask(box, "POST", f"{OWN}/kill?signal=SIGKILL").status == 204
    state = box.inspect()["State"]
    assert (state["Running"], state["ExitCode"]) == (False, 137)
    assert ask(box, "POST", f"{OWN}/start").status == FORBIDDEN
    assert ask(box, "GET", f"{OWN}/json").status == 200


def test_a_socket_mounted_read_only_protects_nothing(box: Box) -> None:
    """What the filter is there for: as the document has it, a container is stopped by one who only reads."""
    base = images.provide(box.daemon)
    box.daemon.docker("run", "--detach", "--name", "victim", base, "sleep", "1000")
    says = (
        "import socket; s = socket.socket(socket.AF_UNIX); s.connect('/var/run/docker.sock');"
        "s.sendall(b'POST /containers/victim/kill HTTP/1.0\\r\\n\\r\\n');"
        "print(s.recv(99).split()[1].decode())"
    )
    mount = ("--volume", f"{box.daemon.where.socket}:/var/run/docker.sock:ro")
    assert box.daemon.docker("run", "--rm", *mount, base, "python3", "-c", says) == "204\n"
    assert not box.inspect("victim")["State"]["Running"]
