"""The example configurations are what the commands accept."""

from pathlib import Path

import pytest

from canary import wiring

EXAMPLES = sorted((Path(__file__).parent.parent.parent / "examples").glob("**/canary.yaml"))


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.parent.name)
def test_an_example_has_no_fault(path: Path) -> None:
    found = wiring.settings(path)
    assert found.strategy.false_rollback_rate == 0.01
    assert found.strategy.false_promotion_rate == 0.02


def test_there_are_examples() -> None:
    assert EXAMPLES
