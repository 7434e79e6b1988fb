"""What is asked of a container for risky code: all points hold for a good one, and each flaw is named."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from canary.monitor.described import box
from canary.monitor.inspected import InspectError
from canary.preflight.checks import findings
from canary.preflight.facts import Asked, Facts, History, Kept, Ledger, Named
from canary.preflight.finding import Finding, Point, Status
from tests.preflight.seen import ALERT, ALERTS, NOW

DESCRIBED: Mapping[str, Any] = {
    "Name": "/web",
    "State": {"Pid": 7},
    "Config": {"Image": "sha256:ab", "User": "1000:1000", "Env": ["ENVIRONMENT=sandbox", "EMPTY"]},
    "HostConfig": {
        "NetworkMode": "none", "PidMode": "", "IpcMode": "private", "UsernsMode": "", "CapDrop": ["ALL"],
        "CapAdd": None, "Privileged": False, "ReadonlyRootfs": True,
        "SecurityOpt": ["no-new-privileges:true", "seccomp={}"], "RestartPolicy": {"Name": "no"},
        "PortBindings": {}, "Memory": 512, "MemorySwap": 512, "NanoCpus": 500_000_000, "PidsLimit": 64,
    },
    "Mounts": [
        {"Type": "volume", "Source": "/var/lib/door/_data", "Destination": "/run/door", "RW": True},
        {"Type": "bind", "Source": "/srv/rules", "Destination": "/rules", "RW": False},
    ],
}  # fmt: skip
WATCHED = replace(ALERTS, rules=(replace(ALERT, expression='canary_guard_watching{service="web"} == 0'),))
MOUNTINFO = "1 0 0:1 / / ro - overlay overlay rw\n2 1 0:2 / /run/door rw - tmpfs tmpfs rw,size=1024k\n"


@pytest.fixture
def proc(tmp_path: Path) -> Path:
    (tmp_path / "7").mkdir()
    (tmp_path / "7" / "mountinfo").write_text(MOUNTINFO)
    return tmp_path


def described(part: str = "HostConfig", **changes: Any) -> dict[str, Any]:
    return {**DESCRIBED, part: {**DESCRIBED[part], **changes}}


def mounted(**changes: Any) -> dict[str, Any]:
    """With one more mount."""
    usual = {"Type": "bind", "Source": "/srv/x", "Destination": "/x", "RW": False}
    return {**DESCRIBED, "Mounts": [*DESCRIBED["Mounts"], {**usual, **changes}]}


def found(document: Any, proc: Path) -> dict[Point, Finding]:
    place = box(document, proc)
    facts = Facts(
        target="web", namespace="", file="the command", now=NOW, asked=Asked(), proofs=(), alerts=WATCHED,
        history=History(Kept(None, place.image), ()), ledger=Ledger(3, NOW - 1, seals=1), place=place,
    )  # fmt: skip
    return {one.point: one for one in findings(facts)}


def test_all_points_hold_for_a_container_that_is_shut(proc: Path) -> None:
    points = found(DESCRIBED, proc)
    assert {one.status for one in points.values()} <= {Status.PASS, Status.NOT_APPLICABLE}
    assert points[Point.BACKUP].status is Status.NOT_APPLICABLE
    assert points[Point.RECOVERY].status is Status.NOT_APPLICABLE
    assert points[Point.LIMITS].evidence == (
        "memory: 512 bytes, without swap",
        "cpu: 0.5 cores",
        "processes: 64",
    )


@pytest.mark.parametrize(
    ("document", "point", "told"),
    [
        (described("Config", User=""), Point.HARDENING, "runs as root"),
        (described("Config", User="0:0"), Point.HARDENING, "runs as root"),
        (described(Privileged=True), Point.HARDENING, "privileged"),
        (described(CapDrop=[]), Point.HARDENING, "capabilities"),
        (described(CapAdd=["NET_BIND_SERVICE"]), Point.HARDENING, "capabilities"),
        (described(SecurityOpt=["no-new-privileges:false"]), Point.HARDENING, "privileges cannot be gained"),
        (described(SecurityOpt=["no-new-privileges", "seccomp=unconfined"]), Point.HARDENING, "system calls"),
        (described(ReadonlyRootfs=False), Point.HARDENING, "root is read-only"),
        (described(RestartPolicy={"Name": "always"}), Point.HARDENING, "never restarted"),
        (described("Config", Image="web:latest"), Point.UPGRADE, "web:latest"),
        (described("Config", Image="web:v1"), Point.UPGRADE, "another one tomorrow"),
        (described(PidMode="host"), Point.ACCESS, "process numbers of its host"),
        (described(IpcMode="container:ab"), Point.ACCESS, "shared memory of container:ab"),
        (mounted(Source="/run/docker.sock"), Point.ACCESS, "read-only: who can write to it"),
        (mounted(Source="/run/docker.sock", RW=True), Point.ACCESS, "starts any container"),
        (mounted(RW=True), Point.ACCESS, "/srv/x of the host can be written to"),
        (described("Config", Env=["API_KEY=abc"]), Point.SECRETS, "API_KEY"),
        (described("Config", Env=["URL=http://a:b@c/"]), Point.SECRETS, "URL"),
        (described(NetworkMode="bridge"), Point.NETWORK, "bridge"),
        (described(NetworkMode="sandbox_network"), Point.NETWORK, "every port of its host"),
        (described(PortBindings={"8000/tcp": [{}]}), Point.NETWORK, "8000/tcp"),
        (described(Memory=0), Point.LIMITS, "memory has no limit"),
        (described(MemorySwap=1024), Point.LIMITS, "as much again"),
        (described(MemorySwap=-1), Point.LIMITS, "without an end"),
        (described(NanoCpus=0), Point.LIMITS, "cpu has no limit"),
        (described(PidsLimit=None), Point.LIMITS, "fork bomb"),
        (mounted(Type="volume", Destination="/data", RW=True), Point.BACKUP, "cannot be shown"),
    ],
)
def test_a_flaw_is_told_at_its_point_and_nowhere_else(
    document: dict[str, Any], point: Point, told: str, proc: Path
) -> None:
    points = found(document, proc)
    (flawed,) = [one for one in points.values() if one.stops]
    assert flawed.point is point
    assert told in " ".join(flawed.evidence)
    assert flawed.fixes


def test_a_volume_on_a_disk_outlives_it(proc: Path) -> None:
    (proc / "7" / "mountinfo").write_text(MOUNTINFO.replace("tmpfs", "ext4"))
    flawed = found(DESCRIBED, proc)[Point.BACKUP]
    assert flawed.status is Status.FAIL
    assert "/run/door is a volume on the disk" in flawed.evidence[0]


def test_what_does_not_run_shows_nothing_of_its_volumes(proc: Path) -> None:
    assert found(described("State", Pid=0), proc)[Point.BACKUP].status is Status.UNKNOWN


def test_a_quota_is_a_limit_of_the_processor_too(proc: Path) -> None:
    document = described(NanoCpus=0, CpuQuota=25_000, CpuPeriod=100_000)
    assert box(document, proc).cores == 0.25
    assert found(document, proc)[Point.LIMITS].status is Status.PASS


def test_secrets_are_kept_by_their_names_alone(proc: Path) -> None:
    place = box(described("Config", Env=["API_KEY=abc"]), proc)
    assert place.secrets == (Named("API_KEY", "its name says so"),)
    assert "abc" not in repr(place)


@pytest.mark.parametrize("document", [{}, [], None, replace, {"Name": "/web"}])
def test_what_is_no_description_is_said_so(document: Any, proc: Path) -> None:
    with pytest.raises(InspectError, match="no container"):
        box(document, proc)
