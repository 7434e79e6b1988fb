"""The README shows the help as it is: between `<!-- help -->` and `<!-- /help -->`, in a fenced block."""

import re
from pathlib import Path

import pytest

from canary.cli import app

README = Path(__file__).parents[2] / "README.md"


def test_the_readme_shows_the_help_as_it_is(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    app.main(["--help"])
    found = re.search(
        r"<!-- help -->\s*```[a-z]*\n(.*?)```\s*<!-- /help -->", README.read_text(encoding="utf-8"), re.DOTALL
    )
    assert found is not None, "README.md has no fenced block between <!-- help --> and <!-- /help -->"
    shown = found[1].removeprefix("$ canary --help\n")
    assert shown.rstrip() == capsys.readouterr().out.rstrip()
