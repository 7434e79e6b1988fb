"""The checks of the house can fail: each is seen to, on a copy of the house with something planted in it."""

import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from tests import phases
from tests.lengths import too_long
from tests.run import CHECKS, ROOT

PLANTS = {
    "rooms": ("canary/local/files.py", "import canary.loop"),
    "analysis-apart": ("analysis/words.py", "import canary.errors"),
    "core": ("canary/core/strategy.py", "import canary.core.decide"),
    "rules": ("canary/rules/condition.py", "import canary.rules.engine"),
    "lark": ("canary/rules/engine.py", "import lark"),
    "analysis": ("analysis/betting.py", "import analysis.judge"),
    "preflight": ("canary/preflight/finding.py", "import canary.preflight.checks"),
    "safety": ("canary/safety/rule.py", "import canary.safety.watching"),
    "monitor": ("canary/monitor/docker.py", "import canary.monitor.monitor"),
    "errors": ("canary/errors.py", "import analysis.words"),
    "pure": ("canary/core/weights.py", "import time"),
    "numpy": ("canary/core/decide.py", "import numpy"),
    "typer": ("canary/conduct.py", "import typer"),
    "rich": ("canary/cli/output.py", "import rich.text"),
    "psutil": ("canary/conduct.py", "import psutil"),
    "pydantic": ("canary/core/release.py", "import pydantic"),
    "yaml": ("canary/record.py", "import yaml"),
    "httpx": ("canary/metrics/prometheus.py", "import httpx"),
    "cryptography": ("canary/seal/keys.py", "import cryptography"),
    "prometheus": ("canary/metrics/scrape.py", "import prometheus_api_client"),
    "kubernetes": ("canary/wiring.py", "import kubernetes"),
    "kube": ("canary/kube/session.py", "import canary.kube.lease"),
}
"""By contract: an import that only this contract forbids, or it first of all, and where it is planted."""


def contracts() -> list[str]:
    document = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    return [contract["id"] for contract in document["tool"]["importlinter"]["contracts"]]


@pytest.fixture
def house(tmp_path: Path) -> Path:
    """A copy of what the import contracts look at."""
    for folder in ("canary", "analysis"):
        shutil.copytree(ROOT / folder, tmp_path / folder, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    return tmp_path


def linted(house: Path, contract: str) -> str:
    """What import-linter says of one contract; the copy is what it imports, not the checkout."""
    command = [str(Path(sys.executable).parent / "lint-imports"), "--no-cache", "--contract", contract]
    done = subprocess.run(
        command, cwd=house, env={"PYTHONPATH": str(house)}, capture_output=True, text=True, check=False
    )
    assert done.returncode in (0, 1), done.stderr
    return done.stdout + done.stderr


def test_every_contract_has_its_plant() -> None:
    assert sorted(PLANTS) == sorted(contracts())


@pytest.mark.parametrize("contract", PLANTS)
def test_each_contract_breaks_on_a_planted_import(house: Path, contract: str) -> None:
    before = linted(house, contract)
    assert "1 kept, 0 broken" in before, before
    name, line = PLANTS[contract]
    path = house / name
    path.write_text(path.read_text(encoding="utf-8") + f"\n{line}\n", encoding="utf-8")
    after = linted(house, contract)
    assert "0 kept, 1 broken" in after, after
    assert name.removesuffix(".py").replace("/", ".") in after


@pytest.mark.parametrize(
    "room", ["canary/novelty.py", "canary/core/novelty.py", "canary/rules/novelty.py", "analysis/novelty.py"]
)
def test_a_new_file_must_be_given_its_place(house: Path, room: str) -> None:
    (house / room).write_text('"""New."""\n', encoding="utf-8")
    folder = Path(room).parent
    contract = {"canary": "rooms", "canary/core": "core", "canary/rules": "rules", "analysis": "analysis"}[
        str(folder)
    ]
    said = linted(house, contract)
    assert "1 kept" not in said
    assert "novelty" in said


@pytest.mark.parametrize("folder", ["canary", "analysis", "tests", "bench"])
def test_a_function_of_41_lines_is_too_long(tmp_path: Path, folder: str) -> None:
    body = "\n".join(f"    a{n} = {n}" for n in range(39))
    planted = tmp_path / folder / "deep" / "planted.py"
    planted.parent.mkdir(parents=True)
    planted.write_text(f'class C:\n    """C."""\n\n\ndef good():\n    """Long."""\n{body}\n')
    assert too_long(tmp_path) == []
    planted.write_text(f"\n\nasync def bad():\n{body}\n    return 0\n")
    assert too_long(tmp_path) == [
        f"{folder}/deep/planted.py:3: `bad` has 41 lines without its docstring, wanted at most 40: split it"
    ]


def test_a_file_of_401_lines_is_too_long(tmp_path: Path) -> None:
    (tmp_path / "bench").mkdir()
    (tmp_path / "bench" / "planted.py").write_text("a = 1\n" * 401)
    assert too_long(tmp_path) == ["bench/planted.py: 401 lines, wanted at most 400: split it"]
    command = [sys.executable, "-m", "tests.lengths", str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout.count("\n")) == (1, 1)


def test_make_check_and_the_first_tier_run_the_same_commands() -> None:
    recipe = (ROOT / "Makefile").read_text(encoding="utf-8").split("\ncheck:")[1].split("\n\n")[0]
    lines = [line.strip().lstrip("@") for line in recipe.splitlines()[1:] if line.strip()]
    commands = [tuple(re.sub(r"\$\(VENV\)/bin/|\$\((?=PY\))", "", line).split()) for line in lines]
    assert commands == [("PY)", *command[1:]) if command[0] == "python" else command for command in CHECKS]


def test_the_documented_phases_are_those_of_the_code() -> None:
    documented = phases.documented(phases.DOCUMENT.read_text(encoding="utf-8"))
    assert documented == phases.table(), "run `.venv/bin/python -m tests.phases`"


def test_the_table_of_phases_tells_every_legal_move() -> None:
    assert "| `promoting` | `baking`, `promoted`, `rolling_back` |" in phases.table()
    assert "| `rolled_back` | the end |" in phases.table()
