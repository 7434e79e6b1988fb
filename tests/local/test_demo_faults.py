import random
from collections.abc import Callable
from pathlib import Path

import pytest

from canary.local.demo.faults import Fault, FaultError, Kind, Nature, parse_fault, parse_table
from canary.local.demo.rates import VersionRate

N = 40_000


def draws(kind: Kind, *, level: float = 0.0, rate: Callable[[], float] = lambda: 0.0) -> tuple[float, float]:
    """Shares of failed and of slow (over 250 ms) requests among N of this kind."""
    nature = Nature(Fault(kind, level), random.Random(7), rate)
    found = [nature.draw() for _ in range(N)]
    return sum(d.failed for d in found) / N, sum(d.delay_s > 0.25 for d in found) / N


def within(share: float, promised: float) -> bool:
    """Within four standard deviations of Bin(N, promised)."""
    return bool(abs(share - promised) <= 4 * (promised * (1 - promised) / N) ** 0.5)


def test_a_good_version_fails_three_in_a_thousand_and_is_slow_five_in_a_thousand_times() -> None:
    failed, slow = draws(Kind.NONE)
    assert within(failed, 0.003)
    assert within(slow, 0.005)


def test_the_fault_errors_fails_two_in_a_hundred_and_is_not_slower() -> None:
    failed, slow = draws(Kind.ERRORS)
    assert within(failed, 0.02)
    assert within(slow, 0.005)


def test_the_fault_errors_fails_as_many_as_it_is_told() -> None:
    assert within(draws(Kind.ERRORS, level=0.03)[0], 0.03)


def test_the_fault_latency_slows_four_in_a_hundred_and_fails_no_more_than_a_good_version() -> None:
    failed, slow = draws(Kind.LATENCY)
    assert within(failed, 0.003)
    assert within(slow, 0.045)


def test_the_fault_load_fails_only_while_its_version_is_busier_than_its_level() -> None:
    assert within(draws(Kind.LOAD, level=100, rate=lambda: 99.0)[0], 0.003)
    assert within(draws(Kind.LOAD, level=100, rate=lambda: 101.0)[0], 0.02)


def test_the_median_latency_of_a_good_version_is_twenty_milliseconds() -> None:
    nature = Nature(Fault(), random.Random(7), lambda: 0.0)
    delays = sorted(nature.draw().delay_s for _ in range(N))
    assert delays[N // 2] == pytest.approx(0.020, rel=0.02)
    assert delays[N * 99 // 100] == pytest.approx(0.056, rel=0.03)


def test_a_fault_is_read_with_its_level_or_the_usual_one() -> None:
    assert parse_fault("errors") == Fault(Kind.ERRORS)
    assert parse_fault("errors:0.03") == Fault(Kind.ERRORS, 0.03)
    assert parse_fault("crash") == Fault(Kind.CRASH, 8.0)
    assert parse_fault("crash:2.5") == Fault(Kind.CRASH, 2.5)
    assert parse_fault("leak:7") == Fault(Kind.LEAK, 7.0)


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("error", "errors, latency"),
        ("crash:soon", "'soon'"),
        ("crash:-1", "'-1'"),
        ("latency:2", "takes no number"),
        ("errors:2", "a share of requests"),
    ],
)
def test_a_fault_that_cannot_be_read_is_refused_by_name(text: str, named: str) -> None:
    with pytest.raises(FaultError, match=named):
        parse_fault(text)


def test_a_table_says_which_versions_are_bad() -> None:
    table = parse_table("v1.1.0=errors, v1.1.2=crash:3")
    assert table == {"v1.1.0": Fault(Kind.ERRORS), "v1.1.2": Fault(Kind.CRASH, 3.0)}
    assert parse_table("") == {}


@pytest.mark.parametrize("text", ["v1.1.0", "=errors", "v1=errors,v1=none"])
def test_a_table_with_a_bad_entry_is_refused(text: str) -> None:
    with pytest.raises(FaultError, match=r"VERSION=FAULT|twice"):
        parse_table(text)


def test_processes_of_a_version_add_up_their_rates_and_forget_those_that_fell_silent(tmp_path: Path) -> None:
    now = 1000.0
    rate = VersionRate(tmp_path, "v1", now=lambda: now)
    (tmp_path / "v1").mkdir()
    (tmp_path / "v1" / "1.rate").write_text("1001.0 30.0")
    (tmp_path / "v1" / "2.rate").write_text("990.0 500.0")
    (tmp_path / "v1" / "3.rate").write_text("torn")
    for _ in range(40):
        rate.arrived()
    now = 1002.0
    rate.exchange()
    assert rate.total == 50.0
    rate.leave()
    assert len(list((tmp_path / "v1").iterdir())) == 3
