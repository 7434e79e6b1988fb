"""JSON lines: one object for each look, change of state, decision and note, and each turn of a guard.

Every object has `kind` and `at` (unix seconds). Numbers that JSON cannot hold (an interval's end without
bound) are null.
"""

from collections.abc import Callable, Mapping
from typing import Any, TextIO

from canary.core.actions import Act, Decision, Move, Wait
from canary.core.assessed import Assessed, GuardEvent, Look
from canary.core.journal import evidence_body
from canary.core.observation import Observation
from canary.core.release import Release
from canary.ports import Recorded
from canary.view.outlet import Outlet
from canary.view.plain import dumps
from canary.view.snapshot import Snapshot, take


class JsonLines:
    """A reporter for programs.

    Args:
        stream: where to write. now: unix seconds, for what is noted between ticks.
    """

    def __init__(self, stream: TextIO, now: Callable[[], float]) -> None:
        self.outlet = Outlet(stream)
        self._now = now
        self._state: Mapping[str, Any] = {}
        self._decision: Mapping[str, Any] = {}

    def tick(self, recorded: Recorded, seen: Observation, assessed: object, decision: Decision) -> None:
        """Write what is new in this tick."""
        known = assessed if isinstance(assessed, Assessed) else None
        self.outlet.attempt(lambda: self._tick(recorded.release, seen, known, decision))

    def note(self, text: str) -> None:
        """Write it."""
        self.outlet.attempt(lambda: self._write("note", self._now(), {"text": text}))

    def end(self, release: Release) -> None:
        """The command writes the result, which is the last object."""

    def close(self) -> None:
        """Nothing to give back."""

    def _tick(
        self, release: Release, seen: Observation, assessed: Assessed | None, decision: Decision
    ) -> None:
        for look in assessed.looks if assessed else ():
            self._write("look", look.at, look_body(release, look))
        for event in assessed.events if assessed else ():
            self._write("guard", event.at, guard_body(release, event))
        state = state_body(take(release, seen, assessed, decision))
        if state != self._state:
            self._state = state
            self._write("state", seen.at, state)
        told = decision_body(decision)
        # A wait says anew each tick how long it has lasted: only its kind is news.
        if told != self._decision and not _same_wait(told, self._decision):
            self._write("decision", seen.at, told)
        self._decision = told

    def _write(self, kind: str, at: float, body: Mapping[str, Any]) -> None:
        self.outlet.line(dumps({"kind": kind, "at": at, **body}))


def look_body(release: Release, look: Look) -> dict[str, Any]:
    """A look with its counts, e-values and limits."""
    return {
        "release": release.id,
        "number": look.number,
        "step": release.step + 1,
        "canary": {name: list(counts) for name, counts in look.canary.items()},
        "stable": {name: list(counts) for name, counts in look.stable.items()},
        **evidence_body(look.evidence),
    }


def guard_body(release: Release, event: GuardEvent) -> dict[str, Any]:
    """A guard that fired or cleared; `since`: unix seconds."""
    asked = next((one for one in release.strategy.guards if one.name == event.guard), None)
    return {
        "release": release.id,
        "guard": event.guard,
        "state": "fired" if event.fired else "cleared",
        "condition": asked.condition if asked else None,
        "action": str(asked.action) if asked else None,
        "alert": asked is not None and asked.alerts,
        "since": event.since,
        "figures": event.told,
    }


def state_body(snap: Snapshot) -> dict[str, Any]:
    """What stands where: all that changes by steps, nothing that changes with every second."""
    return {
        "target": snap.target,
        "version": snap.version,
        "phase": snap.phase.value,
        "stage": snap.stage or None,
        "step": snap.step + 1,
        "asked": snap.asked,
        "arms": {
            row.name: {
                "version": row.version,
                "ready": row.ready,
                "asked": row.asked,
                "on_new_version": row.released,
                "trouble": row.trouble or None,
            }
            for row in snap.arms
        },
        "guards": [
            {
                "name": row.name,
                "condition": row.condition,
                "action": row.action,
                "firing": row.firing,
                "since": row.since,
                "unseen": row.unseen or None,
            }
            for row in snap.guards
        ],
        "pause": snap.pause or None,
        "reason": snap.reason or None,
    }


def decision_body(decision: Decision) -> dict[str, Any]:
    """What this tick does, and why."""
    match decision:
        case Move(reason=reason):
            return {"decision": "move", "reason": reason, "hold": None}
        case Act(reason=reason):
            return {"decision": "act", "reason": reason, "hold": None}
        case Wait(reason=reason, hold=hold):
            return {"decision": "wait", "reason": reason, "hold": str(hold) if hold else None}


def _same_wait(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    kinds = (one["decision"], other.get("decision"))
    return kinds == ("wait", "wait") and bool(one["hold"] == other.get("hold"))
