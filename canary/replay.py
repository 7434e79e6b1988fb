"""Runs a recorded release through the very code of the live loop, at the speed of the machine.

The ports are played from the recording: time is the recording's, scrapes are its lines, and nobody moves
replicas (`Shift.GIVEN`). What reads, judges and decides is `looking.look`, as live.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from math import inf
from pathlib import Path

from canary import looking
from canary.core.actions import Action, Move
from canary.core.assessed import Look
from canary.core.decide import past_deadline
from canary.core.observation import Arm, Workload, World
from canary.core.release import ArmFacts, Outcome, Phase, Release, Stage
from canary.core.revision import Revision
from canary.core.samples import Sample, Scrapes
from canary.core.strategy import ERRORS, LATENCY, Shift, Strategy
from canary.errors import InvalidError
from canary.looking import Memory, Ports, Ticked
from canary.ports import Holder, LedgerStore, MetricsQuery, Recorded, Term
from canary.trace import ALWAYS, Header, Line, Trace, read

VERDICTS = {Outcome.REGRESSION: "rollback", Outcome.NO_CONCLUSION: "inconclusive"}


@dataclass(frozen=True)
class ReplayResult:
    """What the recording comes to.

    Attributes:
        verdict: rollback, promote or inconclusive. t: seconds from the start to the look that decided, or
            None when the recording ended before anything did.
        looks: how many looks were made.
    """

    file: str
    verdict: str
    t: float | None
    reason: str
    false_rollback_rate: float
    looks: int = 0


def default_strategy(header: Header) -> Strategy:
    """The defaults with tolerance 0, and the recording's own threshold for latency."""
    errors = replace(ERRORS, tolerance=0.0)
    latency = replace(LATENCY, tolerance=0.0, slower_than_s=header.slo_s)
    return Strategy(metrics=(errors, latency) if header.edges else (errors,))


def replay_file(
    path: Path,
    strategy: Strategy | None = None,
    on_look: Callable[[Look], None] | None = None,
    *,
    recorded_strategy: Callable[[Mapping[str, object]], Strategy] | None = None,
) -> ReplayResult:
    """Replay one file.

    Args:
        strategy: instead of the recording's own, or of the defaults.
        on_look: is shown every look.
        recorded_strategy: reads the strategy document in a header that has one.

    Raises:
        InvalidError: the file is not a recording, or has no canary.
    """
    trace = read(path)
    if not any(sample.arm is Arm.CANARY for line in trace.lines for sample in line.samples):
        raise InvalidError(
            f'{path}: no pod with "arm": "canary" in {len(trace.lines)} lines; nothing to judge',
            remedy="Record a release with `canary start VERSION --trace FILE`.",
        )
    if strategy is None and trace.header.strategy is not None and recorded_strategy is not None:
        strategy = recorded_strategy(trace.header.strategy)
    return replay(trace, strategy or default_strategy(trace.header), on_look, name=str(path))


def replay(
    trace: Trace,
    strategy: Strategy,
    on_look: Callable[[Look], None] | None = None,
    *,
    name: str = "",
) -> ReplayResult:
    """Replay a recording that is in memory, look by look, until something is decided or it ends."""
    strategy = replace(
        strategy,
        interval_s=trace.header.interval_s,
        scrape_interval_s=max(trace.header.interval_s, trace.spacing_s),
        shift=Shift.GIVEN,
        # A recording has the counters that were compared, and none of the gauges.
        guards=(),
        gauges=(),
    )
    stage = _Stage(trace, strategy)
    ports = stage.ports()
    memory, found, looks = Memory(), None, 0
    while stage.next():
        found = _settle(ports, stage, memory)
        memory = found.memory
        looks += len(found.assessed.looks)
        if on_look is not None:
            for look in found.assessed.looks:
                on_look(look)
        release = stage.release
        if release.phase is not Phase.PROGRESSING:
            verdict = "promote" if release.phase is Phase.PROMOTING else _verdict(release)
            t = found.seen.at if past_deadline(release, found.seen) else found.assessed.looked_at
            return ReplayResult(name, verdict, t, release.reason, strategy.false_rollback_rate, looks)
    return ReplayResult(
        name, "inconclusive", None, _unended(trace, found), strategy.false_rollback_rate, looks
    )


def _settle(ports: Ports, stage: "_Stage", memory: Memory) -> Ticked:
    """One look; the move it decides on, if any, is recorded as live."""
    found = looking.look(ports, stage.release.target, memory)
    if isinstance(found.decision, Move):
        stage.save(found.decision.release, expected="")
    return found


def _verdict(release: Release) -> str:
    return VERDICTS.get(release.outcome, str(release.outcome)) if release.outcome else "inconclusive"


def _unended(trace: Trace, found: Ticked | None) -> str:
    """Why nothing was decided."""
    last = trace.lines[-1].t if trace.lines else 0.0
    why = found.decision.reason if found is not None else "it has no scrape after the start"
    return f"the recording ends at {last:g} s: {why}"


class _Stage:
    """The recording, playing every port: a clock that jumps from look to look and scrapes that are lines."""

    keeps_history = True
    interrupted: int | None = None

    def __init__(self, trace: Trace, strategy: Strategy) -> None:
        self.trace = trace
        self.time = 0.0
        self.read_to = 0
        self.began = -inf
        self.births: dict[str, tuple[float, float]] = {}
        self.present: dict[str, Arm] = {}
        self.steps = [(line.t, line.step) for line in trace.lines if line.step is not None]
        self.release = Release(
            target="recording",
            id="recording",
            version=trace.header.version or "canary",
            strategy=strategy if self.steps else replace(strategy, steps=strategy.steps[-1:]),
            stable=Revision("stable", "stable"),
            canary=Revision("canary", "canary"),
            replicas=1,
            since=0.0,
            phase=Phase.PROGRESSING,
            stage=Stage.HOLDING,
            arms={"stable": ArmFacts(("stable",)), "canary": ArmFacts(("canary",))},
            # Without steps in the recording all of it counts as the last step, whenever pods were based.
            steps_at=() if self.steps else (ALWAYS,),
        )
        end = trace.lines[-1].t if trace.lines else 0.0
        self.grid = int(end / strategy.interval_s + 1e-9)
        self.k = 0

    def ports(self) -> Ports:
        """Every port, played."""
        return Ports(self, _Unfenced(), self, self, _NoLedger(), self)

    def next(self) -> bool:
        """On to the next point of the grid; False when the recording has ended."""
        self.k += 1
        self.time = self.k * self.release.strategy.interval_s
        while self.steps and self.steps[0][0] <= self.time + 1e-9:
            mark = self.steps.pop(0)[1]
            self.release = self.release.with_(
                step=mark.index, step_since=mark.since, steps_at=(*self.release.steps_at, mark.whole_from)
            )
        return self.k <= self.grid

    # Clock
    def now(self) -> float:
        return self.time

    def monotonic(self) -> float:
        return self.time

    def wait(self, seconds: float) -> None:
        raise AssertionError("a replay never waits")

    def no_room(self, more: int) -> str:
        """Nothing here limits how many pods there are."""
        return ""

    def unproved(self) -> str:
        return ""

    # Records
    def load(self, target: str) -> Recorded:
        return Recorded(self.release, "")

    def save(self, release: Release, *, expected: str | None) -> Recorded:
        self.release = release
        return Recorded(release, "")

    # Workloads
    def observe(self) -> World:
        return World(Workload(self.release.stable, 0), Workload(self.release.canary, 0))

    def apply(self, action: Action, *, within_s: float) -> None:
        raise AssertionError("a replay touches nothing")

    def revise(self, base: Revision, version: str, config: Sequence[str] = ()) -> Revision:
        return replace(base, version=version)

    def prepare(self, config: Sequence[str] = ()) -> None:
        raise AssertionError("a replay begins no release")

    def tidy(self, release: Release, left: Callable[[], float]) -> tuple[str, ...]:
        return ()

    def history(self) -> tuple[Revision, ...]:
        return ()

    # Metrics
    def read(self, query: MetricsQuery) -> Scrapes:
        """The lines in (start, end]. A driver reads on; one that begins anew reads from the beginning."""
        if query.start < self.began:
            self.read_to, self.births, self.present = 0, {}, {}
        self.began = query.start
        samples: list[Sample] = []
        gone: dict[str, float] = {}
        lines = self.trace.lines
        while self.read_to < len(lines) and lines[self.read_to].t <= query.end + 1e-9:
            line = lines[self.read_to]
            self.read_to += 1
            if line.t > query.start:
                samples.extend(self._played(line, gone))
        header = self.trace.header
        edges = {"latency": header.edges, **header.more_edges} if header.edges else header.more_edges
        return Scrapes(tuple(samples), gone, edges, settled_until=query.end)

    def _played(self, line: Line, gone: dict[str, float]) -> list[Sample]:
        """A line's samples with when each process started; pods that are absent from it are gone."""
        here = {sample.pod: sample.arm for sample in line.samples}
        for pod in self.present.keys() - here.keys():
            gone[pod] = line.t
        self.present = here
        for pod in here:
            gone.pop(pod, None)
        return [self._born(sample, line.t) for sample in line.samples if sample.arm is not Arm.BASELINE]

    def _born(self, sample: Sample, t: float) -> Sample:
        """The sample with its process start: told, or seen by its requests falling (a reset)."""
        if sample.started is not None:
            return sample
        requests = sample.counters["errors"][1]
        first = ALWAYS if t <= 0 or self.read_to == 1 else t
        started, before = self.births.get(sample.pod, (first, 0.0))
        if requests < before:
            started = t
        self.births[sample.pod] = (started, requests)
        return Sample(sample.pod, sample.arm, sample.at, sample.counters, started)


class _Unfenced:
    """A recording has one reader."""

    def hold(self) -> Term:
        return Term("replay", 1, inf)

    def confirm(self, term: Term) -> float:
        return inf

    def holder(self) -> Holder | None:
        return None

    def release(self) -> None:
        """Nothing to give up."""


class _NoLedger(LedgerStore):
    """A replay leaves no ledger; `--looks` shows what one would hold."""

    def append(self, target: str, entries: object) -> None:
        raise AssertionError("a replay writes no ledger")

    def flush(self, target: str) -> None:
        """Nothing was appended."""

    def read(self, target: str) -> tuple[()]:
        return ()

    def lines(self, target: str) -> tuple[()]:
        return ()
