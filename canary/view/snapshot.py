"""A tick as values for people: what stands where, what was seen, what is waited for. Pure, no layout.

Made by `take` from what a reporter is told; `screen` lays it out, `lines` and `jsonl` speak of changes.
"""

import math
from dataclasses import dataclass, replace

from analysis.words import Evidence, MetricEvidence
from canary.core.actions import Decision, Wait
from canary.core.assessed import Assessed, GuardState
from canary.core.observation import Arm, Observation, Workload
from canary.core.release import Outcome, Phase, Release
from canary.core.strategy import Metric, Promote
from canary.view import words

END_WORDS = {
    Outcome.PROMOTED: "PROMOTED",
    Outcome.REGRESSION: "ROLLED BACK, worse than stable",
    Outcome.CRASHED: "ROLLED BACK, crashed",
    Outcome.BAKE_FAILED: "UNDONE, failed after promotion",
    Outcome.NO_CONCLUSION: "ROLLED BACK, no conclusion in time",
    Outcome.ABORTED: "ABORTED",
    Outcome.SUPERSEDED: "SUPERSEDED",
    Outcome.NEVER_READY: "ROLLED BACK, never ready",
    Outcome.UNDONE: "UNDONE",
    Outcome.OTHER_IMAGE: "ROLLED BACK, another image",
    Outcome.GUARD: "ROLLED BACK, by a guard",
}

BUSY_PHASES = frozenset({Phase.PENDING, Phase.PROGRESSING})


@dataclass(frozen=True)
class ArmRow:
    """One arm.

    Attributes:
        ready, asked: replicas that receive traffic, and wanted.
        released: ready replicas that run the version on trial (in stable: promotion's progress).
        rate: requests per second, or None. trouble: why a replica is not coming up, or empty.
    """

    name: str
    version: str
    ready: int
    asked: int
    released: int
    rate: float | None = None
    trouble: str = ""


@dataclass(frozen=True)
class MetricRow:
    """One metric of both arms.

    Attributes:
        bad_is: what a bad request is: `bad`, or `> 500ms`.
        canary, stable: `(bad, all)` requests so far.
        low, high: confidence sequence of the canary's rate over the stable's.
        tolerated, margin: ratios; a canary up to `tolerated` is never rolled back for it, promotion
            must rule out anything above `margin` (the larger of the ratio and the absolute margin at
            the stable's rate so far).
        harm, safety: its e-processes. warming: latency is not judged yet.
    """

    name: str
    bad_is: str
    canary: tuple[float, float]
    stable: tuple[float, float]
    low: float
    high: float
    tolerated: float
    margin: float
    harm: float = 1.0
    safety: float = 1.0
    warming: bool = False

    @property
    def canary_rate(self) -> float | None:
        """Share of bad requests, or None without requests."""
        return _rate(*self.canary)

    @property
    def stable_rate(self) -> float | None:
        """Share of bad requests, or None without requests."""
        return _rate(*self.stable)


@dataclass(frozen=True)
class GuardRow:
    """One guard.

    Attributes:
        action: with `and alert`, if people are to be told. since: unix seconds since when it is true; None
            while it does not fire. told: by which figures. unseen: what has not been known for too long.
    """

    name: str
    condition: str
    action: str
    alert: bool
    firing: bool = False
    since: float | None = None
    told: str = ""
    unseen: str = ""


@dataclass(frozen=True)
class Snapshot:
    """All that a view shows of one tick.

    Attributes:
        at: unix seconds. steps: weights in percent. step: index into them.
        asked: weight now, percent. share: measured share of requests, fraction, or None.
        harm, harm_peak, harm_limit, safety_limit, looks: see `analysis.words.Evidence`.
        guards: in the order in which they are configured.
        doing: this tick's decision in words. hold: its kind, or None.
        pause: who paused, until when and why, or empty.
        elapsed_s, in_step_s, left_s: since the start, in this phase or step, until the deadline
            (negative: over); left_s is None where no deadline runs.
        next: commands that make sense now, the likeliest first.
        deciding: this is the step at which promotion is decided.
        elsewhere: the driver alone has the numbers: none is shown.
        ending: how it ended, in one line; empty while open. reason: why it ends so.
    """

    target: str
    version: str
    stable_version: str
    phase: Phase
    stage: str
    at: float
    steps: tuple[float, ...]
    step: int
    asked: float
    elapsed_s: float
    in_step_s: float
    left_s: float | None
    doing: str
    share: float | None = None
    arms: tuple[ArmRow, ...] = ()
    metrics: tuple[MetricRow, ...] = ()
    harm: float = 1.0
    harm_peak: float = 1.0
    harm_limit: float = 100.0
    safety_limit: float = 50.0
    looks: int = 0
    guards: tuple[GuardRow, ...] = ()
    hold: str | None = None
    pause: str = ""
    pause_left_s: float | None = None
    deciding: bool = False
    elsewhere: bool = False
    next: tuple[str, ...] = ()
    ending: str = ""
    outcome: Outcome | None = None
    reason: str = ""

    def arm(self, name: str) -> ArmRow | None:
        """The row of an arm, or None when it has no workload now."""
        return next((row for row in self.arms if row.name == name), None)


def take(release: Release, seen: Observation, assessed: Assessed | None, decision: Decision) -> Snapshot:
    """What a person should see of this tick."""
    evidence = assessed.evidence if assessed else None
    return Snapshot(
        target=release.target,
        version=release.version,
        stable_version=release.stable.version,
        phase=release.phase,
        stage=release.stage.value if release.phase is Phase.PROGRESSING else "",
        at=seen.at,
        steps=release.strategy.steps,
        step=release.step,
        asked=_asked(release),
        elapsed_s=seen.at - release.since,
        in_step_s=seen.at - _entered(release),
        left_s=_left(release, seen.at),
        doing=decision.reason,
        share=assessed.share if assessed else None,
        arms=_arms(release, seen, assessed),
        metrics=_metrics(release, evidence),
        harm=evidence.harm if evidence else 1.0,
        harm_peak=evidence.harm_peak if evidence else 1.0,
        harm_limit=evidence.harm_limit if evidence else 1 / release.strategy.false_rollback_rate,
        safety_limit=evidence.safety_limit if evidence else 1 / release.strategy.false_promotion_rate,
        looks=evidence.looks if evidence else 0,
        guards=tuple(_guard(one) for one in assessed.guards) if assessed else (),
        hold=decision.hold if isinstance(decision, Wait) else None,
        pause=f"by {release.pause.by}: {release.pause.reason}" if release.pause else "",
        pause_left_s=release.pause.until - seen.at if release.pause else None,
        deciding=release.last_step and release.phase is Phase.PROGRESSING,
        elsewhere=assessed is not None and assessed.elsewhere,
        next=commands(release),
        ending=ending(release),
        outcome=release.outcome,
        reason=release.reason,
    )


def ended(last: Snapshot, release: Release) -> Snapshot:
    """The last snapshot again, with how the release ended; the numbers stay as they were seen last."""
    return replace(
        last,
        phase=release.phase,
        stage="",
        asked=_asked(release),
        left_s=None,
        hold=None,
        pause="",
        next=commands(release),
        ending=ending(release),
        outcome=release.outcome,
        reason=release.reason,
    )


def carried(last: Snapshot | None, now: Snapshot) -> Snapshot:
    """The snapshot with the last figures, when there are none any more: evidence closes at `promoting`."""
    if now.metrics or last is None or not last.metrics or last.version != now.version:
        return now
    return replace(
        now,
        metrics=last.metrics,
        harm=last.harm,
        harm_peak=last.harm_peak,
        harm_limit=last.harm_limit,
        safety_limit=last.safety_limit,
        looks=last.looks,
    )


def commands(release: Release) -> tuple[str, ...]:
    """What a person can do now, as commands of this program without their options."""
    if release.phase is Phase.PROMOTED:
        return ("canary undo", "canary history")
    if release.phase is Phase.ROLLED_BACK:
        return ("canary history", "canary audit export")
    if release.phase is Phase.ROLLING_BACK:
        return ("canary status",)
    if release.phase in {Phase.PROMOTING, Phase.BAKING}:
        return ("canary abort", "canary status")
    if release.pause:
        return ("canary resume", "canary promote", "canary abort")
    return ("canary pause", "canary promote", "canary abort")


def ending(release: Release) -> str:
    """How a settled release ended, in one line; empty while it is open."""
    if not release.settled:
        return ""
    how = END_WORDS[release.outcome] if release.outcome else release.phase.value
    if release.phase is Phase.PROMOTED and release.strategy.promote is Promote.EXTERNAL:
        return (
            f"judged good: {release.target} {release.version}; {release.target} was not touched and runs "
            f"{release.stable.version}"
        )
    keeps = release.version if release.phase is Phase.PROMOTED else release.stable.version
    return f"{how}: {release.target} {release.version}, now running {keeps}"


def _asked(release: Release) -> float:
    if release.phase is Phase.PROGRESSING:
        return release.strategy.steps[release.step]
    return 100.0 if release.phase in {Phase.PROMOTING, Phase.BAKING, Phase.PROMOTED} else 0.0


def _entered(release: Release) -> float:
    """When what it is doing now began: the hold of a step, or the phase."""
    if release.phase is Phase.PROGRESSING and release.step_since:
        return release.step_since
    return release.phase_since or release.since


def _left(release: Release, at: float) -> float | None:
    if release.phase is Phase.BAKING:
        return release.phase_since + release.strategy.bake_s - at
    if release.phase in BUSY_PHASES:
        return release.since + release.strategy.deadline_s - at
    return None


def _arms(release: Release, seen: Observation, assessed: Assessed | None) -> tuple[ArmRow, ...]:
    if seen.world is None:
        return ()
    rates = assessed.rates if assessed else {}
    rows = [_arm(Arm.STABLE, seen.world.stable, release, rates.get(Arm.STABLE))]
    if seen.world.canary is not None:
        rows.append(_arm(Arm.CANARY, seen.world.canary, release, rates.get(Arm.CANARY)))
    return tuple(rows)


def _arm(arm: Arm, workload: Workload, release: Release, rate: float | None) -> ArmRow:
    return ArmRow(
        name=arm.value,
        version=workload.revision.version,
        ready=workload.ready,
        asked=workload.replicas,
        released=sum(pod.ready and pod.revision == release.canary.hash for pod in workload.pods),
        rate=rate,
        trouble=workload.trouble
        or next((f"{pod.name}: {pod.trouble}" for pod in workload.pods if pod.trouble), ""),
    )


def _metrics(release: Release, evidence: Evidence | None) -> tuple[MetricRow, ...]:
    if evidence is None:
        return ()
    asked = {metric.name: metric for metric in release.strategy.metrics}
    return tuple(_metric(found, asked.get(found.name)) for found in evidence.metrics)


def _metric(found: MetricEvidence, asked: Metric | None) -> MetricRow:
    stable_rate = _rate(found.stable_bad, found.stable_all)
    tolerance, margin_ratio, margin_abs = (
        (asked.tolerance, asked.margin.ratio, asked.margin.abs) if asked else (0.0, 1.0, 0.0)
    )
    absolute = (stable_rate + margin_abs) / stable_rate if stable_rate else math.inf
    return MetricRow(
        name=found.name,
        bad_is="bad" if found.edge is None else f"> {words.seconds(found.edge)}",
        canary=(found.canary_bad, found.canary_all),
        stable=(found.stable_bad, found.stable_all),
        low=found.ratio.low,
        high=found.ratio.high,
        tolerated=1.0 + tolerance,
        margin=max(margin_ratio, absolute),
        harm=found.harm,
        safety=found.safety,
        warming=found.warming,
    )


def _guard(state: GuardState) -> GuardRow:
    return GuardRow(
        name=state.guard.name,
        condition=state.guard.condition,
        action=state.guard.does,
        alert=state.guard.alerts,
        firing=state.firing,
        since=state.since if state.firing else None,
        told=state.told,
        unseen=state.unseen,
    )


def _rate(bad: float, every: float) -> float | None:
    return bad / every if every > 0 else None
