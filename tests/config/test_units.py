"""Quantities as people write them: what is meant, exactly, or what is wanted instead."""

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from canary.config import units


@given(st.integers(0, 400 * 86_400_000))
def test_a_duration_that_is_written_is_read_as_the_same(milliseconds: int) -> None:
    seconds = milliseconds / 1000

    assert units.parse_duration(units.format_duration(seconds)) == seconds


@given(st.integers(0, 999), st.integers(0, 59), st.integers(0, 59), st.integers(0, 999))
def test_the_parts_of_a_duration_add_up(hours: int, minutes: int, seconds: int, ms: int) -> None:
    total = units.parse_duration(f"{hours}h{minutes}m{seconds}s{ms}ms")

    assert total == pytest.approx(hours * 3600 + minutes * 60 + seconds + ms / 1000, abs=1e-9)


@given(st.decimals(0, 1000, places=3))
def test_percentages_and_points_are_hundredths(number: object) -> None:
    assert units.parse_percentage(f"{number}%") == pytest.approx(float(str(number)) / 100)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("90s", 90.0),
        ("1m30s", 90.0),
        ("500ms", 0.5),
        ("1h", 3600.0),
        ("1.5h", 5400.0),
        ("2d", 172_800.0),
        ("0s", 0.0),
        ("1m5ms", 60.005),
        ("0.1s", 0.1),
    ],
)
def test_durations_are_read_as_seconds(text: str, seconds: float) -> None:
    assert units.parse_duration(text) == seconds


@pytest.mark.parametrize(
    "value",
    [
        "",
        "s",
        "15",
        "15 s",
        "-5s",
        "30s1m",
        "1m1m",
        "1mins",
        "5S",
        "1e3s",
        ".5s",
        "1h ",
        "٣s",
        None,
        True,
        [],
    ],
)
def test_what_is_no_duration_is_refused(value: object) -> None:
    with pytest.raises(ValueError, match="wanted a duration such as"):
        units.parse_duration(value)


@pytest.mark.parametrize(("value", "example"), [(15, "15s"), ("15", "15s"), (0.5, "0.5s"), ("x", "15s")])
def test_a_number_without_unit_is_shown_with_one(value: object, example: str) -> None:
    with pytest.raises(ValueError, match=f"such as {example} "):
        units.parse_duration(value)


@pytest.mark.parametrize(
    ("parse", "value", "result"),
    [
        (units.parse_percentage, "10%", 0.1),
        (units.parse_percentage, "0%", 0.0),
        (units.parse_percentage, "250%", 2.5),
        (units.parse_points, "0.5pp", 0.005),
        (units.parse_points, "0.1pp", 0.001),
        (units.parse_rate, 0.01, 0.01),
        (units.parse_rate, "1%", 0.01),
        (units.parse_rate, "0.02", 0.02),
        (units.parse_weight, 10, 10.0),
        (units.parse_weight, "12.5%", 12.5),
        (units.parse_weight, 0.5, 0.5),
        (units.parse_address, "127.0.0.1:8080", ("127.0.0.1", 8080)),
        (units.parse_address, "localhost:1", ("localhost", 1)),
        (units.parse_address, "[::1]:65535", ("::1", 65535)),
    ],
)
def test_quantities_are_read_exactly(
    parse: Callable[[object], object], value: object, result: object
) -> None:
    assert parse(value) == result


@pytest.mark.parametrize(
    ("parse", "value", "words"),
    [
        (units.parse_percentage, 0.1, "such as 10%"),
        (units.parse_percentage, 10, "such as 10%"),
        (units.parse_percentage, "10pp", "such as 10%"),
        (units.parse_percentage, "-1%", "percentage"),
        (units.parse_points, "0.5%", "percentage points such as 0.5pp: the difference"),
        (units.parse_points, 0.5, "such as 0.5pp"),
        (units.parse_points, "0pp", "such as 0.5pp"),
        (units.parse_points, "100pp", "such as 0.5pp"),
        (units.parse_rate, 0, "above 0 and at most 0.5"),
        (units.parse_rate, 1, "above 0 and at most 0.5"),
        (units.parse_rate, "51%", "above 0 and at most 0.5"),
        (units.parse_rate, "1pp", "above 0"),
        (units.parse_rate, True, "above 0"),
        (units.parse_weight, 0, "above 0 and below 100"),
        (units.parse_weight, 100, "the promotion itself"),
        (units.parse_weight, "all", "above 0"),
        (units.parse_weight, True, "above 0"),
        (units.parse_address, 8080, "host:port"),
        (units.parse_address, ":8080", "host:port"),
        (units.parse_address, "localhost", "host:port"),
        (units.parse_address, "localhost:0", "host:port"),
        (units.parse_address, "localhost:65536", "host:port"),
        (units.parse_address, "::1:80", "host:port"),
        (units.parse_address, "http://x:80", "host:port"),
        (units.parse_address, "a b:80", "host:port"),
    ],
)
def test_a_quantity_of_another_kind_is_refused_with_what_is_wanted(
    parse: Callable[[object], object], value: object, words: str
) -> None:
    with pytest.raises(ValueError, match=words):
        parse(value)
