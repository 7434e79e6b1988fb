"""The daemon of the tests: containers run in it, are seen from the machine, and reach what is outside."""

import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from tests.docker import Daemon, groups, images

pytestmark = pytest.mark.docker


@contextmanager
def listening() -> Iterator[tuple[int, list[str]]]:
    """A port of this machine's loopback, and who has come."""
    came: list[str] = []
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            while True:
                try:
                    connection, _ = server.accept()
                except OSError:
                    return
                with connection:
                    came.append(connection.recv(100).decode())

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield server.getsockname()[1], came
        server.shutdown(socket.SHUT_RDWR)
    thread.join(5)


def test_containers_run_are_limited_and_reach_what_is_outside(daemon: Daemon) -> None:
    base = images.provide(daemon)
    with listening() as (port, came):
        says = f"import socket; socket.create_connection(('{daemon.outside}', {port}), 5).send(b'hello')"
        limits = ("--memory", "64m", "--cpus", "0.5", "--pids-limit", "20")
        daemon.docker("run", "--rm", *limits, base, "python3", "-c", says)
    assert came == ["hello"]


def test_what_it_says_of_pids_and_groups_holds_outside_of_it(daemon: Daemon) -> None:
    base = images.provide(daemon)
    name = daemon.docker("run", "--detach", "--memory", "64m", base, "sleep", "1000").strip()
    (found,) = json.loads(daemon.docker("inspect", name))
    pid = found["State"]["Pid"]
    assert psutil.Process(pid).cmdline() == ["sleep", "1000"]
    assert pid in groups.members(daemon.where.name)
    assert f"/{daemon.where.name}/{name}" in Path(f"/proc/{pid}/cgroup").read_text()
    daemon.empty()
    assert daemon.docker("ps", "--all", "--quiet") == ""
