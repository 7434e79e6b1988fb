import subprocess
import sys
from collections.abc import Iterator

import pytest
import typer
from typer.main import get_command

from canary import __version__
from canary.cli import app

FORBIDDEN = ("kubernetes", "scipy", "numpy", "requests", "prometheus_api_client", "httpx", "rich", "psutil")


def commands() -> Iterator[tuple[str, ...]]:
    for _, name, _ in app.COMMANDS:
        yield (name,)
    for group, _, inside in app.GROUPS:
        for _, name, _ in inside:
            yield (group, name)


@pytest.mark.parametrize("command", list(commands()), ids=" ".join)
def test_the_help_of_every_command_has_an_example_of_itself(
    command: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    assert app.main([*command, "--help"]) == 0
    _, _, examples = capsys.readouterr().out.partition("Examples:\n")
    assert f"  canary {' '.join(command)}" in examples


@pytest.mark.parametrize("command", list(commands()), ids=" ".join)
def test_the_help_of_every_command_says_its_exit_codes(
    command: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    app.main([*command, "--help"])
    assert "Exits " in capsys.readouterr().out


def test_no_summary_is_cut_off_at_eighty_columns(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    assert app.main(["--help"]) == 0
    assert "..." not in capsys.readouterr().out.partition("Commands:")[2]


def test_without_arguments_the_help_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    assert app.main([]) == 0
    assert capsys.readouterr().out.startswith("Usage: canary")


def test_nothing_is_listed_twice_or_under_another_name() -> None:
    tree = get_command(app.build())
    names = [name for name, *_ in ((command[1],) for command in app.COMMANDS)]
    assert len(set(names)) == len(names)
    assert isinstance(tree, typer.core.TyperGroup)
    assert set(tree.commands) == {*names, *(group for group, _, _ in app.GROUPS)}


@pytest.mark.parametrize(
    "arguments", [["--help"], ["version"], ["start", "--help"], ["version", "-o", "json"]]
)
def test_help_and_version_import_nothing_heavy(arguments: list[str]) -> None:
    program = (
        "import sys; from canary.cli import app; "
        f"code = app.main({arguments!r}); "
        f"print(code, *(m for m in {FORBIDDEN!r} if m in sys.modules), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stderr.split() == ["0"]


def test_the_version_is_told_for_people_and_for_programs(capsys: pytest.CaptureFixture[str]) -> None:
    assert app.main(["version"]) == 0
    assert capsys.readouterr().out == f"{__version__}\n"
    assert app.main(["version", "-o", "yaml"]) == 0
    assert capsys.readouterr().out == f"version: {__version__}\n"


def test_the_shell_completes_commands() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "canary"],
        env={"_CANARY_COMPLETE": "complete_bash", "COMP_WORDS": "canary st", "COMP_CWORD": "1", "PATH": ""},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.split() == ["start", "status"]
