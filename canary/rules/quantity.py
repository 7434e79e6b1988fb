"""Numbers with units in conditions: `90%`, `1m30s`, `512MiB`, `3`. Pure; no guesses.

A threshold has to be of the kind of what it is compared with: a share is not compared with seconds.
"""

import re
from decimal import Decimal
from enum import StrEnum


class Kind(StrEnum):
    """What sort of number something is; each has one base unit in which it is kept."""

    SHARE = "a share"
    SECONDS = "a time"
    BYTES = "a size"
    NUMBER = "a plain number"
    FLAG = "a fact"


WANTED = {
    Kind.SHARE: "a percentage such as 90%",
    Kind.SECONDS: "a time such as 30s or 1m30s (units: d, h, m, s, ms)",
    Kind.BYTES: "a size such as 512MiB (units: KiB, MiB, GiB, kB, MB, GB, B)",
    Kind.NUMBER: "a plain number such as 3",
    Kind.FLAG: "no number",
}
"""What is wanted of a threshold, in words."""

_SECONDS = {"d": "86400", "h": "3600", "m": "60", "s": "1", "ms": "0.001"}
_BYTES = {
    "B": 1, "kB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12,
    "KiB": 2**10, "MiB": 2**20, "GiB": 2**30, "TiB": 2**40,
}  # fmt: skip
_NUMBER = r"[0-9]+(?:\.[0-9]+)?"
_ONE = re.compile(rf"([-+]?{_NUMBER})\s*(%|[A-Za-z]*)")
_TIME = re.compile(
    r"(?=[0-9])" + "".join(rf"(?:({_NUMBER}){unit})?" for unit in ("d", "h", "m(?!s)", "s", "ms"))
)


class QuantityError(ValueError):
    """A number that cannot be read, or is of the wrong kind; worded to follow "found ..., "."""


def parse(text: str, kind: Kind) -> float:
    """The number in the base unit of its kind: a fraction, seconds, bytes, or as it stands.

    Args:
        text: `90%`, `30s`, `1m30s`, `512 MiB`, `3`. A size without a unit is in bytes.
        kind: what it is compared with.

    Raises:
        QuantityError: it is something else.
    """
    if kind is Kind.SECONDS and (found := _TIME.fullmatch(text)):
        parts = zip(found.groups(), _SECONDS.values(), strict=True)
        return float(sum((Decimal(part) * Decimal(size) for part, size in parts if part), Decimal(0)))
    one = _ONE.fullmatch(text)
    number, unit = (Decimal(one.group(1)), one.group(2)) if one else (None, "")
    if number is not None and kind is Kind.SHARE and unit == "%":
        return float(number / 100)
    if number is not None and kind is Kind.SECONDS and unit in _SECONDS:
        return float(number * Decimal(_SECONDS[unit]))
    if number is not None and kind is Kind.BYTES and (unit in _BYTES or not unit):
        return float(number * _BYTES.get(unit, 1))
    if number is not None and kind is Kind.NUMBER and not unit:
        return float(number)
    raise QuantityError(f"wanted {WANTED[kind]}")


def written(value: float, kind: Kind) -> str:
    """A number in words, short: `93.2%`, `1m30s`, `512MiB`, `3`. Any float; never raises.

    Args:
        value: in the base unit of its kind.
        kind: of the number.
    """
    if kind is Kind.SHARE:
        return f"{100 * value:.3g}%" if abs(value) < 10 else f"{100 * value:.0f}%"
    if kind is Kind.BYTES:
        for unit in ("TiB", "GiB", "MiB", "KiB"):
            if abs(value) >= _BYTES[unit]:
                return f"{value / _BYTES[unit]:.4g}{unit}"
        return f"{value:.0f}B"
    if kind is Kind.SECONDS:
        return duration(value)
    return f"{value:.6g}"


def duration(seconds: float) -> str:
    """Seconds as `250ms`, `12.5s`, `1m30s`, `2h10m`."""
    if not 0 <= seconds < 1e12:
        return f"{seconds:.3g}s"
    if seconds < 1:
        return f"{1000 * seconds:.3g}ms"
    if seconds < 60:
        return f"{seconds:.3g}s"
    left, text = round(seconds), ""
    for unit, size in (("d", 86400), ("h", 3600), ("m", 60), ("s", 1)):
        if left >= size:
            text += f"{left // size}{unit}"
            left %= size
    return text
