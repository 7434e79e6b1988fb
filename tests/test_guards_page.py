"""What docs/guards.md says is so: examples load, conditions parse, the figures are those of the code."""

import re
from pathlib import Path

import pytest

from canary.config.load import load
from canary.core.strategy import ERRORS, LATENCY
from canary.core.vocabulary import vocabulary
from canary.rules.grammar import parse

PAGE = (Path(__file__).parents[1] / "docs" / "guards.md").read_text(encoding="utf-8")
BASE = """\
target: {local: shop}
local: {command: [serve, "{port}", "{version}"], version: v1, limits: {memory: 512MiB, cpu: 0.5}}
"""
WORDS = vocabulary((ERRORS, LATENCY), ())


def blocks(kind: str) -> list[str]:
    return re.findall(rf"^```{kind}\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)


def test_the_page_has_examples() -> None:
    assert blocks("yaml")
    assert sum(len(block.splitlines()) for block in blocks("conditions")) >= 8


@pytest.mark.parametrize("example", blocks("yaml"))
def test_an_example_loads(tmp_path: Path, example: str) -> None:
    path = tmp_path / "canary.yaml"
    path.write_text(BASE + example)
    found = load(path).strategy
    assert [guard.name for guard in found.guards] == ["memory", "errors", "queue", "late"]
    assert [gauge.name for gauge in found.gauges] == ["memory_bytes", "queue_depth"]


@pytest.mark.parametrize("condition", [line for block in blocks("conditions") for line in block.splitlines()])
def test_a_condition_parses(condition: str) -> None:
    assert parse(str(parse(condition, WORDS)), WORDS) == parse(condition, WORDS)


def test_conditions_that_the_text_mentions_as_good_parse() -> None:
    mentioned = re.findall(r"`([a-z_0-9]+ [<>]=? [^`]+)`", PAGE)
    good = [one for one in mentioned if one.split()[0] in WORDS and one != "memory_usage > 30s"]
    assert len(good) >= 3
    for condition in good:
        parse(condition, WORDS)


def test_the_figures_are_those_that_guards_know() -> None:
    table = PAGE.split("<!-- figures -->")[1].split("<!-- /figures -->")[0].strip().splitlines()[2:]
    wanted = [f"| `{name}` | {word.kind} | {word.told} |" for name, word in sorted(WORDS.items())]
    assert table == wanted


def test_the_fault_that_the_page_shows_is_the_one_that_is_told(tmp_path: Path) -> None:
    path = tmp_path / "canary.yaml"
    path.write_text(
        BASE + "\n" * 5 + 'guards:\n  - {name: m, condition: "memroy_usage > 90% for 30s", action: alert}\n'
    )
    with pytest.raises(Exception, match="a fault") as fault:
        load(path)
    (told,) = fault.value.faults  # type: ignore[attr-defined]
    assert told.replace(str(path), "canary.yaml") in PAGE
