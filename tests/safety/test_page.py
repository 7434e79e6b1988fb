"""What docs/safety.md says is so."""

import re
from pathlib import Path

import pytest

from canary.config.safety import safety_rules
from canary.monitor.exporter import Meters
from canary.safety.report import LONGEST, MOST_PER_S, parse
from canary.safety.vocabulary import OBSERVED

PAGE = (Path(__file__).parents[2] / "docs" / "safety.md").read_text(encoding="utf-8")


def blocks(kind: str) -> list[str]:
    return re.findall(rf"^```{kind}\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)


def test_the_figures_are_those_of_the_code() -> None:
    table = PAGE.split("<!-- figures -->")[1].split("<!-- /figures -->")[0].strip().splitlines()[2:]
    assert table == [f"| `{name}` | {word.kind} | {word.told} |" for name, word in OBSERVED.items()]


@pytest.mark.parametrize("example", blocks("yaml"))
def test_its_rules_are_rules(tmp_path: Path, example: str) -> None:
    path = tmp_path / "safety_rules.yaml"
    path.write_text(example)
    assert len(safety_rules(path)) == 7


def test_its_report_is_one_and_its_bounds_are_those_of_the_code() -> None:
    (line,) = blocks("report")
    assert parse(line.rstrip("\n").encode()).name == "four_laws_violation_detected"
    assert f"at most {LONGEST} bytes each, {MOST_PER_S} a second" in PAGE


def test_its_metrics_are_those_that_are_served() -> None:
    meters = Meters(("a",))
    meters.kills.labels("rule", "a").inc()
    served = set(re.findall(r"^# TYPE (\S+) ", meters.page().decode(), re.MULTILINE))
    told = set(re.findall(r"`(canary_guard_[a-z_]+)", PAGE))
    assert told == {name.removesuffix("_total") + ("_total" if name in COUNTERS else "") for name in served}


COUNTERS = {"canary_guard_kills_total", "canary_guard_reports_total"}
