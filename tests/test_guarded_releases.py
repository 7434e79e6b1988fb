"""Whole releases with guards, over fake ports: the real loop, policy and statistics, in virtual time."""

from collections.abc import Callable, Mapping

import pytest

from canary.core.assessed import Hold
from canary.core.ledger import verify
from canary.core.observation import Arm
from canary.core.release import Outcome, Phase, Request, RequestKind
from canary.core.release import Stage as Doing
from canary.core.revision import Limits
from canary.core.strategy import Guard
from canary.errors import Exit, InvalidError
from canary.wiring import exit_code
from tests.fake_cluster import Behaviour, FakePod
from tests.fake_metrics import FakeMetrics
from tests.fakes import PowerCut, PowerLostError
from tests.guarding import MIB, guard, guarded_by
from tests.stage import BAD, GOOD, Stage, quick

Shown = Callable[[FakePod, float], Mapping[str, float]]


def leaking(pod: FakePod, at: float) -> Mapping[str, float]:
    """The canary's pods take 100 MiB, which is the limit, in a hundred seconds."""
    age_s = at - pod.born
    return {"memory_bytes": MIB * (age_s if pod.revision.version == "v2" else 20.0)}


def queueing(since: float, until: float) -> Shown:
    """The canary has a long queue for a while, in seconds of its pods' age."""
    return lambda pod, at: {"queue": 90.0 if since <= at - pod.born < until else 3.0}


def a_stage(*guards: Guard, shown: Shown = leaking, behaviour: object = GOOD, **changes: object) -> Stage:
    stage = Stage({"v2": behaviour}, strategy=quick(**guarded_by(*guards), **changes))  # type: ignore[dict-item]
    stage.metrics.gauges = shown
    stage.cluster.limits = Limits(100 * MIB, 1.0)
    return stage


def turns(stage: Stage) -> list[tuple[str, str]]:
    entries = [entry for entry in stage.ledger.read("web") if entry.kind == "guard"]
    return [(entry.body["guard"], entry.body["state"]) for entry in entries]


MEMORY = guard("memory_usage > 90% for 30s", name="memory", alert=True)
QUEUE = guard("queue > 50 for 30s", "pause", name="queue")


def test_a_version_that_leaks_is_taken_back_by_its_guard_although_its_requests_are_good() -> None:
    stage = a_stage(MEMORY)
    release = stage.run()
    assert (release.outcome, exit_code(release)) == (Outcome.GUARD, Exit.ROLLED_BACK)
    assert release.reason.startswith("guard memory: memory_usage > 90% for 30s, true for ")
    assert stage.tidy()
    (entry,) = [one for one in stage.ledger.read("web") if one.kind == "guard"]
    assert (entry.body["state"], entry.body["action"], entry.body["alert"]) == ("fired", "abort", True)
    assert 30 <= entry.at - entry.body["since"] <= 45
    assert verify(stage.ledger.read("web")) is None


def test_the_stable_may_do_what_a_guard_forbids_the_canary() -> None:
    stage = a_stage(
        MEMORY, shown=lambda pod, at: {"memory_bytes": MIB * (99 if pod.revision.version == "v1" else 5)}
    )
    assert stage.run().outcome is Outcome.PROMOTED
    assert turns(stage) == []


def test_an_alert_is_told_and_the_release_goes_on() -> None:
    stage = a_stage(guard("memory_usage > 50%", "alert", name="half"), shown=leaking)
    release = stage.run()
    assert (release.outcome, turns(stage)) == (Outcome.PROMOTED, [("half", "fired")])


def test_a_guard_pauses_a_person_resumes_and_the_release_goes_on() -> None:
    stage = a_stage(QUEUE, shown=queueing(30, 100))
    resumed: list[float] = []

    def resume() -> None:
        found = stage.records.load("web")
        assert found is not None
        pause = found.release.pause
        if pause is not None and not resumed:
            assert (pause.guard, found.release.stage) == ("queue", Doing.HOLDING)
            resumed.append(stage.clock.now())
            wish = Request(RequestKind.RESUME, "ann@laptop", stage.clock.now())
            stage.records.save(found.release.with_(requests=(wish,)), expected=found.version)

    stage.clock.every(400, resume)
    release = stage.run()
    assert release.outcome is Outcome.PROMOTED
    assert len(resumed) == 1
    assert release.times["decided"] > resumed[0]
    assert ("queue", "cleared") in turns(stage)


def test_a_pause_of_a_guard_that_clears_ends_by_itself_at_its_bound_and_the_release_goes_on() -> None:
    stage = a_stage(QUEUE, shown=queueing(30, 100), pause_max_s=600, steps=(50.0,))
    release = stage.run()
    assert release.outcome is Outcome.PROMOTED
    assert any("the pause by guard queue has run out, and it has cleared" in one for one in stage.moves())


def test_a_pause_of_a_guard_that_does_not_clear_ends_by_going_back() -> None:
    stage = a_stage(QUEUE, shown=queueing(30, 1e9), pause_max_s=600)
    release = stage.run()
    assert (release.outcome, exit_code(release)) == (Outcome.GUARD, Exit.ROLLED_BACK)
    assert release.reason.startswith("paused for 10m, and not cleared: guard queue")
    assert stage.tidy()


def test_a_version_that_leaks_only_after_its_promotion_is_undone_while_it_bakes() -> None:
    def later(pod: FakePod, at: float) -> Mapping[str, float]:
        promoted = pod.revision.version == "v2" and pod.arm is Arm.STABLE
        return {"memory_bytes": MIB * (99.0 if promoted and at - pod.born > 60 else 5.0)}

    stage = a_stage(MEMORY, shown=later, bake_s=900)
    release = stage.run()
    assert (release.outcome, exit_code(release)) == (Outcome.BAKE_FAILED, Exit.ROLLED_BACK), release.reason
    assert release.reason.startswith("while baking: guard memory: ")
    assert stage.stable_version() == "v1"


def test_without_analysis_guards_watch_all_the_same() -> None:
    errors = guard("error_rate > 2%", name="errors")
    stage = a_stage(errors, behaviour=BAD)
    release = stage.run(skip_analysis=True, reason="stable is down")
    assert (release.outcome, turns(stage)) == (Outcome.GUARD, [("errors", "fired")])


def test_a_source_that_falls_silent_lets_no_guard_fire() -> None:
    stage = a_stage(MEMORY, deadline_s=900)
    stage.clock.at(80, lambda: setattr(stage.metrics, "scraping", False))
    assert stage.run().outcome is Outcome.NO_CONCLUSION
    assert turns(stage) == []


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_a_driver_killed_at_any_effect_comes_to_the_same_guard_at_the_same_scrape(after: bool) -> None:
    half = guard("memory_usage > 50%", "alert", name="half")
    cut = PowerCut()
    assert a_stage(half, MEMORY).run(cut=cut).outcome is Outcome.GUARD
    for at, effect in enumerate(cut.effects, 1):
        stage = a_stage(half, MEMORY)
        release = stage.run_through("v2", [(at, after)])
        assert release.outcome is Outcome.GUARD, (at, effect, release.reason)
        entries = [one for one in stage.ledger.read("web") if one.kind == "guard"]
        mine = [one for one in entries if one.body["release"] == release.id]
        assert [one.body["guard"] for one in mine] == ["half", "memory"], (at, effect)
        ages = {pod.name: mine[1].body["since"] - pod.born for pod in stage.cluster.pods}
        age_s = next(age_s for pod, age_s in ages.items() if pod in mine[1].body["figures"])
        # Scraped each 15 s: the first scrape above 90 %, and the one 30 s later, whoever drove by then.
        assert 90 < age_s <= 105, (at, effect)
        assert mine[1].at - mine[1].body["since"] == pytest.approx(30.0), (at, effect)
        assert stage.tidy()
        assert verify(stage.ledger.read("web")) is None


def test_what_a_pod_showed_before_it_was_noted_counts_for_a_guard() -> None:
    # The second canary pod alone is bad, from its birth on; the source knows pods by the names it is given.
    def second(pod: FakePod, at: float) -> Mapping[str, float]:
        canaries = [one for one in stage.cluster.pods if one.revision.version == "v2"]
        return {"queue": 90.0 if pod in canaries[1:] else 3.0}

    queue = guard("queue > 50 for 30s", name="queue")
    stage = a_stage(queue, behaviour=Behaviour(start_s=12.0), scrape_interval_s=5)
    stage.metrics = FakeMetrics(stage.cluster, scrape_s=5, by_name=True, gauges=second)
    assert stage.run().outcome is Outcome.GUARD
    (entry,) = [one for one in stage.ledger.read("web") if one.kind == "guard"]
    bad = [one for one in stage.cluster.pods if one.revision.version == "v2"][1]
    # Since its first scrape, made when it was not ready yet, and so in no record.
    assert 0 < entry.body["since"] - bad.born <= 5.0
    assert entry.at - entry.body["since"] == 30.0


def test_after_a_restart_without_history_the_time_begins_anew_and_that_is_said() -> None:
    stage = a_stage(MEMORY)
    stage.metrics.keeps_history = False
    cut = PowerCut()
    a_whole = a_stage(MEMORY)
    a_whole.metrics.keeps_history = False
    a_whole.run(cut=cut)
    holding = next(n for n, effect in enumerate(cut.effects, 1) if "save progressing 0 holding" in effect)
    with pytest.raises(PowerLostError):
        stage.run(cut=PowerCut(holding, after=True))
    stage.clock.advance(95)
    again = stage.clock.now()
    release = stage.run()
    assert release.outcome is Outcome.GUARD
    assert "for how long guards have been true counts anew: memory" in stage.reporter.notes
    (entry,) = [one for one in stage.ledger.read("web") if one.kind == "guard"]
    assert entry.body["since"] >= again - 15


def test_a_driver_that_can_read_all_again_has_nothing_to_say_of_it() -> None:
    stage = a_stage(MEMORY)
    stage.run_through("v2", [(12, True)])
    assert not any("counts anew" in note for note in stage.reporter.notes)
    pods = a_stage(guard("ready_pods < 1 for 30s", name="pods"), MEMORY)
    pods.run_through("v2", [(12, True)])
    assert "for how long guards have been true counts anew: pods" in pods.reporter.notes


def test_a_release_is_held_as_paused_by_a_guard() -> None:
    stage = a_stage(QUEUE, shown=queueing(30, 1e9), pause_max_s=600)
    stage.run()
    held = [one for one in stage.reporter.decisions if getattr(one, "hold", None) is Hold.PAUSED_BY]
    assert held
    assert all("paused by guard queue: queue > 50 for 30s" in one.reason for one in held)


def test_a_guard_over_what_needs_no_scrape_acts_where_nothing_is_scraped() -> None:
    stage = a_stage(guard("runtime > 5m", name="late"))
    stage.metrics.reachable = False
    release = stage.run()
    assert release.outcome is Outcome.GUARD
    assert 300 < release.times["decided"] - release.since < 310


def test_one_query_reads_for_the_analysis_and_the_guards() -> None:
    def queries(stage: Stage) -> list[set[str]]:
        assert stage.run().phase is Phase.PROMOTED
        analysis = [query for query in stage.metrics.reads if query.arms[Arm.STABLE].pods]
        return [{metric.name for metric in query.metrics} for query in analysis]

    without = queries(Stage({"v2": GOOD}))
    guarded = queries(a_stage(MEMORY, shown=lambda pod, at: {"memory_bytes": MIB}))
    assert len(guarded) == len(without)
    assert all(names >= {"errors", "latency", "memory_bytes"} for names in guarded)


def test_a_guard_over_a_part_of_a_limit_that_is_not_there_is_told_before_anything_is_touched() -> None:
    stage = a_stage(MEMORY)
    stage.cluster.limits = Limits(cpu_cores=1.0)
    with pytest.raises(InvalidError, match="guard memory: memory_usage is a part of the memory limit"):
        stage.run()
    assert stage.records.load("web") is None
    assert not stage.acted()
