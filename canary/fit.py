"""Fits what a configuration asks for to the target as it is found, before anything is touched."""

from dataclasses import replace

from canary.config.settings import Settings
from canary.core.guards import rules
from canary.core.observation import World
from canary.core.strategy import Capacity, Promote, Strategy
from canary.core.vocabulary import OF_LIMIT
from canary.core.weights import PlannedStep, plan
from canary.errors import InvalidError
from canary.rules.condition import names


def fitted(settings: Settings, world: World) -> Strategy:
    """The strategy as this target can have it.

    Where its replicas are not ours to set (an autoscaler does, or only others may touch it), the canary's
    pods come on top of the stable's.

    Raises:
        InvalidError: the configuration asks for what this target cannot have.
    """
    strategy = _limited(settings, world)
    external = strategy.promote is Promote.EXTERNAL
    if external and strategy.bake_s:
        raise InvalidError(
            f"{settings.path}: bake cannot be kept with promote external: canary ends with the verdict, "
            "before the version is on the target",
            remedy="Leave `bake` out, or watch the promotion where it is made.",
        )
    owner = world.scaler or ("promote external" if external else "")
    if not owner or strategy.capacity is Capacity.EXTRA:
        return strategy
    if settings.capacity_asked:
        raise InvalidError(
            f"{settings.path}: capacity: found replace, but the replicas of {settings.target} are not "
            f"canary's to set ({owner})",
            remedy="Set `capacity: extra`, or leave `capacity` out: canary pods then come on top.",
        )
    return replace(strategy, capacity=Capacity.EXTRA)


def _limited(settings: Settings, world: World) -> Strategy:
    """The strategy with the limits of the target's pods, where guards speak of parts of them.

    Raises:
        InvalidError: there is no such limit.
    """
    strategy = settings.strategy
    if strategy.guards:
        strategy = replace(strategy, limits=world.limits)
    for rule in rules(strategy):
        for name in sorted(names(rule.condition) & OF_LIMIT.keys()):
            limit = OF_LIMIT[name]
            if (world.limits.memory_bytes if limit == "memory" else world.limits.cpu_cores) is None:
                other = "memory_bytes > 400MiB" if limit == "memory" else "cpu_cores > 0.9"
                raise InvalidError(
                    f"{settings.path}: guard {rule.name}: {name} is a part of the {limit} limit, and the "
                    f"pods of {settings.target} have none",
                    remedy=f"Set resources.limits.{limit} of the container, or say how much instead of which "
                    f"part: {other}.",
                )
    return strategy


def steps(strategy: Strategy, world: World) -> tuple[PlannedStep, ...]:
    """The steps as they will really be."""
    size = world.stable.replicas
    return plan(strategy.steps, size, *world.room(size), strategy.capacity, world.demand(size))


def most_pods(strategy: Strategy, world: World) -> int:
    """Pods of both arms at most at one time, the target's own update when it is promoted included."""
    size = world.stable.replicas
    planned = steps(strategy, world)
    surge, _ = world.room(size)
    last = planned[-1].pair
    rolling = 0 if strategy.promote is Promote.EXTERNAL else min(surge, last.stable)
    if strategy.capacity is Capacity.EXTRA:
        return size + last.canary + rolling
    # The stated one more while a single replica rolls with its surge: see `walk.promotion`.
    alone = int(size == 1 and surge > 0)
    return max(size + surge + alone, *(step.pair.total for step in planned))
