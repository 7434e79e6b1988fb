"""The table of the deployments names tests that are there, for every rule."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
README = (ROOT / "examples" / "README.md").read_text()
ROWS = re.findall(r"^\| \[`(\w+)/`\]\(\w+/\) \|(.*)\|$", README, re.MULTILINE)


@pytest.mark.parametrize(("name", "cells"), ROWS, ids=[name for name, _ in ROWS])
def test_each_cell_names_a_command_and_a_test_that_is_there(name: str, cells: str) -> None:
    found = [cell.strip() for cell in cells.split(" | ")]
    assert len(found) == 5
    for cell in found:
        command, _, named = cell.partition(" · ")
        file, _, test = named.strip("`").partition("::")
        assert re.fullmatch(r"`[^`]+`", command)
        assert f"def {test}(" in (ROOT / "tests" / "examples" / name / file).read_text()


def test_every_example_is_listed_and_there_is_a_row() -> None:
    folders = {path.name for path in (ROOT / "examples").iterdir() if path.is_dir()}
    assert {name for name in folders if "](" + name + "/)" in README} == folders
    assert "minimal" in {name for name, _ in ROWS}
