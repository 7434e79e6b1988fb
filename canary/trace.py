"""Recorded releases: JSON lines, a header and then a line a scrape.

    {"trace": 1, "interval_s": 15, "le": [0.1, 0.5, 1.0], "slo_s": 0.5}
    {"t": -15, "pods": {"web-1": {"arm": "stable", "requests": 9, "errors": 0, "buckets": [8, 9, 9, 9]}}}

Counters are as scraped: cumulative, with resets. `t` is in seconds, negative before the start (the
stable's history). A missing scrape is a missing line; a pod that is gone is absent. Traces that a live
release writes say more, all of it optional: `strategy`, `version` and `more_le` in the header, `step` on
the first line of a step, `started` (seconds, as `t`) on a pod, and `more` for metrics of the user's own.
"""

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from canary.core.observation import Arm
from canary.core.samples import Sample
from canary.errors import InvalidError

VERSION = 1
ALWAYS = -1e15
"""Seconds; long before any recording: a pod that was there from the first is older than all of it."""


@dataclass(frozen=True)
class Header:
    """What holds for the whole recording.

    Attributes:
        interval_s: grid of looks, seconds. edges: finite bucket bounds, ascending, seconds.
        slo_s: latency threshold, seconds, or None. strategy: resolved, as a document, or None.
        more_edges: bucket bounds of the user's own histograms.
    """

    interval_s: float
    edges: tuple[float, ...]
    slo_s: float | None = None
    strategy: Mapping[str, Any] | None = None
    version: str = ""
    more_edges: Mapping[str, tuple[float, ...]] = field(default_factory=dict)


@dataclass(frozen=True)
class StepMark:
    """A weight step: its index, when it began to hold, and from when on looks lie wholly in it (seconds)."""

    index: int
    since: float
    whole_from: float


@dataclass(frozen=True)
class Line:
    """One scrape of all pods.

    Attributes:
        t: seconds since the start. samples: of the pods that were there, `at` = t.
        step: on the first line that lies wholly in it.
    """

    t: float
    samples: tuple[Sample, ...]
    step: StepMark | None = None


@dataclass(frozen=True)
class Trace:
    """A whole recording, in memory."""

    header: Header
    lines: tuple[Line, ...]

    @property
    def spacing_s(self) -> float:
        """The usual distance of two lines, seconds: how often pods were scraped."""
        gaps = sorted(b.t - a.t for a, b in zip(self.lines, self.lines[1:], strict=False))
        return gaps[len(gaps) // 2] if gaps else self.header.interval_s


class _FaultError(ValueError):
    """What is wrong with one line, in words."""


def read(path: Path) -> Trace:
    """Read a recording whole.

    Raises:
        InvalidError: not a trace; names the line, what was found and what is wanted. A torn last line
            (a recording that was cut off) is left out.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as fault:
        raise InvalidError(f"{path}: cannot be read: {fault.strerror}", remedy="Name a trace file.") from None
    except UnicodeDecodeError:
        raise InvalidError(f"{path}: is not text; wanted JSON lines", remedy="Name a trace file.") from None
    rows = list(_rows(path, text))
    if not rows:
        raise _invalid(path, 1, "the file is empty; wanted a header line")
    number, first = rows[0]
    try:
        header = _header(first)
    except _FaultError as fault:
        raise _invalid(path, number, str(fault)) from None
    lines: list[Line] = []
    for number, row in rows[1:]:
        try:
            line = _line(row, header, first.get("le", ()))
            if lines and line.t <= lines[-1].t:
                raise _FaultError(f"t: found {line.t:g} after {lines[-1].t:g}; lines must go forward in time")
        except _FaultError as fault:
            raise _invalid(path, number, str(fault)) from None
        lines.append(line)
    return Trace(header, tuple(lines))


def _invalid(path: Path, number: int, words: str) -> InvalidError:
    return InvalidError(f"{path}:{number}: {words}", remedy="See `canary replay --help` for the format.")


def _rows(path: Path, text: str) -> Iterator[tuple[int, dict[str, Any]]]:
    """The JSON objects of the file with their line numbers."""
    lines = text.split("\n")
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except json.JSONDecodeError as fault:
            if number == len(lines) and number > 1:
                return
            raise _invalid(path, number, f"is not JSON: {fault.msg} at column {fault.colno}") from None
        if not isinstance(row, dict):
            raise _invalid(path, number, "wanted a JSON object")
        yield number, row


def _header(row: Mapping[str, Any]) -> Header:
    """The first line, checked."""
    if row.get("trace") != VERSION:
        found = f'found "trace": {row["trace"]!r}' if "trace" in row else 'found no "trace"'
        raise _FaultError(f'{found}; wanted a header with "trace": {VERSION} as the first line')
    interval = _number(row, "interval_s", at_least=1e-3)
    slo = None if row.get("slo_s") is None else _number(row, "slo_s", at_least=1e-9)
    edges = _bounds(row.get("le", []))
    strategy = row.get("strategy")
    if strategy is not None and not isinstance(strategy, dict):
        raise _FaultError("strategy: wanted an object")
    more = row.get("more_le") or {}
    if not isinstance(more, dict):
        raise _FaultError("more_le: wanted an object of bucket bounds by metric")
    more_edges = {str(name): _bounds(found) for name, found in more.items()}
    return Header(interval, edges, slo, strategy, str(row.get("version", "")), more_edges)


def _bounds(found: object) -> tuple[float, ...]:
    """The finite bucket bounds; a last +Inf is the total and left out."""
    if not isinstance(found, list):
        raise _FaultError(f"le: found {found!r}, wanted a list of bucket bounds in seconds")
    try:
        bounds = [float(bound) for bound in found]
    except (TypeError, ValueError):
        raise _FaultError(f"le: found {found!r}, wanted numbers") from None
    if bounds and math.isinf(bounds[-1]):
        bounds.pop()
    if any(not b > a for a, b in zip([-math.inf, *bounds], bounds, strict=False)) or not all(
        map(math.isfinite, bounds)
    ):
        raise _FaultError("le: bucket bounds must be finite and ascending")
    return tuple(bounds)


def _number(row: Mapping[str, Any], key: str, *, at_least: float) -> float:
    """A finite number under `key`."""
    found = row.get(key)
    if isinstance(found, bool) or not isinstance(found, int | float) or not math.isfinite(found):
        raise _FaultError(f"{key}: found {found!r}, wanted a number")
    if found < at_least:
        raise _FaultError(f"{key}: found {found!r}, wanted at least {at_least:g}")
    return float(found)


def _line(row: Mapping[str, Any], header: Header, bounds: object) -> Line:
    """One scrape, checked."""
    t = _number(row, "t", at_least=-math.inf)
    pods = row.get("pods")
    if not isinstance(pods, dict):
        raise _FaultError(f"pods: found {pods!r}, wanted an object of pods by name")
    infinite = isinstance(bounds, list) and len(bounds) > len(header.edges)
    samples = tuple(_sample(name, pod, t, len(header.edges), infinite) for name, pod in pods.items())
    step = row.get("step")
    if step is None:
        return Line(t, samples)
    if not isinstance(step, dict):
        raise _FaultError(f"step: found {step!r}, wanted an object with index and since")
    since = _number(step, "since", at_least=-math.inf)
    whole_from = _number({"from": since, **step}, "from", at_least=-math.inf)
    return Line(t, samples, StepMark(int(_number(step, "index", at_least=0)), since, whole_from))


def _sample(name: str, pod: object, t: float, finite: int, infinite: bool) -> Sample:
    """One pod of one scrape, checked. Without `started`, a decrease of `requests` is a reset (see read)."""
    if not isinstance(pod, dict):
        raise _FaultError(f"pods.{name}: found {pod!r}, wanted an object")
    try:
        arm = Arm(str(pod.get("arm")))
    except ValueError:
        raise _FaultError(
            f"pods.{name}.arm: found {pod.get('arm')!r}, wanted stable, canary or baseline"
        ) from None
    try:
        requests, errors = (_number(pod, key, at_least=0) for key in ("requests", "errors"))
        counters: dict[str, tuple[float, ...]] = {"errors": (errors, requests)}
        buckets = pod.get("buckets")
        if buckets is not None:
            counters["latency"] = _buckets(buckets, finite, infinite)
        for key, values in (pod.get("more") or {}).items():
            counters[str(key)] = tuple(float(value) for value in values)
        started = None if pod.get("started") is None else _number(pod, "started", at_least=-math.inf)
    except (_FaultError, TypeError, ValueError) as fault:
        raise _FaultError(f"pods.{name}.{fault}") from None
    return Sample(name, arm, t, counters, started)


def _buckets(found: object, finite: int, infinite: bool) -> tuple[float, ...]:
    """Cumulative counts per finite bound, then the total."""
    wanted = finite + (2 if infinite else 1)
    if not isinstance(found, list) or len(found) != wanted:
        count = len(found) if isinstance(found, list) else repr(found)
        raise _FaultError(f"buckets: found {count}, wanted {wanted}: one per bound in le, then the total")
    values = tuple(float(value) for value in found)
    if any(not math.isfinite(value) or value < 0 for value in values):
        raise _FaultError("buckets: wanted counts of at least 0")
    return (*values[:finite], values[-1])
