"""The points of a local service that really runs, and each flaw in turn."""

import hashlib
import json
import os
import shutil
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from canary.preflight.names import secrets
from tests.e2e.place import Place, gone, place
from tests.local.test_survey import HARDENED
from tests.metrics.alerting import Servers
from tests.metrics.loopback import loopback

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed"),
]

SKIPPED = ("--skip", "audit", *(("--skip", "hardening") if os.geteuid() == 0 else ()), "--reason", "a test")
"""There is no key to seal with; and whoever tests as root runs replicas as root."""
LIMITS = "MemoryMax=256M\nCPUQuota=100%\nTasksMax=64\n"


def evidence(folder: Path, name: str, **document: Any) -> None:
    at = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    (folder / f"{name}.json").write_text(json.dumps({"at": at, "ok": True, **document}))


def backed_up(folder: Path) -> None:
    folder.mkdir(exist_ok=True)
    (folder / "shop.db").write_bytes(b"all of it")
    sha256 = hashlib.sha256(b"all of it").hexdigest()
    evidence(folder, "backup", kind="backup", file="shop.db", sha256=sha256)
    evidence(folder, "drill", kind="restore-drill", rto_s=40.0, rto_target_s=900.0, rpo_s=60.0)


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """A service for which everything holds."""
    folder = tmp_path_factory.mktemp("secured")
    with pytest.MonkeyPatch.context() as patch, loopback() as server:
        for named in secrets(os.environ):
            patch.delenv(named.name)
        patch.setenv("PYTHONDONTWRITEBYTECODE", "1")
        server.answer = Servers(server).answer
        (folder / "shop.service").write_text(f"{HARDENED}{LIMITS}")
        backed_up(folder / "evidence")
        preflight = {
            "evidence": "evidence",
            "unit": "shop.service",
            # The rules of these servers are about a web.
            "prometheus": {"url": server.url},
        }
        with place(folder, preflight=preflight, target={"local": "web"}) as here:
            here.up()
            yield here


def checked(shop: Place, *arguments: str) -> tuple[int, Mapping[str, Any], list[str]]:
    ran = shop.run("preflight", "-o", "json", *(arguments or SKIPPED))
    assert ran.out, ran.text
    found = json.loads(ran.out)
    return ran.code, {one["id"]: one for one in found["points"]}, found["stopping"]


def test_a_service_for_which_all_holds_passes_every_point(shop: Place) -> None:
    code, points, stops = checked(shop)
    assert (code, stops) == (0, []), points
    told = {name: " / ".join(one["evidence"]) for name, one in points.items()}
    assert "last good backup" in told["backup"]
    assert "recovery time (RTO) 40s of at most 15m" in told["recovery"]
    assert "exposure of" in told["hardening"]
    assert f"listens on 127.0.0.1:{shop.port}, which only this machine reaches" in told["network"]
    assert "MemoryMax=256M" in told["limits"]
    assert "no variable of 2 running replicas looks like a secret" in told["secrets"]
    assert points["hardening"]["status"] == ("fail" if os.geteuid() == 0 else "pass")


def test_a_backup_that_was_changed_fails_it_alone(shop: Place) -> None:
    file = shop.folder / "evidence" / "shop.db"
    file.write_bytes(b"half of")
    try:
        code, points, stops = checked(shop)
    finally:
        backed_up(shop.folder / "evidence")
    assert (code, stops) == (1, ["backup"])
    assert "was changed: sha256" in points["backup"]["evidence"][0]


def test_a_state_that_others_may_write_to_fails_the_access_alone(shop: Place) -> None:
    shop.layout.root.chmod(0o777)
    try:
        code, points, stops = checked(shop)
    finally:
        shop.layout.root.chmod(0o755)
    assert (code, stops) == (1, ["access"])
    assert points["access"]["fix"] == [f"`chmod go-w {shop.layout.root}`"]


def test_a_unit_without_limits_leaves_the_replicas_unlimited(shop: Place) -> None:
    unit = shop.folder / "shop.service"
    before = unit.read_text()
    unit.write_text(HARDENED)
    try:
        _, points, stops = checked(shop)
    finally:
        unit.write_text(before)
    # Whatever runs the tests may be limited itself.
    assert stops in ([], ["limits"])
    assert "MemoryMax" not in " ".join(points["limits"]["evidence"])


def test_a_strict_release_is_refused_with_the_points_and_nothing_is_recorded(shop: Place) -> None:
    ran = shop.run("start", "v2", "--strict")
    assert ran.code == 2, ran.text
    assert "audit (FAIL)" in ran.err
    assert shop.release() is None
    assert shop.canaries() == ()


def test_a_service_whose_supervisor_is_gone_exits_8(tmp_path: Path) -> None:
    with place(tmp_path) as here:
        here.up()
        assert here.supervisor is not None
        here.supervisor.kill()
        assert gone(here.supervisor.pid)
        time.sleep(4.0)
        ran = here.run("preflight")
    assert ran.code == 8, ran.text
    assert "canary local up" in ran.err


def test_a_service_that_was_never_started_is_told(tmp_path: Path) -> None:
    with place(tmp_path) as here:
        ran = here.run("preflight")
    assert ran.code == 2, ran.text
    assert "canary local up" in ran.err
