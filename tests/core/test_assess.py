"""From scrapes to evidence: which looks count for what, and what is lacking. Plain examples."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from analysis import judge
from analysis.words import Tick
from canary.core import assess
from canary.core.assess import Assessment
from canary.core.assessed import Assessed, Hold
from canary.core.observation import Arm, Pod, Workload, World
from canary.core.release import ArmFacts, Phase, Release
from canary.core.samples import Sample, Scrapes
from canary.core.strategy import ERRORS, LATENCY, Metric, MetricKind
from tests.core.builders import START, STRATEGY, V1, V2, at_step, release, seen, workload, world

ONLY_ERRORS = replace(STRATEGY, metrics=(ERRORS,))


def scrapes(
    times: Sequence[float], *, canary_from: float = 0.0, rate: float = 100.0, **fields: Any
) -> Scrapes:
    """Two stable and two canary pods, each counting `rate` good requests a second from START - 600 on."""
    samples = []
    for t in sorted(times):
        for i in range(2):
            samples.append(Sample(f"s{i}", Arm.STABLE, START + t, {"errors": (0.0, rate * (t + 600))}))
            if t > canary_from:
                served = rate * (t - canary_from)
                samples.append(Sample(f"c{i}", Arm.CANARY, START + t, {"errors": (0.0, served)}))
    until = START + max(times, default=0.0)
    return Scrapes(**{"samples": tuple(samples), "settled_until": until, **fields})


def subject(**fields: Any) -> Release:
    return release(**{"strategy": ONLY_ERRORS, "arms": {}, **fields})


def assessed_at(
    subject: Release, found: Scrapes, *, t: float, state: Assessment | None = None
) -> tuple[Assessed, Assessment]:
    state = state or assess.begin(subject)
    return assess.advance(subject, state, found, seen(at_step(), after_s=t))


@pytest.fixture
def judged(monkeypatch: pytest.MonkeyPatch) -> list[Tick]:
    """Every tick that was put before the judge."""
    told: list[Tick] = []
    real = judge.advance

    def advance(state: judge.State, tick: Tick) -> judge.State:
        told.append(tick)
        return real(state, tick)

    monkeypatch.setattr(judge, "advance", advance)
    return told


GRID = [*range(-60, 0, 15), *range(0, 121, 15)]


def test_only_looks_that_lie_wholly_in_the_last_step_count_for_safety(judged: list[Tick]) -> None:
    stepping = subject(steps_at=(START, START + 50))
    assessed_at(stepping, scrapes(GRID), t=120)
    assert [(tick.t, tick.in_last_step) for tick in judged] == [
        (15, False),
        (30, False),
        (45, False),
        (60, False),  # began at 45, before the step did at 50
        (75, True),
        (90, True),
        (105, True),
        (120, True),
    ]


def test_no_look_counts_for_safety_before_the_last_step_holds(judged: list[Tick]) -> None:
    found, _ = assessed_at(subject(step=0, steps_at=(START,)), scrapes(GRID), t=120)
    assert not any(tick.in_last_step for tick in judged)
    assert [metric.safety for metric in found.evidence.metrics] == [1.0]
    assert found.evidence.metrics[0].safety_pooled > 1.0


def test_a_step_is_told_to_the_onset_prior_once_and_not_for_the_first_one(judged: list[Tick]) -> None:
    assessed_at(subject(steps_at=(START, START + 50)), scrapes(GRID), t=120)
    assert [tick.t for tick in judged if tick.new_step] == [75]


def test_a_look_after_another_goes_on_where_that_one_ended() -> None:
    whole, _ = assessed_at(subject(), scrapes(GRID), t=120)
    found, state = assessed_at(subject(), scrapes([t for t in GRID if t <= 60]), t=60)
    found, state = assessed_at(subject(), scrapes([t for t in GRID if t > 30]), t=120, state=state)
    assert found.evidence == whole.evidence
    assert state.looks == 8


def test_the_source_is_asked_for_the_pinned_and_the_new_revision_and_their_pods() -> None:
    known = release()
    asked = assess.query(known, assess.begin(known), START + 60)
    assert asked.arms[Arm.STABLE].revisions == (known.stable.hash,)
    assert asked.arms[Arm.CANARY].revisions == (known.canary.hash,)
    assert asked.arms[Arm.CANARY].pods == known.pods_of(Arm.CANARY)
    assert (asked.start, asked.end) == (START - known.strategy.history_s, START + 60)


def test_each_read_overlaps_the_last_one_by_two_ticks() -> None:
    _, state = assessed_at(subject(), scrapes(GRID), t=120)
    assert assess.query(subject(), state, START + 150).start == START + 120 - 30


def test_pods_that_come_to_be_known_make_it_read_everything_again() -> None:
    before = subject()
    after = replace(before, arms=release().arms)
    assert assess.key(before) != assess.key(after)
    assert assess.key(before) == assess.key(replace(before, arms={Arm.STABLE: ArmFacts(("aaaa",))}))


def test_a_source_that_does_not_answer_is_no_scrape_and_changes_no_evidence() -> None:
    before, state = assessed_at(subject(), scrapes(GRID), t=120)
    away = Scrapes(reachable=False, note="connection refused")
    after, same = assessed_at(subject(), away, t=400, state=state)
    assert (after.lacking, "connection refused" in after.lacking_detail) == (Hold.NO_SCRAPE, True)
    assert after.evidence == before.evidence
    assert (same.looks, same.cut) == (state.looks, ())


def test_a_canary_pod_that_is_no_longer_scraped_is_no_scrape_by_name() -> None:
    late = [*range(135, 241, 15)]
    _, state = assessed_at(subject(), scrapes(GRID), t=120)
    without = scrapes(late)
    without = replace(without, samples=tuple(s for s in without.samples if s.pod != "c1"))
    found, _ = assess.advance(subject(), state, without, seen(serving("c0", "c1"), after_s=240))
    assert found.lacking is Hold.NO_SCRAPE
    assert "c1 (120 s ago)" in found.lacking_detail
    assert "c0" not in found.lacking_detail


def test_between_two_looks_nothing_is_missed_of_pods_scraped_more_often_than_looked_at() -> None:
    often = subject(strategy=replace(ONLY_ERRORS, interval_s=15.0, scrape_interval_s=1.0))
    _, state = assessed_at(often, scrapes([*range(-60, 120)]), t=119)
    for t in range(120, 136):
        there = seen(serving("c0", "c1"), after_s=t)
        found, state = assess.advance(often, state, scrapes([*range(90, t)]), there)
        assert found.lacking is None, (t, found.lacking_detail)
    stable_goes_on = scrapes([*range(90, 170)], canary_from=1e9)
    away, _ = assess.advance(often, state, stable_goes_on, seen(serving("c0", "c1"), after_s=170))
    assert away.lacking is Hold.NO_SCRAPE


def serving(*names: str, born_s: float = -60.0) -> World:
    """Ready canary pods of these names, born so many seconds after the start."""
    found = tuple(Pod(name, name, V2.hash, ready=True, born=START + born_s) for name in names)
    return world(workload(V1, 2), Workload(V2, len(names), found))


@pytest.mark.parametrize(("born_s", "lacking"), [(200.0, None), (-60.0, Hold.NO_SCRAPE)])
def test_a_canary_pod_never_scraped_is_no_scrape_when_it_has_been_there_long_enough(
    born_s: float, lacking: Hold | None
) -> None:
    _, state = assessed_at(subject(), scrapes(GRID), t=120)
    more = scrapes([*range(135, 241, 15)])
    there = serving("c0", "c1", "new", born_s=born_s)
    found, _ = assess.advance(subject(), state, more, seen(there, after_s=240))
    assert found.lacking is lacking
    assert ("new (never)" in found.lacking_detail) == (lacking is not None)


def test_another_history_is_read_from_the_beginning() -> None:
    _, state = assessed_at(subject(), scrapes(GRID), t=120)
    found, fresh = assessed_at(subject(), Scrapes(reachable=False, anew=True), t=130, state=state)
    assert (found.lacking, fresh.looks, fresh.read_to) == (Hold.NO_SCRAPE, 0, None)


def test_a_canary_pod_that_another_has_replaced_holds_nothing_up() -> None:
    late = [*range(135, 241, 15)]
    _, state = assessed_at(subject(), scrapes(GRID), t=120)
    replaced = scrapes(late)
    named = {"c0": "c0", "c1": "c2", "s0": "s0", "s1": "s1"}
    replaced = replace(replaced, samples=tuple(replace(s, pod=named[s.pod]) for s in replaced.samples))
    found, _ = assess.advance(subject(), state, replaced, seen(serving("c0", "c2"), after_s=240))
    assert found.lacking is None, found.lacking_detail
    assert found.looked_at == START + 240


def test_a_canary_pod_that_is_known_to_be_gone_is_not_missed() -> None:
    late = [*range(135, 241, 15)]
    _, state = assessed_at(subject(), scrapes(GRID), t=120)
    without = scrapes(late, gone={"c1": START + 121})
    without = replace(without, samples=tuple(s for s in without.samples if s.pod != "c1"))
    found, _ = assessed_at(replace(subject(), step_since=START + 230), without, t=240, state=state)
    assert found.lacking is None


def test_a_canary_without_requests_is_no_traffic_and_not_a_good_sign() -> None:
    quiet = scrapes(GRID, rate=0.0)
    found, _ = assessed_at(subject(step_since=START + 119), quiet, t=120)
    assert found.lacking is Hold.NO_TRAFFIC
    assert found.step_requests == 0


def blind(found: Scrapes) -> Scrapes:
    return replace(found, samples=tuple(replace(sample, blind=True) for sample in found.samples))


@pytest.mark.parametrize(("rate", "lacking"), [(2.0, Hold.NO_TRAFFIC), (10.0, None)])
def test_where_no_label_tells_probes_from_traffic_what_probes_make_is_no_traffic(
    rate: float, lacking: Hold | None
) -> None:
    probed = subject(strategy=replace(ONLY_ERRORS, probe_rate=2.0), step_since=START + 119)
    found, _ = assessed_at(probed, blind(scrapes(GRID, rate=rate)), t=120)
    assert found.lacking is lacking


def test_requests_of_a_step_count_from_when_it_began_to_hold() -> None:
    found, _ = assessed_at(subject(step_since=START + 61), scrapes(GRID), t=120)
    assert found.step_requests == pytest.approx(2 * 100.0 * 60)
    assert found.share == pytest.approx(0.5)
    assert found.rates == pytest.approx({"canary": 200.0, "stable": 200.0})


def test_grid_points_that_nobody_scraped_are_unseen_time() -> None:
    holey = [t for t in [*GRID, *range(135, 301, 15)] if not 120 < t < 240]
    found, _ = assessed_at(subject(), scrapes(holey), t=300)
    assert found.unseen_s == pytest.approx(7 * 15, abs=15)


def test_the_preset_divides_its_part_and_other_metrics_get_an_equal_one() -> None:
    own = Metric("own", MetricKind.RATIO, bad="a", all="b")
    assert assess.weights((ERRORS, LATENCY)) == pytest.approx({"errors": 0.55, "latency": 0.45})
    two_thirds = {"errors": 0.55 * 2 / 3, "latency": 0.45 * 2 / 3, "own": 1 / 3}
    assert assess.weights((ERRORS, LATENCY, own)) == pytest.approx(two_thirds)
    assert assess.weights((ERRORS,)) == {"errors": 1.0}
    assert assess.weights(()) == {}


def test_another_window_is_tested_at_a_smaller_rate() -> None:
    again = subject(window=2)
    assert assess.nothing(again).evidence.harm_limit == pytest.approx(400.0)
    found, _ = assessed_at(again, scrapes(GRID), t=120)
    assert found.evidence.harm_limit == pytest.approx(400.0)


def test_the_bounds_to_watch_are_told_while_the_release_is_pending() -> None:
    edges = (0.1, 0.5, 1.0)
    slow = replace(LATENCY, slower_than_s=0.5)
    pending = subject(phase=Phase.PENDING, strategy=replace(STRATEGY, metrics=(ERRORS, slow)))
    found, _ = assessed_at(pending, scrapes(GRID, edges={"latency": edges}), t=0)
    assert found.watched == {"latency": (0.5,)}
    later, _ = assessed_at(replace(pending, phase=Phase.PROGRESSING), scrapes(GRID), t=0)
    assert later.watched == {}


def test_an_earlier_canary_of_the_same_revision_counts_for_nothing() -> None:
    earlier = [
        Sample("old", Arm.CANARY, START + t, {"errors": (50.0 + t, 100.0 + t)}) for t in range(-45, 1, 15)
    ]
    found = scrapes(GRID)
    found = replace(found, samples=(*earlier, *found.samples), gone={"old": START + 1})
    know, state = assessed_at(subject(), found, t=120)
    assert know.evidence.metrics[0].canary_bad == 0.0
    assert all("old" not in look.canary for look in state.cut)


def test_a_pod_that_has_ended_is_not_left_out_any_more() -> None:
    late = [*range(135, 241, 15)]
    _, state = assessed_at(subject(), scrapes(GRID), t=120)
    without = scrapes(late, gone={"c1": START + 121})
    without = replace(without, samples=tuple(s for s in without.samples if s.pod != "c1"))
    found, state = assessed_at(subject(), without, t=240, state=state)
    assert found.evidence.harm_without == {}
    whole, _ = assessed_at(subject(), scrapes(GRID), t=120)
    assert set(whole.evidence.harm_without) == {"c0", "c1"}
