import json
from pathlib import Path

import pytest

from canary.cli import app
from canary.config.load import load


def test_the_file_that_init_writes_is_sound(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "canary.yaml"
    assert app.main(["init", "-f", str(path), "-o", "json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"written": str(path), "exit_code": 0}
    assert load(path).local is not None


def test_a_file_that_is_there_is_kept_unless_forced(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "canary.yaml"
    path.write_text("mine")
    assert app.main(["init", "-f", str(path)]) == 2
    assert path.read_text() == "mine"
    assert "--force" in capsys.readouterr().err
    assert app.main(["init", "-f", str(path), "--force"]) == 0
    assert path.read_text() != "mine"


def test_a_place_that_cannot_be_written_to_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert app.main(["init", "-f", str(tmp_path / "none" / "canary.yaml")]) == 2
    assert "cannot be written: No such file or directory" in capsys.readouterr().err


def test_every_fault_of_a_file_is_told_on_a_line_of_its_own(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "canary.yaml"
    app.main(["init", "-f", str(path)])
    path.write_text(path.read_text().replace("deadline: 1h", "deadlin: 1h\nbake: 10"))
    capsys.readouterr()
    assert app.main(["plan", "-f", str(path), "-o", "json"]) == 2
    said = capsys.readouterr()
    document = json.loads(said.out)
    assert document["exit_code"] == 2
    assert len(document["faults"]) == 2
    for fault in document["faults"]:
        assert f"  {fault}\n" in said.err


def test_the_schema_is_json_that_knows_the_keys(capsys: pytest.CaptureFixture[str]) -> None:
    assert app.main(["schema"]) == 0
    assert "deadline" in json.loads(capsys.readouterr().out)["properties"]
