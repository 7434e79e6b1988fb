"""A bounded ring of scrapes on disk: segments of JSON lines, written by one process, read by any.

    {"k": 7, "s": [["http_requests_total", [["code", "200"]]], ...]}    the series that `k` 7 stands for
    {"t": 1764000000.1, "p": pod, "a": arm, "r": revision, "b": started, "k": 7, "v": [values]}
    {"g": pod, "t": 1764000000.2}                                        the pod has ended

A segment stands alone: it names its series before it uses them. A new writer begins a new segment, so a
line torn by a crash is always a last line; readers leave it out.
"""

import errno
import json
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any, BinaryIO, Generic, TypeVar

from canary.local.files import fault_of
from canary.metrics.extract import Exposition, Labels

SEGMENT_BYTES = 4 * 1024 * 1024
SEGMENT_S = 300.0
RING_BYTES = 256 * 1024 * 1024

Series = tuple[tuple[str, Labels], ...]


@dataclass(frozen=True)
class Scrape:
    """One scrape of one pod. `at`: unix seconds. `exposition.started`: of its process."""

    pod: str
    arm: str
    revision: str
    at: float
    exposition: Exposition


class RingWriter:
    """Appends scrapes and forgets the oldest.

    Args:
        folder: of the segments; exists.
        keep_s: at least this much of the past is kept, in seconds, if `keep_bytes` allows.
        keep_bytes: of all segments together, about.
    """

    def __init__(self, folder: Path, keep_s: float, keep_bytes: int = RING_BYTES) -> None:
        self._folder = folder
        self._keep_s = keep_s
        self._keep_bytes = keep_bytes
        self._file: BinaryIO | None = None
        self._began = 0.0
        self._size = 0
        self._known: dict[Series, int] = {}

    def append(self, scrape: Scrape) -> None:
        """Write one scrape; readers see it when this returns.

        Raises:
            CanaryError: full disk and the like. This scrape is lost, what was written is whole.
        """
        series = tuple((name, labels) for name, labels, _ in scrape.exposition.samples)
        self._turn_over(scrape.at)
        lines = b""
        key = self._known.get(series)
        if key is None:
            key = len(self._known) + 1
            lines = _line({"k": key, "s": series})
        values = [
            int(value) if float(value).is_integer() else value for _, _, value in scrape.exposition.samples
        ]
        lines += _line(
            {
                "t": scrape.at,
                "p": scrape.pod,
                "a": scrape.arm,
                "r": scrape.revision,
                "b": scrape.exposition.started,
                "k": key,
                "v": values,
            }
        )
        self._write(lines)
        self._known[series] = key

    def gone(self, pod: str, at: float) -> None:
        """Note that a pod has ended.

        Raises:
            CanaryError: as for `append`.
        """
        self._turn_over(at)
        self._write(_line({"g": pod, "t": at}))

    def close(self) -> None:
        """Write no more."""
        file, self._file = self._file, None
        if file is not None:
            with suppress(OSError):
                file.close()

    def _turn_over(self, at: float) -> None:
        full = self._size >= SEGMENT_BYTES or at - self._began >= SEGMENT_S
        if self._file is not None and not full:
            return
        self.close()
        self._forget(at)
        number = max((number_of(path) for path in segments(self._folder)), default=0) + 1
        path = self._folder / f"{number:08d}-{at:.3f}.jsonl"
        try:
            self._file = open(path, "xb", buffering=0)  # noqa: SIM115 - kept open over many calls
        except OSError as fault:
            raise fault_of(fault, path, "make") from fault
        self._began, self._size, self._known = at, 0, {}

    def _write(self, data: bytes) -> None:
        if self._file is None:
            return
        path = Path(str(self._file.name))
        try:
            written = self._file.write(data)
        except OSError as fault:
            self.close()
            raise fault_of(fault, path, "append to") from fault
        self._size += written
        if written < len(data):
            # The rest does not fit. The torn line must stay the last one of its segment.
            self.close()
            raise fault_of(OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)), path, "append to")

    def _forget(self, at: float) -> None:
        all_ = segments(self._folder)
        sizes = {path: _size(path) for path in all_}
        total = sum(sizes.values())
        # A segment's last scrape is about as old as the next segment's first.
        for path, following in pairwise(all_):
            if total <= self._keep_bytes and at - began_at(following) < self._keep_s:
                return
            with suppress(OSError):
                path.unlink()
                total -= sizes[path]


def segments(folder: Path) -> list[Path]:
    """The segments there are, oldest first."""
    return sorted(folder.glob("*-*.jsonl"), key=number_of)


def number_of(path: Path) -> int:
    """Its place in the order of segments, 0 for a file that is none."""
    head = path.name.partition("-")[0]
    return int(head) if head.isdigit() else 0


def began_at(path: Path) -> float:
    """Unix seconds of its first line."""
    try:
        return float(path.name.partition("-")[2].removesuffix(".jsonl"))
    except ValueError:
        return 0.0


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0


def _line(document: Mapping[str, Any]) -> bytes:
    return json.dumps(document, separators=(",", ":")).encode() + b"\n"


Kept = TypeVar("Kept")


@dataclass
class _Segment(Generic[Kept]):
    path: Path
    offset: int = 0
    series: dict[int, Series] = field(default_factory=dict)
    kept: list[Kept] = field(default_factory=list)
    gone: dict[str, float] = field(default_factory=dict)


class RingReader(Generic[Kept]):
    """Reads the ring again and again, each time only what is new.

    Args:
        folder: of the segments; need not exist.
        keep: makes of a scrape what is kept of it in memory; None: nothing.
    """

    def __init__(self, folder: Path, keep: Callable[[Scrape, Series], Kept | None]) -> None:
        self._folder = folder
        self._keep = keep
        self._segments: dict[str, _Segment[Kept]] = {}

    def read(self, start: float) -> tuple[list[Kept], dict[str, float]]:
        """What was kept of all scrapes of segments that reach beyond `start`, in order of writing.

        Returns:
            What was kept, and pod -> unix seconds of its end.

        Raises:
            CanaryError: a segment cannot be read.
        """
        wanted = _beyond(segments(self._folder), start)
        names = {path.name for path in wanted}
        self._segments = {name: one for name, one in self._segments.items() if name in names}
        kept: list[Kept] = []
        gone: dict[str, float] = {}
        for path in wanted:
            segment = self._segments.setdefault(path.name, _Segment(path))
            self._catch_up(segment)
            kept += segment.kept
            for pod, at in segment.gone.items():
                gone.setdefault(pod, at)
        return kept, gone

    def _catch_up(self, segment: _Segment[Kept]) -> None:
        try:
            with open(segment.path, "rb") as file:
                file.seek(segment.offset)
                data = file.read()
        except FileNotFoundError:
            return
        except OSError as fault:
            raise fault_of(fault, segment.path, "read") from fault
        whole = data[: data.rfind(b"\n") + 1]
        segment.offset += len(whole)
        for document in _documents(whole):
            with suppress(KeyError, TypeError, ValueError):
                self._take(segment, document)

    def _take(self, segment: _Segment[Kept], found: dict[str, Any]) -> None:
        if "s" in found:
            segment.series[found["k"]] = tuple(
                (name, tuple((label, value) for label, value in labels)) for name, labels in found["s"]
            )
        elif "g" in found:
            segment.gone.setdefault(found["g"], float(found["t"]))
        else:
            series = segment.series[found["k"]]
            samples = tuple(
                (name, labels, float(value)) for (name, labels), value in zip(series, found["v"], strict=True)
            )
            page = Exposition(samples, found["b"])
            kept = self._keep(Scrape(found["p"], found["a"], found["r"], float(found["t"]), page), series)
            if kept is not None:
                segment.kept.append(kept)


def _beyond(all_: list[Path], start: float) -> list[Path]:
    first = 0
    for place, path in enumerate(all_):
        if began_at(path) <= start:
            first = place
    return all_[first:]


def _documents(lines: bytes) -> Iterator[dict[str, Any]]:
    for line in lines.split(b"\n"):
        if line:
            with suppress(ValueError):
                found = json.loads(line)
                if isinstance(found, dict):
                    yield found
