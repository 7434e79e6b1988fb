"""A release: all that is recorded about it, its phases, and the legal moves between them."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any

from canary.core.observation import Arm
from canary.core.revision import Revision
from canary.core.strategy import Strategy

SCHEMA = 1


class Phase(StrEnum):
    """Where a release stands."""

    PENDING = "pending"
    PROGRESSING = "progressing"
    PROMOTING = "promoting"
    BAKING = "baking"
    PROMOTED = "promoted"
    ROLLING_BACK = "rolling_back"
    ROLLED_BACK = "rolled_back"


MOVES: Mapping[Phase, frozenset[Phase]] = {
    Phase.PENDING: frozenset({Phase.PROGRESSING, Phase.ROLLING_BACK}),
    Phase.PROGRESSING: frozenset({Phase.PROMOTING, Phase.ROLLING_BACK}),
    Phase.PROMOTING: frozenset({Phase.BAKING, Phase.PROMOTED, Phase.ROLLING_BACK}),
    Phase.BAKING: frozenset({Phase.PROMOTED, Phase.ROLLING_BACK}),
    Phase.PROMOTED: frozenset(),
    Phase.ROLLING_BACK: frozenset({Phase.ROLLED_BACK}),
    Phase.ROLLED_BACK: frozenset(),
}

SETTLED = frozenset({Phase.PROMOTED, Phase.ROLLED_BACK})


class Stage(StrEnum):
    """Within a step: bringing the replicas there, or watching."""

    SCALING = "scaling"
    HOLDING = "holding"


class Outcome(StrEnum):
    """Why a release ended, or is ending, as it does. Each has its exit code."""

    PROMOTED = "promoted"
    REGRESSION = "regression"
    CRASHED = "crashed"
    BAKE_FAILED = "bake_failed"
    NO_CONCLUSION = "no_conclusion"
    ABORTED = "aborted"
    SUPERSEDED = "superseded"
    NEVER_READY = "never_ready"
    OTHER_IMAGE = "other_image"
    GUARD = "guard"
    UNDONE = "undone"


class RequestKind(StrEnum):
    """What a person may ask of a running release."""

    PAUSE = "pause"
    RESUME = "resume"
    PROMOTE = "promote"
    ABORT = "abort"
    UNDO = "undo"
    SUPERSEDE = "supersede"


@dataclass(frozen=True)
class Request:
    """A person's wish, written into the record; obeyed by whoever drives, then taken out.

    Attributes:
        by: who, as `user@host`. at: unix seconds. for_s: bound of a pause. why: in their words.
    """

    kind: RequestKind
    by: str
    at: float
    why: str = ""
    for_s: float | None = None


BY_GUARD = "guard "
"""Before the name of the guard that paused. No person's `user@host` has a blank in it."""


@dataclass(frozen=True)
class Pause:
    """A hold that ends by a person or at `until`.

    Attributes:
        by: `user@host`, `canary` when the policy paused, or `guard NAME`. until: unix seconds.
    """

    by: str
    since: float
    until: float
    reason: str

    @property
    def guard(self) -> str | None:
        """The guard that paused, or None."""
        return self.by.removeprefix(BY_GUARD) if self.by.startswith(BY_GUARD) else None


@dataclass(frozen=True)
class PodFact:
    """A pod that was seen in an arm, kept because the source may have forgotten it."""

    name: str
    uid: str
    born: float | None = None


@dataclass(frozen=True)
class ArmFacts:
    """What evidence needs to know of an arm: its template hashes and the pods seen in it."""

    revisions: tuple[str, ...] = ()
    pods: tuple[PodFact, ...] = ()


class MoveError(ValueError):
    """An illegal move between phases: a fault in the program, never in the input."""


@dataclass(frozen=True)
class Release:
    """All that is recorded about one release.

    Attributes:
        target: its name. id: unique, says target, version and start. version: what is released.
        stable: the pinned good revision, template and all. canary: the revision on trial.
        replicas: how many the target had at the start.
        since: unix seconds of the start; the grid of looks is `since + k * interval`.
        phase_since, step_since: unix seconds of the last phase and step change (holding began).
        step: index into strategy.steps.
        steps_at: unix seconds at which each step began to hold, in order.
        arms: facts per arm, by arm name ("stable", "canary", "baseline").
        images: identities of the images that the canary's pods were seen to run: what was judged.
        slo_edges: per histogram metric, the bucket bounds (seconds) the safety test watches.
        window: 0 where the source keeps history; else 1, and one more each time evidence had to start anew.
            Window k has the part 2**-k of the false-rollback rate.
        unattended_s: time in which nobody drove, or nothing was seen.
        requests: not yet obeyed. pause: see `Pause`.
        heeded: guard -> unix seconds since when it was true, of its last firing that has paused the release.
        outcome, reason: why it ends as it does, for machines and for people.
        times: detected, decided, restored ... unix seconds, filled in as they come to pass; a way back that
            ended without proof has no `restored`.
        ledger_head: hash of the last entry. ledger_length: how many entries.
        lease: name of the lease that fences it. actor: who started it.
        leave: at the deadline the driver may go and leave the canary serving.
        preflight: what was checked before it began, point -> status or why it was skipped.
        touched: it has been allowed to touch the workloads; before, there is nothing to go back from.
    """

    target: str
    id: str
    version: str
    strategy: Strategy
    stable: Revision
    canary: Revision
    replicas: int
    since: float
    phase: Phase = Phase.PENDING
    phase_since: float = 0.0
    step: int = 0
    stage: Stage = Stage.SCALING
    step_since: float = 0.0
    steps_at: tuple[float, ...] = ()
    arms: Mapping[str, ArmFacts] = field(default_factory=dict)
    images: tuple[str, ...] = ()
    slo_edges: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    window: int = 0
    unattended_s: float = 0.0
    requests: tuple[Request, ...] = ()
    pause: Pause | None = None
    heeded: Mapping[str, float] = field(default_factory=dict)
    outcome: Outcome | None = None
    reason: str = ""
    times: Mapping[str, float] = field(default_factory=dict)
    config_hash: str = ""
    ledger_head: str = ""
    ledger_length: int = 0
    lease: str = ""
    actor: str = ""
    leave: bool = False
    touched: bool = False
    preflight: Mapping[str, str] = field(default_factory=dict)
    schema: int = SCHEMA

    @property
    def settled(self) -> bool:
        """Nothing more happens to it."""
        return self.phase in SETTLED

    @property
    def last_step(self) -> bool:
        """The step at which promotion is decided."""
        return self.step == len(self.strategy.steps) - 1

    def with_(self, **changes: Any) -> "Release":  # noqa: ANN401 - as dataclasses.replace
        """This release with some fields changed; the phase only changes through `moved`."""
        if "phase" in changes:
            raise MoveError("the phase changes only through moved()")
        return replace(self, **changes)

    def moved(self, phase: Phase, *, at: float, **changes: Any) -> "Release":  # noqa: ANN401
        """This release in another phase, as the table of moves allows."""
        if phase not in MOVES[self.phase]:
            raise MoveError(f"{self.phase} -> {phase} is not a legal move")
        return replace(self, phase=phase, phase_since=at, **changes)

    def pods_of(self, arm: Arm) -> tuple[PodFact, ...]:
        """The pods recorded in an arm."""
        return self.arms.get(arm, ArmFacts()).pods
