"""Plain examples of every decision. Laws that only compare runs let planted faults pass; these do not."""

from dataclasses import replace
from typing import Any

import pytest

from canary.core.actions import Act, Decision, Move, Scale, SetRevision, Wait
from canary.core.assessed import Assessed, Hold
from canary.core.decide import BY_ITSELF, LEFT, decide
from canary.core.observation import Arm, Workload
from canary.core.release import (
    Outcome,
    Pause,
    Phase,
    Stage,
)
from canary.core.strategy import Capacity, OnInconclusive, Promote
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
from tests.core.deciding import ANN, LATER, decided, held, moved

# ── starting and stepping


def test_a_pending_release_starts_once_the_stable_is_whole() -> None:
    after = moved(decided(release(Phase.PENDING, step=0, steps_at=()), seen(world())))
    assert (after.phase, after.step, after.stage) == (Phase.PROGRESSING, 0, Stage.SCALING)


def test_a_pending_release_waits_for_a_stable_that_is_not_whole() -> None:
    limping = world(replace(workload(V1, 4), pods=workload(V1, 3).pods))
    assert "3 of 4" in str(held(decided(release(Phase.PENDING), seen(limping))))


@pytest.mark.parametrize(
    ("limping", "says"),
    [
        (replace(workload(V1, 4), observed=False), "4 of 4 ready, not yet acted on as it stands"),
        (replace(workload(V1, 4), replicas=3), "4 of 3 ready, 1 more than asked for"),
        (replace(workload(V1, 4), revision=V3), "4 of 4 ready, 4 of another revision"),
    ],
)
def test_a_stable_whose_pods_are_all_ready_and_which_is_not_whole_says_why(
    limping: Workload, says: str
) -> None:
    asked = release(Phase.PENDING, stable=limping.revision)
    assert str(held(decided(asked, seen(world(limping))))).endswith(f"the stable is not whole: {says}")


def test_a_stable_that_never_becomes_whole_ends_the_release_as_never_ready() -> None:
    limping = world(replace(workload(V1, 4), pods=workload(V1, 3).pods))
    after = moved(decided(release(Phase.PENDING), seen(limping, after_s=601)))
    assert (after.phase, after.outcome) == (Phase.ROLLING_BACK, Outcome.NEVER_READY)


def test_a_step_first_creates_the_canary_within_the_surge() -> None:
    scaling = release(step=0, stage=Stage.SCALING, steps_at=())
    decision = decided(scaling, seen(world()))
    assert isinstance(decision, Act)
    assert decision.actions == (SetRevision(Arm.CANARY, V2, 1),)


def test_a_step_holds_once_its_pods_are_there_and_notes_them_in_the_record() -> None:
    scaling = release(step=0, stage=Stage.SCALING, steps_at=(), arms={}, unattended_s=9.0)
    after = moved(decided(scaling, seen(at_step(0), after_s=30)))
    assert (after.stage, after.step_since, after.steps_at) == (Stage.HOLDING, START + 30, (START + 30,))
    assert [pod.uid for pod in after.pods_of(Arm.CANARY)] == ["uid-canary-bbbb-0"]
    assert after.unattended_s == 0.0


def test_a_step_is_left_after_hold_min_with_traffic_and_without_amber() -> None:
    after = moved(decided(release(step=0), seen(at_step(0), after_s=LATER)))
    assert (after.step, after.stage, after.phase) == (1, Stage.SCALING, Phase.PROGRESSING)


def test_a_step_is_not_left_before_hold_min_of_looked_at_time() -> None:
    know = assessed(looked_at=START + 59)
    assert "59 s of at least 60 s" in str(held(decided(release(step=0), seen(at_step(0), after_s=300), know)))


@pytest.mark.parametrize("lost", [{"unattended_s": 550.0}, {}])
def test_time_that_nobody_drove_or_saw_counts_for_no_hold(lost: dict[str, Any]) -> None:
    know = assessed(unseen_s=0.0 if lost else 550.0)
    know = replace(know, looked_at=START + 600)
    assert "50 s of" in str(held(decided(release(step=0, **lost), seen(at_step(0), after_s=LATER), know)))


def test_a_step_without_a_single_canary_request_is_not_left() -> None:
    know = assessed(step_requests=0.0)
    assert held(decided(release(step=0), seen(at_step(0), after_s=LATER), know)) is Hold.NO_TRAFFIC


def test_a_replica_that_died_is_asked_for_again_by_nobody_but_waited_for() -> None:
    found = at_step()
    assert found.canary is not None
    short = replace(found, canary=replace(found.canary, pods=found.canary.pods[:1]))
    assert "not all pods" in str(held(decided(release(), seen(short, after_s=LATER))))


def test_replicas_that_somebody_scaled_away_are_brought_back() -> None:
    decision = decided(release(), seen(world(workload(V1, 2), workload(V2, 1, arm="canary")), after_s=LATER))
    assert isinstance(decision, Act)
    assert Scale(Arm.CANARY, 2) in decision.actions


# ── evidence


def test_pods_that_cannot_even_be_made_end_the_release_as_never_ready() -> None:
    full = world(workload(V1, 3), replace(workload(V2, 1), pods=(), trouble="FailedCreate: exceeded quota"))
    decision = decide(release(step=0), seen(full), assessed())
    assert isinstance(decision, Move)
    assert decision.release.outcome is Outcome.NEVER_READY
    assert "exceeded quota" in decision.reason


IMAGE, MOVED, CONTENT = "shop@sha256:aa", "shop@sha256:bb", "sha256:cc"
MIRRORED = "mirror:5000/shop@sha256:aa"


def test_the_images_of_the_canary_are_recorded_when_its_step_begins_to_hold() -> None:
    there = world(workload(V1, 2), workload(V2, 2, arm="canary", image=IMAGE))
    decision = decide(release(stage=Stage.SCALING, steps_at=(START,)), seen(there), assessed())
    assert isinstance(decision, Move)
    assert decision.release.images == (IMAGE,)


@pytest.mark.parametrize("running", [(IMAGE, IMAGE), (IMAGE, ""), (IMAGE, CONTENT), (IMAGE, MIRRORED)])
def test_pods_of_the_image_that_was_judged_go_on(running: tuple[str, str]) -> None:
    one, other = (workload(V2, 1, image=image).pods[0] for image in running)
    there = world(replace(workload(V2, 2), pods=(one, replace(other, uid="other"))))
    decision = decide(release(Phase.PROMOTING, images=(IMAGE,)), seen(there), assessed())
    assert not isinstance(decision, Move) or decision.release.phase is not Phase.ROLLING_BACK


def test_a_tag_that_was_moved_before_the_promotion_is_rolled_back() -> None:
    there = world(workload(V2, 4, image=MOVED))
    decision = decide(release(Phase.PROMOTING, images=(IMAGE,)), seen(there), assessed())
    assert isinstance(decision, Move)
    assert decision.release.phase is Phase.ROLLING_BACK
    assert decision.release.outcome is Outcome.OTHER_IMAGE
    assert "sha256:aa beside sha256:bb" in decision.reason


def test_a_canary_of_two_images_is_rolled_back() -> None:
    decision = decide(release(images=(IMAGE, MOVED)), seen(at_step()), assessed())
    assert isinstance(decision, Move)
    assert decision.release.outcome is Outcome.OTHER_IMAGE


def test_a_way_back_is_at_its_end_only_when_it_is_proved() -> None:
    back = release(Phase.ROLLING_BACK, outcome=Outcome.REGRESSION, reason="worse", phase_since=START)
    unproved = "2 ready pods are not in the endpoints of Service shop yet"
    waiting = decide(back, seen(world(), unproved=unproved), assessed())
    assert isinstance(waiting, Wait)
    assert unproved in waiting.reason
    done = decide(back, seen(world()), assessed())
    assert isinstance(done, Move)
    assert done.release.phase is Phase.ROLLED_BACK
    late = decide(back, seen(world(), after_s=601, unproved=unproved), assessed())
    assert isinstance(late, Move)
    assert late.release.reason == f"worse; restored, but not proved: {unproved}"
    assert ("restored" in done.release.times, "restored" in late.release.times) == (True, False)


def test_a_way_back_to_a_stable_that_cannot_be_whole_ends_and_says_so() -> None:
    short = replace(workload(V1, 3), replicas=4, trouble="FailedCreate: exceeded quota")
    going = release(Phase.ROLLING_BACK, phase_since=START, outcome=Outcome.REGRESSION, reason="worse")

    waits = decide(going, seen(world(short), after_s=599.0), assessed())
    ends = decide(going, seen(world(short), after_s=600.0), assessed())

    assert isinstance(waits, Wait)
    assert isinstance(ends, Move)
    assert ends.release.phase is Phase.ROLLED_BACK
    assert "3 of 4 ready: FailedCreate" in ends.release.reason


def test_a_way_back_on_which_a_canary_still_serves_never_ends_by_time_alone() -> None:
    short = replace(workload(V1, 3), replicas=4)
    stuck = world(short, workload(V2, 1, arm="canary"))
    going = release(Phase.ROLLING_BACK, phase_since=START, outcome=Outcome.REGRESSION, reason="worse")
    assert isinstance(decide(going, seen(stuck, after_s=9999.0), assessed()), Wait)


def test_what_others_set_after_the_verdict_of_an_external_promotion_is_theirs() -> None:
    external = replace(STRATEGY, promote=Promote.EXTERNAL, capacity=Capacity.EXTRA)
    good = release(Phase.PROMOTING, strategy=external)
    theirs = world(workload(V3, 4), workload(V2, 2, arm="canary"))

    going = decide(good, seen(theirs), assessed())
    done = decide(good, seen(world(workload(V3, 4))), assessed())

    assert isinstance(going, Act)
    assert going.actions == (Scale(Arm.CANARY, 0),)
    assert isinstance(done, Move)
    assert (done.release.phase, done.release.outcome) == (Phase.PROMOTED, Outcome.PROMOTED)


def test_evidence_at_its_limit_rolls_back_at_once() -> None:
    after = moved(decided(release(step=0), seen(at_step(0), after_s=10), assessed(harm=100.0)))
    assert (after.phase, after.outcome) == (Phase.ROLLING_BACK, Outcome.REGRESSION)
    assert after.times["decided"] == START + 10


def test_evidence_just_under_its_limit_does_not_roll_back() -> None:
    assert held(decided(release(), know=assessed(harm=99.9))) is Hold.AMBER


def test_a_past_maximum_of_the_evidence_is_enough() -> None:
    assert moved(decided(release(), know=assessed(harm=2.0, peak=101.0))).outcome is Outcome.REGRESSION


def test_evidence_that_rests_on_one_pod_alone_holds() -> None:
    know = assessed(harm=500.0, without={"a": 700.0, "b": 4.9})
    assert held(decided(release(), know=know)) is Hold.SINGLE_BAD_POD


def test_evidence_that_stands_without_its_worst_pod_rolls_back() -> None:
    know = assessed(harm=500.0, without={"a": 700.0, "b": 5.0})
    assert moved(decided(release(), know=know)).outcome is Outcome.REGRESSION


def test_amber_holds_the_step_and_pauses_at_hold_max() -> None:
    assert held(decided(release(), know=assessed(harm=5.0, looked_at=START + 599))) is Hold.AMBER
    after = moved(decided(release(), know=assessed(harm=5.0, looked_at=START + 600)))
    assert after.pause is not None
    assert after.pause.by == BY_ITSELF
    assert after.pause.until == START + LATER + 3600


def test_promotion_needs_every_metric_at_its_limit() -> None:
    one_short = assessed(safety={"errors": 50.0, "latency": 49.9})
    assert held(decided(release(), know=one_short)) is Hold.TOO_LITTLE_EVIDENCE
    assert moved(decided(release(), know=assessed(safety=50.0))).phase is Phase.PROMOTING


def test_a_metric_that_has_no_evidence_at_all_is_never_taken_for_safe() -> None:
    only_errors = assessed(safety={"errors": 1e9})
    decision = decided(release(), know=only_errors)
    assert held(decision) is Hold.TOO_LITTLE_EVIDENCE
    assert "latency has no series" in decision.reason


def test_a_metric_that_is_warming_up_is_never_taken_for_safe() -> None:
    know = assessed(safety=1e9)
    warming = tuple(replace(m, warming=True) if m.name == "latency" else m for m in know.evidence.metrics)
    know = replace(know, evidence=replace(know.evidence, metrics=warming))
    assert held(decided(release(), know=know)) is Hold.TOO_LITTLE_EVIDENCE


def test_not_a_number_is_never_taken_for_safe() -> None:
    assert held(decided(release(), know=assessed(safety=float("nan")))) is Hold.TOO_LITTLE_EVIDENCE


def test_safety_before_the_last_step_does_not_promote() -> None:
    after = moved(decided(release(step=0), seen(at_step(0), after_s=LATER), assessed(safety=1e9)))
    assert (after.phase, after.step) == (Phase.PROGRESSING, 1)


@pytest.mark.parametrize("hold", [Hold.NO_SCRAPE, Hold.NO_TRAFFIC])
def test_without_data_nothing_is_promoted_and_nothing_undone(hold: Hold) -> None:
    know = assessed(safety=1e9, lacking=hold, lacking_detail="why")
    assert held(decided(release(), know=know)) is hold


def test_harm_is_acted_on_even_while_data_are_lacking() -> None:
    know = assessed(harm=1000.0, lacking=Hold.NO_SCRAPE)
    assert moved(decided(release(), know=know)).outcome is Outcome.REGRESSION


# ── the deadline


def deadline(know: Assessed | None = None, **fields: object) -> Decision:
    subject = release(**fields)  # type: ignore[arg-type]
    return decided(subject, seen(at_step(subject.step), after_s=3600), know)


def test_at_the_deadline_an_open_question_rolls_back() -> None:
    assert moved(deadline()).outcome is Outcome.NO_CONCLUSION


def test_at_the_deadline_evidence_that_suffices_still_promotes() -> None:
    assert moved(deadline(assessed(safety=50.0))).phase is Phase.PROMOTING


def test_at_the_deadline_harm_is_a_regression_not_a_lack_of_evidence() -> None:
    assert moved(deadline(assessed(harm=100.0))).outcome is Outcome.REGRESSION


def test_at_the_deadline_pause_waits_for_pause_max_and_then_rolls_back() -> None:
    paused = moved(deadline(strategy=replace(STRATEGY, on_inconclusive=OnInconclusive.PAUSE)))
    assert paused.pause is not None
    assert held(decided(paused, seen(at_step(), after_s=7199))) is Hold.TOO_LITTLE_EVIDENCE
    assert moved(decided(paused, seen(at_step(), after_s=7200))).outcome is Outcome.NO_CONCLUSION


def test_evidence_that_comes_during_the_pause_at_the_deadline_promotes_after_all() -> None:
    paused = moved(deadline(strategy=replace(STRATEGY, on_inconclusive=OnInconclusive.PAUSE)))
    assert (
        moved(decided(paused, seen(at_step(), after_s=4000), assessed(safety=50.0))).phase is Phase.PROMOTING
    )


def test_at_the_deadline_promote_is_obeyed_when_there_were_data_and_no_amber() -> None:
    asked = replace(STRATEGY, on_inconclusive=OnInconclusive.PROMOTE)
    assert moved(deadline(strategy=asked)).phase is Phase.PROMOTING


@pytest.mark.parametrize(
    "know", [assessed(harm=5.0), assessed(lacking=Hold.NO_TRAFFIC, lacking_detail="none")]
)
def test_at_the_deadline_promote_is_refused_on_silence_or_amber(know: Assessed) -> None:
    asked = replace(STRATEGY, on_inconclusive=OnInconclusive.PROMOTE)
    assert moved(deadline(know, strategy=asked)).outcome is Outcome.NO_CONCLUSION


def test_at_the_deadline_leave_keeps_the_canary_serving_and_says_so() -> None:
    after = moved(deadline(leave=True))
    assert after.phase is Phase.PROGRESSING
    assert after.pause is not None
    assert after.pause.by == LEFT


def test_a_persons_pause_puts_off_the_deadline_until_it_ends() -> None:
    pause = Pause(ANN, START, START + 4000, "lunch")
    assert held(deadline(pause=pause)) is Hold.PAUSED_BY
    ended = moved(decided(release(pause=pause), seen(at_step(), after_s=4000)))
    assert ended.pause is None
    assert moved(decided(ended, seen(at_step(), after_s=4001))).outcome is Outcome.NO_CONCLUSION
