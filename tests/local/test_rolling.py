"""The rule of a rolling update, alone and against a modelled runtime."""

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from canary.local.rolling import Change, Member, next_change


def some(revision: str, count: int, *, ready: bool = True, born: float = 0.0) -> list[Member]:
    return [Member(f"{revision}-{born + k}", revision, ready, born + k) for k in range(count)]


def test_missing_replicas_are_started() -> None:
    assert next_change(some("a", 1), "a", 3, (1, 0)) == Change(2, ())


def test_with_surge_one_the_new_one_comes_before_an_old_one_goes() -> None:
    assert next_change(some("a", 3), "b", 3, (1, 0)) == Change(1, ())
    both = some("a", 3) + some("b", 1, ready=False)
    assert next_change(both, "b", 3, (1, 0)) == Change(0, ())
    assert next_change(some("a", 3) + some("b", 1), "b", 3, (1, 0)) == Change(1, ("a-0.0",))


def test_with_unavailable_one_an_old_one_goes_before_a_new_one_comes() -> None:
    assert next_change(some("a", 3), "b", 3, (0, 1)) == Change(1, ("a-0.0",))


def test_old_replicas_that_do_not_serve_go_at_once() -> None:
    members = some("a", 3) + some("b", 1, ready=False)
    assert next_change(members, "a", 3, (1, 0)) == Change(0, ("b-0.0",))


def test_scaling_down_takes_the_youngest_and_first_the_one_that_is_not_ready() -> None:
    members = [*some("a", 3), replace(some("a", 1, born=9)[0], ready=False)]
    assert next_change(members, "a", 2, (1, 0)).remove == ("a-9", "a-2.0")


def test_no_room_at_all_counts_as_a_surge_of_one() -> None:
    assert next_change(some("a", 2), "b", 2, (0, 0)) == Change(1, ())


@given(
    replicas=st.integers(0, 8),
    before=st.integers(0, 8),
    room=st.tuples(st.integers(0, 4), st.integers(0, 4)),
    order=st.randoms(use_true_random=False),
)
def test_an_update_ends_and_never_leaves_its_bounds(
    replicas: int, before: int, room: tuple[int, int], order: object
) -> None:
    assert hasattr(order, "random")
    members = some("a", before)
    surge = room[0] if room[0] or min(room[1], replicas) else 1
    floor = min(before, replicas - min(room[1], replicas))
    for turn in range(200):
        change = next_change(members, "b", replicas, room)
        members = [one for one in members if one.name not in change.remove]
        members += some("b", change.create, ready=False, born=turn * 10.0)
        assert sum(one.ready for one in members) >= floor
        assert len(members) <= max(before, replicas + surge)
        if not change.create and not change.remove and all(one.ready for one in members):
            break
        members = [replace(one, ready=one.ready or order.random() < 0.5) for one in members]
    assert [one.revision for one in members] == ["b"] * replicas
