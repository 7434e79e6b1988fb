"""Whole releases over fake ports: the real loop, policy, statistics and walks, in virtual time."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from canary.core.actions import Wait
from canary.core.assessed import Hold
from canary.core.ledger import verify
from canary.core.release import Outcome, Phase, Request, RequestKind
from canary.core.strategy import OnInconclusive
from canary.errors import BusyError, DeniedError, Exit, MissingError, TransientError
from canary.loop import InterruptedDriveError
from canary.wiring import exit_code, request, undo
from tests.fake_cluster import Behaviour
from tests.fakes import PowerCut
from tests.stage import BAD, CRASHES, GOOD, NEVER, OVERLOADED, SLOW, Stage, quick


def a_stage(behaviour: Behaviour = GOOD, **changes: object) -> Stage:
    return Stage({"v2": behaviour}, **changes)  # type: ignore[arg-type]


def holds(stage: Stage) -> set[str]:
    return {one.hold for one in stage.reporter.decisions if isinstance(one, Wait) and one.hold is not None}


# ── each kind of version comes to its end


@pytest.mark.parametrize(
    ("behaviour", "outcome", "code"),
    [
        (GOOD, Outcome.PROMOTED, Exit.OK),
        (BAD, Outcome.REGRESSION, Exit.ROLLED_BACK),
        (SLOW, Outcome.REGRESSION, Exit.ROLLED_BACK),
        (CRASHES, Outcome.CRASHED, Exit.ROLLED_BACK),
        (NEVER, Outcome.NEVER_READY, Exit.NEVER_READY),
    ],
)
def test_a_release_decides_by_itself(behaviour: Behaviour, outcome: Outcome, code: Exit) -> None:
    stage = a_stage(behaviour)
    release = stage.run()
    assert (release.outcome, exit_code(release)) == (outcome, code), release.reason
    assert stage.stable_version() == ("v2" if outcome is Outcome.PROMOTED else "v1")
    assert stage.tidy()


def test_capacity_never_falls_under_the_floor_nor_rises_over_the_surge() -> None:
    for behaviour in (GOOD, BAD, NEVER):
        stage = a_stage(behaviour)
        stage.run()
        assert stage.cluster.fewest_ready >= 4
        assert stage.cluster.most_pods <= 5
        assert stage.cluster.unserved == 0


def test_a_version_that_is_bad_only_under_load_is_not_promoted() -> None:
    stage = Stage({"v2": OVERLOADED}, strategy=quick(steps=(10.0, 25.0, 50.0)), rate=400.0)
    release = stage.run()
    assert release.outcome in (Outcome.REGRESSION, Outcome.NO_CONCLUSION), release.reason
    assert stage.stable_version() == "v1"


def test_the_version_that_runs_already_is_not_released_again() -> None:
    stage = a_stage()
    release = stage.run("v1")
    assert (release.reason, exit_code(release)) == ("already running", Exit.OK)
    assert stage.records.load("web") is None
    assert not stage.acted()


# ── killed anywhere, it ends as unkilled


def effects_of(behaviour: Behaviour) -> tuple[list[str], Outcome | None]:
    cut = PowerCut()
    release = a_stage(behaviour).run(cut=cut)
    return cut.effects, release.outcome


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("behaviour", [GOOD, BAD], ids=["good", "bad"])
def test_a_driver_killed_at_any_effect_ends_as_one_that_was_not(behaviour: Behaviour, after: bool) -> None:
    effects, outcome = effects_of(behaviour)
    assert len(effects) > 10
    for at in range(1, len(effects) + 1):
        stage = a_stage(behaviour)
        release = stage.run_through("v2", [(at, after)])
        assert release.outcome is outcome, (at, effects[at - 1], release.reason)
        assert stage.tidy(), (at, effects[at - 1])
        assert stage.cluster.fewest_ready >= 4
        assert verify(stage.ledger.read("web")) is None


@settings(max_examples=15, deadline=None)
@given(
    st.lists(st.tuples(st.integers(1, 12), st.booleans()), max_size=6), st.sampled_from([GOOD, BAD, NEVER])
)
def test_killed_again_and_again_it_still_ends_as_unkilled(
    cuts: list[tuple[int, bool]], behaviour: Behaviour
) -> None:
    stage = a_stage(behaviour)
    release = stage.run_through("v2", cuts)
    assert release.outcome is effects_of(behaviour)[1]
    assert stage.tidy()
    assert stage.cluster.fewest_ready >= 4


def test_a_restarted_driver_comes_to_the_same_evidence() -> None:
    whole, cut = a_stage(BAD), a_stage(BAD)
    whole.run()
    cut.run_through("v2", [(14, True)])

    def looks(stage: Stage) -> dict[int, float]:
        entries = stage.ledger.read("web")
        return {e.body["number"]: e.body["harm"] for e in entries if e.kind == "look"}

    shared = looks(whole).keys() & looks(cut).keys()
    assert len(shared) >= 2
    assert all(looks(whole)[n] == pytest.approx(looks(cut)[n]) for n in shared if n < min(shared) + 3)


def test_the_ledger_tells_every_look_decision_and_action_and_its_head_is_in_the_record() -> None:
    stage = a_stage()
    release = stage.run()
    entries = stage.ledger.read("web")
    assert verify(entries) is None
    assert release.ledger_head == entries[-1].hash
    assert release.ledger_length == len(entries)
    assert {"start", "look", "decision", "action", "end"} <= {entry.kind for entry in entries}
    numbers = [entry.body["number"] for entry in entries if entry.kind == "look"]
    assert numbers == list(range(1, len(numbers) + 1))


# ── no evidence, no promotion


def test_without_traffic_it_is_held_and_ends_without_a_conclusion() -> None:
    stage = a_stage(rate=0.0)
    release = stage.run()
    assert (release.outcome, exit_code(release)) == (Outcome.NO_CONCLUSION, Exit.NO_CONCLUSION)
    assert Hold.NO_TRAFFIC in holds(stage)
    assert stage.tidy()


def test_a_source_that_is_away_holds_and_resumes_by_itself_when_it_is_back() -> None:
    stage = a_stage()
    stage.clock.at(60, lambda: setattr(stage.metrics, "reachable", False))
    stage.clock.at(900, lambda: setattr(stage.metrics, "reachable", True))
    release = stage.run()
    assert Hold.NO_SCRAPE in holds(stage)
    assert release.outcome is Outcome.PROMOTED
    assert release.times["decided"] - release.since > 900


def test_a_source_that_never_answers_promotes_nothing_and_harms_nothing() -> None:
    stage = a_stage()
    stage.metrics.reachable = False
    release = stage.run()
    assert release.outcome is Outcome.NO_CONCLUSION
    assert stage.stable_version() == "v1"


def test_scrapes_that_stop_for_one_canary_pod_hold_with_the_pods_name() -> None:
    stage = a_stage()
    stage.clock.at(100, lambda: stage.metrics.hidden.update(p.name for p in stage.cluster.pods[-1:]))
    release = stage.run()
    assert Hold.NO_SCRAPE in holds(stage)
    assert release.outcome is Outcome.NO_CONCLUSION


def test_a_canary_pod_that_dies_once_is_waited_for_and_the_release_goes_on() -> None:
    stage = a_stage()
    stage.clock.at(100, lambda: stage.cluster.kill(stage.cluster.pods[-1].name))
    assert stage.run().outcome is Outcome.PROMOTED


@pytest.mark.parametrize(
    ("wanted", "outcome"),
    [(OnInconclusive.ROLLBACK, Outcome.NO_CONCLUSION), (OnInconclusive.PAUSE, Outcome.NO_CONCLUSION)],
)
def test_nothing_exits_while_a_canary_serves(wanted: OnInconclusive, outcome: Outcome) -> None:
    stage = a_stage(rate=1.0, strategy=quick(on_inconclusive=wanted, deadline_s=900, pause_max_s=600))
    release = stage.run()
    assert release.outcome is outcome
    assert stage.tidy()
    waited = release.times["decided"] - release.since
    assert waited >= (1500 if wanted is OnInconclusive.PAUSE else 900)


def test_leave_exits_with_a_canary_serving_and_says_so_and_start_takes_it_up_again() -> None:
    stage = a_stage(rate=1.0, strategy=quick(deadline_s=600))
    release = stage.run(leave=True)
    assert exit_code(release) is Exit.NO_CONCLUSION
    assert not release.settled
    assert release.pause is not None
    assert "left serving" in release.pause.reason
    assert not stage.tidy()
    abort = Request(RequestKind.ABORT, "ann@laptop", stage.clock.now())
    ended = request(stage.ports(), stage.settings(), abort, reporter=stage.reporter).release
    assert ended.outcome is Outcome.ABORTED
    assert stage.tidy()


# ── people and other drivers


@pytest.mark.parametrize(
    ("kind", "outcome"), [(RequestKind.ABORT, Outcome.ABORTED), (RequestKind.PROMOTE, Outcome.PROMOTED)]
)
def test_a_wish_is_obeyed_within_two_seconds(kind: RequestKind, outcome: Outcome) -> None:
    stage = a_stage()
    asked_at = stage.clock.now() + 50

    def ask() -> None:
        found = stage.records.load("web")
        assert found is not None
        wish = Request(kind, "bob@phone", stage.clock.now())
        stage.records.save(found.release.with_(requests=(wish,)), expected=found.version)

    stage.clock.at(50, ask)
    release = stage.run()
    assert release.outcome is outcome
    assert release.times["decided"] - asked_at <= 2.0
    assert any(entry.actor == "bob@phone" for entry in stage.ledger.read("web"))


def test_another_version_is_refused_while_one_is_released_and_nothing_is_touched() -> None:
    stage = a_stage()
    stage.clock.at(50, lambda: stage.clock.interrupt(2))
    with pytest.raises(InterruptedDriveError):
        stage.run()
    stage.clock.clear()
    before = (stage.records.load("web"), len(stage.cluster.touched))
    with pytest.raises(BusyError):
        stage.run("v3")
    assert (stage.records.load("web"), len(stage.cluster.touched)) == before


def test_supersede_rolls_the_running_one_back_and_starts_the_new_one() -> None:
    stage = a_stage(BAD)
    stage.clock.at(25, lambda: stage.clock.interrupt(15))
    with pytest.raises(InterruptedDriveError):
        stage.run()
    stage.clock.clear()
    assert stage.run("v3", supersede=True).outcome is Outcome.PROMOTED
    assert Outcome.SUPERSEDED in {release.outcome for release in stage.records.saved}
    assert stage.stable_version() == "v3"


def test_an_interrupted_driver_gives_up_the_lease_and_the_next_one_goes_on_at_once() -> None:
    stage = a_stage()
    stage.clock.at(100, lambda: stage.clock.interrupt(15))
    with pytest.raises(InterruptedDriveError) as stopped:
        stage.run()
    assert stopped.value.exit is Exit.TERMINATED
    stage.clock.clear()
    assert stage.run().outcome is Outcome.PROMOTED


def test_an_image_set_by_somebody_else_supersedes_and_stays() -> None:
    stage = a_stage()
    stage.clock.at(100, lambda: stage.cluster.someone_else_sets("v9"))
    release = stage.run()
    assert (release.outcome, exit_code(release)) == (Outcome.SUPERSEDED, Exit.SUPERSEDED)
    assert stage.stable_version() == "v9"
    assert stage.tidy()


def test_a_target_that_is_deleted_ends_the_release() -> None:
    stage = a_stage()
    stage.clock.at(100, stage.cluster.someone_else_deletes_the_target)
    assert exit_code(stage.run()) is Exit.SUPERSEDED


def test_an_api_that_is_away_for_minutes_changes_nothing() -> None:
    stage = a_stage()
    stage.clock.at(100, lambda: setattr(stage.cluster, "out_of_reach", True))
    stage.clock.at(400, lambda: setattr(stage.cluster, "out_of_reach", False))
    assert stage.run().outcome is Outcome.PROMOTED
    assert any("in reach again" in note for note in stage.reporter.notes)


def test_a_right_that_is_taken_away_holds_the_release_until_it_is_back() -> None:
    stage = a_stage()
    stage.clock.at(100, lambda: setattr(stage.cluster, "refused", True))
    stage.clock.at(400, lambda: setattr(stage.cluster, "refused", False))
    assert stage.run().outcome is Outcome.PROMOTED
    assert any("may not list pods; held" in note for note in stage.reporter.notes)


def test_a_right_that_stays_away_ends_the_driver_as_out_of_reach() -> None:
    stage = a_stage()
    stage.clock.at(100, lambda: setattr(stage.cluster, "refused", True))
    with pytest.raises(TransientError, match="may not list pods"):
        stage.run()
    assert not stage.recorded.settled


def test_a_right_that_is_missing_from_the_start_ends_it_before_anything_is_touched() -> None:
    stage = a_stage()
    stage.cluster.refused = True
    with pytest.raises(DeniedError):
        stage.run()
    assert stage.records.load("web") is None


def test_an_api_that_stays_away_ends_the_driver_but_not_the_release() -> None:
    stage = a_stage()
    stage.clock.at(100, lambda: setattr(stage.cluster, "out_of_reach", True))
    with pytest.raises(TransientError):
        stage.run()
    stage.cluster.out_of_reach = False
    assert not stage.recorded.settled
    assert stage.run().settled


def test_time_in_which_nobody_drove_counts_for_no_hold() -> None:
    stage = a_stage(strategy=quick(hold_min_s=300.0))
    cut = PowerCut(9, after=True)
    begun = stage.clock.now()
    release = stage.run_through("v2", [(9, True)])
    assert cut.effects == []
    assert release.outcome is Outcome.PROMOTED
    assert release.times["decided"] - begun >= 600


# ── undo


def test_undo_after_a_promotion_restores_what_was_good_before() -> None:
    stage = a_stage()
    stage.run()
    release = undo(
        stage.ports(), stage.settings(), number=None, why="regret", reporter=stage.reporter
    ).release
    assert (release.phase, release.outcome) == (Phase.ROLLED_BACK, Outcome.UNDONE)
    assert stage.stable_version() == "v1"
    assert stage.tidy()
    assert {"detected", "decided", "restored"} <= release.times.keys()


def test_undo_to_a_revision_restores_that_one() -> None:
    stage = a_stage()
    stage.run()
    stage.run("v3")
    undo(stage.ports(), stage.settings(), number=1, why="", reporter=stage.reporter)
    assert stage.stable_version() == "v1"


def test_undo_fails_loudly_when_there_is_nothing_to_undo() -> None:
    stage = a_stage(BAD)
    with pytest.raises(MissingError, match="nothing to undo"):
        undo(stage.ports(), stage.settings(), number=None, why="", reporter=stage.reporter)
    stage.run()
    with pytest.raises(MissingError, match="nothing to undo"):
        undo(stage.ports(), stage.settings(), number=None, why="", reporter=stage.reporter)
    with pytest.raises(MissingError, match="no revision 7"):
        undo(stage.ports(), stage.settings(), number=7, why="", reporter=stage.reporter)


def test_skipping_the_analysis_promotes_over_a_stable_that_is_well() -> None:
    stage = a_stage(rate=0.0)
    release = stage.run(skip_analysis=True, reason="the fix")
    assert release.outcome is Outcome.PROMOTED
    assert stage.tidy()
    assert not [entry for entry in stage.ledger.read("web") if entry.kind == "look"]
