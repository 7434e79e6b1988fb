"""What is decided about a sandbox, moment by moment, with a clock that is played."""

import random
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from canary.safety.orders import Cause, Ended, Kill, Over, Sight, Tell, Terminate, Throttle, Trouble
from canary.safety.report import Report
from canary.safety.watching import Phase
from tests.safety.played import CALM, Played, figures, played, rule, rules


def over(found: tuple[object, ...]) -> Over:
    (one,) = [order for order in found if isinstance(order, Over)]
    return one


def told(box: Played, kind: str) -> list[Tell]:
    return [one for _, one in box.orders if isinstance(one, Tell) and one.kind == kind]


@pytest.mark.parametrize(
    ("name", "breaking"),
    [
        ("egress", {"network_connections": 1.0}),
        ("memory", {"memory_usage": 0.901}),
        ("privileges", {"process_privileges_changed": 1.0}),
    ],
)
def test_a_rule_that_kills_does_so_at_the_look_that_shows_it(name: str, breaking: dict[str, float]) -> None:
    box = played()
    box.looks(10)
    found = box.look(**breaking)
    assert box.times(Kill) == [11.0]
    kinds = [one.kind if isinstance(one, Tell) else type(one) for one in found]
    assert kinds.index("decision") < kinds.index(Kill)
    ended = over(box.end())
    assert (ended.exit, ended.rule) == (3, name)


def test_memory_at_exactly_its_limit_is_let_be() -> None:
    box = played()
    box.looks(100, lambda _: {"memory_usage": 0.9})
    assert box.times(Kill) == []


def test_a_cpu_hog_is_throttled_at_the_look_that_completes_thirty_seconds() -> None:
    box = played()
    box.looks(5)
    box.looks(31, lambda _: {"cpu_usage": 0.951})
    assert box.times(Throttle) == [36.0]
    assert box.times(Kill) == []


def test_twenty_nine_seconds_are_not_thirty() -> None:
    box = played()
    for _ in range(20):
        box.looks(30, lambda _: {"cpu_usage": 1.0})
        box.look(cpu_usage=0.94)
    assert box.times(Throttle) == []


def test_its_cpu_is_given_back_at_the_look_that_clears_the_rule() -> None:
    box = played()
    box.looks(40, lambda _: {"cpu_usage": 1.0})
    box.looks(3)
    assert [(at, one.on) for at, one in box.orders if isinstance(one, Throttle)] == [
        (1031.0, True),
        (1041.0, False),
    ]


def test_its_time_ends_it_gently_at_the_first_look_past_it() -> None:
    box = played()
    box.looks(3600)
    assert box.times(Terminate) == []
    box.look()
    assert box.times(Terminate) == [3601.0]
    assert box.watch.phase is Phase.STOPPING
    assert over(box.end(143)).exit == 3


def test_what_does_not_stop_within_its_grace_is_killed() -> None:
    box = played(rules({"time": ("runtime > 5s", "graceful_shutdown")}), grace_s=10.0)
    box.looks(6)
    assert box.times(Terminate) == [6.0]
    box.looks(9)
    assert box.times(Kill) == []
    box.look()
    assert box.times(Kill) == [16.0]
    assert over(box.end()).rule == "time"


def test_a_rule_that_kills_does_not_wait_for_the_grace_of_another() -> None:
    box = played(rules() + rules({"soon": ("runtime > 5s", "graceful_shutdown")}), grace_s=60.0)
    box.looks(8)
    box.look(network_connections=1.0)
    assert box.times(Kill) == [9.0]


def test_a_kill_that_does_not_work_is_repeated_directly_until_it_does() -> None:
    box = played()
    box.look(network_connections=1.0)
    for _ in range(40):
        box.see(Sight(at=box.at + 0.1))
    kills = [(round(at - 1001.0, 1), one.directly) for at, one in box.orders if isinstance(one, Kill)]
    assert kills[0] == (0.0, False)
    assert [directly for _, directly in kills[1:]] == [True] * (len(kills) - 1)
    assert 3 <= len(kills) - 1 <= 4
    assert all(b[0] - a[0] >= 1.0 for a, b in pairwise(kills))


def test_nothing_leads_back_from_killing() -> None:
    box = played()
    box.look(network_connections=1.0)
    box.looks(20)
    assert box.watch.phase is Phase.KILLING
    assert [one.body["decision"] for one in told(box, "decision")] == ["kill"]


def test_a_report_counts_at_once_and_for_ever() -> None:
    box = played(rules({"laws": ("four_laws_violation_detected for 3s", "kill_container")}))
    box.look()
    box.see(Sight(at=box.at + 0.3, reports=(Report("four_laws_violation_detected", "it said so"),)))
    box.looks(4)
    assert box.times(Kill)[0] == 4.3
    assert "four_laws_violation_detected (it said so)" in told(box, "decision")[0].said
    at_once = played()
    at_once.look()
    at_once.see(Sight(at=at_once.at + 0.3, reports=(Report("four_laws_violation_detected"),)))
    assert at_once.times(Kill) == [1.3]


def test_what_is_reported_without_a_rule_is_kept_and_does_nothing() -> None:
    box = played()
    box.see(Sight(at=1001.0, reports=(Report("all_is_well", "yes"),)))
    assert [one.body for one in told(box, "report")] == [{"name": "all_is_well", "detail": "yes"}]
    assert box.times(Kill) == []


def test_an_alert_tells_people_and_does_nothing_else() -> None:
    box = played([rule("many", "processes > 2", "alert", alert=False)])
    box.look()
    box.look(processes=1.0)
    assert [(one.alert, one.body["state"]) for one in told(box, "guard")] == [
        (True, "fired"),
        (True, "cleared"),
    ]
    assert box.times(Kill) == []


@pytest.mark.parametrize("sense", ["processes", "network", "cpu", "memory", "docker", "ledger", "watchdog"])
def test_a_sense_that_is_silent_for_longer_than_the_bound_ends_it(sense: str) -> None:
    box = played(blind_after_s=2.0)
    box.look()
    last = box.at
    for n in range(1, 21):
        box.see(Sight(at=last + n / 10, senses={sense: last, "other": last + n / 10}))
    assert box.times(Kill) == []
    box.see(Sight(at=last + 2.1, senses={sense: last}, faults={sense: "it was taken away"}))
    assert box.times(Kill) == [3.1]
    assert f"{sense} not seen for 2.1s: it was taken away" in told(box, "fault")[0].said
    assert over(box.end()).exit == 8


TROUBLES = {
    Cause.NONSENSE: 3,
    Cause.LEDGER: 8,
    Cause.WATCHDOG: 8,
    Cause.REPLACED: 8,
    Cause.REFUSED: 2,
    Cause.FAULT: 1,
    Cause.INTERRUPTED: 130,
    Cause.TERMINATED: 143,
}


@pytest.mark.parametrize("cause", TROUBLES)
def test_each_trouble_ends_it_at_once_with_its_exit_code(cause: Cause) -> None:
    box = played()
    box.see(Sight(at=1001.0, troubles=(Trouble(cause, "something is wrong"),)))
    assert box.times(Kill) == [1.0]
    assert over(box.end()).exit == TROUBLES[cause]


def test_its_own_end_is_exit_0_whatever_its_code() -> None:
    box = played()
    box.looks(3)
    found = over(box.end(exit_code=9))
    assert (found.exit, found.cause) == (0, None)
    assert "ended by itself with exit code 9" in found.said


def test_a_signal_that_comes_with_its_own_end_changes_nothing() -> None:
    box = played()
    trouble = Trouble(Cause.TERMINATED, "asked to end")
    found = box.see(Sight(at=1001.0, troubles=(trouble,), ended=Ended(1000.9, 0)))
    assert over(found).exit == 0


def test_nonsense_that_comes_with_its_own_end_is_held_against_it() -> None:
    box = played()
    found = box.see(Sight(at=1001.0, troubles=(Trouble(Cause.NONSENSE, "nonsense"),), ended=Ended(1000.9, 0)))
    assert over(found).exit == 3


def test_what_is_known_only_in_the_end_is_held_against_it() -> None:
    box = played()
    box.look()
    found = box.see(
        Sight(
            at=box.at + 0.5,
            figures=figures(memory_usage=1.0),
            ended=Ended(box.at + 0.4, 137, oom_killed=True),
        )
    )
    assert (over(found).exit, over(found).rule) == (3, "memory")


def test_people_are_told_of_what_matters_once_when_it_begins_and_once_when_it_is_over() -> None:
    for alert, wanted in ((True, ["guard", "end"]), (False, [])):
        box = played([rule("egress", "network_connections > 0", "kill_container", alert=alert)])
        box.look(network_connections=1.0)
        box.end()
        assert [one.kind for _, one in box.orders if isinstance(one, Tell) and one.alert] == wanted
    box = played()
    box.see(Sight(at=1001.0, troubles=(Trouble(Cause.NONSENSE, "nonsense"),)))
    box.end()
    assert [one.kind for _, one in box.orders if isinstance(one, Tell) and one.alert] == ["fault", "end"]


def test_a_look_is_told_every_ten_seconds_and_when_something_changes() -> None:
    box = played()
    box.looks(31)
    assert [round(at - 1000) for at, one in box.orders if isinstance(one, Tell) and one.kind == "look"] == [
        1,
        11,
        21,
        31,
    ]
    box.look(processes=4.0)
    assert len(told(box, "look")) == 5


def noisy(seed: int, seconds: int) -> Played:
    """Ordinary work: bursts of CPU, memory that grows and is freed, processes that come and go."""
    chance = random.Random(seed)
    box = played()
    memory, busy = 0.3, 0
    for _ in range(seconds):
        busy = chance.randint(1, 25) if busy == 0 and chance.random() < 0.1 else max(0, busy - 1)
        memory = min(0.88, max(0.1, memory + chance.gauss(0, 0.03)))
        box.look(
            # Looks are late now and then, on a busy machine by more than a second.
            after_s=1.0 + abs(chance.gauss(0, 0.05)) + (1.5 if chance.random() < 0.005 else 0.0),
            cpu_usage=chance.uniform(0.9, 1.1) if busy else chance.uniform(0, 0.8),
            memory_usage=memory,
            processes=float(chance.randint(1, 40)),
            runtime=min(3599.0, box.at - 1000.0),
        )
    return box


@pytest.mark.parametrize("seed", range(8))
def test_an_hour_of_ordinary_work_is_let_be(seed: int) -> None:
    box = noisy(seed, 3600)
    assert [type(one) for _, one in box.orders if not isinstance(one, Tell)] == []
    assert told(box, "guard") == []
    assert told(box, "look")


moments = st.lists(
    st.tuples(
        st.floats(0.05, 3.0),
        st.fixed_dictionaries({name: st.sampled_from([0.0, 0.5, 0.96, 1.0, 2.0]) for name in CALM}),
        st.booleans(),
    ),
    max_size=40,
)


@given(moments)
def test_every_act_was_decided_before_and_only_the_end_ends_it(
    seen: list[tuple[float, dict[str, float], bool]],
) -> None:
    box = played()
    for after_s, changed, looks in seen:
        if looks:
            box.look(after_s, **changed)
        else:
            box.see(Sight(at=box.at + after_s))
    orders = [one for _, one in box.orders]
    assert not any(isinstance(one, Over) for one in orders)
    for place, one in enumerate(orders):
        if isinstance(one, Kill | Terminate | Throttle):
            before = orders[place - 1]
            assert isinstance(before, Tell)
            assert before.kind in ("decision", "action")
    assert over(box.end()).exit in (0, 3)
    assert box.watch.phase is Phase.OVER
    assert box.see(Sight(at=box.at + 1)) == ()


@given(moments)
def test_what_breaks_a_killing_rule_is_asked_to_die_at_that_moment(
    seen: list[tuple[float, dict[str, float], bool]],
) -> None:
    box = played()
    for after_s, changed, _ in seen:
        box.look(after_s, **changed)
        broken = (
            changed["network_connections"] > 0
            or changed["memory_usage"] > 0.9
            or changed["process_privileges_changed"] > 0
        )
        if broken:
            assert box.watch.phase is Phase.KILLING
            return
    assert box.times(Kill) == []
