"""What goes into the ledger, and when: entries that wait to be written, chained to the last one. Pure."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from math import inf
from typing import Any

from analysis.words import Evidence
from canary.core import seals
from canary.core.actions import Act, Move, Remove, Scale, SetRevision
from canary.core.assessed import Assessed, GuardEvent, Look
from canary.core.ledger import Entry, chain
from canary.core.observation import Arm, Observation, World
from canary.core.release import Phase, Release
from canary.core.seals import Carried, SealKey


@dataclass(frozen=True)
class Journal:
    """The end of a chain, and what is to be added to it.

    Attributes:
        last: the last entry that is written; None when there is none.
        pending: entries to write, in order.
        looked: number of the last look of this release that stands in the chain or waits.
        seal: the last entry that is a seal, in the chain or waiting; None: there is none.
        guarded: guard -> unix seconds of its last event of this release that does.
    """

    last: Entry | None
    pending: tuple[Entry, ...] = ()
    looked: int = 0
    seal: Entry | None = None
    guarded: Mapping[str, float] = field(default_factory=dict)

    @property
    def head(self) -> str:
        """Hash of the last entry that is written."""
        return self.last.hash if self.last else ""

    @property
    def length(self) -> int:
        """How many entries are written."""
        return self.last.number if self.last else 0

    def written(self) -> "Journal":
        """All that waited is written."""
        return replace(self, last=self.pending[-1] if self.pending else self.last, pending=())

    def again(self, entries: Sequence[Entry], owed: Sequence[Entry]) -> "Journal":
        """What an earlier journal of the same driver had waiting, but for what has been written since.

        Args:
            entries: the chain as it was found. owed: in order.
        """
        book, there = self, {_subject(entry) for entry in entries} if owed else set()
        for entry in owed:
            if _subject(entry) not in there:
                book = book._with(entry.kind, entry.at, entry.actor, entry.body)
                number = int(entry.body.get("number", 0)) if entry.kind == "look" else 0
                book = replace(book, looked=max(book.looked, number))
                if entry.kind == "guard":
                    guarded = {**book.guarded, str(entry.body["guard"]): entry.at}
                    book = replace(book, guarded=guarded)
        return book

    def with_looks(self, release: Release, looks: Sequence[Look], actor: str) -> "Journal":
        """Looks that are not in the chain yet. Looks made again after a restart are passed over."""
        book = self
        for look in looks:
            if look.number > book.looked:
                book = book._with("look", look.at, actor, _look(release, look))
                book = replace(book, looked=look.number)
        return book

    def with_guards(self, release: Release, events: Sequence[GuardEvent], actor: str) -> "Journal":
        """Guards that fired or cleared, and are not in the chain yet. What was read again is passed over."""
        book, asked = self, {guard.name: guard for guard in release.strategy.guards}
        for one in events:
            guard = asked.get(one.guard)
            if guard is None or one.at <= book.guarded.get(one.guard, -inf):
                continue
            body = {
                "release": release.id,
                "guard": one.guard,
                "state": "fired" if one.fired else "cleared",
                "condition": guard.condition,
                "action": guard.action,
                "alert": guard.alerts,
                "since": one.since,
                "figures": one.told,
            }
            book = book._with("guard", one.at, actor, body)
            book = replace(book, guarded={**book.guarded, one.guard: one.at})
        return book

    def with_decision(
        self, before: Release, move: Move, assessed: Assessed, seen: Observation, actor: str
    ) -> "Journal":
        """A move: from where to where, why, on what evidence, in what world, and which wishes it obeys."""
        book, at = self, seen.at
        left = move.release.requests
        for request in before.requests:
            if request not in left:
                wish = {
                    "release": before.id,
                    "request": request.kind,
                    "why": request.why,
                    "for_s": request.for_s,
                }
                book = book._with("request", at, request.by, wish)
        settles = move.release.settled
        begins = before.phase is Phase.PENDING and move.release.phase is Phase.PROGRESSING
        body: dict[str, Any] = {
            "release": before.id,
            "version": before.version,
            "from": _state(before),
            "to": _state(move.release),
            "reason": move.reason,
            "harm": assessed.evidence.harm_peak,
            "limit": assessed.evidence.harm_limit,
            "workloads": _workloads(seen.world),
        }
        if settles or begins:
            body |= {"outcome": move.release.outcome, "times": dict(move.release.times)}
            body |= {
                "said": before.reason,
                "stable": before.stable.hash,
                "canary": before.canary.hash,
                "config": before.config_hash,
            }
        if begins and before.preflight:
            body["preflight"] = dict(before.preflight)
        kind = "end" if settles else "start" if begins else "decision"
        return book._with(kind, at, actor, body)

    def with_actions(self, release: Release, act: Act, at: float, actor: str) -> "Journal":
        """What the workloads are about to be asked for."""
        told = [_action(action) for action in act.actions]
        return self._with("action", at, actor, {"release": release.id, "actions": told, "reason": act.reason})

    def with_copy(self, release: Release, carried: Carried, at: float, actor: str) -> "Journal":
        """What became of copies of seals: that they do not get to where they should, or do again."""
        return self._with("copy", at, actor, {"release": release.id, **asdict(carried)})

    def with_seal(self, key: SealKey, release: Release, at: float, actor: str) -> "Journal":
        """What waits, and with it all before, under a seal; nothing waits: as it is."""
        if not self.pending or self.pending[-1].kind == seals.SEAL:
            return self
        made = seals.sealed(
            key, self.pending[-1], target=release.target, release=release.id, at=at, actor=actor
        )
        book = self._with(seals.SEAL, at, actor, seals.body(made))
        return replace(book, seal=book.pending[-1])

    def _with(self, kind: str, at: float, actor: str, body: Mapping[str, Any]) -> "Journal":
        previous = self.pending[-1] if self.pending else self.last
        return replace(self, pending=(*self.pending, chain(previous, at, kind, actor, body)))


def opened(entries: Sequence[Entry], release: Release) -> Journal:
    """Go on with a chain as it was found."""
    looks = [
        int(entry.body.get("number", 0))
        for entry in entries
        if entry.kind == "look"
        and entry.body.get("release") == release.id
        and entry.body.get("window", 0) == release.window
    ]
    seal = next((entry for entry in reversed(entries) if entry.kind == seals.SEAL), None)
    guarded = {
        str(entry.body.get("guard")): entry.at
        for entry in entries
        if entry.kind == "guard" and entry.body.get("release") == release.id
    }
    last = entries[-1] if entries else None
    return Journal(last, looked=max(looks, default=0), seal=seal, guarded=guarded)


def _subject(entry: Entry) -> tuple[object, ...]:
    """What an entry tells of: of a look or a turn of a guard there is one, whoever tells it."""
    names = {"look": ("release", "window", "number"), "guard": ("release", "guard")}.get(entry.kind)
    if names is None:
        return entry.kind, entry.at, json.dumps(entry.body, sort_keys=True, default=str)
    at = entry.at if entry.kind == "guard" else None
    return entry.kind, at, *(entry.body.get(name) for name in names)


def _state(release: Release) -> str:
    """Phase, and step where it matters, in one word."""
    if release.phase is Phase.PROGRESSING:
        paused = ", paused" if release.pause else ""
        return f"progressing {release.step + 1}/{len(release.strategy.steps)} {release.stage}{paused}"
    return str(release.phase)


def _look(release: Release, look: Look) -> dict[str, Any]:
    """A look with its numerators, denominators, e-values and limits."""
    return {
        "release": release.id,
        "number": look.number,
        "window": release.window,
        "step": release.step + 1,
        "canary": {name: list(counts) for name, counts in look.canary.items()},
        "stable": {name: list(counts) for name, counts in look.stable.items()},
        **evidence_body(look.evidence),
    }


def evidence_body(evidence: Evidence) -> dict[str, Any]:
    """Evidence as JSON values: e-values and their limits, counts so far, confidence sequences."""
    return {
        "harm": evidence.harm,
        "harm_peak": evidence.harm_peak,
        "harm_limit": evidence.harm_limit,
        "harm_without": dict(evidence.harm_without),
        "safety_limit": evidence.safety_limit,
        "method": evidence.method,
        "metrics": {
            metric.name: {key: value for key, value in asdict(metric).items() if key != "name"}
            for metric in evidence.metrics
        },
    }


def _workloads(world: World | None) -> dict[str, Any]:
    """What the workloads were asked for and how many pods were ready, by arm."""
    if world is None:
        return {}
    arms = {Arm.STABLE: world.stable, Arm.CANARY: world.canary}
    return {
        arm: {
            "version": one.revision.version,
            "hash": one.revision.hash,
            "asked": one.replicas,
            "ready": one.ready,
        }
        for arm, one in arms.items()
        if one is not None
    }


def _action(action: Scale | SetRevision | Remove) -> dict[str, Any]:
    """An action as JSON values; templates by their hash."""
    match action:
        case Scale(arm, replicas):
            return {"scale": arm, "replicas": replicas}
        case SetRevision(arm, revision, replicas):
            return {
                "set_revision": arm,
                "hash": revision.hash,
                "version": revision.version,
                "replicas": replicas,
            }
        case Remove(arm):
            return {"remove": arm}
