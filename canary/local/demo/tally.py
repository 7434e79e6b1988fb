"""The load generator's books: every request is sent once and ends once, as an answer or as a failure."""

import json
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any

_FINEST_S = 1e-4
_STEP = math.log(1.02)
_KEPT = 20

PERCENTILES = (50, 90, 99)


class Failure(StrEnum):
    """How a request can get no answer from the service itself."""

    REFUSED = "refused"
    RESET = "reset"
    SHORT = "short"
    TIMEOUT = "timeout"
    NO_REPLICA = "no_replica"


class Latencies:
    """Quantiles of durations, each within 2 %, in little memory however many there are."""

    def __init__(self) -> None:
        self._cells: Counter[int] = Counter()

    def add(self, seconds: float) -> None:
        """One more duration."""
        self._cells[math.ceil(math.log(max(seconds, _FINEST_S) / _FINEST_S) / _STEP)] += 1

    def quantile(self, share: float) -> float | None:
        """Seconds that `share` (in [0, 1]) of the durations do not exceed; None when there are none."""
        wanted = max(1, math.ceil(share * self._cells.total()))
        for cell in sorted(self._cells):
            wanted -= self._cells[cell]
            if wanted <= 0:
                return _FINEST_S * math.exp(cell * _STEP)
        return None


@dataclass(frozen=True)
class VersionCounts:
    """What one version answered. `errors`: statuses from 500 up. `latency_ms`: `p50` ... -> milliseconds."""

    requests: int
    errors: int
    latency_ms: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Summary:
    """The books at one time.

    Attributes:
        at: unix seconds. seconds: since the first request.
        sent: requests that were begun. open: those of them that have not ended yet.
        answered: ended with a whole answer by a version. failed: ended without one.
        failures: kind of failure -> how many. examples: the first failures, in words.
        skipped: arrivals that were not sent because too many were open.
        versions: by the X-Version header of the answers.
        statuses: HTTP status -> how many answers. late_ms: how late the latest request was sent.
    """

    at: float
    seconds: float
    sent: int
    open: int
    answered: int
    failed: int
    skipped: int
    late_ms: float
    failures: Mapping[str, int]
    examples: Sequence[str]
    statuses: Mapping[str, int]
    versions: Mapping[str, VersionCounts]

    def text(self) -> str:
        """All of it as a JSON document."""
        return json.dumps(asdict(self), indent=2) + "\n"

    def write(self, path: Path) -> None:
        """Replace the file by this summary as JSON; a reader never sees half of one."""
        written = path.with_name(f".{path.name}.new")
        written.write_text(self.text())
        written.replace(path)


def read_summary(path: Path) -> Summary | None:
    """What `Summary.write` wrote; None when there is none (yet).

    Raises:
        ValueError: the file is not a summary.
    """
    try:
        found: dict[str, Any] = json.loads(path.read_text())
        versions = {name: VersionCounts(**counts) for name, counts in found.pop("versions").items()}
        return Summary(**found, versions=versions)
    except FileNotFoundError:
        return None
    except (TypeError, KeyError, AttributeError) as error:
        raise ValueError(f"{path} is not a summary of the load generator: {error}") from error


class Tally:
    """Counts as requests begin and end.

    Args:
        began_at: unix seconds of the start.
    """

    def __init__(self, began_at: float) -> None:
        self._began_at = began_at
        self.sent = 0
        self.skipped = 0
        self.late_s = 0.0
        self._statuses: Counter[int] = Counter()
        self._failures: Counter[Failure] = Counter()
        self._examples: list[str] = []
        self._requests: Counter[str] = Counter()
        self._errors: Counter[str] = Counter()
        self._latencies: dict[str, Latencies] = {}

    @property
    def open(self) -> int:
        """Requests that have begun and not ended."""
        return self.sent - self._statuses.total() - self._failures.total()

    def answered(self, version: str, status: int, took_s: float) -> None:
        """A request ended with a whole answer by `version`."""
        self._statuses[status] += 1
        self._requests[version] += 1
        self._errors[version] += status >= 500
        self._latencies.setdefault(version, Latencies()).add(took_s)

    def failed(self, kind: Failure, at: float, detail: str) -> None:
        """A request ended without one."""
        self._failures[kind] += 1
        if len(self._examples) < _KEPT:
            self._examples.append(f"{at - self._began_at:.3f} s: {kind}: {detail}")

    def summary(self, at: float) -> Summary:
        """The books as they stand."""
        versions = {
            version: VersionCounts(count, self._errors[version], _percentiles(self._latencies[version]))
            for version, count in sorted(self._requests.items())
        }
        return Summary(
            at=at,
            seconds=round(at - self._began_at, 3),
            sent=self.sent,
            open=self.open,
            answered=self._statuses.total(),
            failed=self._failures.total(),
            skipped=self.skipped,
            late_ms=round(self.late_s * 1000, 1),
            failures={kind.value: count for kind, count in sorted(self._failures.items())},
            examples=tuple(self._examples),
            statuses={str(status): count for status, count in sorted(self._statuses.items())},
            versions=versions,
        )


def _percentiles(latencies: Latencies) -> dict[str, float]:
    found = {f"p{percent}": latencies.quantile(percent / 100) for percent in PERCENTILES}
    return {name: round(value * 1000, 2) for name, value in found.items() if value is not None}
