"""The README of the single server, run as it stands: from nothing to a recovered machine."""

import json
import os
import re
import shutil
from collections.abc import Iterator

import pytest

from steward import service
from tests import tools
from tests.examples.minimal.stage import Server, a_server, blocks

pytestmark = [pytest.mark.e2e, pytest.mark.solo]

PORT = 8000


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with a_server(tmp_path_factory.mktemp("server")) as found:
        yield found


@pytest.fixture(scope="module")
def steps(server: Server) -> dict[str, str]:
    """The README's blocks, each under a word that is in it; the waiting in them is shortened."""
    names = {
        "install": "steward install", "verify": "user list", "bad": "upgrade v1.1.0",
        "good": "upgrade v1.1.1", "rollback": "rollback\ncurl", "finish": "steward finish",
        "backup": "steward verify", "drill": "steward drill", "recover": "steward recover",
        "rules": "promtool", "preflight": "canary preflight", "audit": "audit verify",
    }  # fmt: skip
    found = blocks(server.folder / "README.md")
    assert len(found) == len(names), found
    chosen = {name: [one for one in found if word in one] for name, word in names.items()}
    assert {name: len(these) for name, these in chosen.items()} == dict.fromkeys(names, 1)
    return {name: these[0].replace("sleep 60", "sleep 12") for name, these in chosen.items()}


def evidence(server: Server, kind: str) -> list[dict[str, object]]:
    return [json.loads(path.read_text()) for path in sorted(server.folder.glob(f"evidence/{kind}-*.json"))]


def test_from_an_empty_folder_to_a_service_that_answers(server: Server, steps: dict[str, str]) -> None:
    server.hurry()
    server.run(steps["install"])
    said = server.run(steps["verify"])
    assert '{"status":"healthy","version":"1.0.0"}' in said
    assert '"name": "Ada"' in said.splitlines()[-1]


def test_a_bad_release_is_taken_back_by_evidence_and_the_data_stay(
    server: Server, steps: dict[str, str]
) -> None:
    said = server.run(steps["bad"])
    assert "exit code 3" in said
    assert "schema 0001 -> 0002, which v1.0.0 reads too" in said
    assert "v1.0.0 runs on, with the data as they are" in said
    assert service.ask(PORT, "/health")[1]["version"] == "1.0.0"


def test_a_good_release_is_promoted(server: Server, steps: dict[str, str]) -> None:
    said = server.run(steps["good"])
    assert "PROMOTED: project-ai v1.1.1" in said
    assert '"version":"1.1.1"' in said
    assert {one["labels"]["version"] for one in targets(server)} == {"v1.1.1"}


def targets(server: Server) -> list[dict[str, dict[str, str]]]:
    found: list[dict[str, dict[str, str]]] = json.loads(
        (server.folder / "monitoring/targets.json").read_text()
    )
    return found


def test_code_goes_back_alone_where_the_old_release_reads_the_data(
    server: Server, steps: dict[str, str]
) -> None:
    before = service.users(PORT)[0]
    said = server.run(steps["rollback"])
    assert '"version":"1.0.0"' in said
    assert "the data are those of" not in said
    assert service.users(PORT)[0] >= before


def test_data_go_back_with_the_code_where_it_cannot_read_them(server: Server, steps: dict[str, str]) -> None:
    said = server.run(steps["finish"])
    assert "PROMOTED: project-ai v1.2.0" in said
    assert "v1.0.0 cannot read schema 0003: the data go back to" in said
    assert '"schema": 2' in said
    assert '"version":"1.0.0"' in said
    assert said.index("the data are those of") < said.index("UNDONE")


def test_no_request_has_failed_but_those_of_the_bad_release(server: Server) -> None:
    server.end("load")
    told = json.loads((server.folder / "load.json").read_text())
    answers = {name.split()[-1] for name in told if name not in ("seconds", "sent", "v1.1.0 500")}
    # 404: users who came since the data to which it went back.
    assert answers <= {"200", "201", "404"}, told
    assert told["v1.1.0 500"] > 0
    assert {name.split()[0] for name in told} >= {"v1.0.0", "v1.1.0", "v1.1.1", "v1.2.0"}


def test_a_backup_is_made_and_found_whole(server: Server, steps: dict[str, str]) -> None:
    assert "is whole" in server.run(steps["backup"])
    assert evidence(server, "backup")[-1]["ok"] is True
    assert all(one["ok"] for one in evidence(server, "backup"))


def test_drills_from_nothing_keep_the_promise_and_give_the_same_users(
    server: Server, steps: dict[str, str]
) -> None:
    for number in (1, 2):
        said = server.run(steps["drill"])
        assert "the same " in said
        drills = evidence(server, "restore-drill")
        assert len(drills) == number
        assert drills[-1]["ok"] is True
        rto_s, rpo_s = drills[-1]["rto_s"], drills[-1]["rpo_s"]
        assert isinstance(rto_s, float)
        assert isinstance(rpo_s, float)
        assert 0 < rto_s <= 900
        assert 0 < rpo_s <= 86400
    assert service.ask(PORT, "/health/ready")[0] == 200


def test_before_a_release_all_holds_but_what_this_machine_lacks(
    server: Server, steps: dict[str, str]
) -> None:
    """No Prometheus runs here, and whoever runs the tests may be root."""
    said = server.run(steps["preflight"])
    assert "exit code 1" in said
    held = set(re.findall(r"^pass +(\w+)", said, re.MULTILINE))
    assert held >= {"backup", "upgrade", "recovery", "access", "secrets", "network", "limits", "audit"}, said
    assert re.search(r"^UNKNOWN +monitoring", said, re.MULTILINE)
    assert ("FAIL      hardening" in said) == (os.geteuid() == 0)


def test_the_ledger_of_all_releases_agrees_with_its_seals_and_their_copies(
    server: Server, steps: dict[str, str]
) -> None:
    said = server.run(steps["audit"])
    assert "good seals" in said
    assert "copies of seals agree with it" in said


def test_a_machine_that_is_gone_is_recovered_with_the_same_users(
    server: Server, steps: dict[str, str]
) -> None:
    wanted = service.users(PORT)
    server.destroy()
    assert not (server.folder / "data").exists()
    install = steps["install"].splitlines(keepends=True)
    assert [line.split()[0] for line in install[-2:]] == ["releases/v1.0.0/project-ai", "canary"]
    server.run("".join(install[:-2]))
    server.run(steps["recover"])
    assert service.users(PORT) == wanted
    assert service.ask(PORT, "/health")[1]["version"] == "1.0.0"


def test_the_rules_are_checked_as_the_readme_says(server: Server, steps: dict[str, str]) -> None:
    tools.provide_prometheus()
    if shutil.which("promtool") is None:
        pytest.skip("promtool is missing, and there is no apt to fetch it")
    assert "SUCCESS" in server.run(steps["rules"])
