"""`server.toml`: every fault is said at once, with what is wanted; and the steward's own refusals."""

import ast
import re
import sys
from pathlib import Path

import pytest

from steward import __main__ as steward
from steward import backup, drill, upgrade
from steward.backup import Why
from steward.place import read
from steward.problem import ProblemError
from tests.examples.minimal.stage import MINIMAL, a_place
from tests.examples.minimal.test_backup import with_users

KNOWN = {"v1.0.0": (1, 2), "v1.1.1": (2, 2), "v1.2.0": (2, 3), "v2.0.0": (4, 4)}


def test_the_example_is_read_as_it_is() -> None:
    found = read(MINIMAL)
    assert (found.rto_s, found.rpo_s, found.keep_s) == (900.0, 86400.0, 7 * 86400.0)
    assert found.service == MINIMAL.parent / "app"
    assert all((MINIMAL / one).exists() for one in found.configuration)


def test_the_steward_needs_nothing_but_python() -> None:
    imported = set()
    for file in (MINIMAL / "steward").glob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Import):
                imported |= {one.name.split(".")[0] for one in node.names}
            elif isinstance(node, ast.ImportFrom):
                imported.add((node.module or "").split(".")[0])
    assert imported <= {*sys.stdlib_module_names, "steward"}


def test_all_faults_of_the_file_are_said_at_once(tmp_path: Path) -> None:
    text = (MINIMAL / "server.toml").read_text()
    text = text.replace("keep_days = 7", "keep_days = -7").replace("copies = []", 'copies = "x"')
    (tmp_path / "server.toml").write_text(text.replace("rto_s = 900", "rto = 900"))
    with pytest.raises(ProblemError) as refused:
        read(tmp_path)
    said = str(refused.value)
    assert "rto is unknown" in said
    assert "rto_s is missing" in said
    assert "keep_days is -7, wanted a number above 0" in said
    assert "copies is 'x', wanted a list of texts" in said


@pytest.mark.parametrize("text", [None, "database = ", "database = 1\n\xff"])
def test_a_file_that_cannot_be_read_is_said_in_words(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str | None
) -> None:
    if text is not None:
        (tmp_path / "server.toml").write_text(text, encoding="latin-1")
    assert steward.main(["--at", str(tmp_path), "backup"]) == 2
    assert f"{tmp_path}/server.toml" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("old", "new", "schema", "to"),
    [
        ("v1.0.0", "v1.1.1", 1, 2),
        ("v1.0.0", "v1.1.1", 2, 2),
        ("v1.1.1", "v1.2.0", 2, 2),
        ("v1.2.0", "v1.2.0", 3, 3),
    ],
)
def test_before_an_upgrade_the_schema_goes_as_far_as_both_can_read(
    old: str, new: str, schema: int, to: int
) -> None:
    assert upgrade._expanded(KNOWN, old, new, schema) == to


@pytest.mark.parametrize(
    ("old", "new", "schema", "told"),
    [
        ("v1.2.0", "v1.1.1", 3, "steward rollback"),
        ("v1.2.0", "v2.0.0", 3, "a release that reads both"),
        ("v1.1.0", "v1.1.1", 2, "a release that reads both"),
    ],
)
def test_an_upgrade_that_would_leave_one_of_them_blind_is_refused(
    old: str, new: str, schema: int, told: str
) -> None:
    with pytest.raises(ProblemError) as refused:
        upgrade._expanded(KNOWN, old, new, schema)
    assert told in refused.value.remedy
    assert refused.value.code == 2


def test_nothing_is_upgraded_or_rolled_back_where_nothing_runs(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    place = a_place(tmp_path)
    with_users(place, 1)
    for command in (["upgrade", "v1.1.1"], ["rollback"], ["finish"]):
        assert steward.main(["--at", str(tmp_path), *command]) == 2
        assert "canary local up" in capsys.readouterr().err
    assert not place.backups.exists()
    assert not place.releases.exists()


def test_two_stewards_do_not_change_one_server_at_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with a_place(tmp_path).alone():
        assert steward.main(["--at", str(tmp_path), "finish"]) == 2
    assert "another steward" in capsys.readouterr().err


def test_a_server_that_is_there_is_not_recovered_over(tmp_path: Path) -> None:
    place = a_place(tmp_path)
    with_users(place, 1)
    made = backup.make(place, Why("v1.0.0"))
    before = place.database.read_bytes()
    with pytest.raises(ProblemError, match="is there already"):
        drill.recover(place, made.archive)
    assert place.database.read_bytes() == before


def test_a_drill_without_a_backup_fails_and_is_written_down(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    place = a_place(tmp_path)
    assert steward.main(["--at", str(tmp_path), "drill"]) == 1
    assert "there is no good backup" in capsys.readouterr().err
    (document,) = place.evidence.glob("restore-drill-*.json")
    assert re.search(r'"ok": false', document.read_text())


def test_what_a_recovered_server_runs_first_is_the_release_that_ran(tmp_path: Path) -> None:
    config = tmp_path / "canary.yaml"
    config.write_text((MINIMAL / "canary.yaml").read_text())
    drill.set_in(config, "version", "v1.1.1")
    drill.set_in(config, "listen", "127.0.0.1:9999")
    before, after = (MINIMAL / "canary.yaml").read_text().splitlines(), config.read_text().splitlines()
    changed = [new.strip() for old, new in zip(before, after, strict=True) if old != new]
    assert changed == [
        "version: v1.1.1            # what runs first",
        "listen: 127.0.0.1:9999     # the one address in front of all replicas",
    ]
    config.write_text("target: {local: x}\n")
    with pytest.raises(ProblemError, match="no `version` under `local`"):
        drill.set_in(config, "version", "v1.1.1")
