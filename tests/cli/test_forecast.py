import pytest

from canary.cli.forecast import requests_needed
from canary.core.strategy import Margin


@pytest.mark.parametrize(
    ("share", "margin", "wanted"),
    [
        (0.50, Margin(1.5, 0.005), 4_700),
        (0.25, Margin(1.5, 0.005), 8_200),
        (0.50, Margin(1.5, 0.001), 64_000),
        (0.25, Margin(1.5, 0.001), 79_000),
    ],
)
def test_the_requests_that_a_margin_needs_are_those_of_the_design(
    share: float, margin: Margin, wanted: float
) -> None:
    # At a base of 0.3 % and a false-promotion rate of 2 % (ANALYSIS 6, "Tolerance and margin").
    assert requests_needed(0.003, margin, share, 50) == pytest.approx(wanted, rel=0.01)


def test_a_wider_margin_needs_fewer_requests() -> None:
    narrow, wide = (requests_needed(0.01, Margin(1.5, points), 0.5, 50) for points in (0.005, 0.02))
    assert wide < narrow / 4


def test_the_ratio_rules_where_it_is_the_larger_margin() -> None:
    assert requests_needed(0.1, Margin(1.5, 0.005), 0.5, 50) == pytest.approx(
        requests_needed(0.1, Margin(1.5, 0.0001), 0.5, 50)
    )
