"""The policy: what this tick does. Pure: no clock (time is `seen.at`), no IO, no randomness.

A tick writes the record, or touches the workloads, or waits: only ever one of the three. Intent is
recorded before it is acted on, and outcomes are never recorded, only observed again. So a crash between
any two effects leaves a pair (record, workloads) that this same function goes on from.
"""

from dataclasses import replace
from math import inf

from canary.core import bookkeeping, gates, walk, way_back, weights
from canary.core.actions import Act, Decision, Move, Wait
from canary.core.assessed import Assessed, Hold
from canary.core.observation import Observation, Workload, World
from canary.core.release import BY_GUARD, Outcome, Pause, Phase, Release, Stage
from canary.core.strategy import OnInconclusive, Promote, Shift

BY_ITSELF = "canary"
"""Who paused, when the policy did."""
LEFT = "canary --leave"
"""Who paused, when the driver may go and leave the canary serving."""


def decide(release: Release, seen: Observation, assessed: Assessed) -> Decision:
    """Choose what this tick does: write the record, touch the workloads, or wait.

    Args:
        release: the record as it was read in this tick.
        seen: the world as it was observed in this tick, after the record was read.
        assessed: the evidence; ignored once it is closed (from `promoting` on).
    """
    if release.settled:
        return Wait(f"already {release.phase}")
    if note := bookkeeping.due(release, seen, assessed):
        return note
    if stop := gates.reason_to_stop(release, seen, assessed):
        return _go_back(release, seen, stop)
    if request := bookkeeping.obey(release, seen):
        return request
    return PHASES[release.phase](release, seen, assessed)


def _go_back(release: Release, seen: Observation, stop: gates.Stop) -> Move:
    """Record the intent to roll back, with when it was detected and decided."""
    times = {**release.times, "decided": seen.at}
    times.setdefault("detected", seen.at)
    after = release.moved(
        Phase.ROLLING_BACK,
        at=seen.at,
        outcome=stop.outcome,
        reason=stop.reason,
        times=times,
        pause=None,
        requests=(),
    )
    return Move(after, f"roll back: {stop.reason}")


def _begin(release: Release, seen: Observation, assessed: Assessed) -> Decision:
    """Pending: start when the stable is whole, so that it can be gone back to."""
    world = _there(seen)
    if release.strategy.metrics and not world.stable.settled:
        waited = seen.at - release.since
        if waited > release.strategy.ready_deadline_s:
            stop = gates.Stop(
                Outcome.NEVER_READY,
                f"{release.target} itself is not whole: {_missing(world.stable)} for {waited:.0f} s; "
                "mend it first, or use --skip-analysis",
            )
            return _go_back(release, seen, stop)
        return Wait(f"the stable is not whole: {_missing(world.stable)}")
    after = release.moved(
        Phase.PROGRESSING,
        at=seen.at,
        step=0,
        stage=Stage.SCALING,
        step_since=seen.at,
        slo_edges=assessed.watched,
        touched=True,
    )
    return Move(after, f"start step 1 of {len(release.strategy.steps)}")


def _missing(stable: Workload) -> str:
    """What a workload lacks to be settled, in words."""
    told = [f"{stable.ready} of {stable.replicas} ready"]
    if leaving := len(stable.pods) - stable.replicas:
        told += [f"{leaving} more than asked for"] if leaving > 0 else []
    if others := sum(pod.revision != stable.revision.hash for pod in stable.pods):
        told.append(f"{others} of another revision")
    if not stable.observed:
        told.append("not yet acted on as it stands")
    return ", ".join(told)


def _progress(release: Release, seen: Observation, assessed: Assessed) -> Decision:
    """Bring the replicas to the step; then hold it as the policy says."""
    world = _there(seen)
    given = release.strategy.shift is Shift.GIVEN
    if over := _paused_by_guard(release, seen, assessed) or _deadline(release, seen, assessed):
        return over
    if not given:
        goal = goal_of(world, release)
        if act := walk.forward(world, release, goal):
            return Act(act, f"step {release.step + 1}: {release.strategy.steps[release.step]:g} % asked")
        if release.stage is Stage.SCALING and not _arrived(world, release, goal):
            return Wait("pods are starting")
    if release.stage is Stage.SCALING:
        after = bookkeeping.with_pods(release, world).with_(
            stage=Stage.HOLDING,
            step_since=seen.at,
            steps_at=(*release.steps_at, seen.at),
            unattended_s=0.0,
        )
        return Move(after, f"hold step {release.step + 1}")
    if held := _held_back(release, seen, assessed):
        return held
    if not given and not _arrived(world, release, goal_of(world, release)):
        return Wait("not all pods of this step are ready")
    return _leave_step(release, seen, assessed)


def _arrived(world: World, release: Release, goal: weights.Pair) -> bool:
    """The step's pods are there. Without analysis a stable that is sick is not waited for."""
    if release.strategy.metrics or world.canary is None:
        return walk.arrived(world, goal)
    asked = weights.Pair(world.canary.replicas, world.stable.replicas)
    return asked == goal and world.canary.settled


def goal_of(world: World, release: Release) -> weights.Pair:
    """The replicas of the step that the release is in."""
    return walk.pair_of(world, release, release.strategy.steps[release.step])


def _held_back(release: Release, seen: Observation, assessed: Assessed) -> Decision | None:
    """What keeps the release in this step, if anything, in the order in which a person should know it."""
    if pod := gates.single_bad_pod(assessed):
        return Wait(f"the evidence rests on one pod alone: {pod}; replace it", Hold.SINGLE_BAD_POD)
    pause = release.pause
    if pause is not None and not _may_conclude(release, seen):
        left = max(pause.until - seen.at, 0.0)
        return Wait(f"paused by {pause.by}: {pause.reason} ({left:.0f} s left)", Hold.PAUSED_BY)
    if not release.strategy.metrics:
        short = release.strategy.hold_min_s - (seen.at - release.step_since)
        return Wait(f"holding without analysis, {short:.0f} s to go") if short > 0 else None
    if assessed.lacking is not None:
        return Wait(assessed.lacking_detail, assessed.lacking)
    return _held_by_evidence(release, seen, assessed)


def _held_by_evidence(release: Release, seen: Observation, assessed: Assessed) -> Decision | None:
    """Amber, too short a time, or a step in which nothing happened."""
    held, strategy = held_s(release, assessed), release.strategy
    if assessed.evidence.harm >= gates.AMBER:
        told = f"evidence {assessed.evidence.harm:.3g} against the canary"
        if held >= strategy.hold_max_s and release.pause is None:
            return _pause(release, seen, f"amber for {held:.0f} s (hold.max): {told}")
        return Wait(f"amber: {told}", Hold.AMBER)
    if held < strategy.hold_min_s:
        return Wait(f"held {held:.0f} s of at least {strategy.hold_min_s:.0f} s")
    if assessed.step_requests <= 0:
        return Wait("the canary had no request in this step", Hold.NO_TRAFFIC)
    return None


def held_s(release: Release, assessed: Assessed) -> float:
    """Seconds that count for the hold: looked at, driven, and seen. Up to the last look, not to now."""
    if assessed.looked_at is None or release.stage is not Stage.HOLDING:
        return 0.0
    return max(0.0, assessed.looked_at - release.step_since - release.unattended_s - assessed.unseen_s)


def _leave_step(release: Release, seen: Observation, assessed: Assessed) -> Decision:
    """To the next step, or at the last one to promotion when every metric is seen to be safe."""
    if not release.last_step:
        if release.strategy.shift is Shift.GIVEN:
            return Wait("the recording moves the steps")
        after = release.with_(step=release.step + 1, stage=Stage.SCALING, step_since=seen.at)
        return Move(after, f"to step {after.step + 1} of {len(release.strategy.steps)}")
    if missing := unproven(release, assessed):
        return Wait("not yet seen to be safe: " + "; ".join(missing), Hold.TOO_LITTLE_EVIDENCE)
    how = "every metric is seen to be safe" if release.strategy.metrics else "without analysis, as asked"
    return _promote(release, seen, how)


def unproven(release: Release, assessed: Assessed) -> tuple[str, ...]:
    """The metrics that are not yet seen to be within their margin, in words. Empty: all are."""
    found = {metric.name: metric for metric in assessed.evidence.metrics}
    limit = assessed.evidence.safety_limit
    lacking = []
    for asked in release.strategy.metrics:
        metric = found.get(asked.name)
        if metric is None:
            lacking.append(f"{asked.name} has no series")
        elif metric.warming:
            lacking.append(f"{asked.name} is warming up")
        elif not metric.safety >= limit:
            lacking.append(f"{asked.name} {metric.safety:.3g} of {limit:.3g}")
    return tuple(lacking)


def _promote(release: Release, seen: Observation, how: str) -> Move:
    """Record the intent to promote."""
    after = release.moved(
        Phase.PROMOTING,
        at=seen.at,
        step_since=seen.at,
        pause=None,
        requests=(),
        reason=how,
        times={**release.times, "decided": seen.at},
    )
    return Move(after, f"promote {release.version}: {how}")


def _pause(release: Release, seen: Observation, reason: str, by: str = BY_ITSELF) -> Move:
    """Record a pause of the policy's own."""
    pause = Pause(by, since=seen.at, until=seen.at + release.strategy.pause_max_s, reason=reason)
    named = f" by {by}" if pause.guard is not None else ""
    return Move(release.with_(pause=pause), f"pause{named}: {reason}")


def _paused_by_guard(release: Release, seen: Observation, assessed: Assessed) -> Move | None:
    """A guard asks for a pause that it has not had yet: one for each time that it fires."""
    state = gates.pausing(assessed)
    if state is None or state.since is None or release.pause is not None:
        return None
    name = state.guard.name
    if state.since <= release.heeded.get(name, -inf):
        return None
    reason = gates.guard_words(state, seen.at).removeprefix(f"{BY_GUARD}{name}: ")
    heeded = release.with_(heeded={**release.heeded, name: state.since})
    return _pause(heeded, seen, reason, by=f"{BY_GUARD}{name}")


def _may_conclude(release: Release, seen: Observation) -> bool:
    """A pause at the deadline is for lack of evidence: evidence that comes after all ends it."""
    pause = release.pause
    return pause is not None and pause.by in (BY_ITSELF, LEFT) and past_deadline(release, seen)


def past_deadline(release: Release, seen: Observation) -> bool:
    """The time for a conclusion is over."""
    return seen.at >= release.since + release.strategy.deadline_s


def _deadline(release: Release, seen: Observation, assessed: Assessed) -> Decision | None:
    """At the deadline, and when a pause of the policy's own runs out: as `on_inconclusive` says.

    The deadline always runs. A person's pause puts off only what it leads to, until that pause ends.
    """
    if not past_deadline(release, seen) and not _own_pause_over(release, seen):
        return None
    if release.pause is not None and not _own_pause_over(release, seen):
        return None
    if _concluded(release, seen, assessed):
        return None
    lacking = (
        assessed.lacking_detail or "; ".join(unproven(release, assessed)) or "the steps were not finished"
    )
    reason = f"no conclusion by the deadline: {lacking}"
    wanted = release.strategy.on_inconclusive
    if release.leave and release.pause is None:
        return _pause(release, seen, f"{reason}; left serving as asked", by=LEFT)
    if wanted is OnInconclusive.PAUSE and release.pause is None:
        return _pause(release, seen, reason)
    calm = assessed.lacking is None and assessed.evidence.harm < gates.AMBER and assessed.evidence.looks > 0
    if wanted is OnInconclusive.PROMOTE and calm:
        return _promote(release, seen, f"{reason}; promoted as on_inconclusive asks")
    return _go_back(release, seen, gates.Stop(Outcome.NO_CONCLUSION, reason))


def _own_pause_over(release: Release, seen: Observation) -> bool:
    """A pause of the policy's own has reached its bound."""
    pause = release.pause
    return pause is not None and pause.by == BY_ITSELF and seen.at >= pause.until


def _concluded(release: Release, seen: Observation, assessed: Assessed) -> bool:
    """The evidence settles the question in this very tick."""
    if release.pause is not None and not _may_conclude(release, seen):
        return False
    return (
        release.last_step
        and _held_back(replace(release, pause=None), seen, assessed) is None
        and not unproven(release, assessed)
    )


def _promoting(release: Release, seen: Observation, assessed: Assessed) -> Decision:
    """Walk the new version onto the target; the canary serves until the target can."""
    world = _there(seen)
    if gates.handed_on(release):
        return _hand_on(world, release, seen)
    if act := walk.promotion(world, release, _cause(release)):
        return Act(act, f"promote {release.version}")
    if not walk.promoted(world, release):
        return Wait(f"the target is taking over: {world.stable.ready} of {world.stable.replicas} ready")
    if release.strategy.bake_s > 0:
        return Move(release.moved(Phase.BAKING, at=seen.at), f"bake for {release.strategy.bake_s:.0f} s")
    return _settle_promoted(release, seen)


def _hand_on(world: World, release: Release, seen: Observation) -> Decision:
    """Take the canary away; what it proved is somebody else's to put on the target."""
    if act := walk.withdrawal(world, release):
        return Act(act, f"{release.version} is good; the canary goes, the target is not touched")
    if world.canary is not None:
        return Wait("the canary is going")
    return _settle_promoted(release, seen)


def _cause(release: Release) -> str:
    """The change cause that stays in the target's history."""
    return f"canary: {release.version} promoted by {release.actor}: {release.reason}"


def _bake(release: Release, seen: Observation, assessed: Assessed) -> Decision:
    """Watch the promoted version for a while."""
    left = release.phase_since + release.strategy.bake_s - seen.at
    if left > 0:
        return Wait(f"baking, {left:.0f} s to go")
    if not _there(seen).stable.settled:
        return Wait("baked; waiting for all pods to be ready")
    if state := gates.pausing(assessed):
        return Wait(f"baked, but {gates.guard_words(state, seen.at)}", Hold.PAUSED_BY)
    return _settle_promoted(release, seen)


def _settle_promoted(release: Release, seen: Observation) -> Move:
    """Record that it is done, as it was just observed."""
    after = release.moved(
        Phase.PROMOTED, at=seen.at, outcome=Outcome.PROMOTED, times={**release.times, "restored": seen.at}
    )
    if release.strategy.promote is Promote.EXTERNAL:
        return Move(after, f"{release.version} is judged good; {release.target} was not touched")
    return Move(after, f"{release.version} is promoted")


def _there(seen: Observation) -> World:
    """The world; phases that need one are reached only when there is one (`gates.overtaken`)."""
    if seen.world is None:
        raise ValueError("decided on a target that is gone")
    return seen.world


PHASES = {
    Phase.PENDING: _begin,
    Phase.PROGRESSING: _progress,
    Phase.PROMOTING: _promoting,
    Phase.BAKING: _bake,
    Phase.ROLLING_BACK: way_back.step,
}
