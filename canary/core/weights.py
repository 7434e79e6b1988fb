"""From weights to replicas: the pair of counts for a weight, and the plan of steps. Exact arithmetic."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction

from canary.core.strategy import Capacity

NOTABLE_POINTS = 1.0
"""From so many percentage points on, a share that differs from its weight is said in the plan."""


@dataclass(frozen=True)
class Pair:
    """How many replicas each arm is asked to run, both >= 0."""

    canary: int
    stable: int

    @property
    def total(self) -> int:
        """All replicas."""
        return self.canary + self.stable

    @property
    def share(self) -> float:
        """Fraction of new connections that the canary gets, [0, 1]; 0 when there is no replica at all."""
        return self.canary / self.total if self.total else 0.0


@dataclass(frozen=True)
class Limits:
    """The room in which replicas may be moved.

    Attributes:
        floor: at least so many pods are ready at any time.
        ceiling: the arms together are never asked for more pods.
        plus_one: the ceiling is one above what the target allows, because nothing could be moved
            otherwise (one replica without surge). Must be said to the user.
    """

    floor: int
    ceiling: int
    plus_one: bool = False


@dataclass(frozen=True)
class PlannedStep:
    """One step as it will really be.

    Attributes:
        weight: asked for, percent; of merged steps the first. merged: the weights of the others.
        pair: the replicas. share: what the canary really gets, fraction in [0, 1].
        note: in words, what a person should know about this step; empty when there is nothing.
    """

    weight: float
    pair: Pair
    share: float
    note: str = ""
    merged: tuple[float, ...] = ()


def limits(
    replicas: int, surge: int, unavailable: int, capacity: Capacity = Capacity.REPLACE, demand: int = 0
) -> Limits:
    """Derive the room from the target's own settings.

    Surge and unavailable both zero count as unavailable 1: so Kubernetes itself resolves them, since
    nothing could ever be replaced otherwise.

    Args:
        replicas: of the target, >= 1.
        surge: pods allowed above replicas, >= 0.
        unavailable: pods allowed to be missing, >= 0.
        capacity: `extra` adds as many pods as the target has.
        demand: ready pods that a disruption budget asks for, >= 0.

    Raises:
        ValueError: a number is out of its range.

    Source:
        ResolveFenceposts, k8s.io/kubernetes/pkg/controller/deployment/util.
    """
    if replicas < 1 or min(surge, unavailable, demand) < 0:
        raise ValueError(
            f"replicas {replicas}, surge {surge}, unavailable {unavailable}, demand {demand}: "
            "wanted at least 1 replica and nothing below 0"
        )
    if surge == 0 and unavailable == 0:
        unavailable = 1
    floor = min(replicas, max(replicas - unavailable, demand, 1))
    ceiling = replicas + surge + (replicas if capacity is Capacity.EXTRA else 0)
    # With floor and ceiling equal no pod could ever be moved: one more is allowed, and said.
    return Limits(floor, max(ceiling, floor + 1), plus_one=ceiling == floor)


def pair_for(
    weight: float,
    replicas: int,
    surge: int,
    unavailable: int,
    capacity: Capacity = Capacity.REPLACE,
    demand: int = 0,
) -> Pair:
    """Choose the replicas whose share is nearest to the weight; among equals the larger stable.

    Both arms have a pod for a weight strictly between 0 and 100. The total lies within `limits`.
    Monotone: a larger weight never gives a smaller share. The stable never grows beyond `replicas`:
    fresh stable pods would only be there to thin the canary, and would stay if we went away.

    Args:
        weight: percent, [0, 100].
        replicas: see `limits`, as for all that follow.
        surge: pods.
        unavailable: pods.
        capacity: with `extra` the stable keeps all its replicas and the canary has at most as many,
            so the share is at most one half.
        demand: pods.

    Raises:
        ValueError: the weight or a number is out of its range.
    """
    if not 0 <= weight <= 100:
        raise ValueError(f"weight {weight}: wanted percent from 0 to 100")
    room = limits(replicas, surge, unavailable, capacity, demand)
    if weight == 0:
        return Pair(0, replicas)
    if weight == 100 and capacity is Capacity.REPLACE:
        return Pair(replicas, 0)
    asked = Fraction(weight) / 100
    if capacity is Capacity.EXTRA:
        candidates: Iterator[Pair] = (Pair(canary, replicas) for canary in range(1, replicas + 1))
    else:
        candidates = _candidates(asked, replicas, room)
    return min(candidates, key=lambda pair: (abs(_share(pair) - asked), -pair.stable))


def _candidates(asked: Fraction, replicas: int, room: Limits) -> Iterator[Pair]:
    """Per canary count the stable counts that can be nearest: next below and above the exact one."""
    for canary in range(1, room.ceiling):
        least = max(1, room.floor - canary)
        most = min(replicas, room.ceiling - canary)
        if least > most:
            continue
        exact = int(canary * (1 - asked) / asked)
        yield Pair(canary, min(max(exact, least), most))
        yield Pair(canary, min(max(exact + 1, least), most))


def _share(pair: Pair) -> Fraction:
    return Fraction(pair.canary, pair.total)


def plan(
    steps: Sequence[float],
    replicas: int,
    surge: int,
    unavailable: int,
    capacity: Capacity = Capacity.REPLACE,
    demand: int = 0,
) -> tuple[PlannedStep, ...]:
    """Lay out the steps as they will really be; steps that come to the same replicas become one.

    Args:
        steps: weights in percent, strictly increasing, each in (0, 100).
        replicas: see `limits`, as for all that follow.
        surge: pods.
        unavailable: pods.
        capacity: see `pair_for`.
        demand: pods.

    Returns:
        Shares strictly increase from step to step.

    Raises:
        ValueError: a step or a number is out of its range, or the steps do not increase.
    """
    if any(not 0 < weight < 100 for weight in steps) or list(steps) != sorted(set(steps)):
        raise ValueError(f"steps {list(steps)}: wanted percent between 0 and 100, each above the one before")

    def pair_at(weight: float) -> Pair:
        return pair_for(weight, replicas, surge, unavailable, capacity, demand)

    grouped: dict[Pair, list[float]] = {}
    for weight in steps:
        grouped.setdefault(pair_at(weight), []).append(weight)
    room = limits(replicas, surge, unavailable, capacity, demand)
    planned = []
    for pair, weights in grouped.items():
        notes = [
            _merged_note(weights),
            _share_note(weights, pair, replicas, surge, capacity),
            _lone_pod_note(pair, weights[-1], pair_at),
            _room_note(pair, replicas, room),
            _promotion_note(replicas, surge, capacity),
        ]
        text = "; ".join(note for note in notes if note)
        planned.append(PlannedStep(weights[0], pair, pair.share, text, tuple(weights[1:])))
    return tuple(planned)


def _merged_note(weights: Sequence[float]) -> str:
    if len(weights) == 1:
        return ""
    return " and ".join(f"{weight:g} %" for weight in weights) + " come to the same pods: one step"


def _share_note(weights: Sequence[float], pair: Pair, replicas: int, surge: int, capacity: Capacity) -> str:
    missed = [f"{w:g} %" for w in weights if abs(pair.share * 100 - w) >= NOTABLE_POINTS]
    if not missed:
        return ""
    pods = f"{replicas} replica{'s' * (replicas > 1)}"
    why = (
        f"{pods} and at most as many canary pods"
        if capacity is Capacity.EXTRA
        else f"{pods} with surge {surge}"
    )
    return (
        f"gives {pair.share * 100:.3g} % instead of {' and '.join(missed)}: the nearest that {why} can give"
    )


def _lone_pod_note(pair: Pair, weight: float, pair_at: Callable[[float], Pair]) -> str:
    """Leaving one pod out needs a second one: without it a bad pod passes for a bad version."""
    if pair.canary != 1:
        return ""
    enough = next((more for more in range(int(weight) + 1, 100) if pair_at(more).canary >= 2), None)
    remedy = f", at {enough} % there are two" if enough else ""
    return f"a single canary pod: one bad pod cannot be told from a bad version{remedy}"


def _room_note(pair: Pair, replicas: int, room: Limits) -> str:
    if room.plus_one:
        return f"one pod above {replicas} for the time of the release: nothing could be moved otherwise"
    if pair.total < replicas:
        return f"{pair.total} of {replicas} pods serve in this step, as `unavailable` allows"
    return ""


def _promotion_note(replicas: int, surge: int, capacity: Capacity) -> str:
    """The single replica rolls with its own surge while the canary serves: see `walk.promotion`."""
    if replicas == 1 and surge == 1 and capacity is Capacity.REPLACE:
        return "one pod more than the surge allows while a single replica is promoted"
    return ""
