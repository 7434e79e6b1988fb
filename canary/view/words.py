"""Numbers as a person reads them. Pure; every function takes any float and never raises."""

import math
from datetime import UTC, datetime


def duration(seconds: float | None) -> str:
    """Seconds as `42s`, `3m05s`, `2h10m`, `4d02h`; `-` when not known.

    Args:
        seconds: any number; below zero counts as zero.
    """
    if seconds is None or not math.isfinite(seconds):
        return "-"
    whole = max(0, round(seconds))
    if whole < 60:
        return f"{whole}s"
    if whole < 3600:
        return f"{whole // 60}m{whole % 60:02d}s"
    if whole < 86400:
        return f"{whole // 3600}h{whole % 3600 // 60:02d}m"
    return f"{whole // 86400}d{whole % 86400 // 3600:02d}h"


def percent(fraction: float | None) -> str:
    """A fraction as percent with the digits that matter: `0.31 %`, `2.4 %`, `25 %`; `-` when not known."""
    if fraction is None or not math.isfinite(fraction):
        return "-"
    value = 100 * fraction
    if value and abs(value) < 0.005:
        return "<0.01 %"
    digits = 2 if abs(value) < 1 else 1 if abs(value) < 10 else 0
    return f"{_trimmed(value, digits)} %"


def weight(value: float | None) -> str:
    """A weight, already in percent: `25 %`, `12.5 %`."""
    if value is None or not math.isfinite(value):
        return "-"
    return f"{_trimmed(value, 1)} %"


def rate(per_second: float | None) -> str:
    """Requests per second: `0.4`, `12.3`, `340`."""
    if per_second is None or not math.isfinite(per_second):
        return "-"
    return f"{per_second:.1f}" if per_second < 100 else f"{per_second:,.0f}"


def count(value: float) -> str:
    """A count of requests, whole: `12,204`."""
    return f"{value:,.0f}" if math.isfinite(value) else "-"


def ratio(value: float) -> str:
    """A ratio of rates: `0.85`, `12.4`, `>1000`."""
    if math.isnan(value):
        return "-"
    if value >= 1000:
        return ">1000"
    return f"{value:.2f}" if value < 10 else f"{value:.1f}" if value < 100 else f"{value:.0f}"


def evidence(value: float) -> str:
    """An e-value: `0.02`, `1.4`, `34`, `1.2e+06`."""
    if math.isnan(value):
        return "-"
    if value == math.inf:
        return "inf"
    if value < 10:
        return f"{value:.2g}" if value >= 0.01 else "<0.01"
    return f"{value:,.0f}" if value < 100_000 else f"{value:.1e}"


def seconds(value: float) -> str:
    """A latency: `500ms`, `1.5s`."""
    return f"{value * 1000:g}ms" if value < 1 else f"{value:g}s"


def stamp(at: float | None) -> str:
    """Unix seconds as `2026-01-02T03:04:05Z`; `-` when not known or out of the calendar's range."""
    if at is None or not 0 <= at < 253402300800:
        return "-"
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def cut(text: str, width: int) -> str:
    """One line of at most `width` characters; says by `…` that something is left out."""
    line = " ".join(text.split())
    if len(line) <= width:
        return line
    return line[: max(0, width - 1)] + "…" if width > 0 else ""


def _trimmed(value: float, digits: int) -> str:
    """Fixed digits without a trailing `.0`."""
    text = f"{value:.{digits}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text
