"""Every fault of a file is told at once: where, what was found, what is wanted."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from canary.config.load import load
from canary.config.template import init_template
from canary.errors import CanaryError, InvalidError, MissingError
from tests.config.fault_table import FAULTS, GOOD


def write(folder: Path, text: str | bytes) -> Path:
    path = folder / "canary.yaml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def faults(folder: Path, text: str | bytes) -> list[str]:
    """The lines of the refusal, without the folder."""
    with pytest.raises(InvalidError) as caught:
        load(write(folder, text))
    assert caught.value.remedy
    return [line.removeprefix(f"{folder}/") for line in caught.value.faults]


def changed(old: str, new: str) -> str:
    assert old in GOOD
    return GOOD.replace(old, new)


def test_a_good_file_has_no_faults(tmp_path: Path) -> None:
    assert load(write(tmp_path, GOOD)).target == "shop"


@pytest.mark.parametrize(("old", "new", "line"), FAULTS)
def test_a_fault_is_told_with_its_line_its_field_and_what_is_wanted(
    tmp_path: Path, old: str, new: str, line: str
) -> None:
    found = faults(tmp_path, changed(old, new))

    assert len([one for one in found if re.search(line, one)]) == 1, found
    assert len(found) == 1, found


def test_all_faults_are_told_at_once_in_the_order_of_the_file(tmp_path: Path) -> None:
    text = (
        GOOD.replace("replicas: 4", "replicas: none")
        .replace("[10, 25%, 50]", "[50, 25]")
        .replace("min: 1m", "min: 1")
        .replace("deadline: 1h", "deadline: 1h\nhooks: []")
        .replace("interval: 15s", "intervall: 15s")
        .replace("max: 5m", "max: 5s")
        .replace("0.5pp", "0.5")
    )

    places = [line.split(": ")[1] for line in faults(tmp_path, text)]

    assert places == [
        "local.replicas",
        "steps[1]",
        "hold.min",
        "hooks",
        "analysis.intervall",
        "analysis.warm_up.min",
        "analysis.metrics[0].errors.margin.abs",
    ]


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("", "canary.yaml:1: the file is empty, wanted a mapping that begins with `target:`"),
        ("# nothing\n", "canary.yaml:1: the file is empty, wanted a mapping that begins with `target:`"),
        ("- a\n", "canary.yaml:1: found a list, wanted a mapping that begins with `target:`"),
        ("\nhello\n", "canary.yaml:2: found `hello`, wanted a mapping that begins with `target:`"),
        (b"target: {}\nimage: \xff\n", "canary.yaml:2: this is not UTF-8 text"),
        ("a: 1\n---\nb: 2\n", "canary.yaml:2: this is not YAML: "),
        ("a: \x07\n", "canary.yaml:1: this is not YAML: "),
    ],
)
def test_what_is_no_configuration_is_said_in_a_line(tmp_path: Path, text: str | bytes, line: str) -> None:
    found = faults(tmp_path, text)

    assert len(found) == 1
    assert found[0].startswith(line)


def test_a_file_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(MissingError, match=r"there is no file .*nowhere\.yaml") as caught:
        load(tmp_path / "nowhere.yaml")

    assert "canary init" in caught.value.remedy


def test_a_folder_in_place_of_the_file_is_said(tmp_path: Path) -> None:
    with pytest.raises(CanaryError, match="cannot be read"):
        load(tmp_path)


def test_a_file_that_is_too_large_is_said(tmp_path: Path) -> None:
    with pytest.raises(InvalidError, match="larger than"):
        load(write(tmp_path, "#" * 300_000))


def test_aliases_that_multiply_end_in_a_fault(tmp_path: Path) -> None:
    rows = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    rows += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 9)]

    found = faults(tmp_path, "\n".join(rows))

    assert any("more than 20000 values" in line for line in found)


def test_an_alias_that_contains_itself_is_a_fault(tmp_path: Path) -> None:
    assert any("contains itself" in line for line in faults(tmp_path, "steps: &a [1, *a]\n"))


def test_lists_nested_too_deeply_are_a_fault(tmp_path: Path) -> None:
    assert faults(tmp_path, "steps: " + "[" * 600 + "]" * 600)


def test_the_template_loads_without_faults(tmp_path: Path) -> None:
    settings = load(write(tmp_path, init_template()))

    assert settings.target == "shop"
    assert settings.strategy.steps == (10.0, 25.0, 50.0)


def test_help_and_version_need_no_pydantic() -> None:
    code = "import sys, canary.config.settings, canary.config.units; sys.exit('pydantic' in sys.modules)"

    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
