import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from analysis.words import Interval
from canary.core.actions import Act, Wait
from canary.core.assessed import Assessed, GuardState, Hold
from canary.core.observation import Observation
from canary.core.release import Pause, Phase, Release
from canary.ports import Recorded
from canary.view import bars
from canary.view.bars import ASCII, UNICODE
from canary.view.screen import LINES, screen
from canary.view.snapshot import Snapshot, ended, take
from tests.guarding import standing
from tests.view.scripted import START, Told, a_metric, a_release, a_world, assessed, script

ANY = st.floats().map(abs)


def text(snap: Snapshot, width: int = 79, *, notes: tuple[str, ...] = (), how: str = "") -> list[str]:
    lines = screen(snap, width, UNICODE, notes=notes, how=how)
    return ["".join(part for part, _ in line) for line in lines]


def shown(told: Told) -> Snapshot:
    recorded, seen, found, decision = told
    return take(recorded.release, seen, found, decision)


def many(count: int) -> Snapshot:
    rows = tuple(a_metric(f"metric_{i}", harm=float(i)) for i in range(count))
    pause = Pause("ann@laptop", START, START + 3600, "a long story " * 20)
    release = a_release(pause=pause, step=1, reason="a long reason " * 20)
    wait = Wait("not yet seen to be safe: " + "x " * 200, Hold.TOO_LITTLE_EVIDENCE)
    return take(release, Observation(START + 20, a_world()), assessed(*rows), wait)


def guarded(*guards: GuardState) -> Snapshot:
    wait = Wait("held 4 s of at least 10 s")
    return take(a_release(), Observation(START + 60, a_world()), assessed(a_metric(), guards=guards), wait)


def test_guards_that_fire_are_on_the_screen_and_quiet_ones_are_not() -> None:
    assert not any("memory" in line for line in text(guarded(standing(firing=False))))
    lines = text(guarded(standing("abort"), standing("alert")))
    assert [line for line in lines if "memory fires (abort): memory_usage 93% (web-1)" in line]
    assert any("memory fires (alert)" in line for line in lines)


def test_however_many_guards_fire_two_lines_tell_it() -> None:
    lines = text(guarded(*[standing("alert", unseen="no figure for x " * 20)] * 9))
    assert len(lines) <= LINES
    assert sum("guard" in line for line in lines) == 2
    assert any("more" in line for line in lines)


@pytest.mark.parametrize("width", [79, 119])
@pytest.mark.parametrize("bad", [True, False])
def test_every_frame_of_a_release_fits_on_one_screen(width: int, bad: bool) -> None:
    for told in script(bad=bad):
        lines = text(shown(told), width, notes=("one note " * 30, "another"))
        assert len(lines) <= LINES
        assert max(map(len, lines)) <= width


@pytest.mark.parametrize("count", [0, 1, 2, 3, 5, 8, 40])
@pytest.mark.parametrize("width", [79, 119])
def test_many_metrics_and_long_stories_still_fit(count: int, width: int) -> None:
    lines = text(many(count), width, notes=("n" * 300, "m" * 300), how=f" -f {'x' * 300}")
    assert len(lines) <= LINES
    assert max(map(len, lines)) <= width
    assert lines[-2].startswith("next")


def test_when_there_are_too_many_metrics_the_worst_are_shown_and_the_rest_counted() -> None:
    whole = "\n".join(text(many(40)))
    assert "metric_39" in whole
    assert "metric_1 " not in whole
    assert "more with less evidence against them" in whole


def test_the_screen_tells_step_arms_metrics_and_evidence() -> None:
    told = shown(
        (
            _recorded(a_release()),
            Observation(START + 20, a_world()),
            assessed(a_metric()),
            Wait("held 4 s of at least 10 s"),
        )
    )
    assert text(told, 79)[:9] == [
        "shop v1.1.0 over v1.0.0                              progressing, holding   20s",
        "step       1/2  [25] 50 %   for 17s   9m40s until the deadline",
        "",
        "arm        replicas         requests/s   version",
        "stable     3/3 ready               122   v1.0.0",
        "canary     1/1 ready              38.1   v1.1.0   share 24 % of 25 % asked",
        "",
        "errors     canary  0.32 % (12 of 3,802)      stable  0.31 % (38 of 12,204)",
        "bad        0.42 to 2.31    ─────━━━━━━━━━1t━━━━━━━─m─────────── t=1.10 m=2.61",
    ]


def _recorded(release: Release) -> Recorded:
    return Recorded(release, "1")


def test_the_last_step_shows_the_evidence_for_promoting_of_each_metric() -> None:
    found = assessed(a_metric(safety=60.0), a_metric("latency", safety=3.0))
    lines = text(
        take(
            a_release(step=1), Observation(START + 20, a_world()), found, Wait("x", Hold.TOO_LITTLE_EVIDENCE)
        )
    )
    rows = [line.split() for line in lines if "of 50" in line and "asked" not in line]
    assert [row[:2] for row in rows] == [["for", "errors"], ["latency", "████░░░░░░░░░░░"]]
    assert rows[0][-4:] == ["60", "of", "50,", "enough"]
    assert rows[1][-3:] == ["3", "of", "50"]


def test_evidence_over_its_limit_is_told_in_words_not_by_colour_alone() -> None:
    snap = take(
        a_release(),
        Observation(START + 20, a_world()),
        assessed(a_metric(), harm=248.0),
        Wait("x", Hold.AMBER),
    )
    (line,) = [line for line in text(snap) if line.startswith("against")]
    assert "248 of 100, over the limit" in line


def test_a_hold_says_its_kind_once() -> None:
    amber = take(
        a_release(), Observation(START + 5, a_world()), assessed(), Wait("amber: evidence 7", Hold.AMBER)
    )
    quiet = take(a_release(), Observation(START + 5, a_world()), assessed(), Wait("why", Hold.NO_TRAFFIC))
    assert "waiting    amber: evidence 7" in text(amber)
    assert "waiting    no traffic: why" in text(quiet)


def test_the_way_back_shows_how_far_it_is() -> None:
    release = a_release(phase=Phase.ROLLING_BACK, reason="aborted")
    snap = take(release, Observation(START + 9, a_world(3, 1)), None, Act((), "scale down"))
    assert "3 of 3 ready on v1.0.0, 1 canary replicas serve" in text(snap)[1]


def test_the_last_line_of_the_last_frame_is_the_verdict() -> None:
    *_, last = script(bad=True)
    lines = text(ended(shown(last), last[0].release))
    assert lines[-1] == "ROLLED BACK, worse than stable: shop v1.1.0, now running v1.0.0"


def test_a_terminal_without_such_characters_gets_plain_ones() -> None:
    assert bars.glyphs_for("latin-1") is ASCII
    assert bars.glyphs_for(None) is ASCII
    assert bars.glyphs_for("utf-8") is UNICODE
    snap = take(a_release(), Observation(START, a_world()), assessed(a_metric()), Wait("x" * 300))
    for line in screen(snap, 79, ASCII):
        "".join(part for part, _ in line).encode("ascii")


def test_an_interval_closes_in_on_its_marks() -> None:
    marks = [(1.0, "1"), (1.1, "t"), (2.0, "m")]
    assert bars.interval((0.0, math.inf), marks, 21, ASCII) == "<=======" + "==1t===m====>"[0:13]
    assert bars.interval((0.9, 1.2), marks, 21, ASCII) == "----------1t---m-----"[0:21].replace(
        "----------1", "---------=1"
    )


def test_an_evidence_bar_is_full_at_the_limit_only() -> None:
    assert bars.towards(1.0, 100, 10, ASCII) == ".........."
    assert bars.towards(10.0, 100, 10, ASCII) == "#####....."
    assert bars.towards(99.9, 100, 10, ASCII) == "#########."
    assert bars.towards(100.0, 100, 10, ASCII) == "##########"


@given(low=ANY, high=ANY, harm=ANY, safety=ANY, counts=st.tuples(ANY, ANY), width=st.integers(10, 200))
def test_any_numbers_can_be_shown(
    low: float, high: float, harm: float, safety: float, counts: tuple[float, float], width: int
) -> None:
    metric = a_metric(
        harm=harm, safety=safety, canary_bad=counts[0], stable_all=counts[1], ratio=Interval(low, high)
    )
    found: Assessed = assessed(metric, harm=harm, share=safety, rates={"stable": low, "canary": high})
    snap = take(a_release(step=1), Observation(START + 20, a_world()), found, Wait(""))
    lines = text(snap, width)
    assert max(map(len, lines)) <= max(40, width)
