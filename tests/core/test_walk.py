"""The walks by example: one plain case for each thing they decide."""

from dataclasses import replace

import pytest

from canary.core.actions import Remove, Scale, SetRevision
from canary.core.observation import Arm, Pod, Workload, World
from canary.core.release import Outcome, Release
from canary.core.revision import Revision
from canary.core.strategy import Capacity, Strategy
from canary.core.walk import (
    arrived,
    forward,
    limits_of,
    promoted,
    promotion,
    rollback,
    rolled_back,
    rolling_pair,
    towards,
    without_loss,
)
from canary.core.weights import Limits, Pair

OLD = Revision("old", "v1")
NEW = Revision("new", "v2")
THEIRS = Revision("theirs", "v3")


def a_release(
    replicas: int, *steps: float, capacity: Capacity = Capacity.REPLACE, outcome: Outcome | None = None
) -> Release:
    strategy = Strategy(steps=steps or (50.0,), capacity=capacity)
    return Release("api", "api-v2", "v2", strategy, OLD, NEW, replicas=replicas, since=0.0, outcome=outcome)


def running(revision: Revision, replicas: int, ready: int | None = None, **left: int) -> Workload:
    """A workload with all its pods, `ready` of them ready; `left`: ready pods by another revision's hash."""
    up = replicas if ready is None else ready
    own = [Pod(f"{revision.hash}-{at}", f"u{at}", revision.hash, ready=at < up) for at in range(replicas)]
    other = [Pod(f"{hash_}-{at}", hash_, hash_, ready=True) for hash_, n in left.items() for at in range(n)]
    return Workload(revision, replicas, tuple(own[: replicas - len(other)] + other))


def a_world(stable: Workload, canary: Workload | None = None, surge: int = 1, unavailable: int = 0) -> World:
    return World(stable, canary, surge, unavailable)


def test_the_canary_is_created_within_the_surge_before_the_stable_is_touched() -> None:
    world = a_world(running(OLD, 10), surge=3)
    assert forward(world, a_release(10), Pair(6, 6)) == (SetRevision(Arm.CANARY, NEW, 3),)


def test_without_loss_the_canary_keeps_its_pods_and_all_else_is_done() -> None:
    world = a_world(running(OLD, 4), running(NEW, 2))
    kept = (Scale(Arm.STABLE, 3), Scale(Arm.CANARY, 2), SetRevision(Arm.STABLE, OLD), Scale(Arm.CANARY, 3))

    assert without_loss(world, (*kept, Scale(Arm.CANARY, 1), Remove(Arm.CANARY))) == kept


def test_the_stable_gives_way_once_the_canary_pods_are_ready() -> None:
    release = a_release(10)
    starting = a_world(running(OLD, 10), running(NEW, 3, ready=0), surge=3)
    assert forward(starting, release, Pair(6, 6)) == ()
    serving = a_world(running(OLD, 10), running(NEW, 3), surge=3)
    assert forward(serving, release, Pair(6, 6)) == (Scale(Arm.STABLE, 7), Scale(Arm.CANARY, 6))


def test_without_surge_the_stable_makes_room_as_far_as_unavailable_allows() -> None:
    world = a_world(running(OLD, 10), surge=0, unavailable=2)
    assert forward(world, a_release(10), Pair(5, 5)) == (
        Scale(Arm.STABLE, 8),
        SetRevision(Arm.CANARY, NEW, 2),
    )


def test_a_canary_left_over_from_another_release_gets_this_ones_revision() -> None:
    world = a_world(running(OLD, 3), running(THEIRS, 1))
    assert forward(world, a_release(3), Pair(1, 3)) == (SetRevision(Arm.CANARY, NEW, 1),)


def test_arrived_means_asked_for_and_running() -> None:
    assert arrived(a_world(running(OLD, 3), running(NEW, 1)), Pair(1, 3))
    assert not arrived(a_world(running(OLD, 3), running(NEW, 1, ready=0)), Pair(1, 3))
    assert not arrived(a_world(running(OLD, 3), running(NEW, 1)), Pair(2, 2))
    assert not arrived(a_world(running(OLD, 3)), Pair(1, 3))
    assert arrived(a_world(running(OLD, 3)), Pair(0, 3))


def test_pods_that_are_not_ready_cost_nothing_when_lowered() -> None:
    world = a_world(running(OLD, 5, ready=3), running(NEW, 2))
    assert towards(world, Pair(2, 3), floor=5, ceiling=7) == (Scale(Arm.STABLE, 3),)


def test_no_ready_pod_goes_while_the_floor_needs_it() -> None:
    world = a_world(running(OLD, 5), running(NEW, 2, ready=0))
    assert towards(world, Pair(2, 3), floor=5, ceiling=7) == ()


def test_of_an_arm_that_is_rolling_only_what_its_own_update_keeps_counts() -> None:
    half = a_world(running(OLD, 5, new=2), running(NEW, 5), surge=0, unavailable=2)
    # 10 are ready, but the stable's own update may take it down to 3: nothing is to spare above 8.
    assert towards(half, Pair(0, 5), floor=8, ceiling=11) == ()
    whole = a_world(running(OLD, 5), running(NEW, 5), surge=0, unavailable=2)
    assert towards(whole, Pair(0, 5), floor=8, ceiling=11) == (Scale(Arm.CANARY, 3),)


def test_lowering_comes_before_raising() -> None:
    world = a_world(running(OLD, 2), running(NEW, 4), surge=2)
    first, second = towards(world, Pair(0, 4), floor=4, ceiling=6)
    assert (first, second) == (Scale(Arm.CANARY, 2), Scale(Arm.STABLE, 4))


def test_promotion_first_makes_room_for_the_targets_own_surge() -> None:
    release = a_release(10)
    world = a_world(running(OLD, 6), running(NEW, 6), surge=3)
    assert rolling_pair(world, release) == Pair(4, 6)
    assert promotion(world, release) == (Scale(Arm.CANARY, 4),)


def test_promotion_sets_the_template_against_what_was_observed_with_its_cause() -> None:
    world = a_world(running(OLD, 5), running(NEW, 5))
    assert promotion(world, a_release(10), "v2 by ci") == (
        SetRevision(Arm.STABLE, NEW, expected="old", cause="v2 by ci"),
    )


def test_the_canary_serves_until_the_target_has_rolled() -> None:
    release = a_release(10)
    assert promotion(a_world(running(NEW, 5, old=2), running(NEW, 5)), release) == ()
    unseen = replace(running(NEW, 5), observed=False)
    assert promotion(a_world(unseen, running(NEW, 5)), release) == ()


def test_then_the_canary_hands_over_and_is_removed() -> None:
    release = a_release(4)
    assert promotion(a_world(running(NEW, 2), running(NEW, 2)), release) == (Scale(Arm.STABLE, 3),)
    assert promotion(a_world(running(NEW, 3), running(NEW, 2)), release) == (
        Scale(Arm.CANARY, 1),
        Scale(Arm.STABLE, 4),
    )
    assert promotion(a_world(running(NEW, 4), running(NEW, 1)), release) == (Scale(Arm.CANARY, 0),)
    empty = a_world(running(NEW, 4), running(NEW, 0))
    assert promotion(empty, release) == (Remove(Arm.CANARY),)
    assert not promoted(empty, release)
    done = a_world(running(NEW, 4))
    assert promotion(done, release) == ()
    assert promoted(done, release)


def test_a_single_replica_is_promoted_with_one_pod_more_than_the_surge() -> None:
    release = a_release(1)
    assert limits_of(a_world(running(OLD, 1)), release) == Limits(1, 2)
    # Canary, old pod and the new one that the target rolls in: three for a moment.
    assert promotion(a_world(running(OLD, 1), running(NEW, 1)), release) == (
        SetRevision(Arm.STABLE, NEW, expected="old"),
    )


def test_a_single_replica_without_surge_keeps_the_canary_while_its_target_is_down() -> None:
    release = a_release(1)
    whole = a_world(running(OLD, 1), running(NEW, 1), surge=0, unavailable=1)
    assert promotion(whole, release) == (SetRevision(Arm.STABLE, NEW, expected="old"),)
    down = a_world(running(NEW, 1, ready=0), running(NEW, 1), surge=0, unavailable=1)
    assert promotion(down, release) == ()


def test_a_template_that_somebody_else_set_is_never_promoted_over() -> None:
    assert promotion(a_world(running(THEIRS, 5), running(NEW, 5)), a_release(10)) == ()


def test_a_canary_deleted_before_promotion_is_created_again() -> None:
    release = a_release(4)
    assert promotion(a_world(running(OLD, 2)), release) == (SetRevision(Arm.CANARY, NEW, 2),)


def test_with_extra_capacity_the_targets_replicas_are_never_written() -> None:
    release = a_release(4, 50.0, capacity=Capacity.EXTRA)
    grown = a_world(running(OLD, 6))  # an autoscaler has been at it
    assert forward(grown, release, Pair(2, 4)) == (SetRevision(Arm.CANARY, NEW, 2),)
    rolled_over = a_world(running(NEW, 6), running(NEW, 2))
    assert promotion(rolled_over, release) == (Scale(Arm.CANARY, 0),)
    assert rollback(a_world(running(OLD, 6), running(NEW, 2)), release) == (Scale(Arm.CANARY, 0),)


def test_rollback_takes_the_whole_canary_at_once_when_the_stable_is_whole() -> None:
    release = a_release(10, outcome=Outcome.REGRESSION)
    world = a_world(running(OLD, 10), running(NEW, 3), surge=3)
    assert rollback(world, release) == (Scale(Arm.CANARY, 0),)


def test_where_the_stable_finds_no_room_the_canary_makes_it_a_pod_at_a_time() -> None:
    release = a_release(4, outcome=Outcome.NEVER_READY)
    full = "FailedCreate: exceeded quota"
    stuck = replace(running(OLD, 2), replicas=4, trouble=full)
    world = a_world(stuck, running(NEW, 2))
    assert rollback(replace(world, stable=replace(stuck, trouble=None)), release) == ()
    assert rollback(world, release) == (Scale(Arm.CANARY, 1),)


def test_rollback_takes_what_the_floor_allows_and_raises_the_stable() -> None:
    release = a_release(10, outcome=Outcome.REGRESSION)
    world = a_world(running(OLD, 6), running(NEW, 6), surge=3)
    assert rollback(world, release) == (Scale(Arm.CANARY, 4), Scale(Arm.STABLE, 9))
    starting = a_world(running(OLD, 9, ready=7), running(NEW, 4), surge=3)
    assert rollback(starting, release) == (Scale(Arm.CANARY, 3), Scale(Arm.STABLE, 10))


def test_rollback_takes_a_canary_that_never_got_ready_whatever_the_floor() -> None:
    release = a_release(2, outcome=Outcome.NEVER_READY)
    world = a_world(running(OLD, 1), running(NEW, 1, ready=0), surge=0, unavailable=1)
    assert rollback(world, release) == (Scale(Arm.CANARY, 0), Scale(Arm.STABLE, 2))


def test_rollback_during_promotion_gives_the_target_its_pinned_template_back_at_once() -> None:
    release = a_release(10, outcome=Outcome.REGRESSION)
    world = a_world(running(NEW, 5, old=4), running(NEW, 5))
    assert rollback(world, release, "undo v2") == (
        SetRevision(Arm.STABLE, OLD, expected="new", cause="undo v2"),
    )


def test_undo_after_a_promotion_restores_the_pinned_template() -> None:
    release = a_release(3, outcome=Outcome.UNDONE)
    promoted_world = a_world(running(NEW, 3))
    assert rollback(promoted_world, release) == (SetRevision(Arm.STABLE, OLD, expected="new"),)
    assert not rolled_back(promoted_world, release)
    assert rolled_back(a_world(running(OLD, 3)), release)


def test_a_target_about_to_roll_back_first_gets_room_for_its_surge() -> None:
    release = a_release(4, outcome=Outcome.REGRESSION)
    full = a_world(running(NEW, 3), running(NEW, 2))
    assert rollback(full, release) == (Scale(Arm.CANARY, 1),)
    assert rollback(a_world(running(NEW, 3), running(NEW, 1)), release) == (
        SetRevision(Arm.STABLE, OLD, expected="new"),
    )


@pytest.mark.parametrize("outcome", [Outcome.SUPERSEDED, Outcome.REGRESSION])
def test_a_template_that_somebody_else_set_is_left_alone_and_only_the_canary_goes(outcome: Outcome) -> None:
    release = a_release(3, outcome=outcome)
    world = a_world(running(THEIRS, 3), running(NEW, 1))
    assert rollback(world, release) == (Scale(Arm.CANARY, 0),)
    assert not rolled_back(world, release)
    assert rolled_back(a_world(running(THEIRS, 3, ready=0)), release)


def test_after_supersession_even_our_own_version_on_the_target_is_theirs() -> None:
    release = a_release(3, outcome=Outcome.SUPERSEDED)
    assert rollback(a_world(running(NEW, 3)), release) == ()
    assert rolled_back(a_world(running(NEW, 3)), release)


def test_superseded_gives_back_the_replicas_it_took_and_keeps_those_they_added() -> None:
    release = a_release(4, outcome=Outcome.SUPERSEDED)
    assert rollback(a_world(running(THEIRS, 2), running(NEW, 2)), release) == (Scale(Arm.STABLE, 3),)
    assert rollback(a_world(running(THEIRS, 6), running(NEW, 2)), release) == (Scale(Arm.CANARY, 0),)


def test_a_floor_of_zero_takes_the_canary_whatever_it_costs() -> None:
    release = a_release(3, outcome=Outcome.REGRESSION)
    sick = a_world(running(OLD, 3, ready=0), running(NEW, 1))
    assert rollback(sick, release) == ()
    assert rollback(sick, release, room=Limits(0, 4)) == (Scale(Arm.CANARY, 0),)


def test_rolled_back_waits_for_the_floor_and_not_for_more() -> None:
    release = a_release(3, outcome=Outcome.REGRESSION)
    assert not rolled_back(a_world(running(OLD, 3, ready=2)), release)
    assert rolled_back(a_world(running(OLD, 3, ready=2), unavailable=1), release)
    assert not rolled_back(a_world(running(OLD, 2), unavailable=1), release)


def test_nothing_ready_goes_while_an_earlier_lowering_may_still_be_under_way() -> None:
    unseen = replace(running(OLD, 3), observed=False)
    assert towards(a_world(unseen, running(NEW, 2)), Pair(0, 3), floor=3, ceiling=5) == ()
    seen = a_world(running(OLD, 3), running(NEW, 2))
    assert towards(seen, Pair(0, 3), floor=3, ceiling=5) == (Scale(Arm.CANARY, 0),)


def test_a_template_is_not_changed_while_the_last_change_is_not_even_seen() -> None:
    release = a_release(4, outcome=Outcome.REGRESSION)
    unseen = replace(running(NEW, 2, old=2), observed=False)
    assert rollback(a_world(unseen, running(NEW, 2)), release) == ()


def test_pods_that_are_still_missing_may_turn_out_to_be_old_ones() -> None:
    release = a_release(4)
    missing = replace(running(NEW, 2), replicas=3)
    assert promotion(a_world(missing, running(NEW, 1)), release) == ()


def test_one_canary_pod_stays_where_the_target_may_take_down_all_its_own() -> None:
    release = a_release(4, outcome=Outcome.REGRESSION)
    world = a_world(running(NEW, 4), running(NEW, 2), surge=1, unavailable=4)
    assert rollback(world, release) == (Scale(Arm.CANARY, 1), Scale(Arm.STABLE, 3))


def test_rolled_back_waits_until_no_pod_of_the_new_revision_is_left() -> None:
    release = a_release(3, outcome=Outcome.REGRESSION)
    assert not rolled_back(a_world(running(OLD, 3, new=1)), release)


def test_a_canary_that_was_asked_to_go_is_not_called_back_by_a_rollback() -> None:
    release = a_release(10, outcome=Outcome.REGRESSION)
    going = replace(running(NEW, 3), replicas=0)
    world = a_world(running(NEW, 9, ready=7), going, surge=0, unavailable=2)
    assert rollback(world, release) == (Scale(Arm.STABLE, 10),)
