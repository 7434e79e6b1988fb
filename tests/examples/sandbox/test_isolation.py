"""What runs in the sandbox gets nowhere, becomes nothing else, has limits, and leaves nothing."""

import json
import re
import subprocess
from pathlib import Path

import pytest

from tests import tools
from tests.docker import images
from tests.docker.test_daemon import listening
from tests.examples.sandbox.stage import SANDBOX, Box

pytestmark = pytest.mark.docker

LIMIT = 512 * 1024 * 1024
FORKS = """
import os, time
made = 0
try:
    while True:
        if os.fork() == 0:
            time.sleep(3)
            os._exit(0)
        made += 1
except OSError as fault:
    print(made, fault.errno)
"""


def test_no_way_leads_out_where_one_would_without_the_box(unwatched: Box) -> None:
    outside = unwatched.daemon.outside
    with listening() as (port, came):
        target = f"{outside}:{port}"
        script = (unwatched.folder / "experiments" / "egress.py").read_text()
        base = images.provide(unwatched.daemon)
        free = unwatched.daemon.tried("run", "--rm", base, "python3", "-c", script, target)
        assert f"tcp {target}: out" in free.stdout, free
        assert came == ["hello\n"]
        gateways = [f"{address}:{port}" for address in addresses(unwatched) if address != "127.0.0.1"]
        assert len(gateways) >= 2
        found = unwatched.experiment("egress", target, *gateways, "[fe80::1]:443", "[2001:db8::1]:443")
        assert came == ["hello\n"]
    assert found.returncode == 0, found.stdout
    ways = dict(line.rsplit(": ", 1) for line in found.stdout.splitlines())
    assert len(ways) == 1 + 2 * (3 + len(gateways))
    assert "name example.com" in ways
    assert {became for way, became in ways.items() if not way.startswith("name")} <= {"ENETUNREACH", "EINVAL"}


def addresses(box: Box) -> list[str]:
    """Those of the machine of the daemon, its bridges' too."""
    command = box.daemon.within("ip", "-json", "-4", "address")
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return [one["local"] for link in json.loads(done.stdout) for one in link["addr_info"]]


def test_each_attempt_is_counted_where_the_monitor_looks(unwatched: Box) -> None:
    pid = unwatched.inspect()["State"]["Pid"]
    before = no_route(pid)
    unwatched.experiment("egress", "192.0.2.1:443", "[2001:db8::1]:443")
    after = no_route(pid)
    assert after[0] - before[0] >= 2
    assert after[1] - before[1] >= 2


def no_route(pid: int) -> tuple[int, int]:
    """Packets of IPv4 and IPv6 for which there was no route, of the network that this process is in."""
    names, values = [
        line.split() for line in Path(f"/proc/{pid}/net/snmp").read_text().splitlines() if line[:3] == "Ip:"
    ]
    six = re.search(r"^Ip6OutNoRoutes\s+(\d+)", Path(f"/proc/{pid}/net/snmp6").read_text(), re.MULTILINE)
    assert six
    return int(values[names.index("OutNoRoutes")]), int(six[1])


def test_it_has_no_network_but_its_own_loopback(unwatched: Box) -> None:
    assert unwatched.inspect()["HostConfig"]["NetworkMode"] == "none"
    assert unwatched.inside("ls", "/sys/class/net").stdout == "lo\n"


def test_the_way_in_leads_to_the_service_and_to_this_machine_alone(unwatched: Box) -> None:
    assert '"version":"1.1.1"' in unwatched.run("curl --silent http://127.0.0.1:8000/health")
    (bound,) = unwatched.inspect(f"{SANDBOX}-door")["NetworkSettings"]["Ports"]["8000/tcp"]
    assert bound["HostIp"] == "127.0.0.1"
    with listening() as (port, came):
        says = f"exec 3<>/dev/tcp/{unwatched.daemon.outside}/{port} && echo hello >&3"
        door = unwatched.daemon.tried("exec", f"{SANDBOX}-door", "timeout", "3", "bash", "-c", says)
    assert door.returncode != 0
    assert came == []


def test_code_in_it_becomes_nothing_else(unwatched: Box) -> None:
    found = unwatched.experiment("breakout")
    assert found.returncode == 0, found.stdout
    assert len(found.stdout.splitlines()) == 19
    assert "WORKED" not in found.stdout
    plain = unwatched.daemon.tried(
        "run",
        "--rm",
        "--volume",
        f"{unwatched.folder}/experiments:/e:ro",
        images.BASE,
        "python3",
        "/e/breakout.py",
    )
    assert plain.stdout.count("WORKED") >= 5, plain


def test_every_process_of_it_has_no_rights(unwatched: Box) -> None:
    pid = unwatched.inspect()["State"]["Pid"]
    status = Path(f"/proc/{pid}/status").read_text()
    said = dict(re.findall(r"^(\w+):\t(.*)$", status, re.MULTILINE))
    assert set(said["Uid"].split()) == {"65532"}
    assert {said[name] for name in ("CapPrm", "CapEff", "CapInh", "CapBnd", "CapAmb")} == {"0" * 16}
    assert (said["NoNewPrivs"], said["Seccomp"]) == ("1", "2")
    bits = unwatched.inside("find", "/", "-xdev", "-type", "f", "-perm", "/6000")
    assert bits.stdout == ""


def test_seccomp_lets_through_no_more_than_its_profile_says(unwatched: Box) -> None:
    """The daemon has what is in the file, and of x86's two ways to call the kernel only the one is open."""
    given = next(one for one in unwatched.inspect()["HostConfig"]["SecurityOpt"] if one.startswith("seccomp"))
    profile = json.loads(given.partition("=")[2] or given.partition(":")[2])
    assert profile == json.loads((unwatched.folder / "seccomp.json").read_text())
    assert all(arch["subArchitectures"] == [] for arch in profile["archMap"])


def test_memory_ends_at_its_limit_and_is_not_swapped(unwatched: Box) -> None:
    host = unwatched.inspect()["HostConfig"]
    assert (host["Memory"], host["MemorySwap"]) == (LIMIT, LIMIT)
    taken = unwatched.inside("python3", "-c", "bytearray(b'x') * (600 * 1024 * 1024)")
    assert taken.returncode == 137
    assert unwatched.inspect()["State"]["Running"]


def test_processes_end_at_their_limit(unwatched: Box) -> None:
    made, number = unwatched.inside("python3", "-c", FORKS).stdout.split()
    assert 20 < int(made) < 64
    assert number == "11"


def test_what_is_written_has_an_end_and_is_memory(unwatched: Box) -> None:
    for folder in ("/tmp", "/data", "/dev/shm"):
        says = f"open('{folder}/big', 'wb').write(b'x' * (80 * 1024 * 1024))"
        assert unwatched.inside("python3", "-c", says).returncode != 0
        unwatched.inside("rm", "-f", f"{folder}/big")
    kinds = unwatched.inside(
        "stat", "--file-system", "--format", "%T", "/tmp", "/data", "/dev/shm", "/run/door"
    )
    assert set(kinds.stdout.split()) == {"tmpfs"}


def test_logs_have_an_end(unwatched: Box) -> None:
    for name in unwatched.containers():
        config = unwatched.inspect(name)["HostConfig"]["LogConfig"]
        assert config == {"Type": "json-file", "Config": {"max-file": "3", "max-size": "10m"}}


def test_data_are_gone_after_it_was_destroyed(box: Box) -> None:
    box.box("up")
    box.run('curl --silent --fail --data \'{"name": "Ada"}\' http://127.0.0.1:8000/users')
    box.inside("sh", "-c", "echo mark-of-the-first > /tmp/mark; echo mark-of-the-first > /data/mark")
    assert "Ada" in box.run("curl --silent http://127.0.0.1:8000/users")
    box.box("destroy")
    assert box.containers() == []
    kept = {f"{SANDBOX}-{name}" for name in ("ledger", "keys", "seals")}
    assert set(box.daemon.docker("volume", "ls", "--quiet").split()) == kept
    data = box.daemon.where.cache / "data"
    found = subprocess.run(
        ["grep", "-rlF", "mark-of-the-first", data / "containers", data / "volumes"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert found.stdout == ""
    box.box("up")
    assert "Ada" not in box.run("curl --silent http://127.0.0.1:8000/users")


def test_nothing_brings_it_back(box: Box) -> None:
    box.box("up")
    for name in box.containers():
        assert box.inspect(name)["HostConfig"]["RestartPolicy"]["Name"] == "no"
    box.daemon.docker("kill", SANDBOX)
    assert not box.inspect()["State"]["Running"]


def test_shell_check_has_nothing_to_say(unwatched: Box) -> None:
    if not tools.provide("shellcheck"):
        pytest.skip("shellcheck is missing, and there is no apt to fetch it")
    subprocess.run(["shellcheck", unwatched.folder / "start.sh"], check=True)
