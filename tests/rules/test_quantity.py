"""Numbers with units."""

import pytest

from canary.rules.quantity import Kind, QuantityError, parse, written


@pytest.mark.parametrize(
    ("text", "kind", "value"),
    [
        ("90%", Kind.SHARE, 0.9),
        ("0.1 %", Kind.SHARE, 0.001),
        ("250%", Kind.SHARE, 2.5),
        ("30s", Kind.SECONDS, 30.0),
        ("1m30s", Kind.SECONDS, 90.0),
        ("250ms", Kind.SECONDS, 0.25),
        ("1.5 h", Kind.SECONDS, 5400.0),
        ("2d", Kind.SECONDS, 172800.0),
        ("1kB", Kind.BYTES, 1000.0),
        ("1 KiB", Kind.BYTES, 1024.0),
        ("2GiB", Kind.BYTES, 2.0 * 2**30),
        ("7", Kind.BYTES, 7.0),
        ("7B", Kind.BYTES, 7.0),
        ("-3", Kind.NUMBER, -3.0),
    ],
)
def test_a_number_is_in_the_base_unit_of_its_kind(text: str, kind: Kind, value: float) -> None:
    assert parse(text, kind) == value


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("90", Kind.SHARE), ("30s", Kind.SHARE), ("%", Kind.SHARE), ("30", Kind.SECONDS),
        ("5m3h", Kind.SECONDS), ("5MB5", Kind.BYTES), ("5Mi", Kind.BYTES), ("5s", Kind.BYTES),
        ("1e3", Kind.NUMBER), ("5%", Kind.NUMBER), ("", Kind.NUMBER), ("1.", Kind.NUMBER), ("0", Kind.FLAG),
    ],
)  # fmt: skip
def test_what_is_not_of_the_kind_is_refused(text: str, kind: Kind) -> None:
    with pytest.raises(QuantityError, match=r"^wanted "):
        parse(text, kind)


@pytest.mark.parametrize(
    ("value", "kind", "text"),
    [
        (0.932, Kind.SHARE, "93.2%"),
        (12.5, Kind.SHARE, "1250%"),
        (412 * 2**20, Kind.BYTES, "412MiB"),
        (12, Kind.BYTES, "12B"),
        (0.25, Kind.SECONDS, "250ms"),
        (3725, Kind.SECONDS, "1h2m5s"),
        (float("inf"), Kind.SECONDS, "infs"),
        (3, Kind.NUMBER, "3"),
    ],
)
def test_a_number_is_written_short(value: float, kind: Kind, text: str) -> None:
    assert written(value, kind) == text
