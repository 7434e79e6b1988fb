"""Bars of characters: evidence on its way to a limit, an interval closing in on its marks. Pure."""

import math
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Glyphs:
    """The characters bars are made of; each is one column wide."""

    full: str = "█"
    empty: str = "░"
    track: str = "─"
    span: str = "━"
    before: str = "◀"
    after: str = "▶"
    dot: str = "·"


UNICODE = Glyphs()
ASCII = Glyphs(full="#", empty=".", track="-", span="=", before="<", after=">", dot="|")


def glyphs_for(encoding: str | None) -> Glyphs:
    """Those that a stream of this encoding can show."""
    try:
        "".join(vars(UNICODE).values()).encode(encoding or "ascii")
    except (UnicodeEncodeError, LookupError):
        return ASCII
    return UNICODE


def towards(value: float, limit: float, width: int, glyphs: Glyphs) -> str:
    """How far a value has come from 1 to its limit, on a logarithmic scale: where each step multiplies.

    Args:
        value: an e-value, >= 0; at or under 1 the bar is empty, at the limit it is full.
        limit: above 1.
        width: columns.
        glyphs: what the bar is made of.
    """
    if width <= 0:
        return ""
    part = math.log(value) / math.log(limit) if value > 1 and limit > 1 else 0.0
    filled = _whole(part * width, 0, width) if math.isfinite(part) else width
    # Full only at the limit: a bar that looks full while nothing is decided would be a lie.
    if value < limit:
        filled = min(filled, width - 1)
    return glyphs.full * filled + glyphs.empty * (width - filled)


def part(done: float, whole: float, width: int, glyphs: Glyphs) -> str:
    """How much of a whole is done, on a plain scale."""
    if width <= 0:
        return ""
    filled = _whole(done / whole * width, 0, width) if whole > 0 else 0
    return glyphs.full * filled + glyphs.empty * (width - filled)


def interval(
    bounds: tuple[float, float], marks: Sequence[tuple[float, str]], width: int, glyphs: Glyphs
) -> str:
    """An interval of ratios on a logarithmic track, with letters at the marks.

    The track reaches from 1/4 to the next power of two at or above twice the highest mark (at least 4,
    at most 64), so that it stays put while the interval moves on it.

    Args:
        bounds: low and high, >= 0, high may be infinite; what lies outside the track ends in an arrow.
        marks: (ratio, one letter), the first wins where two fall on the same column.
        width: columns; under 3 there is no bar.
        glyphs: what the bar is made of.
    """
    if width < 3:
        return ""
    top = _top([ratio for ratio, _ in marks])
    low, high = (_column(bound, top, width) for bound in bounds)
    cells = [glyphs.span if low <= i <= high else glyphs.track for i in range(width)]
    for ratio, letter in reversed(marks):
        if 0 <= (at := _column(ratio, top, width)) < width:
            cells[at] = letter
    if low < 0:
        cells[0] = glyphs.before
    if high >= width:
        cells[-1] = glyphs.after
    return "".join(cells)


def _top(ratios: Sequence[float]) -> float:
    highest = max((ratio for ratio in ratios if math.isfinite(ratio) and ratio > 0), default=1.0)
    return min(64.0, max(4.0, 2.0 ** math.ceil(math.log2(2 * highest))))


def _column(ratio: float, top: float, width: int) -> int:
    """The column of a ratio; -1 left of the track, `width` right of it (and for what is no number)."""
    if math.isnan(ratio) or ratio > top:
        return width
    if ratio < 0.25:
        return -1
    return _whole(math.log(ratio / 0.25) / math.log(top / 0.25) * (width - 1), 0, width - 1)


def _whole(value: float, low: int, high: int) -> int:
    return min(high, max(low, round(value)))
