"""What is read of processes, control groups and packets: of made-up trees, and of real processes."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from math import inf
from pathlib import Path

import pytest

from canary.monitor import cgroup
from canary.monitor.cgroup import CgroupError
from canary.monitor.eyes import Eyes
from canary.monitor.packets import Packets
from canary.safety.container import Container
from canary.safety.egress import Own, begins

ID = "ab" * 32
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root may make namespaces and control groups")


def tree(root: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def process(proc: Path, pid: int, groups: str) -> None:
    tree(proc, {f"{pid}/cgroup": groups})


FIRST = {
    f"memory/docker/{ID}/cgroup.procs": "7\n",
    f"memory/docker/{ID}/memory.usage_in_bytes": "5000\n",
    f"memory/docker/{ID}/memory.limit_in_bytes": "8000\n",
    f"memory/docker/{ID}/memory.stat": "cache 3000\ninactive_file 1\ntotal_inactive_file 1000\n",
    f"memory/docker/{ID}/memory.oom_control": "oom_kill_disable 0\nunder_oom 0\noom_kill 2\n",
    f"pids/docker/{ID}/cgroup.procs": "7\n8\n",
    f"pids/docker/{ID}/deeper/still/cgroup.procs": "9\n8\n",
    f"pids/docker/{ID}/deeper/cgroup.procs": "",
    f"cpu/docker/{ID}/cpu.cfs_quota_us": "50000\n",
    f"cpu/docker/{ID}/cpu.cfs_period_us": "100000\n",
    f"cpuacct/docker/{ID}/cpuacct.usage": "1500000000\n",
}
SECOND = {
    f"system.slice/docker-{ID}.scope/cgroup.procs": "7\n8\n",
    f"system.slice/docker-{ID}.scope/inner/cgroup.procs": "9\n",
    f"system.slice/docker-{ID}.scope/memory.current": "5000\n",
    f"system.slice/docker-{ID}.scope/memory.max": "8000\n",
    f"system.slice/docker-{ID}.scope/memory.stat": "anon 3000\ninactive_file 1000\n",
    f"system.slice/docker-{ID}.scope/memory.events": "low 0\noom 3\noom_kill 2\n",
    f"system.slice/docker-{ID}.scope/cpu.max": "50000 100000\n",
    f"system.slice/docker-{ID}.scope/cpu.stat": "usage_usec 1500000\nnr_periods 3\n",
}
V1 = "\n".join(f"{n}:{name}:/docker/{ID}" for n, name in enumerate(("pids", "memory", "cpuacct", "cpu"), 1))
V1_JOINED = f"4:cpu,cpuacct:/docker/{ID}\n3:memory:/docker/{ID}\n2:pids:/docker/{ID}\n0::/docker/{ID}\n"
V2 = f"0::/system.slice/docker-{ID}.scope\n"
V2_FROM_WITHIN = f"0::/../docker-{ID}.scope\n"


@pytest.mark.parametrize(
    ("files", "groups", "version"),
    [(FIRST, V1, 1), (FIRST, V1_JOINED, 1), (SECOND, V2, 2), (SECOND, V2_FROM_WITHIN, 2)],
    ids=["1", "1, joined", "2", "2, from another group's namespace"],
)
def test_a_group_is_read_alike_in_each_version(
    tmp_path: Path, files: dict[str, str], groups: str, version: int
) -> None:
    tree(tmp_path / "root", files)
    process(tmp_path / "proc", 7, groups)
    found = cgroup.of(7, ID, proc=tmp_path / "proc", root=tmp_path / "root")
    assert found.version == version
    assert sorted(found.pids()) == [7, 8, 9]
    assert (found.cpu_s(), found.cores()) == (1.5, 0.5)
    assert (found.used(), found.memory_limit(), found.oom_kills()) == (4000, 8000.0, 2)


def test_no_limit_is_infinite_in_each_version(tmp_path: Path) -> None:
    tree(
        tmp_path / "a",
        FIRST
        | {
            f"memory/docker/{ID}/memory.limit_in_bytes": "9223372036854771712",
            f"cpu/docker/{ID}/cpu.cfs_quota_us": "-1",
        },
    )
    tree(
        tmp_path / "b",
        SECOND
        | {
            f"system.slice/docker-{ID}.scope/memory.max": "max",
            f"system.slice/docker-{ID}.scope/cpu.max": "max 100000",
        },
    )
    for root, groups in (("a", V1), ("b", V2)):
        process(tmp_path / f"proc-{root}", 7, groups)
        found = cgroup.of(7, ID, proc=tmp_path / f"proc-{root}", root=tmp_path / root)
        assert (found.memory_limit(), found.cores()) == (inf, inf)


def test_what_cannot_be_seen_from_here_is_told_with_what_is_needed(tmp_path: Path) -> None:
    with pytest.raises(CgroupError, match="pid: host"):
        cgroup.of(7, ID, proc=tmp_path, root=tmp_path)
    process(tmp_path, 7, "0::/system.slice/other.service\n")
    with pytest.raises(CgroupError, match="is not of container"):
        cgroup.of(7, ID, proc=tmp_path, root=tmp_path)
    process(tmp_path, 7, V2)
    with pytest.raises(CgroupError, match="read-only"):
        cgroup.of(7, ID, proc=tmp_path, root=tmp_path)


CHILD = """
import os, socket, subprocess, sys, time
subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
subprocess.run(["ip", "link", "add", "out", "type", "veth", "peer", "name", "end"], check=True)
subprocess.run(["ip", "link", "set", "end", "up"], check=True)
subprocess.run(["ip", "addr", "add", "10.0.0.2/24", "dev", "out"], check=True)
subprocess.run(["ip", "link", "set", "out", "up"], check=True)
subprocess.run(["ip", "route", "add", "default", "via", "10.0.0.1"], check=True)
gate = ["ip", "neigh", "add", "10.0.0.1", "lladdr", "02:00:00:00:00:01", "dev", "out"]
subprocess.run(gate, check=True)
print("ready", flush=True)
for line in sys.stdin:
    address, port = line.split()
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as one:
        one.sendto(b"x", (address, int(port)))
    print("sent", flush=True)
"""


@contextmanager
def elsewhere() -> Iterator["subprocess.Popen[str]"]:
    """A process in a network of its own, which sends to whom it is told."""
    with subprocess.Popen(
        ["unshare", "--net", sys.executable, "-c", CHILD],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "ready\n"
        yield child
        child.kill()


def tell(child: "subprocess.Popen[str]", address: str, port: int) -> None:
    assert child.stdin is not None
    assert child.stdout is not None
    child.stdin.write(f"{address} {port}\n")
    child.stdin.flush()
    assert child.stdout.readline() == "sent\n"


@pytest.mark.e2e
@as_root
def test_packets_to_the_outside_are_seen_and_no_others() -> None:
    own = Own(("10.0.0.0/24",), ("10.0.0.1",))
    with elsewhere() as child:
        packets = Packets(child.pid, own)
        try:
            for address in ("192.0.2.1", "127.0.0.1", "10.0.0.9", "10.0.0.1", "192.0.2.7"):
                tell(child, address, 53)
            found = [str(one) for one in packets.read() if begins(one, own)]
            assert found == [f"udp to {address}:53" for address in ("192.0.2.1", "10.0.0.1", "192.0.2.7")]
            assert packets.read() == ()
        finally:
            packets.close()


@pytest.mark.e2e
@as_root
def test_a_flood_to_itself_hides_no_packet_to_the_outside() -> None:
    own = Own(("10.0.0.0/24",), ("10.0.0.1",))
    with elsewhere() as child:
        packets = Packets(child.pid, own)
        try:
            for _ in range(3000):
                tell(child, "127.0.0.1", 9)
            tell(child, "192.0.2.1", 53)
            assert [str(one) for one in packets.read()] == ["udp to 192.0.2.1:53"]
        finally:
            packets.close()


HIDE = """
import os, time
if os.fork() == 0:
    os.setsid()
    if os.fork():
        os._exit(0)
    time.sleep(100)
os.wait()
time.sleep(100)
"""
AS_SOMEBODY = (
    "setpriv",
    "--reuid",
    "33",
    "--regid",
    "33",
    "--clear-groups",
    "--no-new-privs",
    "--bounding-set=-all",
)


@contextmanager
def grouped() -> Iterator[tuple["subprocess.Popen[bytes]", Path]]:
    """A process of another user in control groups of its own, with a child that has left it; the group."""
    name = f"canary-eyes-{os.getpid()}"
    groups = [cgroup.ROOT / one / name / ID for one in ("pids", "cpu", "cpuacct", "memory")]
    for folder in groups:
        folder.mkdir(parents=True)
    enter = "; ".join(f"echo $$ > {folder}/cgroup.procs" for folder in groups)
    command = ["sh", "-c", f'{enter}; exec "$@"', "sh", *AS_SOMEBODY, "/usr/bin/python3", "-c", HIDE]
    child = subprocess.Popen(["unshare", "--net", *command])
    try:
        until_there(groups[0], 2)
        yield child, groups[0]
    finally:
        for pid in (groups[0] / "cgroup.procs").read_text().split():
            os.kill(int(pid), 9)
        child.wait()
        for folder in groups:
            until_there(folder, 0)
            folder.rmdir()
            folder.parent.rmdir()


def until_there(group: Path, number: int) -> None:
    until = time.monotonic() + 10
    while len((group / "cgroup.procs").read_text().split()) != number:
        assert time.monotonic() < until, (group / "cgroup.procs").read_text()
        time.sleep(0.05)


@pytest.mark.e2e
@as_root
@pytest.mark.skipif(not (cgroup.ROOT / "memory").is_dir(), reason="control groups are not of version 1 here")
def test_real_processes_are_seen_wherever_they_hide() -> None:
    with grouped() as (child, group):
        box = Container(ID, "box", status="running", pid=child.pid, user="33", cap_drop=frozenset({"ALL"}))
        eyes = Eyes(box, time.monotonic())
        with closing(eyes):
            found = eyes.look(time.monotonic())
            assert (found.unseen, eyes.faults) == ((), {})
            low = {name: figures[0].low for name, figures in found.figures.items()}
            assert (low["processes"], low["network_connections"], low["process_privileges_changed"]) == (
                2,
                0,
                0,
            )
            assert low["memory_bytes"] > 0
            with subprocess.Popen(["sleep", "100"]) as root:
                (group / "cgroup.procs").write_text(str(root.pid))
                # From outside it came, and for a moment nothing is said of it.
                (let_be,) = eyes.look(time.monotonic() + 1).figures["process_privileges_changed"]
                time.sleep(1.7)
                (risen,) = eyes.look(time.monotonic() + 3).figures["process_privileges_changed"]
                root.kill()
            assert let_be.low == 0
            assert (risen.low, "uid 0, wanted 33" in risen.subject) == (1, True)
            assert not eyes.ended()
            child.kill()
            child.wait()
            assert eyes.ended()
