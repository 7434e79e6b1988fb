"""Record writes that change nothing in the world: facts that history forgets, and people's wishes. Pure."""

from canary.core.actions import Move
from canary.core.assessed import Assessed
from canary.core.observation import Arm, Observation, Workload, World
from canary.core.release import ArmFacts, Pause, Phase, PodFact, Release, Request, RequestKind, Stage

STARTING_S = 10.0
"""Pods of a step that are there later than this are noted as they come, seconds."""


def due(release: Release, seen: Observation, assessed: Assessed) -> Move | None:
    """A fact that has to be in the record before anything else is decided."""
    if seen.attended_at is not None and seen.at > seen.attended_at:
        idle = seen.at - max(seen.attended_at, release.step_since)
        if idle > 0 and release.phase is Phase.PROGRESSING:
            after = release.with_(unattended_s=release.unattended_s + idle)
            return Move(after, f"taken over after {idle:.0f} s in which nobody drove")
    if seen.window_lost:
        after = release.with_(window=release.window + 1)
        return Move(after, f"evidence starts anew without history: window {after.window}")
    if _worth_noting(release, seen) and seen.world is not None and _is_news(release, seen.world):
        return Move(with_pods(release, seen.world), "note the new pods")
    return None


def _worth_noting(release: Release, seen: Observation) -> bool:
    """Not while pods are starting: all are noted when the step begins to hold. Unless that takes long."""
    if release.phase is not Phase.PROGRESSING or not release.steps_at:
        return False
    late = seen.at - release.step_since >= max(release.strategy.interval_s, STARTING_S)
    return release.stage is Stage.HOLDING or late


def _is_news(release: Release, world: World) -> bool:
    """Whether a pod of either revision is not in the record yet."""
    arms = ((Arm.STABLE, world.stable, release.stable), (Arm.CANARY, world.canary, release.canary))
    for arm, workload, revision in arms:
        if workload is not None and workload.pods:
            known = {pod.uid for pod in release.pods_of(arm)}
            if any(pod.revision == revision.hash and pod.uid not in known for pod in workload.pods):
                return True
    return False


def with_pods(release: Release, world: World) -> Release:
    """The release with every pod of its two revisions recorded in its arm, and the images of the canary's.

    Pods are never taken out.
    """
    arms = dict(release.arms)
    arms[Arm.STABLE] = _noted(release, Arm.STABLE, world.stable, release.stable.hash)
    if world.canary is not None:
        arms[Arm.CANARY] = _noted(release, Arm.CANARY, world.canary, release.canary.hash)
    return release.with_(arms=arms, images=_images(release, world.canary))


def _images(release: Release, canary: Workload | None) -> tuple[str, ...]:
    """What the canary's pods really run, those seen before included."""
    pods = canary.pods if canary is not None else ()
    found = {pod.image for pod in pods if pod.image and pod.revision == release.canary.hash}
    return tuple(sorted(found | set(release.images)))


def _noted(release: Release, arm: Arm, workload: Workload, revision: str) -> ArmFacts:
    """An arm's facts with what is seen now added."""
    facts = release.arms.get(arm, ArmFacts())
    known = {pod.uid for pod in facts.pods}
    new = tuple(
        PodFact(pod.name, pod.uid, pod.born)
        for pod in workload.pods
        if pod.revision == revision and pod.uid not in known
    )
    revisions = facts.revisions if revision in facts.revisions else (*facts.revisions, revision)
    return ArmFacts(revisions, facts.pods + new)


def obey(release: Release, seen: Observation) -> Move | None:
    """The first wish of a person that does not mean to go back (`gates.asked` has those)."""
    if release.requests:
        request, rest = release.requests[0], release.requests[1:]
        after = release.with_(requests=rest)
        if release.phase is Phase.PROGRESSING:
            after = _granted(after, request, seen)
        return Move(after, f"{request.kind} by {request.by}")
    pause = release.pause
    if pause is not None and pause.guard is not None and seen.at >= pause.until:
        # One that has not cleared has rolled the release back (`gates.guarded`).
        return Move(release.with_(pause=None), f"the pause by {pause.by} has run out, and it has cleared")
    if pause is not None and "@" in pause.by and seen.at >= pause.until:
        return Move(release.with_(pause=None), f"the pause by {pause.by} has run out")
    return None


def _granted(release: Release, request: Request, seen: Observation) -> Release:
    """The release as the person wants it."""
    if request.kind is RequestKind.PAUSE:
        bound = request.for_s if request.for_s is not None else release.strategy.pause_max_s
        pause = Pause(request.by, request.at, request.at + bound, request.why or "no reason given")
        return release.with_(pause=pause)
    if request.kind is RequestKind.RESUME and release.pause is not None:
        # A hold that was amber for hold.max would pause again in the next tick: the hold starts anew.
        return release.with_(pause=None, step_since=seen.at, unattended_s=0.0)
    if request.kind is RequestKind.PROMOTE:
        why = f": {request.why}" if request.why else ""
        return release.moved(
            Phase.PROMOTING,
            at=seen.at,
            step_since=seen.at,
            pause=None,
            requests=(),
            reason=f"promoted by {request.by}{why}",
            times={**release.times, "decided": seen.at},
        )
    return release
