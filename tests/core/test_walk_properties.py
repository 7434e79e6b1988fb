"""Laws of the walks, run against a modelled Deployment controller."""

import random
from collections.abc import Callable
from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from canary.core.actions import Action, Scale, SetRevision
from canary.core.observation import Arm, Bound, Budget, World
from canary.core.release import Release
from canary.core.revision import Revision
from canary.core.strategy import Capacity, Strategy
from canary.core.walk import arrived, forward, limits_of, promoted, promotion, rollback, rolled_back
from canary.core.weights import Limits, Pair, pair_for, plan
from tests.core.deployment import Cluster, Deployment

OLD = Revision("old", "v1")
NEW = Revision("new", "v2")
STRAY = Revision("stray", "v0")
ENDLESS = 4000

Walk = Callable[[World], tuple[Action, ...]]
End = Callable[[World], bool]

sizes = st.one_of(st.integers(1, 6), st.integers(1, 50))
bounds = st.tuples(st.integers(0, 6), st.integers(0, 6)).filter(any)
weights = st.integers(1, 99).map(float)
step_lists = st.lists(weights, min_size=1, max_size=4, unique=True).map(lambda steps: tuple(sorted(steps)))
seeds = st.integers(0, 2**32 - 1)
capacities = st.sampled_from(Capacity)


def a_release(replicas: int, steps: tuple[float, ...], capacity: Capacity = Capacity.REPLACE) -> Release:
    strategy = Strategy(steps=steps, capacity=capacity)
    return Release("api", "api-v2", "v2", strategy, stable=OLD, canary=NEW, replicas=replicas, since=0.0)


class Run:
    """Drives one cluster and holds it to floor and ceiling, seen at every single step of anybody."""

    def __init__(self, cluster: Cluster, release: Release, room: Limits | None = None) -> None:
        self.cluster = cluster
        self.release = release
        self.room = room or limits_of(cluster.world(), release)
        self.least_ready = self.most_asked = 0
        self.watch()

    def watch(self) -> None:
        assert self.cluster.ready >= self.room.floor, f"{self.cluster.ready} ready, {self.room}"
        assert self.cluster.asked <= self.room.ceiling, f"{self.cluster.asked} asked for, {self.room}"

    def drive(self, walk: Walk, end: End, ticks: int = ENDLESS) -> bool:
        """Tick until the end; False when `ticks` ran out. Any tick may be cut between two actions."""
        for _ in range(ticks):
            world = self.cluster.world()
            if end(world):
                return True
            actions = walk(world)
            for action in actions[: self.cluster.rng.randint(0, len(actions))]:
                self.cluster.apply(action)
                self.watch()
            for _ in range(self.cluster.rng.randint(1, 12)):
                self.cluster.step()
                self.watch()
        return False

    def go(self, pair: Pair, ticks: int = ENDLESS) -> bool:
        return self.drive(
            lambda world: forward(world, self.release, pair, self.room),
            lambda world: arrived(world, pair),
            ticks,
        )

    def promote(self, ticks: int = ENDLESS) -> bool:
        return self.drive(
            lambda world: promotion(world, self.release), lambda world: promoted(world, self.release), ticks
        )

    def roll_back(self) -> bool:
        def walk(world: World) -> tuple[Action, ...]:
            actions = rollback(world, self.release)
            for action in actions:
                if isinstance(action, Scale) and action.arm is Arm.CANARY:
                    assert world.canary is not None
                    assert action.replicas < world.canary.replicas, "a rollback never raises the canary"
            return actions

        return self.drive(walk, lambda world: rolled_back(world, self.release))


def a_run(release: Release, allowed: tuple[int, int], seed: int, broken: tuple[str, ...] = ()) -> Run:
    rng = random.Random(seed)
    cluster = Cluster(Deployment("api", OLD, release.replicas, allowed), rng, broken)
    room = limits_of(cluster.world(), release)
    if release.replicas == 1:  # the stated +1 while a single replica rolls with its surge
        room = Limits(room.floor, max(room.ceiling, 2 + min(allowed[0], 1)))
    return Run(cluster, release, room)


def the_state(run: Run) -> tuple[int | None, int, str]:
    canary, stable = run.cluster.canary, run.cluster.stable
    return canary.replicas if canary else None, stable.replicas, stable.revision.version


@settings(max_examples=60, deadline=None)
@given(sizes, bounds, step_lists, capacities, seeds)
def test_a_release_that_goes_well_ends_with_the_new_revision_alone(
    replicas: int, allowed: tuple[int, int], steps: tuple[float, ...], capacity: Capacity, seed: int
) -> None:
    release = a_release(replicas, steps, capacity)
    run = a_run(release, allowed, seed)
    for step in plan(steps, replicas, *allowed, capacity):
        assert run.go(step.pair)
    assert run.promote()
    assert the_state(run) == (None, replicas, "v2")
    assert run.cluster.ready == replicas


@settings(max_examples=60, deadline=None)
@given(sizes, bounds, weights, capacities, seeds, st.integers(0, 60))
def test_a_release_cut_anywhere_on_the_way_up_rolls_back_to_what_was_there(
    replicas: int, allowed: tuple[int, int], weight: float, capacity: Capacity, seed: int, ticks: int
) -> None:
    run = a_run(a_release(replicas, (weight,), capacity), allowed, seed)
    run.go(pair_for(weight, replicas, *allowed, capacity), ticks)
    assert run.roll_back()
    assert the_state(run) == (None, replicas, "v1")


@settings(max_examples=80, deadline=None)
@given(sizes, bounds, weights, capacities, seeds, st.integers(0, 60))
def test_a_promotion_cut_anywhere_rolls_back_to_the_pinned_revision(
    replicas: int, allowed: tuple[int, int], weight: float, capacity: Capacity, seed: int, ticks: int
) -> None:
    run = a_run(a_release(replicas, (weight,), capacity), allowed, seed)
    assert run.go(pair_for(weight, replicas, *allowed, capacity))
    run.promote(ticks)
    if run.cluster.canary is None or not run.cluster.canary.replicas:
        run.room = replace(run.room, floor=min(run.room.floor, replicas - allowed[1]))
    assert run.roll_back()
    assert the_state(run) == (None, replicas, "v1")
    assert all(pod.revision == "old" for pod in run.cluster.stable.pods)


@settings(max_examples=40, deadline=None)
@given(sizes, bounds, weights, seeds, st.integers(1, 60))
def test_a_version_that_never_starts_is_taken_back_from_wherever_it_got(
    replicas: int, allowed: tuple[int, int], weight: float, seed: int, ticks: int
) -> None:
    run = a_run(a_release(replicas, (weight,)), allowed, seed, broken=("v2",))
    run.go(pair_for(weight, replicas, *allowed), ticks)
    assert run.roll_back()
    assert the_state(run) == (None, replicas, "v1")


@settings(max_examples=60, deadline=None)
@given(sizes, bounds, weights, seeds, st.integers(1, 60))
def test_a_promotion_whose_new_pods_do_not_start_is_taken_back(
    replicas: int, allowed: tuple[int, int], weight: float, seed: int, ticks: int
) -> None:
    run = a_run(a_release(replicas, (weight,)), allowed, seed)
    assert run.go(pair_for(weight, replicas, *allowed))
    run.cluster.broken = ("v2",)
    run.promote(ticks)
    assert run.roll_back()
    assert the_state(run) == (None, replicas, "v1")


def an_odd_cluster(rng: random.Random, replicas: int, allowed: tuple[int, int]) -> Cluster:
    """Whatever accidents and meddling can leave: any sizes, any revisions half rolled, pods down."""
    cluster = Cluster(Deployment("api", OLD, rng.randint(0, 2 * replicas), allowed), rng)
    if rng.random() < 0.7:
        cluster.apply(SetRevision(Arm.CANARY, rng.choice([NEW, STRAY]), rng.randint(0, 2 * replicas)))
    for revision in rng.choices([OLD, NEW], k=rng.randint(0, 3)):
        cluster.stable.revision = revision
        for _ in range(rng.randint(0, 30)):
            cluster.step()
    cluster.crashes = 0.5
    for _ in range(10):
        cluster.step()
    cluster.crashes = 0.02
    return cluster


@settings(max_examples=80, deadline=None)
@given(sizes, bounds, weights, capacities, seeds, st.booleans())
def test_from_any_world_every_walk_ends_where_it_should(
    replicas: int, allowed: tuple[int, int], weight: float, capacity: Capacity, seed: int, good: bool
) -> None:
    rng = random.Random(seed)
    release = a_release(replicas, (weight,), capacity)
    run = Run(an_odd_cluster(rng, replicas, allowed), release, Limits(0, 10**6))
    assert run.promote() if good else run.roll_back()
    canary, stable, version = the_state(run)
    assert (canary, version) == (None, "v2" if good else "v1")
    assert stable == replicas or capacity is Capacity.EXTRA


@settings(max_examples=40, deadline=None)
@given(sizes, bounds, weights, seeds, st.integers(0, 40))
def test_a_target_resized_by_somebody_mid_release_gets_its_size_back(
    replicas: int, allowed: tuple[int, int], weight: float, seed: int, ticks: int
) -> None:
    run = a_run(a_release(replicas, (weight,)), allowed, seed)
    pair = pair_for(weight, replicas, *allowed)
    run.go(pair, ticks)
    run.room = Limits(0, 10**6)
    run.cluster.apply(Scale(Arm.STABLE, run.cluster.rng.randint(0, 2 * replicas)))
    assert run.go(pair)
    assert run.promote()
    assert the_state(run) == (None, replicas, "v2")


@settings(max_examples=40, deadline=None)
@given(sizes, bounds, weights, seeds, st.integers(0, 50))
def test_walking_up_keeps_what_a_disruption_budget_asks_for(
    replicas: int, allowed: tuple[int, int], weight: float, seed: int, demand: int
) -> None:
    run = a_run(a_release(replicas, (weight,)), allowed, seed)
    budget = Budget("PodDisruptionBudget web", ready=Bound(demand))
    run.room = limits_of(replace(run.cluster.world(), budgets=(budget,)), run.release)
    assert run.go(pair_for(weight, replicas, *allowed, Capacity.REPLACE, demand))
    assert run.go(Pair(0, replicas))


@settings(max_examples=40, deadline=None)
@given(sizes, bounds.filter(lambda allowed: allowed[0] > 0), step_lists, seeds)
def test_while_there_is_surge_the_way_up_gives_up_no_ready_pod_of_the_target(
    replicas: int, allowed: tuple[int, int], steps: tuple[float, ...], seed: int
) -> None:
    run = a_run(a_release(replicas, steps), allowed, seed)
    before = replicas
    for step in plan(steps, replicas, *allowed):
        run.room = replace(run.room, floor=min(replicas, before, step.pair.total))
        assert run.go(step.pair)
        before = step.pair.total
