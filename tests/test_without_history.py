"""Whole releases whose source keeps no history: a new driver begins anew, and a follower has no numbers."""

from dataclasses import replace

import pytest

from canary import conduct
from canary.begin import StartOptions
from canary.core.actions import Wait
from canary.core.assessed import Assessed
from canary.core.observation import Observation, World
from canary.core.release import Outcome, Phase, Release
from canary.looking import ELSEWHERE, Memory, look
from canary.ports import Recorded
from canary.view import bars
from canary.view.screen import screen
from canary.view.snapshot import take
from tests.fake_cluster import Behaviour
from tests.fakes import PowerCut, PowerLostError
from tests.stage import BAD, GOOD, Stage, quick


def a_stage(behaviour: Behaviour = GOOD, **changes: object) -> Stage:
    stage = Stage({"v2": behaviour}, **changes)  # type: ignore[arg-type]
    stage.metrics.keeps_history = False
    return stage


def looks(stage: Stage) -> list[tuple[int, float, float]]:
    """Window, limit and canary requests of each look in the ledger."""
    return [
        (entry.body["window"], entry.body["harm_limit"], sum(entry.body["canary"].get("errors", ())))
        for entry in stage.ledger.read("web")
        if entry.kind == "look"
    ]


@pytest.mark.parametrize(("behaviour", "outcome"), [(GOOD, Outcome.PROMOTED), (BAD, Outcome.REGRESSION)])
def test_one_driver_keeps_to_one_window(behaviour: Behaviour, outcome: Outcome) -> None:
    stage = a_stage(behaviour)
    release = stage.run()
    assert (release.outcome, release.window) == (outcome, 1), release.reason
    assert {limit for _, limit, _ in looks(stage)} == {200.0}


def test_pods_that_are_there_at_once_open_no_window_either() -> None:
    stage = a_stage(Behaviour(start_s=0.0))
    assert stage.run().window == 1


def killed_at(stage: Stage, effect: str) -> None:
    """Run until the first effect that says so has happened, and cut the power then."""
    twin = a_stage(stage.behaviours["v2"])
    whole = PowerCut()
    twin.run(cut=whole)
    number = next(i for i, done in enumerate(whole.effects, 1) if effect in done)
    with pytest.raises(PowerLostError):
        stage.run(cut=PowerCut(number, after=True))


@pytest.mark.parametrize(("behaviour", "outcome"), [(GOOD, Outcome.PROMOTED), (BAD, Outcome.REGRESSION)])
def test_the_next_driver_opens_a_window_with_a_wider_limit_and_the_release_still_ends(
    behaviour: Behaviour, outcome: Outcome
) -> None:
    stage = a_stage(behaviour)
    killed_at(stage, "save progressing 0 holding")
    stage.clock.advance(45)
    release = stage.run()
    assert (release.outcome, release.window) == (outcome, 2), release.reason
    assert stage.tidy()
    limits = {window: limit for window, limit, _ in looks(stage)}
    assert limits[2] == pytest.approx(4 / release.strategy.false_rollback_rate)


def test_the_looks_of_a_window_are_numbered_and_kept_from_its_first() -> None:
    stage = a_stage()
    killed_at(stage, "save progressing 1 holding")
    stage.clock.advance(45)
    stage.run()
    numbers: dict[int, list[int]] = {}
    for entry in stage.ledger.read("web"):
        if entry.kind == "look":
            numbers.setdefault(entry.body["window"], []).append(entry.body["number"])
    assert len(numbers[1]) >= 2
    assert {window: found == list(range(1, len(found) + 1)) for window, found in numbers.items()} == {
        1: True,
        2: True,
    }


def test_each_further_driver_opens_a_further_window() -> None:
    stage = a_stage()
    killed_at(stage, "save progressing 0 holding")
    for _ in range(2):
        with pytest.raises(PowerLostError):
            # The idle time is noted, then the window is opened, each with its line in the ledger.
            stage.run(cut=PowerCut(4, after=True))
        stage.clock.advance(20)
    release = stage.run()
    assert (release.outcome, release.window) == (Outcome.PROMOTED, 4), release.reason


def test_what_was_counted_before_a_window_is_not_counted_in_it() -> None:
    stage = a_stage()
    killed_at(stage, "save progressing 0 holding")
    stage.clock.advance(300)
    ports = stage.ports()
    # A source in this process that remembers more than it may.
    stage.metrics.begun = 0.0
    release = conduct.start(ports, stage.settings(), "v2", StartOptions(), stage.reporter).release
    assert release.outcome is Outcome.PROMOTED
    first = next(requests for window, _, requests in looks(stage) if window == 2 and requests)
    # A hundred a second in one pod, over two intervals of the grid at most: not what five minutes made.
    assert 0 < first <= 100 * 2 * release.strategy.interval_s


def test_a_driver_that_was_away_while_another_opened_a_window_opens_the_next() -> None:
    stage = a_stage()
    opened: list[int] = []

    def another() -> None:
        found = stage.records.load("web")
        assert found is not None
        if not opened and found.release.phase is Phase.PROGRESSING:
            opened.append(found.release.window + 1)
            stage.records.save(found.release.with_(window=found.release.window + 1), expected=found.version)

    stage.clock.at(70, another)
    release = stage.run()
    assert opened == [2]
    assert (release.outcome, release.window) == (Outcome.PROMOTED, 3), release.reason


def test_without_analysis_no_window_is_opened() -> None:
    other = a_stage()
    with pytest.raises(PowerLostError):
        other.run(cut=PowerCut(9, after=True), skip_analysis=True, reason="stable is down")
    other.clock.advance(20)
    release = other.run(skip_analysis=True, reason="stable is down")
    assert (release.outcome, release.window) == (Outcome.PROMOTED, 1), release.reason


def seen_by_a_follower(stage: Stage) -> tuple[Release, Observation, Assessed, object]:
    found = look(stage.ports(), "web", Memory(taken_over=True, read=True))
    return found.recorded.release, found.seen, found.assessed, found.decision


def test_a_follower_asks_no_pod_and_claims_no_numbers() -> None:
    stage = a_stage()
    killed_at(stage, "save progressing 0 holding")
    stage.clock.advance(100)
    reads = len(stage.metrics.reads)
    release, seen, assessed, decision = seen_by_a_follower(stage)
    assert len(stage.metrics.reads) == reads
    assert assessed.elsewhere
    assert decision == Wait(ELSEWHERE)
    snap = take(release, seen, assessed, Wait(ELSEWHERE))
    text = "\n".join("".join(part for part, _ in line) for line in screen(snap, 100, bars.UNICODE))
    assert "metrics    not known here: the driver alone scrapes the pods" in text
    assert "against    not known here" in text
    assert "look 0" not in text
    assert "nothing compared" not in text


def test_with_history_a_follower_has_the_numbers_of_the_driver() -> None:
    stage = a_stage()
    stage.metrics.keeps_history = True
    killed_at(stage, "save progressing 0 holding")
    stage.clock.advance(100)
    _, _, assessed, _ = seen_by_a_follower(stage)
    assert not assessed.elsewhere
    assert assessed.evidence.looks > 0


def test_the_probes_that_the_target_has_are_in_the_record(monkeypatch: pytest.MonkeyPatch) -> None:
    stage = Stage({"v2": GOOD}, strategy=quick(probe_rate=0.25))
    inner = stage.cluster.observe

    def probed() -> World | None:
        world = inner()
        return replace(world, probe_rate=0.5) if world is not None else None

    monkeypatch.setattr(stage.cluster, "observe", probed)
    stage.run()
    found: Recorded | None = stage.records.load("web")
    assert found is not None
    assert found.release.strategy.probe_rate == 0.75
