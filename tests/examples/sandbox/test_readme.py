"""The README of the sandbox, run as it stands: from images to a sandbox, to its compromise, to a new one."""

import json
import re
import shutil
import sys

import pytest

from tests import tools
from tests.command import ROOT
from tests.examples.sandbox.stage import EXAMPLE, SANDBOX, Box, blocks, until

pytestmark = pytest.mark.docker

KEPT = {f"{SANDBOX}-{name}" for name in ("ledger", "keys", "seals")}


def image_of(box: Box) -> str:
    return str(box.inspect()["Image"])


def test_every_block_is_run_by_some_test() -> None:
    assert set(blocks()) == {
        "build", "secrets", "start", "use", "stop", "upgrade", "rollback", "compromise", "drill",
        "hardening", "rules", "words", "preflight",
    }  # fmt: skip


def test_from_images_to_a_sandbox_that_is_used_and_destroyed(box: Box) -> None:
    said = box.run(blocks()["start"])
    assert f"{SANDBOX}: running, " in said
    said = box.run(blocks()["use"])
    assert '{"status":"healthy","version":"1.1.1"}' in said
    assert said.count(": refused: ") == 19
    assert "watching project-ai-sandbox" in said
    assert re.search(r"^canary_guard_watching 1\.0$", said, re.MULTILINE)
    assert box.inspect()["State"]["Running"], "what is refused is no reason to end it"
    said = box.run(blocks()["stop"])
    assert "destroyed after" in said
    assert box.containers() == []
    assert set(box.daemon.docker("volume", "ls", "--quiet").split()) == KEPT
    assert box.daemon.docker("network", "ls", "--quiet", "--filter", "type=custom") == ""


def test_an_upgrade_is_a_new_one_and_rolled_back_to_the_old_pin(box: Box) -> None:
    box.run(blocks()["upgrade"])
    new = image_of(box)
    pins = (box.folder / ".env").read_text()
    assert f"SANDBOX_IMAGE={new}" in pins
    assert box.inspect()["Config"]["Labels"]["try"] == "2"
    assert box.daemon.docker("image", "inspect", "--format", "{{.Id}}", "project-ai/core:next").strip() == new
    box.run(blocks()["rollback"])
    old = image_of(box)
    assert old != new
    assert f"SANDBOX_IMAGE={old}" in (box.folder / ".env").read_text()
    assert '"status":"healthy"' in box.run("curl --silent http://127.0.0.1:8000/health")
    # The tag moves; what is pinned does not.
    box.run("docker tag project-ai/core:next project-ai/core:experimental")
    box.box("destroy")
    box.box("up")
    assert image_of(box) == old
    box.run(blocks()["build"])


def test_an_image_that_does_not_serve_is_not_kept(box: Box) -> None:
    box.box("up")
    before = image_of(box)
    broken = (
        "printf 'FROM project-ai/core:experimental\\nENTRYPOINT [\"false\"]\\n' | docker build -q -t broken -"
    )
    box.run(broken)
    said = box.box("upgrade", "broken", status=1)
    assert "broken does not serve" in said
    assert image_of(box) == before
    assert '"status":"healthy"' in box.run("curl --silent http://127.0.0.1:8000/health")
    assert box.box("upgrade", "nothing-of-this-name", status=2)
    assert image_of(box) == before


def test_after_a_compromise_it_is_destroyed_the_ledger_verified_and_a_new_one_made(box: Box) -> None:
    box.box("up")
    first = box.inspect()["Id"]
    box.experiment("violation", "as a drill")
    box.ended(10)
    until(lambda: not box.inspect(f"{SANDBOX}-monitor")["State"]["Running"], "the monitor to end", 10)
    said = box.run(blocks()["compromise"])
    assert said.count("whole and unchanged") == 2
    assert said.count("copies of seals agree with it") == 2
    assert "serves again after" in said
    assert box.inspect()["Id"] != first
    kept = [json.loads(line) for line in (box.folder / "before.jsonl").read_text().splitlines()]
    assert "as a drill" in json.dumps(kept)
    (end,) = [entry for entry in kept if entry["kind"] == "end"]
    assert end["body"]["rule"] == "Detect Four Laws violation"


def test_a_ledger_that_was_changed_is_found_and_nothing_is_started(box: Box) -> None:
    box.box("up")
    box.experiment("violation")
    box.ended(10)
    path = box.daemon.where.cache / "data/volumes" / f"{SANDBOX}-ledger" / "_data" / f"{SANDBOX}.jsonl"
    path.write_text(path.read_text().replace("four_laws_violation_detected", "nothing_at_all_has_happened"))
    said = box.box("recover", status=1)
    assert "destroyed after" in said
    assert "entry" in said
    assert box.containers() == []
    assert box.box("up", status=1)
    assert SANDBOX not in box.containers()


def test_a_drill_from_nothing_ends_the_sandbox_and_gives_a_new_one_twice_over(box: Box) -> None:
    for _ in range(2):
        box.daemon.empty()
        measured = [
            json.loads(line) for line in box.run(blocks()["drill"]).splitlines() if line.startswith("{")
        ]
        assert [one["experiment"] for one in measured] == ["egress", "violation"]
        for one in measured:
            assert 0 < one["ended_s"] < one["destroyed_s"] < one["serving_s"]
            print(one)
        assert box.inspect()["State"]["Running"]


def test_the_points_of_the_benchmark_hold(standing: Box) -> None:
    assert standing.run(blocks()["hardening"]).splitlines()[-1].endswith(" 0 FAIL")


def test_before_anything_is_trusted_to_it_all_holds_but_what_this_machine_lacks(standing: Box) -> None:
    """No Prometheus runs here."""
    said = standing.run(blocks()["preflight"])
    assert "exit code 1" in said
    points = {
        point: word for word, point in re.findall(r"^(pass|FAIL|UNKNOWN|n/a) +(\w+) ", said, re.MULTILINE)
    }
    assert points == dict.fromkeys(
        ("hardening", "upgrade", "access", "secrets", "network", "limits", "audit"), "pass"
    ) | {"backup": "n/a", "recovery": "n/a", "monitoring": "FAIL"}


def test_points_that_do_not_hold_are_found_at_the_documents_own_container(built: Box) -> None:
    built.daemon.empty()
    document = EXAMPLE.parents[1] / "tests/examples/sandbox/document.yml"
    compose = f"docker-compose --file {document} --project-name document"
    built.run(f"{compose} up --detach sandbox")
    ask = "--container project-ai-sandbox --docker ${DOCKER_HOST}"
    said = built.run(f"PYTHONPATH={ROOT} {sys.executable} -m canary preflight {ask} || true")
    built.run(f"{compose} down --volumes")
    for told in (
        "runs as root", "not so: all capabilities are dropped", "/app/data is a volume on the disk",
        "another one tomorrow", "leads to every port of its host", "and swap is not",
        "a fork bomb takes the host",
    ):  # fmt: skip
        assert told in said


def test_the_rules_are_told_in_words(built: Box) -> None:
    said = built.run(blocks()["words"])
    assert "Prevent network egress: when network_connections > 0" in said
    assert len(re.findall(r"^\S.*: when ", said, re.MULTILINE)) == 7


def test_the_rules_are_checked_as_the_readme_says(built: Box) -> None:
    tools.provide_prometheus()
    if shutil.which("promtool") is None:
        pytest.skip("promtool is missing, and there is no apt to fetch it")
    assert "SUCCESS" in built.run(blocks()["rules"])
