"""The reasons to stop a release, per phase. Pure; each answers in words or not at all."""

from collections.abc import Callable
from dataclasses import dataclass

from canary.core.assessed import Assessed, GuardState
from canary.core.observation import Observation, Pod, Workload
from canary.core.release import BY_GUARD, Outcome, Phase, Release, RequestKind
from canary.core.strategy import Capacity, GuardAction, Promote
from canary.rules.quantity import duration

AMBER = 5.0
"""From so much evidence against the canary on, no step is left and a single bad pod is looked for."""


@dataclass(frozen=True)
class Stop:
    """Why a release has to go back: for machines and for people. `by`: who asked, if a person did."""

    outcome: Outcome
    reason: str
    by: str = ""


def reason_to_stop(release: Release, seen: Observation, assessed: Assessed) -> Stop | None:
    """The first reason to go back, or None. Wishes of people come first, then facts, then evidence."""
    for gate in GATES.get(release.phase, ()):
        if stop := gate(release, seen, assessed):
            return stop
    return None


def asked(release: Release, seen: Observation, assessed: Assessed) -> Stop | None:
    """A person wants it gone."""
    outcomes = {
        RequestKind.ABORT: Outcome.ABORTED,
        RequestKind.UNDO: Outcome.UNDONE,
        RequestKind.SUPERSEDE: Outcome.SUPERSEDED,
    }
    for request in release.requests:
        if outcome := outcomes.get(request.kind):
            why = f": {request.why}" if request.why else ""
            return Stop(outcome, f"{request.kind} by {request.by}{why}", by=request.by)
    return None


def overtaken(release: Release, seen: Observation, assessed: Assessed) -> Stop | None:
    """Somebody else changed the target's template, or took the target away."""
    if seen.world is None:
        return Stop(Outcome.SUPERSEDED, f"the target {release.target} is gone")
    if handed_on(release):
        return None
    found = seen.world.stable.revision
    ours = {release.stable.hash}
    if release.phase in (Phase.PROMOTING, Phase.BAKING):
        ours.add(release.canary.hash)
    if found.hash in ours:
        return None
    return Stop(
        Outcome.SUPERSEDED,
        f"somebody else set {release.target} to {found.version} ({found.hash}); theirs is left alone",
    )


def handed_on(release: Release) -> bool:
    """Judged good, and somebody else's to promote: from now on they may change the target."""
    return release.phase is Phase.PROMOTING and release.strategy.promote is Promote.EXTERNAL


def autoscaled(release: Release, seen: Observation, assessed: Assessed) -> Stop | None:
    """Somebody else sets the target's replicas now, which this release counts on setting."""
    if seen.world is None or not seen.world.scaler or release.strategy.capacity is not Capacity.REPLACE:
        return None
    return Stop(
        Outcome.SUPERSEDED,
        f"{seen.world.scaler} sets the replicas of {release.target} now; they are left to it",
    )


def cannot_run(release: Release, seen: Observation, assessed: Assessed) -> Stop | None:
    """Pods of the new version cannot become ready, or cannot stay so."""
    workload = _on_trial(release, seen)
    if workload is None:
        return None
    pods = [pod for pod in workload.pods if pod.revision == release.canary.hash]
    if workload.trouble:
        return Stop(Outcome.NEVER_READY, f"pods of {release.version} cannot be made: {workload.trouble}")
    if stop := _trouble(release, pods):
        return stop
    bound = release.strategy.ready_deadline_s
    # From its own birth: pods that come one after another each have the whole time.
    late = [
        pod.name
        for pod in pods
        if not pod.was_ready and seen.at - max(pod.born or 0.0, release.step_since) > bound
    ]
    if late:
        return Stop(
            Outcome.NEVER_READY,
            f"{release.version} did not become ready within {bound:.0f} s: {', '.join(late)}",
        )
    return None


def _on_trial(release: Release, seen: Observation) -> Workload | None:
    """The workload whose pods of the new version count in this phase."""
    if seen.world is None:
        return None
    return seen.world.canary if release.phase is Phase.PROGRESSING else seen.world.stable


def _trouble(release: Release, pods: list[Pod]) -> Stop | None:
    """A pod that says what is wrong with it, or pods that die again and again.

    One death of one pod is an incident of a machine as often as of a version: the release is held until
    the pod is back. Two deaths of the same pod, or one each of half the pods (two at least), are the
    version's.
    """
    for pod in pods:
        if pod.trouble:
            outcome = Outcome.CRASHED if pod.was_ready else Outcome.NEVER_READY
            return Stop(outcome, f"{release.version} cannot run: {pod.name}: {pod.trouble}")
    again = [pod for pod in pods if pod.restarts >= 2]
    died = [pod for pod in pods if pod.restarts]
    if again or len(died) >= max(2, (len(pods) + 1) // 2):
        names = ", ".join(f"{pod.name} ({pod.restarts} restarts)" for pod in died)
        ever = any(pod.was_ready for pod in died)
        return Stop(
            Outcome.CRASHED if ever else Outcome.NEVER_READY,
            f"{release.version} cannot stay ready: {names}",
        )
    return None


def another_image(release: Release, seen: Observation, assessed: Assessed) -> Stop | None:
    """A tag was moved to another image: what runs, or is about to, is not what was judged."""
    workload = _on_trial(release, seen)
    if workload is None or not release.images:
        return None
    running = [pod.image for pod in workload.pods if pod.image and pod.revision == release.canary.hash]
    judged = {_kind(image) for image in release.images}
    known: dict[str, set[str]] = {kind: set() for kind in judged}
    for image in (*release.images, *running):
        if _kind(image) in known:
            known[_kind(image)].add(image.rpartition("@")[2])
    several = next((digests for digests in known.values() if len(digests) > 1), None)
    if several is None:
        return None
    return Stop(
        Outcome.OTHER_IMAGE,
        f"{release.version} is not one image: {' beside '.join(sorted(several))}; "
        "the tag was moved during the release. Release a digest, or a tag that never moves",
    )


def _kind(image: str) -> str:
    """What its digest is of: the manifest, which any mirror serves under its own name, or the content.

    A runtime tells the one or the other: only like can be told from like.
    """
    return "manifest" if "@" in image else "content"


def harmful(release: Release, seen: Observation, assessed: Assessed) -> Stop | None:
    """The evidence against the canary has reached its limit, and not because of one pod alone."""
    evidence = assessed.evidence
    if evidence.harm_peak < evidence.harm_limit or single_bad_pod(assessed):
        return None
    worst = max(evidence.metrics, key=lambda metric: metric.harm, default=None)
    told = ""
    if worst is not None:
        what = "bad" if worst.edge is None else f"slower than {worst.edge:g} s"
        told = (
            f"{worst.name}: {_share(worst.canary_bad, worst.canary_all)} {what} in the canary against "
            f"{_share(worst.stable_bad, worst.stable_all)} in the stable, "
        )
    return Stop(
        Outcome.REGRESSION,
        f"{release.version} is worse than tolerated: {told}"
        f"evidence {evidence.harm_peak:.3g} >= {evidence.harm_limit:.3g}",
    )


def _share(bad: float, among: float) -> str:
    """A share of requests in words, with its counts."""
    return f"{bad / among:.2%} ({bad:.0f} of {among:.0f})" if among else "no requests"


def single_bad_pod(assessed: Assessed) -> str | None:
    """The one canary pod without which the evidence would not stand, or None."""
    evidence = assessed.evidence
    if evidence.harm_peak < evidence.harm_limit or len(evidence.harm_without) < 2:
        return None
    pod = min(evidence.harm_without, key=lambda name: evidence.harm_without[name])
    return pod if evidence.harm_without[pod] < AMBER else None


def guarded(release: Release, seen: Observation, assessed: Assessed) -> Stop | None:
    """A guard says abort, or has paused the release for as long as it may and has not cleared."""
    pause = release.pause
    for state in assessed.guards:
        told = guard_words(state, seen.at)
        # Fired once is enough: a driver that was away meanwhile comes to the same.
        if state.guard.action is GuardAction.ABORT and state.fired:
            return Stop(Outcome.GUARD, told)
        over = pause is not None and pause.guard == state.guard.name and seen.at >= pause.until
        if pause is not None and over and state.truth is not False:
            lasted = duration(pause.until - pause.since)
            return Stop(Outcome.GUARD, f"paused for {lasted}, and not cleared: {told}")
    return None


def guard_words(state: GuardState, at: float) -> str:
    """Which guard, since when, and by which figures."""
    since = ", was true"
    if state.firing and state.since is not None:
        since = f", true for {duration(at - state.since)}"
    figures = f": {state.told}" if state.told else ""
    return f"{BY_GUARD}{state.guard.name}: {state.guard.condition}{since}{figures}"


def pausing(assessed: Assessed) -> GuardState | None:
    """The first guard that fires and asks for a pause, or None."""
    wanted = (one for one in assessed.guards if one.firing and one.guard.action is GuardAction.PAUSE)
    return next(wanted, None)


def bake_failed(release: Release, seen: Observation, assessed: Assessed) -> Stop | None:
    """After the promotion a pod died or stopped being ready for good, or a guard has had enough."""
    stop = cannot_run(release, seen, assessed) or guarded(release, seen, assessed)
    over = release.phase_since + release.strategy.bake_s + release.strategy.pause_max_s
    if stop is None and seen.at >= over and (state := pausing(assessed)):
        stop = Stop(Outcome.GUARD, guard_words(state, seen.at))
    return Stop(Outcome.BAKE_FAILED, f"while baking: {stop.reason}") if stop else None


Gate = Callable[[Release, Observation, Assessed], Stop | None]

GATES: dict[Phase, tuple[Gate, ...]] = {
    Phase.PENDING: (asked, overtaken, autoscaled),
    Phase.PROGRESSING: (asked, overtaken, autoscaled, cannot_run, another_image, guarded, harmful),
    Phase.PROMOTING: (asked, overtaken, cannot_run, another_image, guarded),
    Phase.BAKING: (asked, overtaken, another_image, bake_failed),
}
