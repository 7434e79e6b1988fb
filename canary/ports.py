"""What the loop needs from the world, as protocols: each states its promise and its failures.

Every method may raise `TransientError` (out of reach: unknown whether a write landed) and
`DeniedError`. Adapters make one attempt a call; waiting and trying again is the loop's work.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from canary.core.actions import Action, Decision
from canary.core.ledger import Entry
from canary.core.observation import Observation, World
from canary.core.release import Release
from canary.core.revision import Revision
from canary.core.samples import MetricsQuery, Scrapes
from canary.core.seals import Carried, Seal, SealKey
from canary.preflight.facts import Host, Pods, Proof
from canary.preflight.finding import Unseen


@dataclass(frozen=True)
class Recorded:
    """A release as it was read, with the version of that reading."""

    release: Release
    version: str


__all__ = [
    "Clock",
    "Holder",
    "Lease",
    "LedgerStore",
    "Metrics",
    "MetricsQuery",
    "Recorded",
    "Records",
    "Reporter",
    "Scrapes",
    "Seals",
    "Surroundings",
    "Term",
    "Witness",
    "Workloads",
]


class Records(Protocol):
    """Where the one truth about a release lives. One record per target."""

    def load(self, target: str) -> Recorded | None:
        """The record, or None if there is none.

        Raises:
            InvalidError: it was written by a newer schema, or is not a record.
        """

    def save(self, release: Release, *, expected: str | None) -> Recorded:
        """Replace the record of `release.target` if it is still at `expected` (None: must not exist).

        Durable once returned. When it raises TransientError the write may or may not have landed: the
        caller loads again and never assumes.

        Raises:
            ConflictError: somebody else wrote since `expected` was read.
        """


@dataclass(frozen=True)
class Term:
    """A stretch of time in which its holder alone may act.

    Attributes:
        holder: who. number: grows with every change of holder; never reused.
        until: end on this process's monotonic clock, seconds.
        idle_since: unix seconds of the last renewal by whoever held it before this holder, however that
            ended; None when nobody ever did. The same in all terms of one holder.
        late_until: on the same clock as `until`: until then a call may land that the holder before had sent.
            0 unless that one was proved to have ended and its term was not waited out.
    """

    holder: str
    number: int
    until: float
    idle_since: float | None = None
    late_until: float = 0.0


@dataclass(frozen=True)
class Holder:
    """Who holds the lease, as seen from outside. `renewed_s`: seconds since the renewal was seen."""

    name: str
    renewed_s: float
    alive: bool


class Lease(Protocol):
    """The fence. One acts only within the term in which the observation was made."""

    def hold(self) -> Term | None:
        """Take or renew the lease. None when somebody else holds it. Never waits for it."""

    def confirm(self, term: Term) -> float:
        """Seconds left of this very term, 0 when it is over or lost. Asks no one."""

    def holder(self) -> Holder | None:
        """Who holds it now, for people; None when free."""

    def release(self) -> None:
        """Give it up. Harmless when not held."""


class Witness(Protocol):
    """Can prove that a process has ended, so that its term of a lease need not be waited out."""

    @property
    def kind(self) -> str:
        """A word for what it can tell of."""

    def mark(self) -> str:
        """Tells this process to an `ended` asked elsewhere and later; empty where it cannot be told."""

    def ended(self, mark: str) -> bool:
        """Whether the process of this mark is proved to have ended, and with it all its connections.

        False when it lives, and when that is not known. Raises nothing.
        """


class Workloads(Protocol):
    """Where replicas live."""

    def observe(self) -> World | None:
        """Both workloads as they are now; None when the target does not exist."""

    def apply(self, action: Action, *, within_s: float) -> None:
        """Bring one stated end about, or at least ask for it; returns without waiting for pods.

        Args:
            action: see `canary.core.actions`. Idempotent.
            within_s: give up after this many seconds: the lease term ends then.

        Raises:
            ConflictError: the target is no longer what the action expected.
        """

    def revise(self, base: Revision, version: str, config: Sequence[str] = ()) -> Revision:
        """The revision that runs `version` with this configuration, all else as in `base`. Touches nothing.

        Args:
            config: content-hashed objects to refer to instead of those of the same plain names.

        Raises:
            InvalidError: this runtime cannot make such a revision.
        """

    def no_room(self, more: int) -> str:
        """Why so many pods beyond those there are now would not fit; empty: they do, as far as is known."""

    def prepare(self, config: Sequence[str] = ()) -> None:
        """See that a release could be driven, and have its configuration there, before it is recorded.

        Makes nothing but objects that never change and that nothing refers to yet. Idempotent.

        Raises:
            InvalidError: something would keep a release from ending, or such an object cannot be made.
            DeniedError: a right is missing.
        """

    def tidy(self, release: Release, left: Callable[[], float]) -> tuple[str, ...]:
        """Take away configuration that no revision needs any more, after `release` has settled.

        Best effort: what is left is found after a later release. Asks nothing of the runtime, nor of `left`,
        when the release refers to no such configuration.

        Args:
            left: seconds of the lease term in which this may still be done.

        Returns:
            What was taken away.
        """

    def history(self) -> tuple[Revision, ...]:
        """Kept revisions of the target, oldest first, numbered."""

    def unproved(self) -> str:
        """Why it is not proved that requests reach the stable's pods and only them; empty when it is.

        Asked when a way back is at its end: what is ready is not yet what is sent requests.
        """


class Metrics(Protocol):
    """Where counters come from."""

    @property
    def keeps_history(self) -> bool:
        """Whether a stretch can be read again later with the same result."""

    def read(self, query: MetricsQuery) -> Scrapes:
        """All scrapes in the stretch. Unreachable is an answer (`reachable=False`), not an error."""


class LedgerStore(Protocol):
    """Where ledger entries are kept; append only."""

    def append(self, target: str, entries: Sequence[Entry]) -> None:
        """Take these in. Durable with the next `Records.save` of the target or `flush`, if not at once.

        Entries already there (same number and hash) are passed over.

        Raises:
            ConflictError: an entry does not continue what is there; none of them is taken.
        """

    def flush(self, target: str) -> None:
        """All that was appended is durable once this returns."""

    def read(self, target: str) -> tuple[Entry, ...]:
        """All entries, oldest first. A torn last line is left out."""

    def lines(self, target: str) -> tuple[str, ...]:
        """What is kept as it is kept, line by line: for who has to tell what is wrong with it."""


class Seals(Protocol):
    """Makes seals of the ledger, and has copies of them carried to where its writers cannot reach."""

    @property
    def key(self) -> SealKey:
        """What seals are made with; read once.

        Raises:
            InvalidError, MissingError, DeniedError: there is no such key, or it must not be used.
        """

    def send(self, seal: Seal) -> None:
        """Have copies carried, with those that did not get there before; returns at once.

        Only for seals that are durable in the ledger. One that was given before is passed over.
        """

    def news(self) -> tuple[Carried, ...]:
        """What has changed since this was asked last."""

    def settle(self, within_s: float) -> None:
        """Wait until all copies have got to where they go, or cannot now, but not longer than this."""


class Surroundings(Protocol):
    """What surrounds a target, looked at before a release. Changes nothing.

    What is refused or not there is an answer (`Unseen`), not an error.
    """

    def place(self) -> Pods | Host:
        """Where the target runs, and what holds there."""

    def proofs(self) -> tuple[Proof | Unseen, ...]:
        """Backups and restore drills that the runtime itself knows of."""

    def kept(self) -> int | None:
        """How many old revisions the target keeps; None: as many as the runtime wants."""


class Clock(Protocol):
    """Time, and waiting that can be interrupted."""

    def now(self) -> float:
        """Unix seconds."""

    def monotonic(self) -> float:
        """Seconds of a clock that never jumps."""

    def wait(self, seconds: float) -> None:
        """Return after this long, or at once when interrupted (`interrupted` then tells)."""

    @property
    def interrupted(self) -> int | None:
        """The signal number that asked us to stop, or None."""


class Reporter(Protocol):
    """Is told what happens; cannot change it. Must not raise."""

    def tick(self, recorded: Recorded, seen: Observation, assessed: object, decision: Decision) -> None:
        """One tick went by. `assessed` is a `canary.core.assess.Assessed`."""

    def note(self, text: str) -> None:
        """Something a person should know: taking over, holding, out of reach."""
