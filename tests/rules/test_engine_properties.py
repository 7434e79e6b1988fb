"""Laws of conditions over time, held against a definition that looks at all of the past each time."""

from collections.abc import Sequence
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from canary.rules import engine
from canary.rules.condition import Compare, Held
from canary.rules.engine import Event, Figure, Figures, Rule, State
from canary.rules.quantity import Kind

GAP_S = 10.0
OVER = Compare("x", ">", 0.5, Kind.NUMBER, "0.5")
Past = list[tuple[float, bool | None]]


def pasts() -> st.SearchStrategy[Past]:
    steps = st.lists(
        st.tuples(st.integers(1, 15), st.sampled_from([True, True, True, False, None])),
        min_size=1,
        max_size=25,
    )

    def timed(found: Sequence[tuple[int, bool | None]]) -> Past:
        at, past = 0.0, Past()
        for step, value in found:
            at += step
            past.append((at, value))
        return past

    return steps.map(timed)


def figures(value: bool | None) -> Figures:
    return {} if value is None else {"x": (Figure.of(1.0 if value else 0.0),)}


def begun(for_s: float) -> State:
    return engine.begin([Rule("r", Held(OVER, for_s, f"{for_s}s"))], gap_s=GAP_S)


def truths(past: Past, for_s: float) -> list[bool | None]:
    state, found = begun(for_s), list[bool | None]()
    for at, value in past:
        state, _ = engine.observe(state, at, figures(value))
        found.append(state.of("r").truth)
    return found


def defined(past: Past, for_s: float) -> bool | None:
    """The definition: of the last observation, from all of them."""
    at, now = past[-1]
    known = [(when, value) for when, value in past if value is not None]
    if any(value is False and at - when <= for_s for when, value in known):
        return False
    if not now:
        return None
    reach = at
    for when, value in reversed(known):
        if not value or reach - when > GAP_S:
            break
        reach = when
    return True if at - reach >= for_s else None


@given(pasts(), st.integers(1, 60))
def test_a_for_is_what_its_definition_says(past: Past, for_s: int) -> None:
    assert truths(past, for_s) == [defined(past[: n + 1], for_s) for n in range(len(past))]


@given(pasts(), st.integers(1, 60), st.integers(1, 60))
def test_what_is_true_for_longer_is_true_for_less(past: Past, one: int, other: int) -> None:
    less, more = sorted((one, other))
    pairs = zip(truths(past, less), truths(past, more), strict=True)
    assert all(short is True for short, long in pairs if long is True)


@given(pasts(), st.integers(1, 60))
def test_nothing_fires_across_a_gap(past: Past, for_s: int) -> None:
    known = [at for at, value in past if value is not None]
    for (at, _), truth in zip(past, truths(past, for_s), strict=True):
        if truth is True:
            inside = [when for when in known if at - for_s <= when <= at]
            earlier = [when for when in known if when < at - for_s]
            reached = [*earlier[-1:], *inside] if inside[0] > at - for_s else inside
            assert all(b - a <= GAP_S for a, b in pairwise(reached))


@given(pasts(), st.integers(1, 60), st.integers(0, 25))
def test_handed_over_in_two_parts_or_twice_it_comes_to_the_same(past: Past, for_s: int, cut: int) -> None:
    whole, parts = begun(for_s), begun(for_s)
    events, again = list[Event](), list[Event]()
    for at, value in past:
        whole, found = engine.observe(whole, at, figures(value))
        events += found
    for at, value in [*past[:cut], *past]:
        parts, found = engine.observe(parts, at, figures(value))
        again += found
    assert (parts, again) == (whole, events)


@given(st.integers(1, 40), st.lists(st.integers(1, 10), min_size=1, max_size=20), st.data())
def test_looked_at_more_often_a_lasting_state_comes_to_the_same(
    for_s: int, steps: list[int], data: st.DataObject
) -> None:
    seldom = [float(sum(steps[: n + 1])) for n in range(len(steps))]
    between = data.draw(st.lists(st.floats(seldom[0], seldom[-1]), max_size=10))
    often = sorted({*seldom, *between})
    last = truths([(at, True) for at in seldom], for_s)[-1]
    assert truths([(at, True) for at in often], for_s)[-1] == last


@given(pasts(), st.integers(1, 60))
def test_it_fires_and_clears_by_turns_and_only_on_what_is_known(past: Past, for_s: int) -> None:
    state, turns = begun(for_s), list[bool]()
    for at, value in past:
        state, events = engine.observe(state, at, figures(value))
        for event in events:
            assert value is event.fired
            turns.append(event.fired)
    assert turns == [n % 2 == 0 for n in range(len(turns))]


@given(pasts())
def test_without_any_figure_nothing_ever_fires(past: Past) -> None:
    assert True not in truths([(at, None) for at, _ in past], 5)
