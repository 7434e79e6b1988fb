"""Quantities as people write them: durations, percentages, percentage points, addresses. Strict; no guesses.

Each function raises ValueError with what is wanted, worded to follow "found ..., ".
"""

import re
from decimal import Decimal

_MS = {"d": 86_400_000, "h": 3_600_000, "m": 60_000, "s": 1000, "ms": 1}
_NUMBER = r"[0-9]+(?:\.[0-9]+)?"
DURATION_PATTERN = (
    "^(?=[0-9])" + "".join(f"({_NUMBER}{unit})?" for unit in ("d", "h", "m(?!s)", "s", "ms")) + "$"
)
PERCENT_PATTERN = rf"^{_NUMBER}%$"
POINTS_PATTERN = rf"^{_NUMBER}pp$"
_DURATION = re.compile(DURATION_PATTERN)
_QUANTITY = re.compile(rf"^({_NUMBER})\s*(%|pp)?$")


def parse_duration(value: object) -> float:
    """Seconds of a duration such as `90s`, `1m30s`, `500ms`, `1h`; units from large to small, each once.

    Raises:
        ValueError: it is something else; a number without a unit too.
    """
    text = value if isinstance(value, str) else ""
    found = _DURATION.match(text)
    if found is None:
        example = f"{value}s" if _is_number(value) else "15s"
        raise ValueError(f"wanted a duration such as {example} (units: d, h, m, s, ms)")
    parts = [part for part in found.groups() if part]
    return float(sum((_milliseconds(part) for part in parts), Decimal(0)) / 1000)


def format_duration(seconds: float) -> str:
    """The shortest text that `parse_duration` reads as these seconds, to the millisecond: `1m30s`, `0s`."""
    left = round(seconds * 1000)
    text = ""
    for unit in ("d", "h", "m", "s", "ms"):
        size = _MS[unit]
        if left >= size:
            text += f"{left // size}{unit}"
            left %= size
    return text or "0s"


def parse_percentage(value: object) -> float:
    """The fraction of a percentage such as `10%`: 0.1. Above 100% is a percentage too.

    Raises:
        ValueError: it is something else; a number without the sign too.
    """
    number, unit = _quantity(value)
    if unit == "%" and number is not None:
        return float(number / 100)
    example = f"{number * 100:f}".rstrip("0").rstrip(".") if number is not None and number < 1 else number
    raise ValueError(f"wanted a percentage such as {'10' if example is None else example}%")


def parse_points(value: object) -> float:
    """The difference of two rates, as a fraction, of percentage points such as `0.5pp`: 0.005.

    Raises:
        ValueError: it is something else, not in (0pp, 100pp), or a percentage.
    """
    number, unit = _quantity(value)
    if number is not None and unit == "pp" and 0 < number < 100:
        return float(number / 100)
    why = ""
    if unit == "%":
        why = ": the difference of two rates is in percentage points, 0.5% of what would be unclear"
    example = number if number is not None and 0 < number < 100 else "0.5"
    raise ValueError(f"wanted percentage points such as {example}pp{why}")


def parse_rate(value: object) -> float:
    """A rate in (0, 0.5], given as a fraction such as 0.01 or a percentage such as `1%`.

    Raises:
        ValueError: it is something else, or out of range.
    """
    number, unit = _quantity(value)
    if number is not None and unit != "pp":
        rate = number / 100 if unit == "%" else number
        if 0 < rate <= Decimal("0.5"):
            return float(rate)
    raise ValueError("wanted a rate above 0 and at most 0.5, such as 0.01 or 1%")


def parse_weight(value: object) -> float:
    """A weight in percent, in (0, 100), given as `10` or `10%`.

    Raises:
        ValueError: it is something else, or out of range.
    """
    number, unit = _quantity(value)
    if number is not None and unit != "pp" and 0 < number < 100:
        return float(number)
    why = ": what follows the last step is the promotion itself" if number == 100 else ""
    raise ValueError(f"wanted a weight in % above 0 and below 100, such as 25{why}")


def parse_address(value: object) -> tuple[str, int]:
    """Host and port of an address such as `127.0.0.1:8080` or `[::1]:8080`.

    Raises:
        ValueError: it is something else, or the port is not in 1 to 65535.
    """
    text = value if isinstance(value, str) else ""
    host, colon, port = text.rpartition(":")
    bare = host.removeprefix("[").removesuffix("]") if host.startswith("[") else host
    good = colon and bare and port.isascii() and port.isdigit() and 1 <= int(port) <= 65535
    if not good or re.search(r"\s|/", bare) or (":" in bare and not host.startswith("[")):
        raise ValueError("wanted host:port, such as 127.0.0.1:8080")
    return bare, int(port)


def _milliseconds(part: str) -> Decimal:
    unit = part.lstrip("0123456789.")
    return Decimal(part.removesuffix(unit)) * _MS[unit]


def _is_number(value: object) -> bool:
    number, unit = _quantity(value)
    return number is not None and not unit


def _quantity(value: object) -> tuple[Decimal | None, str]:
    # Numbers go through their shortest text, so that 0.1 stays a tenth.
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return None, ""
    found = _QUANTITY.match(str(value))
    return (Decimal(found.group(1)), found.group(2) or "") if found else (None, "")
