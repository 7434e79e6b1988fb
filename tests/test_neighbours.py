"""Releases of a target that others have a say in: an autoscaler, a budget, a quota, a GitOps tool."""

from dataclasses import replace
from pathlib import Path

import pytest

from canary import fit
from canary.config.settings import Runtime, Settings
from canary.core.actions import Scale
from canary.core.observation import Arm, Bound, Budget
from canary.core.release import Outcome, Phase
from canary.core.strategy import Capacity, Promote, Strategy
from canary.errors import Exit, InvalidError
from canary.wiring import exit_code, undo
from tests.core.builders import V1, workload, world
from tests.stage import BAD, GOOD, Stage, quick

HPA = "HorizontalPodAutoscaler web, 3 to 10"


def a_stage(behaviours: dict[str, object] | None = None, **changes: object) -> Stage:
    return Stage(behaviours or {"v2": GOOD}, **changes)  # type: ignore[arg-type]


def scaled(stage: Stage, arm: Arm) -> list[int]:
    return [one.replicas for one in stage.cluster.touched if isinstance(one, Scale) and one.arm is arm]


@pytest.mark.parametrize("behaviour", [GOOD, BAD])
def test_where_an_autoscaler_owns_the_size_it_is_never_written(behaviour: object) -> None:
    stage = a_stage({"v2": behaviour})
    stage.cluster.scaler = HPA

    release = stage.run()

    assert release.outcome is (Outcome.PROMOTED if behaviour is GOOD else Outcome.REGRESSION)
    assert release.strategy.capacity is Capacity.EXTRA
    assert scaled(stage, Arm.STABLE) == []
    assert stage.tidy()


def test_an_undo_leaves_the_size_to_the_autoscaler() -> None:
    stage = a_stage()
    stage.cluster.scaler = HPA
    stage.run()
    stage.cluster.an_autoscaler_sets(6)

    ports = stage.ports()
    undone = undo(ports, stage.settings(), number=None, why="", reporter=stage.reporter).release

    assert (undone.outcome, stage.stable_version()) == (Outcome.UNDONE, "v1")
    assert scaled(stage, Arm.STABLE) == []


def test_the_canary_grows_with_what_the_autoscaler_asks_for() -> None:
    strategy = quick(steps=(50.0,), hold_min_s=120)
    stage = a_stage(strategy=strategy)
    stage.cluster.scaler = HPA
    stage.clock.at(60.0, lambda: stage.cluster.an_autoscaler_sets(8))

    assert stage.run().outcome is Outcome.PROMOTED
    assert scaled(stage, Arm.CANARY)[0] == 8


def test_an_autoscaler_that_comes_in_mid_release_takes_it_over() -> None:
    stage = a_stage()

    def comes() -> None:
        stage.cluster.scaler = HPA

    stage.clock.at(90.0, comes)
    release = stage.run()

    assert (release.outcome, exit_code(release)) == (Outcome.SUPERSEDED, Exit.SUPERSEDED)
    assert HPA in release.reason
    assert stage.tidy()


@pytest.mark.parametrize("version", [GOOD, BAD])
@pytest.mark.parametrize("wanted", [3, 7])
def test_an_autoscaler_that_comes_in_and_insists_is_not_fought(wanted: int, version: object) -> None:
    stage = a_stage({"v2": version}, strategy=quick(steps=(50.0,)))
    written = 0

    def comes() -> None:
        nonlocal written
        if not stage.cluster.scaler:
            stage.cluster.scaler, written = HPA, len(scaled(stage, Arm.STABLE))
        stage.cluster.an_autoscaler_sets(wanted)

    def looks() -> None:
        # Once it is on its way to the target, nothing of this stops a good version.
        at = Phase.PROMOTING if version is GOOD else Phase.PROGRESSING
        found = stage.records.load("web")
        if stage.cluster.scaler or (
            found is not None and found.release.phase is at and found.release.steps_at
        ):
            comes()

    stage.clock.every(5.0, looks)
    release = stage.run()
    stage.clock.advance(10.0)

    assert release.outcome is (Outcome.PROMOTED if version is GOOD else Outcome.SUPERSEDED)
    world = stage.cluster.observe()
    assert world is not None
    assert (world.canary, world.stable.replicas) == (None, wanted)
    assert all(replicas >= wanted for replicas in scaled(stage, Arm.STABLE)[written:])


def test_capacity_replace_is_refused_where_an_autoscaler_owns_the_size() -> None:
    asked = Settings(Path("canary.yaml"), "", Runtime.KUBERNETES, "web", Strategy(), capacity_asked=True)
    with pytest.raises(InvalidError, match="capacity: found replace"):
        fit.fitted(asked, world(scaler=HPA))
    assert fit.fitted(replace(asked, capacity_asked=False), world(scaler=HPA)).capacity is Capacity.EXTRA
    assert fit.fitted(asked, world()).capacity is Capacity.REPLACE


def test_a_good_version_is_judged_and_left_to_others_to_promote() -> None:
    stage = a_stage(strategy=quick(promote=Promote.EXTERNAL))

    release = stage.run()

    assert (release.outcome, exit_code(release)) == (Outcome.PROMOTED, Exit.OK)
    assert stage.stable_version() == "v1"
    assert stage.tidy()
    assert all(getattr(action, "arm", Arm.CANARY) is Arm.CANARY for action in stage.cluster.touched)


def test_a_bad_version_is_taken_away_without_touching_a_target_that_is_others() -> None:
    stage = a_stage({"v2": BAD}, strategy=quick(promote=Promote.EXTERNAL))

    assert stage.run().outcome is Outcome.REGRESSION
    assert all(getattr(action, "arm", Arm.CANARY) is Arm.CANARY for action in stage.cluster.touched)


def test_a_bake_cannot_be_had_when_others_promote() -> None:
    strategy = Strategy(promote=Promote.EXTERNAL, bake_s=60.0)
    with pytest.raises(InvalidError, match="bake cannot be kept"):
        fit.fitted(Settings(Path("canary.yaml"), "", Runtime.KUBERNETES, "web", strategy), world())


def test_what_a_budget_asks_for_stays_ready_though_the_target_could_miss_more() -> None:
    fewest = {}
    for demand in (0, 4):
        stage = a_stage({"v2": BAD}, strategy=quick(steps=(50.0,)))
        stage.cluster.surge, stage.cluster.unavailable = 0, 2
        stage.cluster.budgets = (Budget("PodDisruptionBudget web", ready=Bound(demand)),)
        assert stage.run().outcome is Outcome.REGRESSION
        fewest[demand] = stage.cluster.fewest_ready
    assert fewest == {0: 2, 4: 4}


def test_without_room_for_a_canary_nothing_is_touched() -> None:
    stage = a_stage()
    stage.cluster.full = "ResourceQuota small leaves room for 0 more of its pods"

    with pytest.raises(InvalidError, match="no room for a canary"):
        stage.run()
    assert stage.records.load("web") is None
    assert stage.cluster.touched == []


@pytest.mark.parametrize(
    ("budget", "size", "demand"),
    [
        (Budget("b", ready=Bound(3)), 4, 3),
        (Budget("b", ready=Bound(part=0.5, up=True)), 5, 3),
        (Budget("b", missing=Bound(1)), 4, 3),
        (Budget("b", missing=Bound(part=0.3, up=True)), 4, 2),
        (Budget("b", missing=Bound(9)), 4, 0),
        (Budget("b"), 4, 0),
    ],
)
def test_a_budget_counts_as_kubernetes_does(budget: Budget, size: int, demand: int) -> None:
    assert budget.demand(size) == demand


def test_the_room_is_that_of_the_whole_target_however_small_it_is_now() -> None:
    found = world(
        workload(V1, 2), surge=1, unavailable=0, bounds=(Bound(part=0.25, up=True), Bound(part=0.25))
    )
    assert found.room(8) == (2, 2)
    assert found.room(2) == (1, 0)


@pytest.mark.parametrize(
    ("strategy", "most"),
    [
        (Strategy(steps=(25.0, 50.0)), 5),
        (Strategy(steps=(25.0, 50.0), capacity=Capacity.EXTRA), 9),
        (Strategy(steps=(25.0, 50.0), capacity=Capacity.EXTRA, promote=Promote.EXTERNAL), 8),
    ],
)
def test_the_most_pods_that_a_release_needs_are_known_before(strategy: Strategy, most: int) -> None:
    assert fit.most_pods(strategy, world()) == most


@pytest.mark.parametrize("size", [1, 2, 4])
@pytest.mark.parametrize("capacity", list(Capacity))
def test_a_release_never_has_more_pods_than_were_foretold(size: int, capacity: Capacity) -> None:
    stage = a_stage(replicas=size, strategy=quick(capacity=capacity))
    found = stage.cluster.observe()
    assert found is not None
    foretold = fit.most_pods(stage.strategy, found)
    assert stage.run().outcome is Outcome.PROMOTED
    assert stage.cluster.most_pods == foretold
