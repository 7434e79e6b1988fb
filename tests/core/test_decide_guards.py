"""Plain examples of decisions: what guards do to a release, in each phase."""

from dataclasses import replace
from typing import Any

import pytest

from canary.core.actions import Wait
from canary.core.assessed import Hold
from canary.core.decide import decide
from canary.core.release import Outcome, Pause, Phase, Release, RequestKind
from canary.core.strategy import Promote
from canary.core.walk import promoted
from tests.core.builders import START, STRATEGY, V2, assessed, at_step, release, seen, workload, world
from tests.core.deciding import LATER, asking, decided, held, moved
from tests.guarding import standing

ABORT, PAUSE, ALERT = (standing(action) for action in ("abort", "pause", "alert"))


def paused_by_guard() -> Release:
    return moved(decided(release(), know=assessed(guards=(PAUSE,))))


# ── abort


def test_a_guard_that_says_abort_rolls_back_at_once_and_says_why() -> None:
    after = moved(decided(release(), know=assessed(safety=50.0, guards=(ABORT,))))
    assert (after.phase, after.outcome) == (Phase.ROLLING_BACK, Outcome.GUARD)
    assert after.reason == (
        "guard memory: memory_usage > 90% for 30s, true for 9m30s: memory_usage 93% (web-1)"
    )


def test_a_guard_that_fired_while_nobody_drove_aborts_although_it_has_cleared() -> None:
    cleared = replace(ABORT, firing=False, truth=False)
    after = moved(decided(release(), know=assessed(guards=(cleared,))))
    assert (after.outcome, "was true" in after.reason) == (Outcome.GUARD, True)


def test_a_guard_that_does_not_fire_changes_nothing() -> None:
    calm = standing("abort", firing=False)
    assert moved(decided(release(), know=assessed(safety=50.0, guards=(calm,)))).phase is Phase.PROMOTING


def test_it_aborts_a_promotion_too_but_not_one_that_is_somebody_elses() -> None:
    half = seen(world(workload(V2, 4), workload(V2, 2, arm="canary")), after_s=LATER)
    know = assessed(guards=(ABORT,))
    assert moved(decide(release(Phase.PROMOTING), half, know)).outcome is Outcome.GUARD
    external = release(Phase.PROMOTING, strategy=replace(STRATEGY, promote=Promote.EXTERNAL))
    assert not (isinstance(found := decided(external, know=know), Wait) and found.hold)


def test_a_wish_of_a_person_comes_before_a_guard() -> None:
    subject = release(requests=(asking(RequestKind.ABORT),))
    assert moved(decided(subject, know=assessed(guards=(ABORT,)))).outcome is Outcome.ABORTED


# ── alert


def test_an_alert_holds_nothing() -> None:
    assert moved(decided(release(), know=assessed(safety=50.0, guards=(ALERT,)))).phase is Phase.PROMOTING


# ── pause


def test_a_guard_that_says_pause_holds_a_release_that_could_be_promoted() -> None:
    after = paused_by_guard()
    assert after.pause is not None
    assert (after.pause.by, after.pause.guard) == ("guard memory", "memory")
    assert after.pause.until == START + LATER + STRATEGY.pause_max_s
    assert after.pause.reason == "memory_usage > 90% for 30s, true for 9m30s: memory_usage 93% (web-1)"
    waits = decided(after, know=assessed(safety=50.0, guards=(PAUSE,)))
    assert held(waits) is Hold.PAUSED_BY
    assert waits.reason.startswith("paused by guard memory: memory_usage > 90%")


def test_after_a_person_has_resumed_it_pauses_again_only_when_it_fires_anew() -> None:
    paused = paused_by_guard()
    know = assessed(safety=50.0, guards=(PAUSE,))
    resumed = moved(decided(replace(paused, requests=(asking(RequestKind.RESUME),)), know=know))
    assert resumed.pause is None
    later = seen(at_step(), after_s=2 * LATER)
    assert held(decide(resumed, later, know)) == "held 0 s of at least 60 s"
    anew = assessed(guards=(standing("pause", since=START + LATER + 60),))
    again = moved(decide(resumed, later, anew))
    assert again.pause is not None
    assert again.pause.guard == "memory"


def test_it_stays_paused_when_the_guard_clears_until_somebody_resumes() -> None:
    cleared = assessed(safety=50.0, guards=(standing("pause", firing=False),))
    assert held(decided(paused_by_guard(), know=cleared)) is Hold.PAUSED_BY


@pytest.mark.parametrize(("truth", "firing"), [(True, True), (None, True), (None, False)])
def test_a_pause_that_runs_out_before_the_guard_has_cleared_rolls_back(truth: bool, firing: bool) -> None:
    after_s = LATER + STRATEGY.pause_max_s
    know = assessed(guards=(standing("pause", firing=firing, truth=truth),))
    after = moved(decide(paused_by_guard(), seen(at_step(), after_s=after_s), know))
    assert after.outcome is Outcome.GUARD
    assert after.reason.startswith("paused for 1h, and not cleared: guard memory: ")


def test_a_pause_that_runs_out_when_the_guard_has_cleared_is_over() -> None:
    after_s = LATER + STRATEGY.pause_max_s
    know = assessed(guards=(standing("pause", firing=False),))
    after = moved(decide(paused_by_guard(), seen(at_step(), after_s=after_s), know))
    assert (after.phase, after.pause) == (Phase.PROGRESSING, None)


def test_evidence_after_the_deadline_does_not_promote_past_a_guard() -> None:
    subject = replace(paused_by_guard(), since=START - 7200)
    assert held(decided(subject, know=assessed(safety=50.0, guards=(PAUSE,)))) is Hold.PAUSED_BY


def test_a_persons_pause_is_left_as_it_is() -> None:
    mine = Pause("ann@laptop", START, START + 9999, "lunch")
    found = decided(release(pause=mine), know=assessed(guards=(PAUSE,)))
    assert held(found) is Hold.PAUSED_BY
    assert "ann@laptop" in found.reason


# ── bake


def baking(**fields: Any) -> Release:
    return release(Phase.BAKING, strategy=replace(STRATEGY, bake_s=300.0, **fields))


def test_a_guard_that_says_abort_undoes_a_promotion_while_it_bakes() -> None:
    found = seen(world(workload(V2, 4)), after_s=60)
    after = moved(decide(baking(), found, assessed(guards=(ABORT,))))
    assert after.outcome is Outcome.BAKE_FAILED
    assert after.reason.startswith("while baking: guard memory: ")


def test_a_guard_that_says_pause_holds_the_bake_open_for_as_long_as_a_pause_may_last() -> None:
    whole, know = world(workload(V2, 4)), assessed(guards=(PAUSE,))
    assert promoted(whole, baking())
    assert held(decide(baking(), seen(whole, after_s=301), know)) is Hold.PAUSED_BY
    calm = assessed(guards=(standing("pause", firing=False),))
    assert moved(decide(baking(), seen(whole, after_s=301), calm)).phase is Phase.PROMOTED
    late = moved(decide(baking(pause_max_s=600.0), seen(whole, after_s=900), know))
    assert late.outcome is Outcome.BAKE_FAILED
