"""The ports in memory: deterministic, quick, with the semantics of the real ones. Time is virtual.

Workloads live in `tests.fake_cluster`, metrics in `tests.fake_metrics`.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import count
from typing import TypeVar

from canary import record
from canary.core.actions import Action, Decision
from canary.core.ledger import GENESIS, Entry, encode
from canary.core.observation import Observation, World
from canary.core.release import Release
from canary.core.revision import Revision
from canary.errors import ConflictError
from canary.ports import Holder, LedgerStore, Recorded, Records, Term, Workloads

T = TypeVar("T")
START = 1_700_000_000.0


class FakeClock:
    """Virtual time. Waiting takes none of the real one, and lets everything happen that is due by then."""

    def __init__(self, at: float = START) -> None:
        self._start = at
        self._elapsed = 0.0
        self._rings: list[tuple[float, int, Callable[[], None], float]] = []
        self._orders = count()
        self._interrupted: int | None = None

    def now(self) -> float:
        return self._start + self._elapsed

    def monotonic(self) -> float:
        return self._elapsed

    @property
    def interrupted(self) -> int | None:
        return self._interrupted

    def interrupt(self, number: int) -> None:
        """As if this signal had come: waits return at once from now on."""
        self._interrupted = number

    def clear(self) -> None:
        """As if a new process had begun."""
        self._interrupted = None

    def wait(self, seconds: float) -> None:
        if self._interrupted is None:
            self.advance(seconds)

    def advance(self, seconds: float) -> None:
        """Let this much time go by, whoever waits; what is due happens in its order."""
        end = self._elapsed + max(0.0, seconds)
        while self._rings and (ring := min(self._rings, key=lambda one: one[:2]))[0] <= end:
            self._rings.remove(ring)
            due, order, call, every = ring
            self._elapsed = max(self._elapsed, due)
            if every:
                self._rings.append((due + every, order, call, every))
            before = self._interrupted
            call()
            if self._interrupted != before:
                return
        self._elapsed = max(self._elapsed, end)

    def at(self, seconds_from_now: float, call: Callable[[], None]) -> None:
        """Call once, when the time has come. A call that interrupts ends the wait it happens in."""
        self._rings.append((self._elapsed + seconds_from_now, next(self._orders), call, 0.0))

    def every(self, seconds: float, call: Callable[[], None]) -> None:
        """Call again and again, first after `seconds`."""
        self._rings.append((self._elapsed + seconds, next(self._orders), call, seconds))


class FakeRecords:
    """`ports.Records` in memory. What is kept are the real documents: the codec is tested with every test."""

    def __init__(self) -> None:
        self._documents: dict[str, tuple[int, bytes]] = {}
        self.saved: list[Release] = []

    def load(self, target: str) -> Recorded | None:
        if target not in self._documents:
            return None
        counter, document = self._documents[target]
        return Recorded(record.load(document), str(counter))

    def save(self, release: Release, *, expected: str | None) -> Recorded:
        counter, _ = self._documents.get(release.target, (0, b""))
        if expected != (str(counter) if counter else None):
            raise ConflictError(f"the record of {release.target} is at version {counter}, not at {expected}")
        self._documents[release.target] = (counter + 1, record.dump(release))
        self.saved.append(release)
        return Recorded(release, str(counter + 1))


class FakeLedger:
    """`ports.LedgerStore` in memory."""

    def __init__(self) -> None:
        self.entries: dict[str, list[Entry]] = {}

    def append(self, target: str, entries: Sequence[Entry]) -> None:
        kept = list(self.entries.get(target, []))
        for entry in entries:
            if entry.number <= len(kept):
                if kept[entry.number - 1].hash != entry.hash:
                    raise ConflictError(f"another entry has number {entry.number}")
            elif (entry.number, entry.previous) == (len(kept) + 1, kept[-1].hash if kept else GENESIS):
                kept.append(entry)
            else:
                raise ConflictError(f"entry {entry.number} does not follow the last one, {len(kept)}")
        self.entries[target] = kept

    def flush(self, target: str) -> None:
        """What was appended is there already."""

    def read(self, target: str) -> tuple[Entry, ...]:
        return tuple(self.entries.get(target, ()))

    def lines(self, target: str) -> tuple[str, ...]:
        return tuple(encode(entry) for entry in self.read(target))


@dataclass
class Leases:
    """What all `FakeLease`s of one world share, as the API server's Lease objects would be.

    `ended`: leases whose process is proved to have ended.
    """

    clock: FakeClock
    held: dict[str, "Held"] = field(default_factory=dict)
    ended: list[object] = field(default_factory=list)


@dataclass(frozen=True)
class Held:
    """One Lease object. `owner`: the very process; two may go by the same name."""

    owner: object
    actor: str
    number: int
    renewed: float
    term_s: float
    released: bool = False

    def free(self, at: float) -> bool:
        return self.released or at >= self.renewed + self.term_s


class FakeLease:
    """`ports.Lease` between drivers that share `Leases`. A holder that is gone keeps it to its term's end."""

    def __init__(self, leases: Leases, name: str, actor: str, term_s: float = 10.0) -> None:
        self._leases = leases
        self._name = name
        self._actor = actor
        self._term_s = term_s
        self._number: int | None = None
        self._idle_since: float | None = None
        self._late_until = 0.0

    def hold(self) -> Term | None:
        clock, before = self._leases.clock, self._leases.held.get(self._name)
        at = clock.now()
        ended = before is not None and before.owner in self._leases.ended
        if before is None or (before.owner is not self and (before.free(at) or ended)) or before.released:
            number = before.number + 1 if before else 1
            self._idle_since = before.renewed if before else None
            late = ended and before is not None and not before.free(at)
            self._late_until = clock.monotonic() + 8.0 if late else 0.0
        elif before.owner is self:
            number = before.number
        else:
            self._number = None
            return None
        self._number = number
        self._leases.held[self._name] = Held(self, self._actor, number, at, self._term_s)
        until = clock.monotonic() + self._term_s
        return Term(self._actor, number, until, self._idle_since, self._late_until)

    def confirm(self, term: Term) -> float:
        if self._number != term.number or term.holder != self._actor:
            return 0.0
        return max(0.0, term.until - self._leases.clock.monotonic())

    def holder(self) -> Holder | None:
        held, at = self._leases.held.get(self._name), self._leases.clock.now()
        if held is None or held.released:
            return None
        alive = not held.free(at) and held.owner not in self._leases.ended
        return Holder(held.actor, at - held.renewed, alive)

    def release(self) -> None:
        held, self._number = self._leases.held.get(self._name), None
        if held is not None and held.owner is self:
            at = self._leases.clock.now()
            self._leases.held[self._name] = Held(
                self, held.actor, held.number, at, held.term_s, released=True
            )


class FakeReporter:
    """`ports.Reporter` that remembers."""

    def __init__(self) -> None:
        self.decisions: list[Decision] = []
        self.notes: list[str] = []

    def tick(self, recorded: Recorded, seen: Observation, assessed: object, decision: Decision) -> None:
        self.decisions.append(decision)

    def note(self, text: str) -> None:
        self.notes.append(text)


class PowerLostError(BaseException):
    """The process ends here. Not an Exception: no code that runs after it may catch it by accident."""


class PowerCut:
    """Ends the process at its n-th effect, before or after it happened; then nothing has effect any more.

    An effect is a record saved, ledger entries appended, or a workload touched. Wrap the ports of one
    process with one PowerCut; `effects` lists what was done, so that an undisturbed run tells how many
    cuts there are to try.

    Args:
        at: number of the effect, from 1; 0 never cuts.
        after: cut after the effect has happened, not before.
    """

    def __init__(self, at: int = 0, *, after: bool = False) -> None:
        self._at = at
        self._after = after
        self.dead = False
        self.effects: list[str] = []

    def records(self, inner: Records) -> Records:
        return _CutRecords(self, inner)

    def ledger(self, inner: LedgerStore) -> LedgerStore:
        return _CutLedger(self, inner)

    def workloads(self, inner: Workloads) -> Workloads:
        return _CutWorkloads(self, inner)

    def lease(self, inner: FakeLease) -> "CutLease":
        return CutLease(self, inner)

    def alive(self) -> None:
        if self.dead:
            raise PowerLostError("no power")

    def effect(self, name: str, happen: Callable[[], T]) -> T:
        """Let the effect happen, unless the power goes."""
        self.alive()
        self.effects.append(name)
        self.dead = len(self.effects) == self._at
        if self.dead and not self._after:
            raise PowerLostError(f"before {name}")
        done = happen()
        if self.dead:
            raise PowerLostError(f"after {name}")
        return done


@dataclass(frozen=True)
class _CutRecords:
    cut: PowerCut
    inner: Records

    def load(self, target: str) -> Recorded | None:
        self.cut.alive()
        return self.inner.load(target)

    def save(self, release: Release, *, expected: str | None) -> Recorded:
        name = f"save {release.phase} {release.step} {release.stage}"
        return self.cut.effect(name, lambda: self.inner.save(release, expected=expected))


@dataclass(frozen=True)
class _CutLedger:
    cut: PowerCut
    inner: LedgerStore

    def append(self, target: str, entries: Sequence[Entry]) -> None:
        if entries:
            self.cut.effect(f"append {len(entries)}", lambda: self.inner.append(target, entries))

    def flush(self, target: str) -> None:
        self.cut.alive()
        self.inner.flush(target)

    def read(self, target: str) -> tuple[Entry, ...]:
        self.cut.alive()
        return self.inner.read(target)

    def lines(self, target: str) -> tuple[str, ...]:
        self.cut.alive()
        return self.inner.lines(target)


@dataclass(frozen=True)
class _CutWorkloads:
    cut: PowerCut
    inner: Workloads

    def observe(self) -> World | None:
        self.cut.alive()
        return self.inner.observe()

    def apply(self, action: Action, *, within_s: float) -> None:
        self.cut.effect(f"apply {action}", lambda: self.inner.apply(action, within_s=within_s))

    def revise(self, base: Revision, version: str, config: Sequence[str] = ()) -> Revision:
        return self.inner.revise(base, version, config)

    def prepare(self, config: Sequence[str] = ()) -> None:
        self.cut.alive()
        self.inner.prepare(config)

    def tidy(self, release: Release, left: Callable[[], float]) -> tuple[str, ...]:
        self.cut.alive()
        return self.inner.tidy(release, left)

    def history(self) -> tuple[Revision, ...]:
        self.cut.alive()
        return self.inner.history()

    def no_room(self, more: int) -> str:
        self.cut.alive()
        return self.inner.no_room(more)

    def unproved(self) -> str:
        self.cut.alive()
        return self.inner.unproved()


@dataclass(frozen=True)
class CutLease:
    """A lease whose holder dies with the power: it is then neither renewed nor released."""

    cut: PowerCut
    inner: FakeLease

    def hold(self) -> Term | None:
        self.cut.alive()
        return self.inner.hold()

    def confirm(self, term: Term) -> float:
        self.cut.alive()
        return self.inner.confirm(term)

    def holder(self) -> Holder | None:
        self.cut.alive()
        return self.inner.holder()

    def release(self) -> None:
        self.cut.alive()
        self.inner.release()
