"""From scrapes to evidence: cuts what was read into looks and has the analysis judge them. Pure.

Evidence is a function of the record and of what the source has kept: a driver that starts anew reads the
same scrapes and comes to the same numbers. `Assessment` only spares doing it all again each tick.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from math import ceil

from analysis import judge
from analysis.words import Counts, Design, Evidence, Kind, MetricDesign, Tick
from canary.core import ticks
from canary.core.assessed import Assessed, Hold, Look
from canary.core.observation import Arm, Observation
from canary.core.release import ArmFacts, Phase, Release, Stage
from canary.core.samples import MetricsQuery, Scrapes
from canary.core.strategy import Metric, MetricKind, Strategy

PRESET_SHARES = {"errors": 0.55, "latency": 0.45}
"""How the http preset's part of the rollback evidence is divided between its two metrics."""
RECENT = 8
"""Looks over which the measured share and the rates are taken."""
QUIET = 4
"""Looks in a row without a canary request after which there is no traffic."""
PROBE_SLACK = 1.5
"""Where no label tells probes from traffic, so many times their own rate is still no traffic."""
OVERLAP = 2
"""Each read overlaps what is there by so many ticks or scrapes, whichever are longer: late ones are read."""


@dataclass(frozen=True)
class Assessment:
    """The evidence so far.

    Attributes:
        key: which release and window it belongs to.
        ticker: the scrapes so far, cut into looks. read_to: unix seconds up to which the source was read.
        newest: unix seconds of the latest scrape that it gave.
        judged: state of the analysis; None before the first look.
        history: stable counts per look before the start.
        looks: made so far. step: the step that the last look lay wholly in, counted from 1.
        recent: (seconds, canary requests, stable requests) of the last looks.
        in_step: (steps begun, canary requests since the step holds, unseen grid points before that).
        cut: the looks of the last advance as they were cut, for the trace.
        blind: no label tells traffic from probes: what probes make by themselves is taken off.
    """

    key: tuple[object, ...]
    ticker: ticks.Ticker
    read_to: float | None = None
    newest: float | None = None
    judged: judge.State | None = None
    history: tuple[Counts, ...] = ()
    looks: int = 0
    step: int = 0
    looked_at: float | None = None
    recent: tuple[tuple[float, float, float], ...] = ()
    in_step: tuple[int, float, int] = (0, 0.0, 0)
    edges: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    cut: tuple[ticks.Look, ...] = ()
    blind: bool = False


def key(release: Release) -> tuple[object, ...]:
    """What an assessment depends on: another key, and all is read again.

    The pods are in it because a source that knows pods by name has not told of the new ones so far.
    """
    pods = tuple((arm, pod.name) for arm, facts in sorted(release.arms.items()) for pod in facts.pods)
    return release.id, release.window, pods


def window(assessment: Assessment) -> tuple[object, ...]:
    """The release and window that an assessment belongs to."""
    return assessment.key[:2]


def begin(release: Release, *, reads_from: float = float("-inf")) -> Assessment:
    """An assessment that has seen nothing. `reads_from`: see `ticks.Grid`."""
    strategy = release.strategy
    ticker = ticks.begin(
        strategy.metrics,
        since=release.since,
        interval_s=strategy.interval_s,
        scrape_interval_s=strategy.scrape_interval_s,
        reads_from=reads_from,
    )
    return Assessment(key(release), ticker)


def query(release: Release, assessment: Assessment, at: float) -> MetricsQuery:
    """What has to be read now."""
    strategy = release.strategy
    start = max(release.since - strategy.history_s, assessment.ticker.grid.reads_from)
    if assessment.newest is not None:
        # From what is there, not from when it was asked for: a source may lag behind.
        overlap_s = OVERLAP * max(strategy.interval_s, strategy.scrape_interval_s)
        start = max(start, assessment.newest - overlap_s)
    revisions = ((Arm.STABLE, release.stable), (Arm.CANARY, release.canary))
    arms = {arm: ArmFacts((revision.hash,), release.pods_of(arm)) for arm, revision in revisions}
    return MetricsQuery(strategy.read, strategy.exclude, arms, start, at)


def nothing(release: Release) -> Assessed:
    """Before and after the time in which evidence is gathered."""
    return Assessed(_no_evidence(release.strategy, release.window))


def _no_evidence(strategy: Strategy, window: int) -> Evidence:
    rate = strategy.false_rollback_rate * 2.0**-window
    return Evidence(0, 0.0, 1.0, 1.0, 1.0 / rate, 1.0 / strategy.false_promotion_rate)


def advance(
    release: Release, assessment: Assessment, scrapes: Scrapes, seen: Observation
) -> tuple[Assessed, Assessment]:
    """Take in what was read.

    Args:
        release: the record; gives the times of the steps and what is tested.
        scrapes: everything since the last read, with some overlap.
        seen: gives the time, and the canary pods that should be scraped.
    """
    before = assessment
    if not scrapes.reachable:
        # Read again from the beginning, as a new driver would: never one history after another.
        known = begin(release, reads_from=before.ticker.grid.reads_from) if scrapes.anew else before
        waiting = replace(known, cut=())
        detail = f"the metrics source does not answer: {scrapes.note}" if scrapes.note else "no answer"
        return _assessed(release, waiting, (), (Hold.NO_SCRAPE, detail)), waiting
    if (
        before.edges
        and scrapes.edges
        and dict(scrapes.edges) != dict(before.edges)
        and before.judged is not None
    ):
        # Other buckets than before: the tests are laid out over them, so everything is read again.
        fresh = begin(release, reads_from=before.ticker.grid.reads_from)
        held = (Hold.NO_SCRAPE, "the buckets of a histogram changed; reading everything again")
        return _assessed(release, fresh, (), held), fresh
    ticker, cut = ticks.advance(before.ticker, scrapes, seen.at)
    after = replace(
        before,
        ticker=ticker,
        read_to=seen.at,
        newest=max((one.at for one in scrapes.samples), default=before.newest),
        edges=ticker.edges if ticker.edges == before.edges else {**before.edges, **scrapes.edges},
        cut=cut,
        blind=any(sample.blind for sample in scrapes.samples) if scrapes.samples else before.blind,
    )
    made: list[Look] = []
    for look in cut:
        after = _take(release, after, look, made)
    return _assessed(release, after, tuple(made), _lacking(release, after, seen, scrapes)), after


def _take(release: Release, state: Assessment, look: ticks.Look, made: list[Look]) -> Assessment:
    """One look into the history, or before the judge."""
    if look.k <= 0:
        return replace(state, history=(*state.history, look.stable), looked_at=None)
    judged, step = _judged(release, state, look)
    previous = state.looked_at if state.looked_at is not None else look.at - release.strategy.interval_s
    canary, stable = ticks.summed(look.canary), ticks.summed(look.stable)
    implied = PROBE_SLACK * release.strategy.probe_rate * (look.at - look.began) if state.blind else 0.0
    requests = (
        max(0.0, ticks.most(canary) - implied * len(look.canary)),
        max(0.0, ticks.most(stable) - implied * len(look.stable)),
    )
    evidence = _of_those_serving(judge.evidence(judged), state, look.at)
    made.append(Look(state.looks + 1, look.at, canary, stable, evidence))
    return Assessment(
        key=state.key,
        ticker=state.ticker,
        read_to=state.read_to,
        newest=state.newest,
        judged=judged,
        history=state.history,
        looks=state.looks + 1,
        step=max(step, state.step),
        looked_at=look.at,
        recent=(*state.recent[-RECENT + 1 :], (look.at - previous, *requests)),
        in_step=_in_step(release, state, look, requests[0]),
        edges=state.edges,
        cut=state.cut,
        blind=state.blind,
    )


def _judged(release: Release, state: Assessment, look: ticks.Look) -> tuple[judge.State, int]:
    """The judge after this look, and how many steps had begun before all of it."""
    judged = state.judged
    if judged is None:
        judged = judge.begin(design(release, state.edges, state.history), state.history)
    # A step counts from the first look that lies wholly in it: what an earlier step saw proves nothing here.
    step = sum(at <= look.began for at in release.steps_at)
    tick = Tick(
        t=look.at - release.since,
        canary=look.canary,
        stable=look.stable,
        new_step=step > state.step >= 1,
        in_last_step=step == len(release.strategy.steps),
    )
    return judge.advance(judged, tick), step


def _of_those_serving(evidence: Evidence, state: Assessment, at: float) -> Evidence:
    """Evidence must stand without each pod that serves; a pod that has ended cannot be blamed any more.

    With fewer than two that serve there is nothing to leave out: a single bad pod is then the version.
    """
    ended = {pod for pod in evidence.harm_without if state.ticker.gone.get(pod, at + 1.0) <= at}
    if not ended:
        return evidence
    serving = {pod: harm for pod, harm in evidence.harm_without.items() if pod not in ended}
    return replace(evidence, harm_without=serving if len(serving) > 1 else {})


def _in_step(
    release: Release, state: Assessment, look: ticks.Look, requests: float
) -> tuple[int, float, int]:
    """Canary requests since the current step began to hold, and what was unseen before."""
    steps, counted, unseen = state.in_step
    begun = len(release.steps_at)
    holding = release.stage is Stage.HOLDING and look.at > release.step_since
    if not holding or begun != steps:
        counted, unseen = 0.0, look.unseen
    return begun, counted + (requests if holding else 0.0), unseen


def design(release: Release, edges: Mapping[str, tuple[float, ...]], history: tuple[Counts, ...]) -> Design:
    """What is tested, fixed before the first look. A histogram whose buckets were never seen is left out."""
    strategy = release.strategy
    shares = weights(strategy.metrics)
    metrics = [
        MetricDesign(
            name=metric.name,
            kind=Kind(metric.kind.value),
            weight=shares[metric.name],
            tolerance=metric.tolerance,
            margin_ratio=metric.margin.ratio,
            margin_abs=metric.margin.abs,
            edges=edges.get(metric.name, ()),
            watched=tuple(release.slo_edges.get(metric.name, ())) or _watched(metric, edges, history),
        )
        for metric in strategy.metrics
        if metric.kind is MetricKind.RATIO or edges.get(metric.name)
    ]
    return Design(
        metrics=tuple(metrics),
        false_rollback_rate=strategy.false_rollback_rate,
        false_promotion_rate=strategy.false_promotion_rate,
        ticks=ceil(strategy.deadline_s / strategy.interval_s),
        warm_up_min_s=strategy.warm_up_min_s,
        warm_up_max_s=strategy.warm_up_max_s,
        window=release.window,
    )


def _watched(
    metric: Metric, edges: Mapping[str, tuple[float, ...]], history: tuple[Counts, ...]
) -> tuple[float, ...]:
    bounds = edges.get(metric.name, ())
    if metric.kind is MetricKind.RATIO or not bounds:
        return ()
    return judge.watched_edges(bounds, history, metric.name, metric.slower_than_s)


def weights(metrics: tuple[Metric, ...]) -> dict[str, float]:
    """How the rollback evidence is divided: the preset keeps its part of 1/m each, split .55 and .45.

    A preset that brings one metric only gives that one its part whole.
    """
    if not metrics:
        return {}
    preset = [metric.name for metric in metrics if metric.preset == "http"]
    part = len(preset) / len(metrics)
    inside = sum(PRESET_SHARES.get(name, 1.0) for name in preset)
    return {
        metric.name: part * PRESET_SHARES.get(metric.name, 1.0) / inside
        if metric.name in preset
        else 1.0 / len(metrics)
        for metric in metrics
    }


def _lacking(
    release: Release, state: Assessment, seen: Observation, scrapes: Scrapes
) -> tuple[Hold, str] | None:
    """No scrape, or no traffic; told apart, and neither is ever taken for a good sign."""
    scraped = state.ticker.last_scrapes
    # A pod that is not there any more cannot be scraped, and its successor is.
    here = _canary_pods(seen)
    every, scraped_each = release.strategy.interval_s, release.strategy.scrape_interval_s
    # Scrapes are taken with the look after them, so the last one taken may be as old as a look and a scrape.
    silence = max(ticks.SILENT_SCRAPES * scraped_each, every + scraped_each)
    settled = min(scrapes.settled_until, seen.at)
    silent = [
        f"{pod} ({settled - at:.0f} s ago)"
        for pod, (arm, at) in scraped.items()
        if arm is Arm.CANARY
        and pod not in state.ticker.gone
        and settled - at > silence
        and (not here or pod in here)
    ]
    if seen.world is not None and seen.world.canary is not None and release.stage is Stage.HOLDING:
        silent += [
            f"{pod.name} (never)"
            for pod in seen.world.canary.pods
            if pod.ready
            and pod.name not in scraped
            and settled - max(release.step_since, pod.born or 0.0) > silence
        ]
    if silent:
        note = f": {scrapes.note}" if scrapes.note else ""
        return Hold.NO_SCRAPE, f"canary pods are not scraped: {', '.join(sorted(silent))}{note}"
    stale = state.looked_at is not None and settled - state.looked_at > 2 * silence
    if stale or (state.looked_at is None and settled - release.step_since > 2 * silence):
        which = scrapes.note or "no scrape of both arms is there"
        return Hold.NO_SCRAPE, f"nothing new to look at: {which}"
    return _quiet(state)


def _canary_pods(seen: Observation) -> frozenset[str]:
    """Names of those that exist now; empty when there is none, or nobody tells."""
    canary = seen.world.canary if seen.world is not None else None
    return frozenset(pod.name for pod in canary.pods) if canary is not None else frozenset()


def _quiet(state: Assessment) -> tuple[Hold, str] | None:
    recent = state.recent[-QUIET:]
    if len(recent) < QUIET:
        return None
    lasted = sum(seconds for seconds, _, _ in recent)
    for arm, position in (("canary", 1), ("stable", 2)):
        if not any(look[position] for look in recent):
            return (
                Hold.NO_TRAFFIC,
                f"the {arm} had no request for {lasted:.0f} s (health checks do not count)",
            )
    return None


def _assessed(
    release: Release,
    state: Assessment,
    made: tuple[Look, ...],
    lacking: tuple[Hold, str] | None,
) -> Assessed:
    """What is known now."""
    seconds = sum(look[0] for look in state.recent)
    canary = sum(look[1] for look in state.recent)
    stable = sum(look[2] for look in state.recent)
    evidence = made[-1].evidence if made else None
    if evidence is None:
        evidence = (
            judge.evidence(state.judged) if state.judged else _no_evidence(release.strategy, release.window)
        )
    unseen = state.ticker.unseen - state.in_step[2] if state.in_step[0] == len(release.steps_at) else 0
    return Assessed(
        evidence=evidence,
        looked_at=state.looked_at,
        looks=made,
        lacking=lacking[0] if lacking else None,
        lacking_detail=lacking[1] if lacking else "",
        unseen_s=unseen * release.strategy.interval_s,
        share=canary / (canary + stable) if canary + stable > 0 else None,
        rates={"canary": canary / seconds, "stable": stable / seconds} if seconds > 0 else {},
        step_requests=state.in_step[1],
        watched=_pinned(release, state),
    )


def _pinned(release: Release, state: Assessment) -> dict[str, tuple[float, ...]]:
    """The bounds to watch, while they are not in the record yet."""
    if release.phase is not Phase.PENDING:
        return {}
    found = {metric.name: _watched(metric, state.edges, state.history) for metric in release.strategy.metrics}
    return {name: edges for name, edges in found.items() if edges}
