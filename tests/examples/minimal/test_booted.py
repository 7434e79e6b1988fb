"""The single server's units under a systemd that really runs, installed as the README says."""

import re
from collections.abc import Iterator

import pytest

from tests.examples.minimal.booted import EXAMPLE, Booted, booted
from tests.examples.minimal.stage import MINIMAL

pytestmark = pytest.mark.e2e

README = (MINIMAL / "README.md").read_text()
UNIT = "project-ai.service"
AS_ITSELF = f"cd {EXAMPLE} && runuser -u project-ai -- env -i PATH=$PATH "
ELSEWHERE = "10.9.8.7"


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Booted]:
    """With the service installed as the README says."""
    with booted(tmp_path_factory.mktemp("booted")) as found:
        for command in (
            ".venv/bin/python -m canary audit keygen secrets/seal.key",
            "releases/v1.0.0/project-ai --init",
        ):
            found.done(AS_ITSELF + command)
        (install,) = re.findall(r"^```\n(install -d .*?)^```$", README, re.DOTALL | re.MULTILINE)
        found.done(f"set -e\n{install}")
        yield found


@pytest.fixture
def server(machine: Booted) -> Booted:
    """The same, and it serves."""
    machine.done(f"systemctl start {UNIT}")
    machine.until(lambda: machine.answers() and len(replicas(machine)) == 3, "it serves")
    return machine


def replicas(server: Booted) -> list[str]:
    return sorted(server.run("pgrep --full 'project_ai --port'").stdout.split())


def test_it_serves_as_the_readme_installs_it(server: Booted) -> None:
    assert '"version":"1.0.0"' in server.done("curl --silent http://127.0.0.1:8000/health")
    units = [UNIT, "project-ai-backup.timer", "project-ai-drill.timer"]
    assert [server.shown(unit, "ActiveState") for unit in units] == ["active"] * 3


def test_it_has_no_rights_and_may_write_where_it_must_and_nowhere_else(server: Booted) -> None:
    first = server.shown(UNIT, "MainPID")
    said = dict(line.split(":\t", 1) for line in server.done(f"cat /proc/{first}/status").splitlines())
    uid = server.done("id --user project-ai").strip()
    assert set(said["Uid"].split()) == {uid}
    assert {int(said[name], 16) for name in ("CapEff", "CapPrm", "CapBnd", "CapAmb")} == {0}
    assert (said["NoNewPrivs"], said["Seccomp"]) == ("1", "2")

    def writes(folder: str) -> bool:
        return server.run(f"nsenter -t {first} --mount touch {folder}/tried").returncode == 0

    ours = {".canary", "data", "monitoring"}
    tried = [*ours, "", "backups", "evidence", "secrets", "releases", ".venv"]
    assert {name for name in tried if writes(f"{EXAMPLE}/{name}")} == ours
    assert not any(writes(folder) for folder in ("/etc", "/usr/bin", "/srv", "/var/lib"))
    assert server.done(f"nsenter -t {first} --mount ls -A /root /home").split() == ["/home:", "/root:"]


def test_it_takes_no_more_than_it_may(server: Booted) -> None:
    files = {"memory.max": "2147483648", "memory.limit_in_bytes": "2147483648", "pids.max": "512"}
    found = {
        line.split(":")[0].rpartition("/")[2]: line.split(":")[1]
        for name in files
        for line in server.run(
            f"grep -H . /sys/fs/cgroup/{{,*/}}system.slice/{UNIT}/{name} 2> /dev/null"
        ).stdout.splitlines()
    }
    assert found == {name: files[name] for name in found}
    if len(found) < 2:
        pytest.skip(f"this machine's cgroups limit not all that the unit does: {sorted(found)}")


def test_it_talks_to_this_machine_alone(server: Booted) -> None:
    if "does not support BPF" in server.journal() + server.log.read_text():
        pytest.skip("this kernel has no firewall for cgroups, so systemd cannot keep a unit to an address")
    server.done(f"ip address add {ELSEWHERE}/32 dev lo")
    server.done(f"cd /tmp && (python3 -m http.server --bind {ELSEWHERE} 8088 > /dev/null 2>&1 &)")
    ask = f"curl --silent --max-time 3 http://{ELSEWHERE}:8088/"
    server.until(lambda: server.run(ask).returncode == 0, "somebody answers elsewhere")
    assert server.run(ask, joins=UNIT).returncode != 0
    assert server.run("curl --silent --max-time 3 http://127.0.0.1:8000/health", joins=UNIT).returncode == 0


def test_killed_it_is_started_again_and_takes_its_replicas_over(server: Booted) -> None:
    before, first, restarts = replicas(server), server.shown(UNIT, "MainPID"), server.shown(UNIT, "NRestarts")
    assert first != "0"
    server.done(f"kill -KILL {first}")
    server.until(
        lambda: server.shown(UNIT, "MainPID") not in (first, "0") and server.answers(), "it serves again"
    )
    assert int(server.shown(UNIT, "NRestarts")) == int(restarts) + 1
    assert replicas(server) == before


def test_a_backup_is_made_within_what_its_unit_allows(server: Booted) -> None:
    server.done(AS_ITSELF + "releases/v1.0.0/project-ai user add Ada")
    server.done("systemctl start project-ai-backup.service")
    assert server.shown("project-ai-backup.service", "Result") == "success"
    assert '"ok": true' in server.done(f"cat {EXAMPLE}/evidence/backup-*.json").replace('":true', '": true')


def test_before_a_release_it_is_seen_to_be_hardened(server: Booted) -> None:
    said = server.run(AS_ITSELF + ".venv/bin/python -m canary preflight").stdout
    held = set(re.findall(r"^pass +(\w+)", said, re.MULTILINE))
    assert held >= {"hardening", "upgrade", "access", "secrets", "network", "limits", "audit"}, said


def test_stopped_it_leaves_nothing_running(server: Booted) -> None:
    server.done(f"systemctl stop {UNIT}")
    assert (server.shown(UNIT, "Result"), server.shown(UNIT, "ActiveState")) == ("success", "inactive")
    assert replicas(server) == []
