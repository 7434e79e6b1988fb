"""Start reading here: the loop that drives a release.

    observe -> assess -> decide -> one of: move (write the record) | act (touch the workloads) | wait

The process remembers nothing that matters: each tick begins by reading. `Memory` only spares reading the
same history twice, and may be dropped at any time.
"""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace

from canary.core import assess, guards, journal
from canary.core.actions import Act, Decision, Move, Wait
from canary.core.assess import Assessment
from canary.core.assessed import Assessed
from canary.core.decide import LEFT, decide
from canary.core.guards import Watch
from canary.core.observation import Observation
from canary.core.release import Phase, Release, Stage
from canary.core.samples import Scrapes
from canary.core.walk import rolled_back
from canary.errors import (
    CanaryError,
    ConflictError,
    DeniedError,
    Exit,
    InvalidError,
    MissingError,
    TransientError,
)
from canary.patience import Patience, rest
from canary.ports import Clock, Lease, LedgerStore, Metrics, Recorded, Records, Reporter, Term, Workloads
from canary.watch import forgotten, watched

POLL_S = 2.0
"""Longest wait between two ticks: a person's wish is obeyed within this time."""
OUT_OF_REACH_S = 900.0
"""Stop driving, and say what is left, after this long without an answer."""
ELSEWHERE = (
    "watching: pods are scraped by their driver alone, so the numbers are in its output, and in the looks of "
    "`canary audit export` some minutes later"
)
"""What a follower sees of the evidence where the source keeps no history."""


@dataclass(frozen=True)
class Ports:
    """All that a driver needs of the world."""

    records: Records
    lease: Lease
    workloads: Workloads
    metrics: Metrics
    ledger: LedgerStore
    clock: Clock
    actor: str = ""
    flush_s: float = 0.0


@dataclass(frozen=True)
class Memory:
    """What a driver keeps between ticks, only so that it need not be read again.

    Attributes:
        assessment: the evidence so far, and how far the source was read.
        assessed: what it came to when the source was read last.
        watch: what the guards have seen.
        book: ledger entries not yet written, and the last one written.
        taken_over: this driver has noted that it took the release over.
        read: the metrics source has been read by this driver for this release.
        reads_from: unix seconds from which this driver's scrapes count, where the source keeps no history.
    """

    assessment: Assessment | None = None
    assessed: Assessed | None = None
    watch: Watch | None = None
    book: journal.Journal | None = None
    taken_over: bool = False
    read: bool = False
    reads_from: float = float("-inf")


@dataclass(frozen=True)
class Ticked:
    """What one tick read, found and did."""

    recorded: Recorded
    seen: Observation
    assessed: Assessed
    decision: Decision
    memory: Memory


class InterruptedDriveError(CanaryError):
    """A signal asked the driver to stop; the release goes on as it stands, with nobody driving."""

    def __init__(self, signal: int, recorded: Recorded | None) -> None:
        super().__init__(f"stopped by signal {signal}")
        self.exit = Exit.INTERRUPTED if signal == 2 else Exit.TERMINATED
        self.recorded = recorded


def look(ports: Ports, target: str, memory: Memory, term: Term | None = None) -> Ticked:
    """Observe, assess and decide, and leave it at that: what a follower sees."""
    recorded = ports.records.load(target)
    if recorded is None:
        raise MissingError(
            f"there is no release of {target}", remedy="Start one with `canary start VERSION`."
        )
    release = recorded.release
    memory = _still_true(memory, release)
    seen = _proved(ports, release, _observe(ports, release, memory, term))
    if not ports.metrics.keeps_history and (seen.window_lost or memory.reads_from == float("-inf")):
        memory = replace(memory, reads_from=seen.at)
    assessed = assess.nothing(release)
    judged = bool(release.strategy.metrics) and release.phase in (Phase.PENDING, Phase.PROGRESSING)
    if judged and term is None and not ports.metrics.keeps_history:
        return _followed(recorded, seen, replace(assessed, elsewhere=True), memory)
    scrapes = None
    if judged and not seen.window_lost and (known := _just_read(release, seen, memory)) is not None:
        assessed = known
    elif judged and not seen.window_lost:
        assessed, assessment, scrapes = _assess(ports, release, seen, memory)
        memory = replace(memory, assessment=assessment, assessed=assessed, read=True)
    # Where pods are scraped by their driver alone, nobody else asks them, or knows how guards stand.
    if term is not None or ports.metrics.keeps_history:
        each_s = None if judged else poll_s(release) / 2
        assessed, watch = watched(
            ports.metrics, release, seen, assessed, memory.watch, scrapes=scrapes, read_each_s=each_s
        )
        memory = replace(memory, watch=watch)
    return Ticked(recorded, seen, assessed, decide(release, seen, assessed), memory)


def _still_true(memory: Memory, release: Release) -> Memory:
    """What is remembered and still holds of this release."""
    before = memory.assessment
    if before is None or before.key == assess.key(release):
        return memory
    if assess.window(before) == (release.id, release.window):
        watch = guards.anew(memory.watch, release) if memory.watch is not None else None
        return replace(memory, assessment=None, assessed=None, watch=watch, book=None)
    # Somebody else drove meanwhile and opened another window: what was scraped before is spent.
    return Memory()


def _followed(recorded: Recorded, seen: Observation, assessed: Assessed, memory: Memory) -> Ticked:
    """What one sees of a release whose evidence the driver alone has: all but the evidence, and no zeros."""
    release = recorded.release
    decision = decide(release, seen, assessed)
    if release.stage is Stage.HOLDING and release.pause is None:
        decision = Wait(ELSEWHERE)
    return Ticked(recorded, seen, assessed, decision, memory)


def _observe(ports: Ports, release: Release, memory: Memory, term: Term | None) -> Observation:
    """The world, and what it means for this driver to be new."""
    world = ports.workloads.observe()
    new = term is not None and not memory.taken_over and bool(release.steps_at)
    unread = not memory.read and not ports.metrics.keeps_history and bool(release.strategy.metrics)
    lost = term is not None and unread and bool(release.steps_at) and release.phase is Phase.PROGRESSING
    return Observation(
        at=ports.clock.now(),
        world=world,
        attended_at=term.idle_since if new and term is not None else None,
        window_lost=lost,
    )


def _proved(ports: Ports, release: Release, seen: Observation) -> Observation:
    """At the end of a way back: whether requests go where they should."""
    if release.phase is not Phase.ROLLING_BACK or seen.world is None:
        return seen
    if not rolled_back(seen.world, release):
        return seen
    return replace(seen, unproved=ports.workloads.unproved())


def _just_read(release: Release, seen: Observation, memory: Memory) -> Assessed | None:
    """What is known of the metrics, when they were read so lately that nothing new can be there.

    The workloads may change many times a second, and each change is a tick.
    """
    before = memory.assessment
    if before is None or memory.assessed is None or before.read_to is None:
        return None
    if not 0 <= seen.at - before.read_to < poll_s(release) / 2:
        return None
    return replace(memory.assessed, looks=())


def _assess(
    ports: Ports, release: Release, seen: Observation, memory: Memory
) -> tuple[Assessed, Assessment, Scrapes]:
    """Read what is new since the last look, and judge it."""
    assessment = memory.assessment or assess.begin(release, reads_from=memory.reads_from)
    scrapes = ports.metrics.read(assess.query(release, assessment, seen.at))
    return *assess.advance(release, assessment, scrapes, seen), scrapes


def tick(ports: Ports, target: str, memory: Memory, term: Term, reporter: Reporter) -> Ticked:
    """One turn of the loop, by the holder of the lease.

    Raises:
        ConflictError: somebody else wrote first, or the term ended; the decision is dropped.
    """
    found = look(ports, target, memory, term)
    book = found.memory.book or journal.opened(ports.ledger.read(target), found.recorded.release)
    book = book.with_looks(found.recorded.release, found.assessed.looks, ports.actor)
    book = book.with_guards(found.recorded.release, found.assessed.events, ports.actor)
    if told := forgotten(found.recorded.release, memory.watch, found.memory.watch, ports.metrics):
        reporter.note(told)
    recorded, memory = found.recorded, replace(found.memory, book=book)
    reporter.tick(found.recorded, found.seen, found.assessed, found.decision)
    match found.decision:
        case Move() as move:
            recorded, memory = _move(ports, found, move, book, term)
            if move.release.window != found.recorded.release.window:
                # Its looks are numbered anew, so what the journal knows of looks is found out again.
                memory = replace(memory, taken_over=True, read=True, book=None)
            elif found.seen.attended_at is not None:
                memory = replace(memory, taken_over=True)
        case Act() as act:
            memory = _act(ports, found, act, book, term)
        case Wait():
            memory = replace(memory, book=_flushed(ports, book, target, found.seen.at), taken_over=True)
    return replace(found, recorded=recorded, memory=memory)


def _move(
    ports: Ports, found: Ticked, move: Move, book: journal.Journal, term: Term
) -> tuple[Recorded, Memory]:
    """Write the record; the ledger first, so that nothing happens that it does not tell."""
    before = found.recorded.release
    book = book.with_decision(before, move, found.assessed, found.seen, ports.actor)
    _within(ports, term)
    ports.ledger.append(before.target, book.pending)
    book = book.written()
    after = move.release.with_(ledger_head=book.head, ledger_length=book.length)
    _within(ports, term)
    recorded = ports.records.save(after, expected=found.recorded.version)
    return recorded, replace(found.memory, book=book)


def _act(ports: Ports, found: Ticked, act: Act, book: journal.Journal, term: Term) -> Memory:
    """Touch the workloads; what is asked of them stands in the ledger before."""
    release = found.recorded.release
    book = book.with_actions(release, act, found.seen.at, ports.actor)
    _within(ports, term)
    ports.ledger.append(release.target, book.pending)
    for action in act.actions:
        ports.workloads.apply(action, within_s=_within(ports, term))
    return replace(found.memory, book=book.written())


def _flushed(ports: Ports, book: journal.Journal, target: str, at: float) -> journal.Journal:
    """Looks are written with the next move, or when they have waited long enough."""
    if not book.pending or at - book.pending[0].at < ports.flush_s:
        return book
    ports.ledger.append(target, book.pending)
    ports.ledger.flush(target)
    return book.written()


def _within(ports: Ports, term: Term) -> float:
    """Seconds left of the term in which the observation was made."""
    left = ports.lease.confirm(term)
    if left <= 0:
        raise ConflictError("the lease term ended before the decision was carried out")
    return left


def run(
    ports: Ports,
    target: str,
    reporter: Reporter,
    *,
    watch: Callable[[Ticked], None] | None = None,
    out_of_reach_s: float = OUT_OF_REACH_S,
) -> Recorded:
    """Drive the release of `target` until it is settled, or left as `--leave` asks.

    Args:
        watch: is shown every tick after it was carried out (the trace writer).
        out_of_reach_s: how long the other side may be silent.

    Raises:
        InterruptedDriveError: a signal; the lease is given up, the release stays as it is.
        TransientError: out of reach too long. DeniedError: refused.
    """
    memory, recorded = Memory(), None
    patience = Patience(ports.clock, out_of_reach_s)
    try:
        while True:
            if (signal := ports.clock.interrupted) is not None:
                raise InterruptedDriveError(signal, recorded)
            begun = recorded is not None and recorded.release.touched
            ticked = _turn(ports, target, memory, reporter, patience, begun=begun)
            if ticked is None:
                # What was written is not known for sure: the journal is read again.
                memory = replace(memory, book=None)
                continue
            recorded, memory = ticked.recorded, ticked.memory
            if watch is not None:
                watch(ticked)
            if recorded.release.settled:
                _tidied(ports, recorded.release, reporter)
                return recorded
            if _left(recorded.release):
                return recorded
            if isinstance(ticked.decision, Wait):
                rest(ports.clock, poll_s(recorded.release))
    finally:
        _last_words(ports, target)


def _tidied(ports: Ports, release: Release, reporter: Reporter) -> None:
    """Configuration that nothing needs any more is taken away, within one term; what hinders that is said."""
    terms: list[Term | None] = []

    def left() -> float:
        terms.extend([] if terms else [ports.lease.hold()])
        return ports.lease.confirm(terms[0]) if terms[0] is not None else 0.0

    try:
        for name in ports.workloads.tidy(release, left):
            reporter.note(f"{name} is taken away: no revision needs it")
    except CanaryError as fault:
        reporter.note(f"configuration that no revision needs may be left: {fault.message}")


def _last_words(ports: Ports, target: str) -> None:
    """What waits to be written to the ledger is, and the lease is given up; why it goes comes first."""
    with suppress(CanaryError):
        ports.ledger.flush(target)
    # One that could not be given up runs out by itself.
    with suppress(CanaryError):
        ports.lease.release()


def _turn(
    ports: Ports, target: str, memory: Memory, reporter: Reporter, patience: Patience, *, begun: bool
) -> Ticked | None:
    """One tick within a term of the lease; None, after a wait, when it has to be done again.

    What is refused ends a release that touched nothing yet. One that is `begun` is held instead, for as long
    as a silence would be: a right that was taken away may come back, and a canary serves meanwhile.
    """
    try:
        term = ports.lease.hold()
        if term is None:
            raise TransientError(_held_by_another(ports))
        ticked = tick(ports, target, memory, term, reporter)
    except ConflictError:
        ports.clock.wait(0.05)
        return None
    except TransientError as fault:
        patience.wait(fault, reporter)
        return None
    except (DeniedError, InvalidError) as fault:
        if not begun:
            raise
        patience.wait(TransientError(fault.message, remedy=fault.remedy), reporter)
        return None
    patience.answered(reporter)
    return ticked


def poll_s(release: Release) -> float:
    """How long to wait between ticks in which nothing is to be done, seconds."""
    return min(POLL_S, max(release.strategy.interval_s / 4, 0.1))


def _left(release: Release) -> bool:
    """Nobody needs to drive on: `--leave` was asked for and the deadline has passed."""
    return release.pause is not None and release.pause.by == LEFT


def _held_by_another(ports: Ports) -> str:
    holder = ports.lease.holder()
    return f"the lease is held by {holder.name}" if holder else "the lease is held by somebody else"
