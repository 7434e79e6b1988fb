"""Nothing of a daemon stays on the machine: not when it is ended, and not when its run is killed."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import docker
from tests.cluster.faults import ClusterError
from tests.docker import Where, daemon, groups, images
from tests.docker.daemon import Daemon

pytestmark = pytest.mark.docker

LINK = re.compile("docker|br-|tap")
KILLED = """
import os, pathlib, signal, sys
from tests import docker
from tests.docker import images
with docker.running(docker.Where(pathlib.Path(sys.argv[1]))) as daemon:
    daemon.docker("run", "--detach", "--restart", "always", images.provide(daemon), "sleep", "1000")
    os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.fixture
def where(tmp_path: Path) -> Iterator[Where]:
    """Of a daemon beside the session's own."""
    found = Where(tmp_path / "docker")
    yield found
    docker.down(found)


def machine(where: Where) -> dict[str, object]:
    """What a daemon in the machine's own namespaces would have changed, and what is of this one."""
    firewall = [
        subprocess.run([tool], capture_output=True, text=True, check=False).stdout
        for tool in ("iptables-save", "ip6tables-save")
    ]
    mounts = [line.split()[1] for line in Path("/proc/self/mounts").read_text().splitlines()]
    kept = ("/etc/docker", "/run/docker", "/run/containerd", "/opt/containerd", "/var/lib/docker")
    return {
        "links": sorted(name for name in os.listdir("/sys/class/net") if LINK.match(name)),
        "rules": [line for text in firewall for line in text.splitlines() if "DOCKER" in line],
        "mounts": [name for name in mounts if where.name in name or str(where.cache) in name],
        "folders": {name: os.path.exists(name) and sorted(os.listdir(name)) for name in kept},
        "forwards": Path("/proc/sys/net/ipv4/ip_forward").read_text(),
        "groups": sorted(str(path) for path in Path("/sys/fs/cgroup").glob(f"**/{where.name}")),
        "processes": groups.members(where.name),
        "run": where.run.exists(),
    }


def test_one_that_is_ended_leaves_the_machine_as_it_was(where: Where) -> None:
    packages_are_there()
    before = machine(where)
    with docker.running(where) as found:
        found.docker("run", "--detach", "--publish", "80:80", images.provide(found), "sleep", "1000")
        during = machine(where)
    assert during["processes"]
    assert during["groups"]
    apart = ("links", "rules", "mounts", "folders", "forwards")
    assert [during[name] for name in apart] == [before[name] for name in apart]
    assert machine(where) == before


def test_what_a_killed_run_has_left_is_ended_by_the_next(where: Where) -> None:
    packages_are_there()
    before = machine(where)
    done = subprocess.run([sys.executable, "-c", KILLED, str(where.cache)], check=False)
    assert done.returncode == -signal.SIGKILL
    assert len(groups.members(where.name)) >= 4  # dockerd, containerd, a shim, the container
    with docker.running(where) as found:
        assert found.docker("ps", "--all", "--quiet") == ""
    assert machine(where) == before


def test_containers_of_a_daemon_that_was_killed_are_ended_too(where: Where) -> None:
    packages_are_there()
    before = machine(where)
    subprocess.run([sys.executable, "-c", KILLED, str(where.cache)], check=False)
    os.kill(Daemon(where).pid, signal.SIGKILL)
    assert docker.down(where)
    assert machine(where) == before


def test_one_that_does_not_come_up_says_why_and_leaves_nothing(
    where: Where, monkeypatch: pytest.MonkeyPatch
) -> None:
    packages_are_there()
    before = machine(where)
    monkeypatch.setattr(daemon, "INSIDE", "echo no daemon today >&2; exit 3")
    with pytest.raises(ClusterError, match="no daemon today"), docker.running(where):
        pass
    assert machine(where) == before


def packages_are_there() -> None:
    """Skip where no daemon can run: what apt installs on the way is no leftover."""
    try:
        docker.provide()
    except docker.LackingError as lacking:
        pytest.skip(str(lacking))
