"""The replica pair for a weight, and the plan of steps."""

from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from canary.core.strategy import Capacity
from canary.core.weights import Limits, Pair, limits, pair_for, plan

sizes = st.one_of(st.integers(1, 6), st.integers(1, 50))
bounds = st.tuples(st.integers(0, 50), st.integers(0, 50)).filter(any)
weights = st.one_of(st.integers(1, 99).map(float), st.floats(0.1, 99.9))


@pytest.mark.parametrize(
    ("replicas", "surge", "unavailable", "weight", "pair"),
    [
        (3, 1, 0, 10, Pair(1, 3)),
        (3, 1, 0, 25, Pair(1, 3)),
        (3, 1, 0, 33, Pair(1, 2)),
        (3, 1, 0, 50, Pair(2, 2)),
        (3, 1, 0, 99, Pair(3, 1)),
        (10, 3, 0, 10, Pair(1, 9)),
        (10, 3, 0, 9, Pair(1, 10)),
        (10, 3, 0, 25, Pair(3, 9)),
        (10, 3, 0, 50, Pair(6, 6)),
        (10, 0, 1, 50, Pair(5, 5)),
        (1, 0, 1, 10, Pair(1, 1)),
        (1, 1, 0, 99, Pair(1, 1)),
        (3, 1, 0, 0, Pair(0, 3)),
        (3, 1, 0, 100, Pair(3, 0)),
        (4, 2, 0, 1, Pair(1, 4)),
    ],
)
def test_a_weight_comes_to_these_replicas(
    replicas: int, surge: int, unavailable: int, weight: float, pair: Pair
) -> None:
    assert pair_for(weight, replicas, surge, unavailable) == pair


@pytest.mark.parametrize(("replicas", "weight"), [(2, 75), (5, 90), (10, 95), (25, 98), (50, 99)])
def test_a_late_step_without_surge_keeps_its_canary_pods(replicas: int, weight: float) -> None:
    # Argo Rollouts scales the canary to zero in exactly these cases (n * w / 100 = n - 0.5).
    assert pair_for(weight, replicas, 0, 1) == Pair(replicas - 1, 1)


def test_among_equally_near_shares_the_larger_stable_is_taken() -> None:
    # With 4 replicas, surge 1 and nothing missing: 1 of 5 and 2 of 5 are equally far from 30 %.
    assert pair_for(30, 4, 1, 0) in (Pair(1, 3), Pair(1, 4))
    assert pair_for(22.5, 4, 1, 0) == Pair(1, 4)  # 20 % and 25 % are both 2.5 points away


def test_extra_capacity_leaves_the_stable_whole() -> None:
    assert pair_for(25, 9, 0, 1, Capacity.EXTRA) == Pair(3, 9)
    assert pair_for(75, 9, 0, 1, Capacity.EXTRA) == Pair(9, 9)


def test_a_disruption_budget_raises_the_floor() -> None:
    assert pair_for(50, 5, 0, 1) == Pair(2, 2)
    assert pair_for(50, 5, 0, 1, demand=5).total >= 5


def test_the_room_follows_from_the_settings_of_the_target() -> None:
    assert limits(10, 3, 2) == Limits(8, 13)
    assert limits(10, 3, 2, Capacity.EXTRA) == Limits(8, 23)
    assert limits(10, 3, 2, demand=9) == Limits(9, 13)
    assert limits(10, 0, 10) == Limits(1, 10)


def test_neither_surge_nor_unavailable_counts_as_one_unavailable() -> None:
    assert limits(10, 0, 0) == limits(10, 0, 1)


def test_a_single_replica_without_surge_gets_one_more_and_says_so() -> None:
    assert limits(1, 0, 1) == Limits(1, 2, plus_one=True)
    assert not limits(1, 1, 0).plus_one
    (step,) = plan([10, 25, 50], 1, 0, 1)
    assert "one pod above 1" in step.note


def test_a_disruption_budget_that_leaves_no_room_gets_one_more_and_says_so() -> None:
    assert limits(3, 0, 1, demand=3) == Limits(3, 4, plus_one=True)


def nearest(weight: float, replicas: int, surge: int, unavailable: int) -> Fraction:
    """The smallest distance in percent of any pair that the rules allow; by trying them all."""
    most = max(replicas + surge, 2)
    least = max(replicas - max(unavailable, int(surge == 0)), 1)
    return min(
        abs(Fraction(100 * canary, canary + stable) - Fraction(weight))
        for canary in range(1, most)
        for stable in range(1, min(replicas, most - canary) + 1)
        if canary + stable >= least
    )


@settings(deadline=None)
@given(weights, st.integers(1, 20), st.integers(0, 10), st.integers(0, 20))
def test_no_allowed_pair_is_nearer_to_the_weight(
    weight: float, replicas: int, surge: int, unavailable: int
) -> None:
    pair = pair_for(weight, replicas, surge, unavailable)
    found = abs(Fraction(100 * pair.canary, pair.total) - Fraction(weight))
    assert found == nearest(weight, replicas, surge, unavailable)


@settings(deadline=None)
@given(
    sizes, bounds, st.sampled_from(Capacity), st.lists(weights, min_size=2, max_size=30), st.integers(0, 50)
)
def test_a_larger_weight_never_gives_a_smaller_share(
    replicas: int, allowed: tuple[int, int], capacity: Capacity, asked: list[float], demand: int
) -> None:
    pairs = [pair_for(weight, replicas, *allowed, capacity, demand) for weight in [0, *sorted(asked)]]
    shares = [Fraction(pair.canary, pair.total) for pair in pairs]
    assert shares == sorted(shares)


@settings(deadline=None)
@given(weights, sizes, bounds, st.sampled_from(Capacity), st.integers(0, 50))
def test_a_pair_lies_within_the_room_and_has_pods_in_both_arms(
    weight: float, replicas: int, allowed: tuple[int, int], capacity: Capacity, demand: int
) -> None:
    pair = pair_for(weight, replicas, *allowed, capacity, demand)
    room = limits(replicas, *allowed, capacity, demand)
    assert room.floor <= pair.total <= room.ceiling
    assert pair.canary >= 1
    assert 1 <= pair.stable <= replicas


@pytest.mark.parametrize(
    "bad", [(-1, 3, 1, 0), (101, 3, 1, 0), (50, 0, 1, 0), (50, 3, -1, 0), (50, 3, 1, -1)]
)
def test_numbers_out_of_range_are_refused(bad: tuple[float, int, int, int]) -> None:
    with pytest.raises(ValueError, match="wanted"):
        pair_for(*bad)


@pytest.mark.parametrize("steps", [[0], [100], [10, 10], [25, 10]])
def test_steps_that_do_not_increase_are_refused(steps: list[float]) -> None:
    with pytest.raises(ValueError, match="wanted percent between 0 and 100"):
        plan(steps, 3, 1, 0)


def test_steps_that_come_to_the_same_pods_are_one_and_it_is_said() -> None:
    first, second = plan([10, 25, 50], 3, 1, 0)
    assert (first.weight, first.merged, first.pair, first.share) == (10, (25,), Pair(1, 3), 0.25)
    assert "10 % and 25 % come to the same pods: one step" in first.note
    assert "gives 25 % instead of 10 %" in first.note
    assert (second.weight, second.merged, second.share, second.note) == (50, (), 0.5, "")


def test_a_step_with_one_canary_pod_says_what_that_costs_and_what_would_do() -> None:
    (step,) = plan([25], 3, 1, 0)
    assert "one bad pod cannot be told from a bad version, at 42 % there are two" in step.note
    assert pair_for(42, 3, 1, 0).canary == 2
    assert pair_for(41, 3, 1, 0).canary == 1


def test_a_step_that_gives_up_capacity_says_so() -> None:
    (step,) = plan([50], 5, 0, 1)
    assert step.note == "4 of 5 pods serve in this step, as `unavailable` allows"


def test_extra_capacity_says_that_it_ends_at_one_half() -> None:
    (step,) = plan([75], 4, 1, 0, Capacity.EXTRA)
    assert "gives 50 % instead of 75 %" in step.note
    assert "at most as many canary pods" in step.note


@settings(deadline=None)
@given(sizes, bounds, st.sampled_from(Capacity), st.sets(weights, min_size=1, max_size=8))
def test_a_plan_keeps_every_weight_and_its_shares_increase(
    replicas: int, allowed: tuple[int, int], capacity: Capacity, asked: set[float]
) -> None:
    steps = sorted(asked)
    planned = plan(steps, replicas, *allowed, capacity)
    assert [w for step in planned for w in (step.weight, *step.merged)] == steps
    shares = [step.share for step in planned]
    assert shares == sorted(set(shares))
    for step in planned:
        for weight in (step.weight, *step.merged):
            assert step.pair == pair_for(weight, replicas, *allowed, capacity)
