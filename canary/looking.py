"""What a tick begins with: the record and the world are read, the evidence judged, a decision comes of it.

    observe -> assess -> decide

Whoever drives carries the decision out (`canary.loop`); whoever follows leaves it at that.
"""

from dataclasses import dataclass, replace

from canary.core import assess, guards, journal
from canary.core.actions import Decision, Wait
from canary.core.assess import Assessment
from canary.core.assessed import Assessed
from canary.core.decide import decide
from canary.core.guards import Watch
from canary.core.ledger import Entry
from canary.core.observation import Observation
from canary.core.release import Phase, Release, Stage
from canary.core.samples import Scrapes
from canary.core.walk import rolled_back
from canary.errors import MissingError
from canary.ports import Clock, Lease, LedgerStore, Metrics, Recorded, Records, Seals, Term, Workloads
from canary.watch import watched

POLL_S = 2.0
"""Longest wait between two ticks: a person's wish is obeyed within this time."""
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
    seals: Seals | None = None


@dataclass(frozen=True)
class Memory:
    """What a driver keeps between ticks, only so that it need not be read again.

    Attributes:
        assessment: the evidence so far, and how far the source was read.
        assessed: what it came to when the source was read last.
        watch: what the guards have seen.
        book: ledger entries not yet written, and the last one written; None: it has to be read.
        owed: entries that may not be in the ledger, for when it is read.
        taken_over: this driver has noted that it took the release over.
        read: the metrics source has been read by this driver for this release.
        reads_from: unix seconds from which this driver's scrapes count, where the source keeps no history.
        met: the phase of the release when this driver first read it.
    """

    assessment: Assessment | None = None
    assessed: Assessed | None = None
    watch: Watch | None = None
    book: journal.Journal | None = None
    owed: tuple[Entry, ...] = ()
    taken_over: bool = False
    read: bool = False
    reads_from: float = float("-inf")
    met: Phase | None = None


@dataclass(frozen=True)
class Ticked:
    """What one tick read, found and did."""

    recorded: Recorded
    seen: Observation
    assessed: Assessed
    decision: Decision
    memory: Memory


def look(ports: Ports, target: str, memory: Memory, term: Term | None = None) -> Ticked:
    """Observe, assess and decide, and leave it at that: what a follower sees."""
    recorded = ports.records.load(target)
    if recorded is None:
        raise MissingError(
            f"there is no release of {target}", remedy="Start one with `canary start VERSION`."
        )
    release = recorded.release
    memory = _still_true(memory, release)
    memory = replace(memory, met=memory.met or release.phase)
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
        owed = memory.book.pending if memory.book is not None else memory.owed
        return replace(memory, assessment=None, assessed=None, watch=watch, book=None, owed=owed)
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
    # Met on its way back, all that was asked for last was asked for on that way.
    late_until = term.late_until if term is not None and memory.met is not Phase.ROLLING_BACK else 0.0
    return Observation(
        at=ports.clock.now(),
        world=world,
        attended_at=term.idle_since if new and term is not None else None,
        window_lost=lost,
        late=ports.clock.monotonic() < late_until,
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


def poll_s(release: Release) -> float:
    """How long to wait between ticks in which nothing is to be done, seconds."""
    return min(POLL_S, max(release.strategy.interval_s / 4, 0.1))
