"""Writes a live release as a recording that `canary replay` judges the same, look for look."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from canary.core.assess import Assessment
from canary.core.observation import Arm
from canary.core.release import Release
from canary.core.strategy import MetricKind
from canary.core.ticks import Look
from canary.errors import CanaryError
from canary.looking import Ticked
from canary.trace import ALWAYS, VERSION

BEFORE = 1e-3
"""A pod's base stands this part of an interval before the look in which it first counts."""


class TraceWriter:
    """Appends a line per look to a file; the file begins anew with each release.

    A look holds increments per pod; the recording holds counters. They are counted up here from 0, so a
    replay that differences them again finds the same increments, whatever was reset or left out live.

    Args:
        path: of the recording. document: how a release's strategy is written into the header.
    """

    def __init__(self, path: Path, document: Callable[[Release], Mapping[str, Any]]) -> None:
        self._path = path
        self._document = document
        self._totals: dict[str, dict[str, tuple[float, ...]]] = {}
        self._arms: dict[str, Arm] = {}
        self._last: float | None = None
        self._step = 0
        self._begun = False
        self._written: Assessment | None = None
        self._ratios: frozenset[str] = frozenset()
        try:
            self._file = path.open("w", encoding="utf-8")
        except OSError as fault:
            raise CanaryError(
                f"--trace: {path} cannot be written: {fault.strerror}",
                remedy="Name a file in a folder of yours.",
            ) from None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

    def tick(self, ticked: Ticked) -> None:
        """Write the looks of one tick."""
        assessment = ticked.memory.assessment
        if assessment is None or assessment is self._written:
            return
        self._written = assessment
        release = ticked.recorded.release
        if assessment.cut and self._last is not None and assessment.cut[0].at - release.since <= self._last:
            self._anew()
        for look in assessment.cut:
            if not self._begun:
                self._header(release, assessment.edges)
            self._write(release, look)
        self._file.flush()

    def _anew(self) -> None:
        """The evidence was read again from its beginning (see `assess.key`): so is what is written here."""
        self._file.seek(0)
        self._file.truncate()
        self._totals, self._arms, self._last, self._step, self._begun = {}, {}, None, 0, False

    def _header(self, release: Release, edges: Mapping[str, tuple[float, ...]]) -> None:
        self._begun = True
        metrics = release.strategy.metrics
        self._ratios = frozenset(metric.name for metric in metrics if metric.kind is MetricKind.RATIO)
        latency = [metric.slower_than_s for metric in metrics if metric.name == "latency"]
        self._line(
            {
                "trace": VERSION,
                "interval_s": release.strategy.interval_s,
                "le": list(edges.get("latency", ())),
                "slo_s": latency[0] if latency else None,
                "version": release.version,
                "more_le": {name: list(found) for name, found in edges.items() if name != "latency"},
                "strategy": self._document(release),
            }
        )

    def _write(self, release: Release, look: Look) -> None:
        t = look.at - release.since
        arms = {Arm.STABLE: look.stable, Arm.CANARY: look.canary}
        pods = {pod: (arm, counts) for arm, found in arms.items() for pod, counts in found.items()}
        interval = release.strategy.interval_s
        fresh = [pod for pod, (arm, _) in pods.items() if arm is Arm.STABLE and pod not in self._arms]
        hole = self._last is not None and t - self._last > 1.5 * interval
        if fresh or hole:
            known = {pod: arm for pod, (arm, _) in pods.items() if arm is Arm.STABLE or pod in self._totals}
            zero = {pod: self._totals.get(pod) or _zeros(pods[pod][1]) for pod in known}
            self._line({"t": t - BEFORE * interval, "pods": self._pods(known, zero)})
        for pod, (arm, counts) in pods.items():
            have = self._totals.get(pod, {})
            self._totals[pod] = {
                **have,
                **{name: _added(have.get(name), more) for name, more in counts.items()},
            }
            self._arms[pod] = arm
        row: dict[str, Any] = {"t": t}
        step = sum(at <= look.began for at in release.steps_at)
        if look.k > 0 and step > self._step:
            start = self._last if self._last is not None else ALWAYS
            row["step"] = {
                "index": step - 1,
                "since": release.steps_at[step - 1] - release.since,
                "from": start,
            }
            self._step = step
        row["pods"] = self._pods({pod: arm for pod, (arm, _) in pods.items()}, self._totals)
        self._line(row)
        self._arms = {pod: arm for pod, (arm, _) in pods.items()}
        self._last = t

    def _pods(
        self, arms: Mapping[str, Arm], totals: Mapping[str, Mapping[str, tuple[float, ...]]]
    ) -> dict[str, Any]:
        """The pods of one line with their counters."""
        return {pod: _pod(arm, totals[pod], self._ratios) for pod, arm in arms.items()}

    def _line(self, row: Mapping[str, Any]) -> None:
        self._file.write(json.dumps(row, separators=(",", ":")) + "\n")


def _zeros(counts: Mapping[str, tuple[float, ...]]) -> dict[str, tuple[float, ...]]:
    return {name: (0.0,) * len(values) for name, values in counts.items()}


def _added(have: tuple[float, ...] | None, more: tuple[float, ...]) -> tuple[float, ...]:
    return more if have is None else tuple(a + b for a, b in zip(have, more, strict=True))


def _pod(arm: Arm, totals: Mapping[str, tuple[float, ...]], ratios: frozenset[str]) -> dict[str, Any]:
    """One pod as a recording has it: categories turned into counters again."""
    row: dict[str, Any] = {"arm": arm, "requests": 0.0, "errors": 0.0, "started": ALWAYS}
    more: dict[str, list[float]] = {}
    for name, counts in totals.items():
        cumulative = [sum(counts[: index + 1]) for index in range(len(counts))]
        if name == "errors":
            row |= {"requests": cumulative[-1], "errors": counts[-1]}
        elif name == "latency":
            # Buckets cumulative per bound, then the total, as scraped.
            row["buckets"] = [*cumulative[:-1], cumulative[-1]]
        else:
            more[name] = [counts[-1], cumulative[-1]] if name in ratios else cumulative
    if more:
        row["more"] = more
    return row
