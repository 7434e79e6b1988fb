"""One screen of a snapshot as lines of styled text, at most 24 of them, never wider than asked. Pure.

Styles are meanings, not colours; `live` gives them colours. Whatever a style says is also said in words.
"""

import textwrap
from collections.abc import Sequence
from enum import StrEnum

from canary.core.gates import AMBER
from canary.core.release import Phase
from canary.view import bars, words
from canary.view.bars import Glyphs
from canary.view.snapshot import ArmRow, MetricRow, Snapshot

LINES = 24
LABEL = 10
ELSEWHERE = "not known here: the driver alone scrapes the pods"


class Style(StrEnum):
    """What a piece of text means."""

    PLAIN = "plain"
    STRONG = "strong"
    QUIET = "quiet"
    GOOD = "good"
    BAD = "bad"
    WARN = "warn"


Span = tuple[str, Style]
Line = tuple[Span, ...]


def screen(
    snap: Snapshot, width: int, glyphs: Glyphs, *, notes: Sequence[str] = (), how: str = ""
) -> list[Line]:
    """Lay a snapshot out.

    Args:
        snap: what to show.
        width: columns, at least 40.
        glyphs: what bars are made of.
        notes: the latest things said, newest last.
        how: options that each proposed command needs.

    Returns:
        At most LINES lines, each at most `width` columns. When metrics are many, those with the most
        evidence against the canary are shown and the rest are counted.
    """
    room = Room(max(40, width), glyphs)
    top = [*_head(snap, room), (), *_arms(snap, room), ()]
    bottom = [*_against(snap, room), *_for(snap, room), (), *_why(snap, room), *_last(snap, room, notes, how)]
    left = LINES - len(top) - len(bottom)
    return [room.fit(line) for line in [*top, *_metrics(snap, room, left), *bottom]][:LINES]


class Room:
    """How wide the screen is and what it can show."""

    def __init__(self, width: int, glyphs: Glyphs) -> None:
        self.width = width
        self.glyphs = glyphs

    def fit(self, line: Line) -> Line:
        """The line cut at the screen's edge."""
        spans: list[Span] = []
        left = self.width
        for text, style in line:
            if left <= 0:
                break
            spans.append((text if len(text) <= left else text[: left - 1] + self.cut, style))
            left -= len(text)
        return tuple(spans)

    @property
    def cut(self) -> str:
        """Says that something is left out."""
        return "…" if self.glyphs is bars.UNICODE else "~"

    def paragraph(self, label: str, text: str, style: Style, most: int) -> list[Line]:
        """A labelled text of at most `most` lines."""
        lines = textwrap.wrap(" ".join(text.split()), self.width - LABEL - 1) or [""]
        if len(lines) > most:
            lines = [*lines[: most - 1], " ".join(lines[most - 1 :])]
        return [(_label(label if i == 0 else ""), (line, style)) for i, line in enumerate(lines)]


def _label(text: str) -> Span:
    return (f"{text:<{LABEL}} "[: LABEL + 1], Style.QUIET)


def _head(snap: Snapshot, room: Room) -> list[Line]:
    stage = f", {snap.stage}" if snap.stage else ""
    phase = f"{snap.phase.value.replace('_', ' ')}{stage}   {words.duration(snap.elapsed_s)}"
    title = words.cut(f"{snap.target} {snap.version} over {snap.stable_version}", room.width - len(phase) - 2)
    first = ((title.ljust(room.width - len(phase)), Style.STRONG), (phase, Style.PLAIN))
    return [first, _progress(snap, room)]


def _progress(snap: Snapshot, room: Room) -> Line:
    """The step and its weights; or, when replicas are walked, how far the walk is."""
    stable, canary = snap.arm("stable"), snap.arm("canary")
    serving = canary.ready if canary else 0
    if snap.phase in {Phase.PROMOTING, Phase.BAKING, Phase.PROMOTED} and stable:
        done = f"{stable.released} of {stable.asked} on {snap.version}, {serving} canary replicas serve"
        bar = bars.part(stable.released, stable.asked, 12, room.glyphs)
        return (_label("promotion"), (f"{bar} {done}{_left(snap)}", Style.PLAIN))
    if snap.phase in {Phase.ROLLING_BACK, Phase.ROLLED_BACK} and stable:
        back = f"{stable.ready} of {stable.asked} ready on {snap.stable_version}"
        done = f"{back}, {serving} canary replicas serve"
        bar = bars.part(stable.ready, stable.asked, 12, room.glyphs)
        return (_label("way back"), (f"{bar} {done}", Style.PLAIN))
    steps = " ".join(
        f"[{words.weight(step)[:-2]}]" if i == snap.step else words.weight(step)[:-2]
        for i, step in enumerate(snap.steps)
    )
    text = f"{snap.step + 1}/{len(snap.steps)}  {steps} %   for {words.duration(snap.in_step_s)}{_left(snap)}"
    return (_label("step"), (text, Style.PLAIN))


def _left(snap: Snapshot) -> str:
    if snap.left_s is None:
        return ""
    what = "of the bake" if snap.phase is Phase.BAKING else "until the deadline"
    if snap.left_s < 0:
        return "   the deadline is over" if snap.phase is not Phase.BAKING else ""
    return f"   {words.duration(snap.left_s)} {what}"


def _arms(snap: Snapshot, room: Room) -> list[Line]:
    head = f"{'replicas':<16}{'requests/s':>11}   version"
    lines: list[Line] = [(_label("arm"), (head, Style.QUIET))]
    lines += [_arm(row, snap) for row in snap.arms]
    for row in snap.arms:
        if row.trouble:
            lines += room.paragraph("trouble", row.trouble, Style.BAD, 1)
    return lines if snap.arms else room.paragraph("arm", "the target was not found", Style.BAD, 1)


def _arm(row: ArmRow, snap: Snapshot) -> Line:
    ready = f"{row.ready}/{row.asked} ready"
    style = Style.PLAIN if row.ready == row.asked else Style.WARN
    share = ""
    if row.name == "canary" and snap.phase is Phase.PROGRESSING:
        share = f"   share {words.percent(snap.share)} of {words.weight(snap.asked)} asked"
    return (
        _label(row.name),
        (f"{ready:<16}", style),
        (f"{words.rate(row.rate):>11}   {row.version}{share}", Style.PLAIN),
    )


def _metrics(snap: Snapshot, room: Room, lines: int) -> list[Line]:
    """Two lines a metric, one when there is not room enough, and only the worst when there is not that."""
    if not snap.metrics:
        nothing = ELSEWHERE if snap.elsewhere else "nothing compared yet"
        return [*room.paragraph("metrics", nothing, Style.QUIET, 1), ()][:lines]
    rows = sorted(snap.metrics, key=lambda row: -row.harm)
    if 2 * len(rows) + 2 <= lines:
        shown = [line for row in snap.metrics for line in (_rates(row), _interval(row, room))]
        return [*shown, _legend(), ()]
    fitting = max(0, lines - 2)
    shown = [_interval(row, room, name=True) for row in rows[:fitting]]
    more = len(rows) - fitting
    rest = f"and {more} more with less evidence against them: canary status" if more > 0 else ""
    return [*shown, (_label(""), (rest, Style.QUIET)) if rest else _legend(), ()][:lines]


def _rates(row: MetricRow) -> Line:
    both = (
        f"canary {words.percent(row.canary_rate):>7} {_of(row.canary):<18} "
        f"stable {words.percent(row.stable_rate):>7} {_of(row.stable)}"
    )
    return (_label(row.name), (both, Style.PLAIN))


def _of(counts: tuple[float, float]) -> str:
    return f"({words.count(counts[0])} of {words.count(counts[1])})"


def _interval(row: MetricRow, room: Room, *, name: bool = False) -> Line:
    label = _label(row.name if name else row.bad_is)
    if row.warming:
        return (label, ("warming up, not judged yet", Style.QUIET))
    bounds = f"{words.ratio(row.low)} to {words.ratio(row.high)}"
    limits = f" t={words.ratio(row.tolerated)} m={words.ratio(row.margin)}"
    marks = [(1.0, "1"), (row.tolerated, "t"), (row.margin, "m")]
    width = room.width - LABEL - 1 - 16 - max(16, len(limits))
    bar = bars.interval((row.low, row.high), marks, width, room.glyphs)
    return (label, (f"{bounds:<15} ", Style.PLAIN), (bar, _tone(row)), (limits, Style.QUIET))


def _tone(row: MetricRow) -> Style:
    if row.low > row.tolerated:
        return Style.BAD
    return Style.GOOD if row.high < row.margin else Style.PLAIN


def _legend() -> Line:
    text = "canary/stable, 95 %: 1 same, t tolerated, m too much to promote"
    return (_label(""), (text, Style.QUIET))


def _against(snap: Snapshot, room: Room) -> list[Line]:
    """The evidence for rolling back, on its way to the limit."""
    if snap.elsewhere:
        return [(_label("against"), (ELSEWHERE, Style.QUIET))]
    over = snap.harm_peak >= snap.harm_limit
    now = snap.harm_peak if over else snap.harm
    told = f" {words.evidence(now)} of {words.evidence(snap.harm_limit)}"
    if snap.harm_peak > now:
        told += f", peak {words.evidence(snap.harm_peak)}"
    told += ", over the limit" if over else ", amber" if snap.harm >= AMBER else ""
    style = Style.BAD if over else Style.WARN if snap.harm >= AMBER else Style.PLAIN
    bar = bars.towards(snap.harm_peak, snap.harm_limit, _bar_width(room), room.glyphs)
    return [(_label("against"), (f"{'':<12}{bar}", style), (f"{told}, look {snap.looks}", style))]


def _for(snap: Snapshot, room: Room) -> list[Line]:
    """The evidence for promoting: decided at the last step, every metric for itself."""
    if snap.elsewhere and snap.deciding:
        return [(_label("for"), (ELSEWHERE, Style.QUIET))]
    if not snap.deciding:
        when = "decided at the last step" if snap.phase in {Phase.PENDING, Phase.PROGRESSING} else "closed"
        return [(_label("for"), (when, Style.QUIET))]
    lines: list[Line] = []
    most = 2 if len(snap.metrics) <= 2 else 1
    least = sorted(snap.metrics, key=lambda row: row.safety)[:most] if most == 1 else snap.metrics
    for row in least:
        bar = bars.towards(row.safety, snap.safety_limit, _bar_width(room), room.glyphs)
        enough = row.safety >= snap.safety_limit
        told = f" {words.evidence(row.safety)} of {words.evidence(snap.safety_limit)}"
        told += ", enough" if enough else ""
        told += f", the least of {len(snap.metrics)}" if most == 1 else ""
        name = words.cut(row.name, 11)
        label = _label("" if lines else "for")
        lines.append((label, (f"{name:<12}{bar}{told}", Style.GOOD if enough else Style.PLAIN)))
    return lines or [(_label("for"), ("nothing compared yet", Style.QUIET))]


def _bar_width(room: Room) -> int:
    return max(8, room.width - LABEL - 1 - 12 - 41)


def _why(snap: Snapshot, room: Room) -> list[Line]:
    """What it does or why it waits; the reason once it is on its way back. Guards that fire come first."""
    lines = _guards(snap, room)
    if snap.pause:
        left = "" if snap.pause_left_s is None else f"; ends in {words.duration(snap.pause_left_s)}"
        lines += room.paragraph("paused", f"{snap.pause}{left}", Style.WARN, 2)
    if snap.reason:
        lines += room.paragraph("because", snap.reason, Style.STRONG, 2)
    if snap.ending:
        return lines
    if snap.hold:
        return lines + room.paragraph("waiting", holding(snap), Style.WARN, 2)
    return lines + room.paragraph("doing", snap.doing or "watching", Style.PLAIN, 2)


def _guards(snap: Snapshot, room: Room) -> list[Line]:
    """Guards that fire, or cannot be told: one line each, at most two."""
    told = [(f"{row.name} fires ({row.action}): {row.told}", Style.BAD) for row in snap.guards if row.firing]
    told += [(f"{row.name} cannot be told: {row.unseen}", Style.WARN) for row in snap.guards if row.unseen]
    more = f"; and {len(told) - 2} more: canary status -o json" if len(told) > 2 else ""
    shown = [(f"{text}{more if place == 1 else ''}", style) for place, (text, style) in enumerate(told[:2])]
    return [line for text, style in shown for line in room.paragraph("guard", text, style, 1)]


def holding(snap: Snapshot) -> str:
    """Why a release is held: the kind in words, then what is particular about it."""
    kind = (snap.hold or "").replace("_", " ")
    return snap.doing if snap.doing.startswith(kind) else f"{kind}: {snap.doing}"


def _last(snap: Snapshot, room: Room, notes: Sequence[str], how: str) -> list[Line]:
    lines: list[Line] = [line for note in notes[-2:] for line in room.paragraph("note", note, Style.PLAIN, 1)]
    proposed = f" {room.glyphs.dot} ".join(snap.next) + (f", each with{how}" if how else "")
    lines += room.paragraph("next", proposed, Style.QUIET, 2 if how else 1)
    if snap.ending:
        good = snap.phase is Phase.PROMOTED
        lines += [(), ((snap.ending, Style.GOOD if good else Style.BAD),)]
    return lines
