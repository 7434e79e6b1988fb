"""Real processes of the demo shop, for tests: started on a free port, ended by pid."""

import http.client
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

SERVICE = "canary.local.demo.service"
LOAD = "canary.local.demo.load"


@dataclass(frozen=True)
class Running:
    process: "subprocess.Popen[str]"
    port: int

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def get(self, path: str, *, method: str = "GET") -> tuple[int, dict[str, str], str]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        try:
            connection.request(method, path, headers={"Connection": "close"})
            answer = connection.getresponse()
            return answer.status, dict(answer.getheaders()), answer.read().decode()
        finally:
            connection.close()


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


@contextmanager
def service(*arguments: str, version: str = "v1.0.0") -> Iterator[Running]:
    port = free_port()
    command = [sys.executable, "-m", SERVICE, "--version", version, "--port", str(port), *arguments]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        try:
            running = Running(process, port)
            wait_until_it_listens(running)
            yield running
        finally:
            process.kill()


def wait_until_it_listens(running: Running) -> None:
    latest = time.monotonic() + 20
    while time.monotonic() < latest:
        with socket.socket() as client:
            if client.connect_ex(("127.0.0.1", running.port)) == 0:
                return
        assert running.process.poll() is None, running.process.communicate()[1]
        time.sleep(0.02)
    raise AssertionError("the service does not listen within 20 s")
