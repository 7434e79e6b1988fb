"""Plain examples of decisions: people, other writers, pods that do not run, and the way out."""

from dataclasses import replace

import pytest

from canary.core.actions import Act, Move, Scale, SetRevision, Wait
from canary.core.assessed import Hold
from canary.core.decide import decide
from canary.core.observation import Arm
from canary.core.release import (
    MOVES,
    MoveError,
    Outcome,
    Pause,
    Phase,
    RequestKind,
    Stage,
)
from tests.core.builders import (
    START,
    STRATEGY,
    V1,
    V2,
    V3,
    assessed,
    at_step,
    release,
    seen,
    workload,
    world,
)
from tests.core.deciding import ANN, LATER, asking, decided, held, moved

# ── people


@pytest.mark.parametrize(
    ("kind", "outcome"),
    [
        (RequestKind.ABORT, Outcome.ABORTED),
        (RequestKind.UNDO, Outcome.UNDONE),
        (RequestKind.SUPERSEDE, Outcome.SUPERSEDED),
    ],
)
def test_a_person_can_end_a_release_at_any_time(kind: RequestKind, outcome: Outcome) -> None:
    for phase in (Phase.PENDING, Phase.PROGRESSING, Phase.PROMOTING, Phase.BAKING):
        after = moved(decided(release(phase, requests=(asking(kind),))))
        assert (after.phase, after.outcome, after.requests) == (Phase.ROLLING_BACK, outcome, ())
        assert ANN in after.reason


def test_a_pause_holds_a_release_that_could_be_promoted_until_resumed() -> None:
    paused = moved(decided(release(requests=(asking(RequestKind.PAUSE),))))
    know = assessed(safety=50.0)
    assert held(decided(paused, know=know)) is Hold.PAUSED_BY
    resumed = moved(decided(replace(paused, requests=(asking(RequestKind.RESUME),)), know=know))
    assert resumed.pause is None


def test_a_pause_for_a_time_ends_by_itself() -> None:
    paused = moved(
        decided(release(requests=(asking(RequestKind.PAUSE, for_s=30.0),)), seen(at_step(), after_s=2))
    )
    assert paused.pause is not None
    assert paused.pause.until == START + 31
    assert moved(decided(paused, seen(at_step(), after_s=32))).pause is None


def test_harm_rolls_back_during_a_pause() -> None:
    pause = Pause(ANN, START, START + 9999, "lunch")
    assert moved(decided(release(pause=pause), know=assessed(harm=100.0))).outcome is Outcome.REGRESSION


def test_a_person_can_promote_without_evidence_and_the_record_says_who() -> None:
    after = moved(decided(release(requests=(asking(RequestKind.PROMOTE),))))
    assert after.phase is Phase.PROMOTING
    assert ANN in after.reason


# ── others at work, and pods that do not run


def test_a_template_set_by_somebody_else_supersedes_and_is_left_alone() -> None:
    theirs = world(workload(V3, 2), workload(V2, 2, arm="canary"))
    after = moved(decided(release(), seen(theirs)))
    assert after.outcome is Outcome.SUPERSEDED
    actions = decided(after, seen(theirs))
    assert isinstance(actions, Act)
    assert not [action for action in actions.actions if isinstance(action, SetRevision)]


def test_a_target_that_is_gone_ends_the_release() -> None:
    after = moved(decided(release(), seen(None)))
    assert after.outcome is Outcome.SUPERSEDED
    assert moved(decided(after, seen(None))).phase is Phase.ROLLED_BACK


def test_a_pod_in_trouble_that_was_never_ready_is_never_ready() -> None:
    bad = workload(V2, 2, arm="canary", ready=False, was_ready=False, trouble="exit code 1")
    after = moved(decided(release(stage=Stage.SCALING), seen(world(workload(V1, 2), bad))))
    assert (after.outcome, "exit code 1" in after.reason) == (Outcome.NEVER_READY, True)


def test_a_pod_in_trouble_that_was_ready_has_crashed() -> None:
    bad = workload(V2, 2, arm="canary", ready=False, trouble="exit code 1")
    assert moved(decided(release(), seen(world(workload(V1, 2), bad)))).outcome is Outcome.CRASHED


def test_one_death_of_one_pod_is_waited_out() -> None:
    found = at_step()
    assert found.canary is not None
    first, second = found.canary.pods
    once = replace(
        found, canary=replace(found.canary, pods=(replace(first, ready=False, restarts=1), second))
    )
    assert isinstance(decided(release(), seen(once, after_s=LATER)), Wait)


@pytest.mark.parametrize("restarts", [(2, 0), (1, 1)])
def test_pods_that_die_again_or_all_of_them_have_crashed(restarts: tuple[int, int]) -> None:
    found = at_step()
    assert found.canary is not None
    dying = tuple(replace(pod, restarts=n) for pod, n in zip(found.canary.pods, restarts, strict=True))
    decision = decided(release(), seen(replace(found, canary=replace(found.canary, pods=dying))))
    assert moved(decision).outcome is Outcome.CRASHED


def test_pods_that_do_not_become_ready_within_their_deadline_never_will() -> None:
    slow = workload(V2, 2, arm="canary", ready=False, was_ready=False)
    starting = release(stage=Stage.SCALING)
    assert isinstance(decided(starting, seen(world(workload(V1, 2), slow), after_s=600)), Wait)
    after = moved(decided(starting, seen(world(workload(V1, 2), slow), after_s=601)))
    assert after.outcome is Outcome.NEVER_READY


# ── promoting, baking, going back


def test_promotion_keeps_the_canary_serving_while_the_target_takes_over() -> None:
    decision = decided(release(Phase.PROMOTING), seen(at_step()))
    assert isinstance(decision, Act)
    (action,) = decision.actions
    assert isinstance(action, SetRevision)
    assert (action.arm, action.revision, action.expected) == (Arm.STABLE, V2, V1.hash)


def test_promotion_is_settled_only_when_the_target_is_whole_and_the_canary_gone() -> None:
    assert not isinstance(decided(release(Phase.PROMOTING), seen(world(workload(V2, 3)))), Move)
    after = moved(decided(release(Phase.PROMOTING), seen(world(workload(V2, 4)))))
    assert (after.phase, after.outcome) == (Phase.PROMOTED, Outcome.PROMOTED)


def test_a_bake_watches_and_a_failing_one_undoes() -> None:
    baking = release(Phase.PROMOTING, strategy=replace(STRATEGY, bake_s=60))
    baking = moved(decided(baking, seen(world(workload(V2, 4)))))
    assert baking.phase is Phase.BAKING
    assert isinstance(decided(baking, seen(world(workload(V2, 4)), after_s=59)), Wait)
    assert moved(decided(baking, seen(world(workload(V2, 4)), after_s=60))).phase is Phase.PROMOTED
    crashed = world(workload(V2, 4, restarts=2))
    assert moved(decided(baking, seen(crashed, after_s=30))).outcome is Outcome.BAKE_FAILED


def test_evidence_is_closed_while_promoting() -> None:
    decision = decided(release(Phase.PROMOTING), seen(at_step()), assessed(harm=1e9))
    assert isinstance(decision, Act)


def test_a_rollback_takes_every_canary_pod_that_the_floor_allows_at_once() -> None:
    going = release(Phase.ROLLING_BACK, outcome=Outcome.REGRESSION, step=0)
    decision = decided(going, seen(world(workload(V1, 4), workload(V2, 1, arm="canary"))))
    assert isinstance(decision, Act)
    assert Scale(Arm.CANARY, 0) in decision.actions


def test_a_rollback_is_settled_only_when_it_is_proved() -> None:
    going = release(Phase.ROLLING_BACK, outcome=Outcome.REGRESSION, reason="worse")
    assert isinstance(decided(going, seen(world(replace(workload(V1, 4), observed=False)))), Wait)
    after = moved(decided(going, seen(world())))
    assert after.phase is Phase.ROLLED_BACK
    assert after.times["restored"] == START


@pytest.mark.parametrize("phase", [Phase.PROMOTED, Phase.ROLLED_BACK])
def test_a_settled_release_is_left_alone_whatever_happens(phase: Phase) -> None:
    subject = release(phase, requests=(asking(RequestKind.ABORT),))
    assert isinstance(decided(subject, seen(None), assessed(harm=1e9)), Wait)


# ── the record


def test_a_driver_that_takes_over_first_notes_the_time_nobody_drove() -> None:
    found = seen(at_step(), after_s=LATER, attended_at=START + 500)
    after = moved(decided(release(), found, assessed(harm=1000.0)))
    assert after.unattended_s == 100.0
    assert after.phase is Phase.PROGRESSING


@pytest.mark.parametrize(("after_s", "noted"), [(14.0, False), (15.0, True)])
def test_pods_that_are_starting_are_noted_as_they_come_only_when_the_step_takes_long(
    after_s: float, noted: bool
) -> None:
    scaling = release(stage=Stage.SCALING, arms={})
    decision = decided(scaling, seen(at_step(), after_s=after_s))
    assert (isinstance(decision, Move) and decision.reason == "note the new pods") is noted


def test_new_pods_are_noted_before_anything_else_is_decided() -> None:
    known = release()
    forgot = replace(known, arms={**known.arms, Arm.CANARY: replace(known.arms[Arm.CANARY], pods=())})
    after = moved(decided(forgot, know=assessed(safety=1e9)))
    assert len(after.pods_of(Arm.CANARY)) == 2
    assert after.phase is Phase.PROGRESSING


def test_evidence_that_cannot_be_read_again_opens_another_window() -> None:
    assert moved(decided(release(window=1), seen(at_step(), window_lost=True))).window == 2


def test_only_the_moves_in_the_table_are_legal() -> None:
    for before in Phase:
        for after in Phase:
            subject = replace(release(), phase=before)
            if after in MOVES[before]:
                assert subject.moved(after, at=START).phase is after
            else:
                with pytest.raises(MoveError):
                    subject.moved(after, at=START)


def test_deciding_reads_nothing_but_its_arguments() -> None:
    subject, found, know = release(), seen(at_step(), after_s=LATER), assessed(safety=50.0)
    assert decide(subject, found, know) == decide(subject, found, know)


def test_a_release_that_never_touched_anything_ends_without_waiting_for_a_sick_stable() -> None:
    sick = world(replace(workload(V1, 4), pods=()))
    going = release(Phase.ROLLING_BACK, outcome=Outcome.NEVER_READY, reason="sick", touched=False)
    after = moved(decided(going, seen(sick)))
    assert after.phase is Phase.ROLLED_BACK
    assert isinstance(decided(replace(going, touched=True), seen(sick)), Wait)


def test_an_undo_is_never_taken_for_untouched() -> None:
    sick = world(replace(workload(V1, 4), pods=()))
    going = release(Phase.ROLLING_BACK, outcome=Outcome.UNDONE, reason="undo", touched=False)
    assert isinstance(decided(going, seen(sick)), Wait)


def test_without_analysis_a_sick_stable_is_not_waited_for() -> None:
    sick = replace(workload(V1, 2), pods=())
    found = seen(world(sick, workload(V2, 2, arm="canary")), after_s=LATER)
    skipping = release(stage=Stage.SCALING, strategy=replace(STRATEGY, metrics=()))
    assert moved(decided(skipping, found)).stage is Stage.HOLDING
    holding = release(strategy=replace(STRATEGY, metrics=()))
    assert moved(decided(holding, found)).phase is Phase.PROMOTING


def test_the_deadline_holds_while_pods_are_still_starting() -> None:
    slow = replace(workload(V2, 2, arm="canary"), pods=workload(V2, 1, arm="canary").pods)
    found = seen(world(workload(V1, 2), slow), after_s=3600)
    assert moved(decided(release(stage=Stage.SCALING), found)).outcome is Outcome.NO_CONCLUSION
