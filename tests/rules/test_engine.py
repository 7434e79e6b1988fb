"""What conditions come to over time: examples."""

import pytest

from canary.rules import engine
from canary.rules.condition import Meaning
from canary.rules.engine import Figure, Figures, Rule, State
from canary.rules.grammar import parse
from canary.rules.quantity import Kind

WORDS = {
    "memory": Meaning(Kind.SHARE, ""),
    "restarts": Meaning(Kind.NUMBER, ""),
    "latency": Meaning(Kind.SECONDS, ""),
    "rooted": Meaning(Kind.FLAG, ""),
}


def begun(text: str, *, gap_s: float = 10.0, **options: float) -> State:
    return engine.begin([Rule("r", parse(text, WORDS))], gap_s=gap_s, **options)


def of(**values: float | tuple[float, ...]) -> Figures:
    return {
        name: tuple(Figure.of(v) for v in (value if isinstance(value, tuple) else (value,)))
        for name, value in values.items()
    }


def run(state: State, *looks: tuple[float, Figures]) -> tuple[State, list[tuple[float, str]]]:
    told = []
    for at, figures in looks:
        state, events = engine.observe(state, at, figures)
        told += [(one.at, "fired" if one.fired else "cleared") for one in events]
    return state, told


def truth(text: str, figures: Figures) -> bool | None:
    return engine.observe(begun(text), 0.0, figures)[0].of("r").truth


@pytest.mark.parametrize(
    ("text", "value", "wanted"),
    [
        ("memory > 90%", 0.9, False), ("memory > 90%", 0.91, True), ("memory >= 90%", 0.9, True),
        ("memory < 90%", 0.9, False), ("memory <= 90%", 0.9, True), ("memory == 90%", 0.9, True),
        ("memory == 90%", 0.8, False), ("memory != 90%", 0.8, True), ("memory != 90%", 0.9, False),
    ],
)  # fmt: skip
def test_a_figure_is_compared(text: str, value: float, wanted: bool) -> None:
    assert truth(text, of(memory=value)) is wanted
    assert truth(f"not {text}", of(memory=value)) is not wanted


def test_what_is_not_known_is_neither_true_nor_false() -> None:
    assert truth("memory > 90%", {}) is None
    assert truth("not memory > 90%", {}) is None
    assert truth("rooted", {}) is None
    assert truth("memory > 90% and restarts > 1", of(restarts=5)) is None
    assert truth("memory > 90% and restarts > 1", of(restarts=0)) is False
    assert truth("memory > 90% or restarts > 1", of(restarts=5)) is True
    assert truth("memory > 90% or restarts > 1", of(restarts=0)) is None


def test_a_comparison_holds_when_it_holds_for_one_of_several() -> None:
    assert truth("memory > 90%", of(memory=(0.2, 0.95))) is True
    assert truth("memory < 10%", of(memory=(0.2, 0.95))) is False


def test_a_figure_that_is_only_known_within_bounds_is_known_outside_of_them() -> None:
    between = {"latency": (Figure(0.5, 1.0),)}
    assert truth("latency > 250ms", between) is True
    assert truth("latency > 1s", between) is False
    assert truth("latency > 750ms", between) is None
    assert truth("latency == 750ms", between) is None
    assert truth("latency != 2s", between) is True


def test_a_fact_is_so_or_is_not() -> None:
    assert (truth("rooted", of(rooted=1)), truth("rooted", of(rooted=0))) == (True, False)


def test_without_a_for_a_rule_fires_at_once_and_clears_when_it_is_seen_to_be_false() -> None:
    high, low = of(memory=0.95), of(memory=0.5)
    state, told = run(begun("memory > 90%"), (0, low), (5, high), (10, high), (15, low), (20, high))
    assert told == [(5, "fired"), (15, "cleared"), (20, "fired")]
    assert (state.of("r").since, state.of("r").fired_at) == (20, 20)


def test_with_a_for_it_fires_when_it_was_true_for_so_long_and_says_since_when() -> None:
    high = of(memory=0.95)
    state, told = run(begun("memory > 90% for 10s"), *((at, high) for at in (0.0, 5.0, 9.9, 10.0, 15.0)))
    assert told == [(10.0, "fired")]
    assert (state.of("r").since, state.of("r").fired_at) == (0.0, 10.0)


def test_one_look_at_which_it_was_false_begins_the_for_again() -> None:
    high, low = of(memory=0.95), of(memory=0.5)
    _, told = run(begun("memory > 90% for 10s"), (0, high), (5, low), (6, high), (11, high), (16, high))
    assert told == [(16, "fired")]


def test_over_a_gap_nothing_is_held_against_anybody() -> None:
    high = of(memory=0.95)
    _, told = run(begun("memory > 90% for 10s"), (0, high), (5, high), (15.1, high), (20, high), (25.1, high))
    assert told == [(25.1, "fired")]


def test_looks_without_the_figure_do_not_break_a_for_unless_they_make_a_gap() -> None:
    high = of(memory=0.95)
    _, told = run(begun("memory > 90% for 10s"), (0, high), (4, {}), (8, high), (12, high))
    assert told == [(12, "fired")]
    _, told = run(begun("memory > 90% for 10s"), (0, high), (4, {}), (8, {}), (11, high), (12, high))
    assert told == []


def test_a_rule_that_fires_goes_on_while_it_is_not_known() -> None:
    state, told = run(begun("memory > 90%"), (0, of(memory=0.95)), (5, {}), (50, {}))
    assert told == [(0, "fired")]
    assert (state.of("r").firing, state.of("r").truth) == (True, None)


def test_too_short_is_false_only_when_it_was_seen_to_be_false_within_the_time() -> None:
    high, low = of(memory=0.95), of(memory=0.5)
    text = "memory > 90% for 10s"
    assert run(begun(text), (0, high))[0].of("r").truth is None
    assert run(begun(text), (0, low), (1, high))[0].of("r").truth is False
    assert run(begun(text), (0, low), (1, {}))[0].of("r").truth is False
    assert run(begun(text), (0, low), (1, {}), (11, {}))[0].of("r").truth is None


def test_every_for_has_its_own_time() -> None:
    both = of(memory=0.95, restarts=2)
    text = "memory > 90% for 5s and restarts > 1 for 10s"
    _, told = run(begun(text), (0, of(memory=0.95, restarts=0)), (5, both), (10, both), (15, both))
    assert told == [(15, "fired")]


def test_an_observation_that_is_not_later_is_passed_over() -> None:
    state, _ = run(begun("memory > 90%"), (10, of(memory=0.5)))
    assert run(state, (10, of(memory=0.95)), (9, of(memory=0.95)))[1] == []


def test_it_is_told_by_which_figures_and_whose_they_are() -> None:
    figures = {"memory": (Figure.of(0.93, "web-1"), Figure.of(0.97, "web-2")), "restarts": (Figure.of(3.0),)}
    state, _ = engine.observe(begun("memory > 90% and restarts > 1"), 0.0, figures)
    assert state.of("r").told == "memory 97% (web-2), restarts 3"
    state, _ = engine.observe(begun("latency > 250ms"), 0.0, {"latency": (Figure(0.5, float("inf")),)})
    assert state.of("r").told == "latency above 500ms"
    state, _ = engine.observe(begun("not memory > 90%"), 0.0, of(memory=0.5))
    assert state.of("r").told == "memory 50%"


def test_how_long_a_rule_was_not_known_is_told_when_asked_for() -> None:
    state, _ = run(begun("memory > 90%", unseen_after_s=30.0), (0, of(memory=0.5)), (20, {}), (31, {}))
    assert state.unseen_s("r", 30.0) is None
    assert state.unseen_s("r", 31.0) == 31.0
    assert begun("memory > 90%", unseen_after_s=30.0, since=100.0).unseen_s("r", 140.0) == 40.0
    assert begun("memory > 90%").unseen_s("r", 1e9) is None
