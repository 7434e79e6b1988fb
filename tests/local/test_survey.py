"""What surrounds a local service: real processes, real files, units as systemd reads them."""

import json
import os
import shutil
import socket
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from canary.config.settings import LocalService
from canary.local import confinement
from canary.local.layout import Layout
from canary.local.survey import LocalSurvey
from canary.preflight.facts import Named, Open, Unit
from canary.preflight.finding import Unseen

SLEEPS = "import time; time.sleep(60)"
LISTENS = (
    f"import socket; s = socket.create_server(('{{}}', 0)); print(s.getsockname()[1], flush=True); {SLEEPS}"
)


@pytest.fixture
def service(tmp_path: Path) -> LocalService:
    found = LocalService("shop", ("serve",), "v1", tmp_path, tmp_path / "state", env={"API_KEY": "hunter2"})
    Layout.of(found).make()
    for path in (found.state, *found.state.rglob("*")):
        path.chmod(path.stat().st_mode & ~0o022)
    (tmp_path / "canary.yaml").write_text("target: {local: shop}")
    (tmp_path / "canary.yaml").chmod(0o644)
    return found


def surveyed(service: LocalService, unit: Path | None = None) -> LocalSurvey:
    return LocalSurvey(service, unit, service.directory / "canary.yaml")


@contextmanager
def replica(service: LocalService, program: str, **env: str) -> Iterator["subprocess.Popen[str]"]:
    """A process that is written down as the supervisor does."""
    with subprocess.Popen(
        [sys.executable, "-c", program],
        env={"PATH": os.environ["PATH"], **env},
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            created = psutil.Process(process.pid).create_time()
            document = {"name": "shop-1", "pid": process.pid, "created": created}
            path = Layout.of(service).pods / "shop-1.json"
            path.write_text(json.dumps(document))
            path.chmod(0o600)
            yield process
        finally:
            process.kill()


def test_a_running_replica_is_told_with_its_user_and_the_names_of_its_secrets(service: LocalService) -> None:
    with replica(service, SLEEPS, DB_PASSWORD="hunter2", LOG_LEVEL="info") as process:
        found = surveyed(service).place()
    one = found.replicas[0]
    assert one.name == f"shop-1 (process {process.pid})"
    assert one.root is (os.geteuid() == 0)
    assert one.secrets == (Named("DB_PASSWORD", "its name says so"),)
    assert one.listens == ()
    assert found.secrets == (Named("API_KEY", "its name says so"),)
    assert "hunter2" not in repr(found)


@pytest.mark.parametrize(("address", "open_"), [("127.0.0.1", False), ("0.0.0.0", True)])
def test_an_address_that_others_reach_is_told(service: LocalService, address: str, open_: bool) -> None:
    with replica(service, LISTENS.format(address)) as process:
        assert process.stdout is not None
        port = process.stdout.readline().strip()
        found = surveyed(service).place().replicas[0]
    assert found.listens == ((f"0.0.0.0:{port}",) if open_ else ())


def test_a_pid_that_is_another_process_by_now_is_no_replica(service: LocalService) -> None:
    with replica(service, SLEEPS) as process:
        document = {"name": "shop-1", "pid": process.pid, "created": 1.0}
        (Layout.of(service).pods / "shop-1.json").write_text(json.dumps(document))
        assert surveyed(service).place().replicas == ()


@pytest.mark.parametrize("text", ["", "{", '{"name": "x"}', '{"name": "x", "pid": null, "created": null}'])
def test_a_file_of_a_replica_that_is_not_started_is_passed_over_and_stays(
    service: LocalService, text: str
) -> None:
    path = Layout.of(service).pods / "shop-2.json"
    path.write_text(text)
    assert surveyed(service).place().replicas == ()
    assert path.read_text() == text


def test_only_paths_that_others_may_write_to_are_open(service: LocalService) -> None:
    assert surveyed(service).place().open == ()
    (service.directory / "canary.yaml").chmod(0o666)
    inside = Layout.of(service).root / "layout.json"
    inside.chmod(0o646)
    assert surveyed(service).place().open == (
        Open(str(inside), "everybody (-rw-r--rw-)"),
        Open(str(service.directory / "canary.yaml"), "everybody (-rw-rw-rw-)"),
    )


def test_a_group_may_write_only_where_it_is_the_owner_s_own(service: LocalService) -> None:
    import grp
    import pwd

    path = service.directory / "canary.yaml"
    path.chmod(0o664)
    found = path.stat()
    private = grp.getgrgid(found.st_gid).gr_name == pwd.getpwuid(found.st_uid).pw_name
    said = surveyed(service).place().open
    assert said == (() if private else (Open(str(path), f"its group ({stat.filemode(0o100664)})"),))


# ── units


UNIT = """
[Unit]
Description=Shop
MemoryMax=1G

[Service]
# MemoryMax=2G
ExecStart=/bin/true --with \\
  more
MemoryMax=512M
MemoryMax=256M
IPAddressDeny=any
IPAddressAllow=localhost
IPAddressAllow=10.0.0.0/8
User=shop

[Install]
WantedBy=multi-user.target
"""
HARDENED = """
[Service]
ExecStart=/bin/true
DynamicUser=yes
NoNewPrivileges=yes
ProtectSystem=strict
ProtectHome=yes
PrivateDevices=yes
PrivateTmp=yes
PrivateUsers=yes
ProtectKernelTunables=yes
ProtectKernelModules=yes
ProtectKernelLogs=yes
ProtectControlGroups=yes
ProtectClock=yes
ProtectHostname=yes
ProtectProc=invisible
ProcSubset=pid
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
RestrictAddressFamilies=AF_INET AF_UNIX
LockPersonality=yes
MemoryDenyWriteExecute=yes
CapabilityBoundingSet=
SystemCallFilter=@system-service
SystemCallArchitectures=native
IPAddressDeny=any
UMask=0077
"""


def a_unit(folder: Path, text: str) -> Path:
    path = folder / "shop.service"
    path.write_text(text)
    return path


def test_the_keys_of_a_unit_are_those_of_its_service_the_last_counts_and_addresses_add_up(
    tmp_path: Path,
) -> None:
    found = confinement.unit(a_unit(tmp_path, UNIT))
    assert isinstance(found, Unit)
    assert found.settings == {
        "ExecStart": "/bin/true --with more",
        "MemoryMax": "256M",
        "IPAddressDeny": "any",
        "IPAddressAllow": "localhost 10.0.0.0/8",
        "User": "shop",
    }


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed")
def test_how_exposed_a_unit_is_comes_from_systemd_itself(tmp_path: Path) -> None:
    bare = confinement.unit(a_unit(tmp_path, "[Service]\nExecStart=/bin/true\n"))
    hardened = confinement.unit(a_unit(tmp_path, HARDENED))
    assert isinstance(bare, Unit)
    assert isinstance(hardened, Unit)
    assert isinstance(bare.exposure, float)
    assert isinstance(hardened.exposure, float)
    assert bare.exposure > 9.0
    assert hardened.exposure < 2.0


def test_without_systemd_it_is_unseen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    found = confinement.unit(a_unit(tmp_path, UNIT))
    assert isinstance(found, Unit)
    assert isinstance(found.exposure, Unseen)
    assert "systemd-analyze is not installed" in found.exposure.why


def test_a_unit_that_is_not_there_is_unseen(service: LocalService, tmp_path: Path) -> None:
    assert isinstance(confinement.unit(tmp_path / "none.service"), Unseen)
    found = surveyed(service, tmp_path / "none.service").place()
    assert isinstance(found.unit, Unseen)
    assert isinstance(found.open, Unseen)


# ── limits


def test_the_nearest_control_group_with_a_limit_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    below = tmp_path / "system.slice" / "shop.service"
    below.mkdir(parents=True)
    for folder, memory, cpu in (
        (tmp_path / "system.slice", "1000", "50000 100000"),
        (below, "500", "max 100000"),
    ):
        (folder / "memory.max").write_text(memory)
        (folder / "cpu.max").write_text(cpu)
    monkeypatch.setattr(confinement, "_groups", lambda pid, root: iter((below, tmp_path / "system.slice")))
    found = confinement.limits(os.getpid(), tmp_path, root=True)
    assert found["memory"] == "memory.max 500"
    assert found["cpu"] == "cpu.max 50000 100000"


def test_the_groups_above_a_process_end_at_the_root_of_them_all(tmp_path: Path) -> None:
    groups = list(confinement._groups(os.getpid(), tmp_path))
    assert groups == [] or (groups[-1] == tmp_path and all(tmp_path in (one, *one.parents) for one in groups))


@pytest.mark.skipif(sys.platform != "linux", reason="limits of other processes are told on Linux alone")
def test_a_process_s_own_limits_are_told(tmp_path: Path) -> None:
    limited = (
        f"from resource import *; setrlimit(RLIMIT_AS, (2**33, 2**33)); print('on', flush=True); {SLEEPS}"
    )
    with subprocess.Popen([sys.executable, "-c", limited], stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            process.stdout.readline()
            found = confinement.limits(process.pid, tmp_path, root=True)
        finally:
            process.kill()
    assert found == {"memory": f"RLIMIT_AS {2**33}"}


def test_a_process_that_is_gone_has_no_limits(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)):
        done = subprocess.Popen([sys.executable, "-c", ""])
        done.wait()
    assert confinement.limits(done.pid, tmp_path) == {}
