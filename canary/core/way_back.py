"""The policy of a way back: what this tick does to restore the pinned revision. Pure, as all of `decide`."""

from canary.core import walk
from canary.core.actions import Act, Decision, Move, Wait
from canary.core.assessed import Assessed
from canary.core.observation import Observation, World
from canary.core.release import Outcome, Phase, Release


def step(release: Release, seen: Observation, assessed: Assessed) -> Decision:
    """Walk back to the pinned revision; done when it is proved. `assessed` counts for nothing any more."""
    if seen.world is None:
        return Move(
            release.moved(Phase.ROLLED_BACK, at=seen.at), "the target is gone; nothing left to restore"
        )
    if seen.late:
        return _with_care(seen.world, release)
    if _untouched(seen.world, release):
        after = release.moved(Phase.ROLLED_BACK, at=seen.at, times={**release.times, "restored": seen.at})
        return Move(after, f"nothing was touched: {release.reason}")
    if act := walk.rollback(seen.world, release, _back(release)):
        return Act(act, f"back to {release.stable.version}{_short_of_room(seen.world)}")
    stable = seen.world.stable
    whole = walk.rolled_back(seen.world, release)
    lacking = seen.unproved if whole else f"{stable.ready} of {stable.replicas} ready"
    if not whole and stable.trouble:
        lacking = f"{lacking}: {stable.trouble}"
    ended = walk.gone_back(seen.world, release)
    late = seen.at - release.phase_since >= release.strategy.ready_deadline_s
    if lacking and not (ended and late):
        return Wait(f"restored, and not yet proved: {lacking}" if whole else f"going back: {lacking}")
    if lacking:
        told = f"{release.reason}; restored, but not proved: {lacking}"
        after = release.moved(Phase.ROLLED_BACK, at=seen.at, reason=told)
    else:
        after = release.moved(Phase.ROLLED_BACK, at=seen.at, times={**release.times, "restored": seen.at})
    return Move(after, f"rolled back to {stable.revision.version}: {after.reason}")


def _with_care(world: World, release: Release) -> Decision:
    """What can be done of it while the last call of a driver that died may still land.

    That may have asked for fewer pods of the stable, so the canary keeps its own; for a canary, or for the
    new version on the target, so it is not over yet.
    """
    if act := walk.without_loss(world, walk.rollback(world, release, _back(release))):
        return Act(act, f"back to {release.stable.version}")
    return Wait("the last call of a driver that died may still land; the canary goes when it cannot any more")


def _back(release: Release) -> str:
    """The change cause of a way back."""
    return f"canary: back to {release.stable.version}: {release.reason}"


def _short_of_room(world: World) -> str:
    """That the floor cannot be kept, and why, when it cannot."""
    return f", one pod short: {world.stable.trouble}" if walk.cramped(world) else ""


def _untouched(world: World, release: Release) -> bool:
    """The release never came to touch anything; a stable that was sick before it is not waited for."""
    return (
        release.outcome is not Outcome.UNDONE
        and not release.touched
        and world.canary is None
        and world.stable.revision.hash == release.stable.hash
        and world.stable.replicas == release.replicas
    )
