import io
import json
import sys
from dataclasses import replace

import pytest

from canary.core.actions import Move, Wait
from canary.core.assessed import GuardEvent, GuardState, Hold
from canary.core.observation import Observation
from canary.core.release import Phase, Stage
from canary.ports import Recorded, Reporter
from canary.view.jsonl import JsonLines
from canary.view.lines import Lines
from canary.view.live import LiveView
from tests.guarding import standing
from tests.view.scripted import START, a_metric, a_release, a_world, assessed, script


def now() -> float:
    return START


class Broken(io.StringIO):
    """A pipe whose reader has gone away."""

    def write(self, text: str) -> int:
        raise BrokenPipeError(32, "Broken pipe")


def plain_lines(*, bad: bool) -> list[str]:
    out = io.StringIO()
    view = Lines(out, now)
    for told in script(bad=bad):
        view.tick(*told)
    assert view.outlet.fault is None
    return out.getvalue().splitlines()


def test_a_log_tells_a_bad_release_in_few_lines() -> None:
    lines = [line.partition("Z ")[2] for line in plain_lines(bad=True)]
    assert lines[:6] == [
        "shop: v1.1.0 over v1.0.0, pending",
        "stable 4/4 ready",
        "step 1/2, 25 % asked, scaling",
        "stable 4/4 ready, canary 0/1 ready",
        "step 1: 25 % asked",
        "step 1/2, 25 % asked, holding",
    ]
    assert any(line.startswith("waiting: amber") for line in lines)
    assert any(line.startswith("rolling back: v1.1.0 is worse than tolerated") for line in lines)
    assert len(lines) < 18


def test_a_log_keeps_quiet_while_nothing_changes() -> None:
    out = io.StringIO()
    view = Lines(out, now)
    for second in range(100):
        seen = Observation(START + second * 0.1, a_world())
        view.tick(
            Recorded(a_release(), "1"), seen, assessed(a_metric()), Wait(f"held {second} s", Hold.AMBER)
        )
    assert len(out.getvalue().splitlines()) == 4


def test_a_log_tells_why_a_release_does_not_begin_once_for_each_reason() -> None:
    out = io.StringIO()
    view = Lines(out, now)
    pending = replace(a_release(), phase=Phase.PENDING, stage=Stage.SCALING, steps_at=())
    for reason in ["the stable is not whole: 1 of 4 ready"] * 3 + ["the stable is not whole: 2 of 4 ready"]:
        view.tick(Recorded(pending, "1"), Observation(START, a_world()), assessed(), Wait(reason))
    told = [line.partition("Z ")[2] for line in out.getvalue().splitlines()]
    assert told[2:] == [f"waiting: the stable is not whole: {ready} of 4 ready" for ready in (1, 2)]


def guarded_ticks(view: Reporter) -> None:
    """A guard that is quiet, fires, goes on, cannot be told, and clears."""
    asked = a_release(strategy=replace(a_release().strategy, guards=(standing().guard,)))
    fired = GuardEvent("memory", True, START + 61, START + 31, "memory_usage 93% (web-1)")
    turns: list[tuple[GuardState, tuple[GuardEvent, ...]]] = [
        (standing("pause", firing=False), ()),
        (standing("pause"), (fired,)),
        (standing("pause"), ()),
        (standing("pause", unseen="no figure for memory_usage"), ()),
        (standing("pause", firing=False), (replace(fired, fired=False, at=START + 90),)),
    ]
    for second, (state, events) in enumerate(turns):
        found = assessed(a_metric(), looks=0, guards=(state,), events=events)
        view.tick(Recorded(asked, "1"), Observation(START + second, a_world()), found, Wait("held"))


def test_a_log_tells_a_guard_when_it_fires_clears_or_cannot_be_told() -> None:
    out = io.StringIO()
    guarded_ticks(Lines(out, now, progress_s=1e9))
    told = [line.partition("Z ")[2] for line in out.getvalue().splitlines() if "guard" in line]
    assert told == [
        "guard memory fired (pause): memory_usage 93% (web-1), which is memory_usage > 90% for 30s",
        "guard memory cannot be told: no figure for memory_usage",
        "guard memory has cleared",
    ]


def test_an_alert_says_that_it_is_one() -> None:
    out = io.StringIO()
    found = assessed(guards=(standing("alert"),))
    Lines(out, now).tick(Recorded(a_release(), "1"), Observation(START, a_world()), found, Wait("held"))
    assert "ALERT: guard memory fired (alert)" in out.getvalue()


def test_json_lines_tell_each_turn_of_a_guard_and_how_it_stands() -> None:
    out = io.StringIO()
    guarded_ticks(JsonLines(out, now))
    told = [json.loads(line) for line in out.getvalue().splitlines()]
    turns = [one for one in told if one["kind"] == "guard"]
    assert [(one["guard"], one["state"], one["at"] - START) for one in turns] == [
        ("memory", "fired", 61.0),
        ("memory", "cleared", 90.0),
    ]
    assert (turns[0]["action"], turns[0]["alert"], turns[0]["since"]) == ("abort", False, START + 31)
    stands = [one["guards"][0] for one in told if one["kind"] == "state"]
    assert [(one["firing"], one["unseen"]) for one in stands] == [
        (False, None),
        (True, None),
        (True, "no figure for memory_usage"),
        (False, None),
    ]


def test_progress_is_told_at_most_every_so_many_seconds() -> None:
    out = io.StringIO()
    view = Lines(out, now, progress_s=10)
    for second in range(60):
        found = assessed(a_metric(), looks=second)
        view.tick(Recorded(a_release(), "1"), Observation(START + second, a_world()), found, Wait("x"))
    told = [line for line in out.getvalue().splitlines() if " look " in line]
    assert len(told) == 6
    assert told[0] == (
        "2026-01-01T00:00:01Z look 1: share 24 % of 25 %; errors 0.32 % against 0.31 % (0.42 to 2.31 times); "
        "against 1.2 of 100"
    )


def test_a_move_that_the_next_tick_will_tell_is_not_told_twice() -> None:
    out = io.StringIO()
    view = Lines(out, now)
    release = a_release()
    back = release.moved(Phase.ROLLING_BACK, at=START, reason="because")
    seen = Observation(START + 5, a_world())
    view.tick(Recorded(release, "1"), seen, assessed(), Move(back, "roll back: because"))
    view.tick(Recorded(back, "2"), seen, assessed(), Wait("pods are going"))
    assert out.getvalue().count("because") == 1


def objects(*, bad: bool) -> list[dict[str, object]]:
    out = io.StringIO()
    view = JsonLines(out, now)
    view.note("taking over")
    for told in script(bad=bad):
        view.tick(*told)
    assert view.outlet.fault is None
    return [json.loads(line, parse_constant=pytest.fail) for line in out.getvalue().splitlines()]


def test_json_lines_tell_every_look_once_and_each_change_of_state() -> None:
    told = objects(bad=False)
    looks = [line["number"] for line in told if line["kind"] == "look"]
    assert told[0] == {"kind": "note", "at": START, "text": "taking over"}
    assert len(looks) > 40
    phases = [line["phase"] for line in told if line["kind"] == "state"]
    assert list(dict.fromkeys(phases)) == ["pending", "progressing", "promoting", "promoted"]
    assert all(isinstance(line["at"], float) for line in told)


def test_json_lines_tell_a_wait_once_for_each_kind() -> None:
    waits = [line["hold"] for line in objects(bad=True) if line.get("decision") == "wait"]
    assert waits == [None, "amber", None]


def test_an_interval_without_an_end_is_null_in_json() -> None:
    from analysis.words import Interval

    out = io.StringIO()
    view = JsonLines(out, now)
    found = assessed(a_metric(ratio=Interval(0.0, float("inf"))))
    view.tick(Recorded(a_release(), "1"), Observation(START, a_world()), found, Wait("x"))
    look = json.loads(out.getvalue().splitlines()[0])
    assert look["metrics"]["errors"]["ratio"] == {"low": 0.0, "high": None}


@pytest.mark.parametrize("make", [Lines, JsonLines, LiveView])
def test_a_reader_who_goes_away_does_not_disturb_the_release(make: type[Lines]) -> None:
    view = make(Broken(), now)
    view.note("one")
    for told in script(bad=True):
        view.tick(*told)
    view.close()
    assert isinstance(view.outlet.fault, BrokenPipeError)


@pytest.mark.parametrize("make", [Lines, JsonLines, LiveView])
def test_a_fault_of_the_view_is_said_once_and_never_reaches_the_loop(
    make: type[Lines], capsys: pytest.CaptureFixture[str]
) -> None:
    view: Reporter = make(io.StringIO(), now)
    nonsense = a_release(strategy=None)
    for _ in range(3):
        view.tick(Recorded(nonsense, "1"), Observation(START, a_world()), assessed(a_metric()), Wait("x"))
    assert capsys.readouterr().err.count("the release goes on") == 1


def test_a_log_in_an_encoding_that_lacks_a_character_goes_on() -> None:
    raw = io.BytesIO()
    view = Lines(io.TextIOWrapper(raw, encoding="ascii"), now)
    view.note("paused by jörg")
    view.note("going on")
    assert raw.getvalue() == b"2026-01-01T00:00:00Z paused by j?rg\n2026-01-01T00:00:00Z going on\n"


@pytest.mark.parametrize("width", [80, 120])
def test_the_live_view_draws_frames_that_fit_and_leaves_the_verdict(width: int) -> None:
    out = io.StringIO()
    view = LiveView(out, now, width=width, how=" -f a.yaml")
    for told in script(bad=True):
        view.tick(*told)
        frame = view.frame().plain.splitlines()
        assert len(frame) <= 24
        assert max(map(len, frame)) < width
    view.end(told[0].release)
    view.close()
    assert view.outlet.fault is None
    last = view.frame().plain.splitlines()
    assert last[-1].startswith("ROLLED BACK")
    assert "next       canary history | canary audit export, each with -f a.yaml" in last


def test_notes_are_shown_on_the_screen() -> None:
    view = LiveView(io.StringIO(), now, width=80)
    view.tick(Recorded(a_release(), "1"), Observation(START, a_world()), assessed(a_metric()), Wait("x"))
    view.note("taking over from bob@host")
    view.close()
    assert "note       00:00:00 taking over from bob@host" in view.frame().plain


def test_no_colour_that_vanishes_on_a_light_or_a_dark_terminal_is_used() -> None:
    from canary.view.live import COLOURS

    used = {word for style in COLOURS.values() for word in style.split()}
    assert used <= {"bold", "dim", "green", "red", "magenta"}
    assert "rich" in sys.modules
