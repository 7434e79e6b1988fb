"""Plain timestamped lines, for logs and for terminals that are none."""

from collections.abc import Callable
from typing import TextIO

from canary.core.actions import Decision
from canary.core.assessed import Assessed
from canary.core.observation import Observation
from canary.core.release import Release
from canary.ports import Recorded
from canary.view import speak, words
from canary.view.outlet import Outlet
from canary.view.snapshot import Snapshot, take

PROGRESS_S = 15.0


class Lines:
    """A reporter that speaks when something changes, and of progress every `progress_s` seconds at most.

    Args:
        stream: where to write; once it cannot be written to, nothing more is said.
        now: unix seconds, for what is noted between ticks.
        progress_s: at most one line of figures in this many seconds.
    """

    def __init__(self, stream: TextIO, now: Callable[[], float], *, progress_s: float = PROGRESS_S) -> None:
        self.outlet = Outlet(stream)
        self._now = now
        self._progress_s = progress_s
        self._last: Snapshot | None = None
        self._progressed_at = float("-inf")
        self._looks = 0
        self._deed = ""

    def tick(self, recorded: Recorded, seen: Observation, assessed: object, decision: Decision) -> None:
        """Say what is new in this tick."""
        known = assessed if isinstance(assessed, Assessed) else None
        self.outlet.attempt(lambda: self._tick(take(recorded.release, seen, known, decision), decision))

    def note(self, text: str) -> None:
        """Say it."""
        self.outlet.attempt(lambda: self._say(self._now(), text))

    def end(self, release: Release) -> None:
        """The command prints the result."""

    def close(self) -> None:
        """Nothing to give back."""

    def _tick(self, snap: Snapshot, decision: Decision) -> None:
        for line in speak.changes(self._last, snap):
            self._say(snap.at, line)
        deed = speak.deed(snap, decision)
        if deed and deed != self._deed:
            self._deed = deed
            self._say(snap.at, deed)
        self._last = snap
        due = snap.at - self._progressed_at >= self._progress_s
        if due and snap.looks > self._looks and (line := speak.progress(snap)):
            self._progressed_at, self._looks = snap.at, snap.looks
            self._say(snap.at, line)

    def _say(self, at: float, text: str) -> None:
        self.outlet.line(f"{words.stamp(at)} {' '.join(text.split())}")
