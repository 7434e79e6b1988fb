"""Ways for replicas to go, from any world to the wanted one, never under the floor or over the ceiling.

Level-triggered: each function looks at the world as it is and returns what can be done now. It keeps
nothing, so a walk that is cut anywhere is continued by whoever looks next. `()` means wait, or done:
`arrived`, `promoted` and `rolled_back` tell which.

The floor counts ready pods of both arms, the ceiling counts replicas asked for. Lowering stands before
raising in what is returned: in that order no cut between two actions leaves too many pods.
"""

from collections.abc import Sequence
from dataclasses import replace

from canary.core.actions import Action, Remove, Scale, SetRevision
from canary.core.observation import Arm, Workload, World
from canary.core.release import Outcome, Release
from canary.core.strategy import Capacity
from canary.core.weights import Limits, Pair, limits, pair_for


def limits_of(world: World, release: Release) -> Limits:
    """The room that this release has in this world."""
    size = _size(world, release)
    return limits(size, *world.room(size), release.strategy.capacity, world.demand(size))


def pair_of(world: World, release: Release, weight: float) -> Pair:
    """The replicas for a weight (percent) of this release in this world."""
    size = _size(world, release)
    return pair_for(weight, size, *world.room(size), release.strategy.capacity, world.demand(size))


def towards(world: World, goal: Pair, floor: int, ceiling: int) -> tuple[Scale, ...]:
    """What can be scaled now on the way to `goal`.

    Lowers what leaves `floor` ready pods, raises what `ceiling` allows, stable first. Of an arm that is
    rolling its pods only those count as ready that its own rolling update keeps.

    Args:
        world: as it is.
        goal: its total lies within floor and ceiling, else it may never be reached.
        floor: ready pods that must remain, >= 0.
        ceiling: replicas that may be asked for, above the floor.
    """
    canary, stable = _asked(world.canary), world.stable.replicas
    spare = max(0, _kept(world, Arm.CANARY, canary) + _kept(world, Arm.STABLE, stable) - floor)
    if not _observed(world):
        spare = 0  # a lowering that was asked for before may still be under way
    fewer_canary, spare = _lowered(world, Arm.CANARY, goal.canary, spare)
    fewer_stable, spare = _lowered(world, Arm.STABLE, goal.stable, spare)
    rolling = 0 if rolled(world.stable) else world.surge
    room = max(0, ceiling - fewer_canary - fewer_stable - rolling)
    more_stable = min(goal.stable, fewer_stable + room) if goal.stable > stable else fewer_stable
    room -= more_stable - fewer_stable
    more_canary = min(goal.canary, fewer_canary + room) if goal.canary > canary else fewer_canary
    wanted = {Arm.CANARY: (canary, more_canary), Arm.STABLE: (stable, more_stable)}
    changed = [Scale(arm, new) for arm, (old, new) in wanted.items() if new != old]
    return tuple(sorted(changed, key=lambda scale: scale.replicas > wanted[scale.arm][0]))


def forward(world: World, release: Release, goal: Pair, room: Limits | None = None) -> tuple[Action, ...]:
    """What can be done now to bring the step's pair about. Creates the canary, or gives it its revision.

    While there is surge, no ready pod of the target's size is given up on the way.
    """
    room = room or limits_of(world, release)
    size = _size(world, release)
    if release.strategy.capacity is Capacity.EXTRA:
        goal = Pair(goal.canary, size)
    gentle = min(size, goal.total)
    floor = gentle if room.floor < gentle < room.ceiling else room.floor
    return _with_canary(world, release, towards(world, goal, floor, room.ceiling))


def arrived(world: World, goal: Pair) -> bool:
    """Both arms are asked for exactly this, and run exactly what they are asked for."""
    if world.canary is None:
        return goal.canary == 0 and world.stable.replicas == goal.stable and world.stable.settled
    asked = Pair(world.canary.replicas, world.stable.replicas)
    return asked == goal and world.stable.settled and world.canary.settled


def promotion(
    world: World, release: Release, cause: str = "", room: Limits | None = None
) -> tuple[Action, ...]:
    """What can be done now on the way to the target running the new revision alone.

    First the pair in which the target can roll by itself: `replicas` pods in all, so that its own surge
    still fits under the ceiling and its own unavailability keeps the floor. Then its template, against
    what was observed. When no pod of the old revision is left, the canary hands over to it and is
    removed. A template that is neither the pinned nor the new one is somebody else's: nothing is done.

    One replica: one pod more than the ceiling while the target rolls with its surge.

    Args:
        world: as it is.
        release: what is promoted.
        cause: change cause written with the template.
        room: other limits than `limits_of`.
    """
    room = room or limits_of(world, release)
    if world.stable.revision.hash == release.canary.hash:
        if not rolled(world.stable):
            return ()
        return _handed_over(world, Pair(0, _size(world, release)), room)
    if world.stable.revision.hash != release.stable.hash:
        return ()
    goal = rolling_pair(world, release)
    walk = _with_canary(world, release, towards(world, goal, room.floor, room.ceiling))
    if walk or not _may_roll(world, release, room):
        return walk
    return (SetRevision(Arm.STABLE, release.canary, expected=world.stable.revision.hash, cause=cause),)


def withdrawal(world: World, release: Release) -> tuple[Action, ...]:
    """What can be done now to take the canary away from a target that is not ours to change."""
    return _handed_over(world, Pair(0, _size(world, release)), limits_of(world, release))


def promoted(world: World, release: Release) -> bool:
    """The target runs the new revision, whole, and nothing else is left."""
    return (
        world.canary is None
        and world.stable.revision.hash == release.canary.hash
        and world.stable.replicas == _size(world, release)
        and world.stable.settled
    )


def rolling_pair(world: World, release: Release) -> Pair:
    """The pair in which the target's template is changed: as many old pods as in the last step."""
    size = _size(world, release)
    pair = pair_of(world, release, release.strategy.steps[-1])
    if release.strategy.capacity is Capacity.EXTRA:
        return pair
    stable = max(1, min(pair.stable, size - 1))
    return Pair(max(1, size - stable), stable)


def rollback(
    world: World, release: Release, cause: str = "", room: Limits | None = None
) -> tuple[Action, ...]:
    """What can be done now on the way back to the pinned revision alone.

    At once all canary pods that the floor allows, which is all of them when the stable is whole; the
    rest as stable pods become ready. A target that already runs the new revision gets the pinned one
    back. A template that is neither is somebody else's and is left alone, as is any after the outcome
    `superseded`; only the replicas we took are given back then.

    Args:
        world: as it is.
        release: what is taken back.
        cause: change cause written with the template.
        room: other limits than `limits_of`; a floor of 0 takes the canary away whatever it costs.
    """
    room = room or limits_of(world, release)
    if cramped(world):
        room = replace(room, floor=max(0, room.floor - 1))
    if not _ours(world, release):
        return _handed_over(world, _end_of_rollback(world, release), room)
    if _may_roll(world, release, room):
        return (SetRevision(Arm.STABLE, release.stable, expected=release.canary.hash, cause=cause),)
    return towards(world, _room_to_roll(world, release), room.floor, room.ceiling)


def without_loss(world: World, actions: Sequence[Action]) -> tuple[Action, ...]:
    """Those of them that leave the canary all its pods."""
    now = _asked(world.canary)
    return tuple(
        one
        for one in actions
        if not isinstance(one, Remove)
        and not (isinstance(one, Scale) and one.arm is Arm.CANARY and one.replicas < now)
    )


def cramped(world: World) -> bool:
    """The stable's pods cannot be made (a quota), so the canary's have to make room for them first.

    The floor cannot be kept then: on the way back one pod fewer is ready for as long as a pod takes.
    """
    return world.canary is not None and world.stable.trouble is not None


def gone_back(world: World, release: Release) -> bool:
    """All that can be asked for on the way back is: the canary is gone, the stable is asked for its size."""
    asked = world.stable.replicas == _end_of_rollback(world, release).stable
    return world.canary is None and asked and not _ours(world, release)


def rolled_back(world: World, release: Release, room: Limits | None = None) -> bool:
    """The canary is gone, and the stable has its size and is up to the floor on one revision.

    A target that somebody else has changed is theirs: its pods are not waited for.
    """
    if not gone_back(world, release):
        return False
    if world.stable.revision.hash != release.stable.hash:
        return True
    room = room or limits_of(world, release)
    return rolled(world.stable) and world.stable.ready >= room.floor


def rolled(workload: Workload) -> bool:
    """Its controller knows what is asked, all its pods are there, and none is of another revision.

    Pods that are not there yet may still turn out to be of the old revision.
    """
    pods = workload.pods
    whole = workload.observed and len(pods) >= workload.replicas
    return whole and all(pod.revision == workload.revision.hash for pod in pods)


def _handed_over(world: World, goal: Pair, room: Limits) -> tuple[Action, ...]:
    """The canary's pods go as the stable's come; then the canary goes."""
    walk = towards(world, goal, room.floor, room.ceiling)
    if walk or world.canary is None or world.canary.replicas or world.canary.pods:
        return walk
    return (Remove(Arm.CANARY),)


def _may_roll(world: World, release: Release, room: Limits) -> bool:
    """Whether the target may roll all its pods now: its surge fits, its unavailability does no harm.

    A disruption budget that asks for more than the target's own rolling update keeps cannot be kept by
    it; only that update's own bound is held here. So it is with a target alone: where its settings let
    all its pods be missing, an undo without a canary has no other way.
    """
    if not _observed(world):
        return False
    canary, stable = _asked(world.canary), world.stable.replicas
    # The +1: a last pod that rolls with surge would otherwise find no room where nothing can shrink.
    if canary + stable + min(world.surge, stable) > room.ceiling + (stable <= 1):
        return False
    up = world.canary.ready if world.canary else 0
    certain = min(world.stable.ready, max(0, stable - _unavailable(world)))
    size = _size(world, release)
    floor = min(room.floor, max(size - _may_miss(world, size), min(1, up)))
    return min(up, canary) + certain >= min(floor, up + world.stable.ready)


def _room_to_roll(world: World, release: Release) -> Pair:
    """The pair to make for when the target cannot be rolled back at once; pods that are not ready go.

    The canary is never raised, and only keeps what the target's ready pods do not make up for.
    """
    size = _size(world, release)
    up = min(world.canary.ready, world.canary.replicas) if world.canary else 0
    if release.strategy.capacity is Capacity.EXTRA:
        return Pair(min(up, size), size)
    # Where the target's own update may take down all its pods, one of the canary's holds the floor.
    least = int(_may_miss(world, size) >= size)
    canary = min(up, size - 1, max(least, size - world.stable.ready))
    return Pair(canary, size - canary)


def _ours(world: World, release: Release) -> bool:
    """Whether the target runs the new revision because this release put it there."""
    return world.stable.revision.hash == release.canary.hash and release.outcome is not Outcome.SUPERSEDED


def _end_of_rollback(world: World, release: Release) -> Pair:
    size = _size(world, release)
    if world.stable.revision.hash != release.stable.hash:
        size = max(size, world.stable.replicas)
    return Pair(0, size)


def _size(world: World, release: Release) -> int:
    """How many pods the target should have. With `extra` its replicas are not ours to write.

    Nor are they where an autoscaler came in on the way: what was taken of them is given back while the canary
    is there, and whatever it asks for beyond that, or later, is left.
    """
    if release.strategy.capacity is Capacity.EXTRA:
        return max(1, world.stable.replicas)
    if not world.scaler:
        return release.replicas
    return max(world.stable.replicas, release.replicas if world.canary is not None else 1)


def _observed(world: World) -> bool:
    return world.stable.observed and (world.canary is None or world.canary.observed)


def _unavailable(world: World) -> int:
    """Of the target's own update, at the size it is asked for now. Both bounds zero means 1."""
    return world.unavailable or int(world.surge == 0)


def _may_miss(world: World, size: int) -> int:
    """Pods that may be missing of a target of `size`. Both bounds zero means 1, see `weights.limits`."""
    surge, unavailable = world.room(size)
    return unavailable or int(surge == 0)


def _asked(workload: Workload | None) -> int:
    return workload.replicas if workload else 0


def _kept(world: World, arm: Arm, replicas: int) -> int:
    """Ready pods that are sure to remain when the arm is asked for so many (not more than now)."""
    workload = world.canary if arm is Arm.CANARY else world.stable
    if workload is None:
        return 0
    if all(pod.revision == workload.revision.hash for pod in workload.pods):
        return min(workload.ready, replicas)  # pods that are not ready go first
    # Rolling: which pods go is not known, and ready ones go until the update's own bound is reached.
    removed = max(0, len(workload.pods) - replicas)
    return max(0, min(workload.ready - removed, replicas - _unavailable(world)))


def _lowered(world: World, arm: Arm, goal: int, spare: int) -> tuple[int, int]:
    """The least replicas from `goal` up that give up no more than `spare` ready pods; what is left of it."""
    now = _asked(world.canary) if arm is Arm.CANARY else world.stable.replicas
    kept = _kept(world, arm, now)
    for replicas in range(goal, now):
        lost = kept - _kept(world, arm, replicas)
        if lost <= spare:
            return replicas, spare - lost
    return now, spare


def _with_canary(world: World, release: Release, scales: Sequence[Scale]) -> tuple[Action, ...]:
    """Scaling, with the canary created if it is missing and corrected if it runs something else."""
    if world.canary is None:
        return tuple(
            SetRevision(Arm.CANARY, release.canary, scale.replicas) if scale.arm is Arm.CANARY else scale
            for scale in scales
        )
    if world.canary.revision.hash != release.canary.hash:
        return (SetRevision(Arm.CANARY, release.canary, world.canary.replicas), *scales)
    return tuple(scales)
