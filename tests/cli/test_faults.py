"""Faults as a user meets them: of the command line, of the program, of whoever reads the output."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from canary.cli import app
from canary.cli.output import Output, asked_output

BROKEN = """
import sys
from canary import __main__
from canary.cli import app

def boom(given):
    raise ZeroDivisionError("no such luck")

app.get_command = boom
sys.argv = ["canary", "status", *sys.argv[1:]]
__main__.main()
"""


def broken(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", BROKEN, *arguments],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_fault_of_the_program_is_one_line_and_a_file_with_the_details(tmp_path: Path) -> None:
    done = broken(TMPDIR=str(tmp_path))
    (log,) = tmp_path.glob("canary-*.log")
    first, *rest = done.stderr.splitlines()
    assert (done.returncode, done.stdout) == (1, "")
    assert first == f"error: internal fault: ZeroDivisionError: no such luck; details: {log}"
    assert len(rest) == 1
    assert "Traceback" in log.read_text()


def test_a_fault_of_the_program_is_an_object_with_o_json(tmp_path: Path) -> None:
    done = broken("-o", "json", TMPDIR=str(tmp_path))
    told = json.loads(done.stdout)
    assert (done.returncode, told["exit_code"], told["faults"]) == (1, 1, [])
    assert "no such luck" in told["error"]


def test_canary_debug_shows_the_traceback(tmp_path: Path) -> None:
    done = broken(CANARY_DEBUG="1", TMPDIR=str(tmp_path))
    assert done.returncode == 1
    assert "Traceback (most recent call last)" in done.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "arguments", [["strat"], ["start"], ["plan", "--nope"], ["status", "-o", "xml"], ["audit"]]
)
def test_a_wrong_command_line_exits_2_and_names_the_help(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert app.main(arguments) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith("error: ")
    assert "--help`" in said.err


def test_a_wrong_command_line_is_an_object_with_o_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert app.main(["start", "-o", "json"]) == 2
    told = json.loads(capsys.readouterr().out)
    assert told == {
        "error": "Missing argument 'VERSION'.",
        "faults": [],
        "remedy": "See `canary start --help`.",
        "exit_code": 2,
    }


def test_a_reader_who_closes_the_pipe_hears_no_complaint() -> None:
    program = "exec 3>&1; { PY -m canary schema; echo $? >&3; } | head -c 1 >/dev/null"
    done = subprocess.run(
        ["bash", "-c", program.replace("PY", sys.executable)], capture_output=True, text=True, check=False
    )
    assert (done.stdout.strip(), done.stderr) == ("0", "")


@pytest.mark.parametrize(
    ("arguments", "asked"),
    [
        (["-o", "json"], Output.JSON),
        (["-ojson"], Output.JSON),
        (["--output=yaml"], Output.YAML),
        (["--output", "json"], Output.JSON),
        (["--", "-o", "json"], Output.TEXT),
        (["-o", "xml"], Output.TEXT),
        (["-o"], Output.TEXT),
        ([], Output.TEXT),
    ],
)
def test_what_o_asks_for_is_known_even_when_the_rest_is_wrong(arguments: list[str], asked: Output) -> None:
    assert asked_output(arguments) is asked
