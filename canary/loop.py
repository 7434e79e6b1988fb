"""Start reading here: the loop that drives a release.

    observe -> assess -> decide -> one of: move (write the record) | act (touch the workloads) | wait

The process remembers nothing that matters: each tick begins by reading. `Memory` only spares reading the
same history twice, and may be dropped at any time.
"""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace

from canary import sealing
from canary.core import journal
from canary.core.actions import Act, Move, Wait
from canary.core.decide import LEFT
from canary.core.release import Release
from canary.errors import (
    CanaryError,
    ConflictError,
    DeniedError,
    Exit,
    InvalidError,
    TransientError,
)
from canary.looking import Memory, Ports, Ticked, look, poll_s
from canary.patience import OUT_OF_REACH_S, Patience, rest
from canary.ports import Recorded, Reporter, Term
from canary.watch import forgotten


class InterruptedDriveError(CanaryError):
    """A signal asked the driver to stop; the release goes on as it stands, with nobody driving."""

    def __init__(self, signal: int, recorded: Recorded | None) -> None:
        super().__init__(f"stopped by signal {signal}")
        self.exit = Exit.INTERRUPTED if signal == 2 else Exit.TERMINATED
        self.recorded = recorded


def noticed(
    ports: Ports, target: str, memory: Memory, term: Term, reporter: Reporter
) -> tuple[Ticked, journal.Journal]:
    """The first half of a tick: a look by the holder of the lease, with what it adds to the ledger."""
    found = look(ports, target, memory, term)
    book = found.memory.book
    if book is None:
        entries = ports.ledger.read(target)
        book = journal.opened(entries, found.recorded.release).again(entries, found.memory.owed)
    book = book.with_looks(found.recorded.release, found.assessed.looks, ports.actor)
    book = book.with_guards(found.recorded.release, found.assessed.events, ports.actor)
    if told := forgotten(found.recorded.release, memory.watch, found.memory.watch, ports.metrics):
        reporter.note(told)
    book = sealing.told(ports.seals, book, found.recorded.release, found.seen.at, ports.actor, reporter)
    reporter.tick(found.recorded, found.seen, found.assessed, found.decision)
    return replace(found, memory=replace(found.memory, book=book, owed=())), book


def carried_out(ports: Ports, found: Ticked, book: journal.Journal, term: Term) -> Ticked:
    """The second half: the decision takes effect.

    Raises:
        ConflictError: somebody else wrote first, or the term ended; the decision is dropped.
    """
    recorded, memory = found.recorded, found.memory
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
            memory = replace(memory, book=_flushed(ports, book, recorded.release, found.seen.at))
            memory = replace(memory, taken_over=True)
    return replace(found, recorded=recorded, memory=memory)


def _move(
    ports: Ports, found: Ticked, move: Move, book: journal.Journal, term: Term
) -> tuple[Recorded, Memory]:
    """Write the record; the ledger first, so that nothing happens that it does not tell."""
    before = found.recorded.release
    book = book.with_decision(before, move, found.assessed, found.seen, ports.actor)
    book = sealing.signed(ports.seals, book, before, found.seen.at, ports.actor)
    _within(ports, term)
    ports.ledger.append(before.target, book.pending)
    book = book.written()
    after = move.release.with_(ledger_head=book.head, ledger_length=book.length)
    _within(ports, term)
    recorded = ports.records.save(after, expected=found.recorded.version)
    sealing.sent(ports.seals, book)
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


def _flushed(ports: Ports, book: journal.Journal, release: Release, at: float) -> journal.Journal:
    """Looks are written with the next move, or when they have waited long enough."""
    if not book.pending or at - book.pending[0].at < ports.flush_s:
        return book
    book = sealing.signed(ports.seals, book, release, at, ports.actor, every_s=sealing.EVERY_S)
    ports.ledger.append(release.target, book.pending)
    ports.ledger.flush(release.target)
    book = book.written()
    sealing.sent(ports.seals, book)
    return book


def _within(ports: Ports, term: Term) -> float:
    """Seconds left of the term in which the observation was made."""
    left = ports.lease.confirm(term)
    if left <= 0:
        raise ConflictError(
            "the lease term ended before the decision was carried out",
            remedy="Reading and judging took longer than a term: the machine or the network is too slow, or "
            "another driver took the lease. Give it more processor time.",
        )
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
        watch: is shown every tick when it is over, carried out or not (the trace writer).
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
            turn = _turn(ports, target, memory, reporter, patience, begun=begun)
            memory = turn.memory
            if watch is not None and turn.ticked is not None:
                watch(turn.ticked)
            if turn.ticked is None or turn.dropped:
                continue
            ticked, recorded = turn.ticked, turn.ticked.recorded
            if recorded.release.settled:
                _tidied(ports, recorded.release, reporter)
                _copied(ports, recorded.release, memory.book, reporter)
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


def _copied(ports: Ports, release: Release, book: journal.Journal | None, reporter: Reporter) -> None:
    """The last copies of seals go out; what became of them is said, in the ledger after the end."""
    if ports.seals is None or book is None:
        return
    ports.seals.settle(sealing.SETTLE_S)
    now = ports.clock.now()
    book = sealing.told(ports.seals, book, release, now, ports.actor, reporter)
    with suppress(CanaryError):
        if book.pending and ports.lease.hold() is not None:
            _flushed(replace(ports, flush_s=0.0), book, release, now)


def _last_words(ports: Ports, target: str) -> None:
    """What waits to be written to the ledger is, and the lease is given up; why it goes comes first."""
    with suppress(CanaryError):
        ports.ledger.flush(target)
    # One that could not be given up runs out by itself.
    with suppress(CanaryError):
        ports.lease.release()
    if ports.seals is not None:
        ports.seals.settle(sealing.LAST_S)


@dataclass(frozen=True)
class _Turn:
    """What became of one tick. `ticked`: None when it did not even come to a decision."""

    ticked: Ticked | None
    memory: Memory
    dropped: bool = True


def _turn(
    ports: Ports, target: str, memory: Memory, reporter: Reporter, patience: Patience, *, begun: bool
) -> _Turn:
    """One tick within a term of the lease; one that was dropped has to be done again, after a wait.

    What is refused ends a release that touched nothing yet. One that is `begun` is held instead, for as long
    as a silence would be: a right that was taken away may come back, and a canary serves meanwhile.
    """
    found, since = None, ports.clock.monotonic()
    try:
        term = ports.lease.hold()
        if term is None:
            raise TransientError(_held_by_another(ports))
        found, book = noticed(ports, target, memory, term, reporter)
        ticked = carried_out(ports, found, book, term)
    except ConflictError as fault:
        patience.overtaken(fault, since, reporter)
    except TransientError as fault:
        patience.wait(fault, reporter)
    except (DeniedError, InvalidError) as fault:
        if not begun:
            raise
        patience.wait(TransientError(fault.message, remedy=fault.remedy), reporter)
    else:
        patience.answered(reporter)
        return _Turn(ticked, ticked.memory, dropped=False)
    return _Turn(found, _unsure(found.memory if found is not None else memory))


def _unsure(memory: Memory) -> Memory:
    """After a tick that was dropped: what was read and judged stands, or who is slow would never be done.

    What was written is not known for sure: the journal is read again, and what may not be in it is kept.
    """
    if memory.book is None:
        return memory
    return replace(memory, book=None, owed=memory.book.pending)


def _left(release: Release) -> bool:
    """Nobody needs to drive on: `--leave` was asked for and the deadline has passed."""
    return release.pause is not None and release.pause.by == LEFT


def _held_by_another(ports: Ports) -> str:
    holder = ports.lease.holder()
    return f"the lease is held by {holder.name}" if holder else "the lease is held by somebody else"
