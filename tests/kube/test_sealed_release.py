"""A sealed release on a real API server, by accounts that have the printed Roles and nothing else."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from canary.kube.rbac import Account
from canary.seal.keys import Algorithm, generate
from tests.kube.accounts import Bound, printed
from tests.kube.live import Place
from tests.kube.scripted import Traffic
from tests.kube.stage import Stage, a_stage

pytestmark = pytest.mark.control_plane


@pytest.fixture
def stage(place: Place, tmp_path: Path) -> Iterator[Stage]:
    generate(tmp_path / "seal.key", Algorithm.ED25519)
    with a_stage(place, tmp_path, {"bad": Traffic(errors=0.03)}) as found:
        to = [{"events": True}, {"file": "web.seals"}]
        found.configure(ledger={"seal": {"key_file": "seal.key", "to": to}})
        yield found


def test_a_sealed_release_agrees_with_its_copies_and_a_ledger_written_anew_does_not(stage: Stage) -> None:
    driver = Bound(stage, "driver").granted(printed(stage, Account.DRIVER, "--with", "events"))
    viewer = Bound(stage, "viewer").granted(printed(stage, Account.VIEWER, "--with", "events"))
    ran = driver.run("start", "bad")
    assert ran.code == 3, ran.text
    assert "did not get to" not in ran.text
    checks = ("audit", "verify", "--key", "seal.key.pub", "--seals", "web.seals", "--events", "-o", "json")

    good = viewer.run(*checks)
    assert good.code == 0, good.out + good.text
    found = json.loads(good.out)
    assert found["sealed_until"] == found["entries"]
    assert found["copies"] == 2 * found["seals"] > 0

    session = stage.session
    path = session.path("v1", "configmaps", "canary-web")
    record = session.get(path)
    lines = record["data"]["ledger"].splitlines(keepends=True)
    record["data"]["ledger"] = "".join(lines[: lines.index(lines[-1]) - 2])
    session.replace(path, record)
    cut = viewer.run(*checks)
    assert cut.code == 1, cut.out + cut.text
    assert f"entry {len(lines) - 2} is truncated" in json.loads(cut.out)["fault"]
    assert any("has the seal of entry" in one for one in json.loads(cut.out)["faults"])


def test_without_the_right_to_make_events_nothing_is_touched(stage: Stage) -> None:
    driver = Bound(stage, "driver").granted(printed(stage, Account.DRIVER))
    ran = driver.run("start", "bad")
    assert ran.code == 2, ran.text
    assert "create events (tell the seals of the ledger as events)" in ran.text
    assert "canary rbac --for driver --with events |" in ran.text
    assert stage.recorded() is None
