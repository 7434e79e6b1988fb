"""Whole releases on what real Prometheus servers hold: gaps, faults, replicas; nothing lost or invented."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from functools import partial
from itertools import pairwise
from math import ceil
from pathlib import Path
from zlib import crc32

import pytest

from canary.core.observation import Arm
from canary.core.release import Outcome, Phase, Release
from canary.core.strategy import Strategy
from tests.fake_cluster import Behaviour
from tests.guarding import MIB, guard, guarded_by
from tests.metrics.released import FAULTS, Front, Replica, Scraped, a_front
from tests.metrics.stored import VERSIONS, a_server
from tests.stage import BAD, quick

pytestmark = pytest.mark.e2e

ONE_STEP = quick(steps=(50.0,), hold_min_s=240)
OUTAGE = (60.0, 180.0)
"""Two minutes in the middle of the step, seconds since the start."""


@contextmanager
def a_stage(
    folder: Path,
    version: str = "3.x",
    strategy: Strategy = ONE_STEP,
    *,
    second: tuple[float, float] | None = None,
    scrape_s: float = 15.0,
) -> Iterator[tuple[Scraped, Front]]:
    """A server, a front, and a stage whose pods are scraped; `second`: phase and lag of another replica."""
    strategy = replace(strategy, scrape_interval_s=scrape_s, history_s=300.0)
    with a_front() as front, ExitStack() as stack:
        found = [Replica(stack.enter_context(a_server(version, folder / "a")))]
        if second is not None:
            url = stack.enter_context(a_server(version, folder / "b"))
            found.append(Replica(url, *second, misses=sometimes))
        yield _begun(found, front, strategy), front


def sometimes(pod: str, at: float) -> bool:
    """Every seventh scrape or so."""
    return crc32(f"{pod} {at}".encode()) % 7 == 0


def _begun(servers: list[Replica], front: Front, strategy: Strategy) -> Scraped:
    stage = Scraped({"bad": BAD}, strategy=strategy)
    stage.begin(servers, front)
    return stage


def no_more_than_was_served(stage: Scraped) -> bool:
    return all(sum(stage.counted(arm)["errors"]) <= stage.served(arm) for arm in (Arm.STABLE, Arm.CANARY))


def in_the_end(server: Replica, arm: Arm, at: float) -> dict[str, float]:
    """What each pod of the arm had counted at its last scrape by this time."""
    return {pod: total for when, pod, of, total in server.scraped if of is arm and when <= at}


def comparable_from(stage: Scraped, server: Replica) -> float:
    """The last grid point before there was a canary to compare with."""
    first = min(at for at, _, arm, _ in server.scraped if arm is Arm.CANARY)
    interval = stage.strategy.interval_s
    return stage.began + (ceil((first - stage.began) / interval) - 1) * interval


@pytest.mark.parametrize("scrape_s", [15.0, 30.0, 60.0])
@pytest.mark.parametrize("version", VERSIONS)
def test_targets_scraped_at_different_offsets_lose_no_increment_and_make_no_gap(
    tmp_path: Path, version: str, scrape_s: float
) -> None:
    with a_stage(tmp_path, version, scrape_s=scrape_s) as (stage, _):
        release = stage.run()

    assert release.phase is Phase.PROMOTED
    (server,), looks = stage.servers, stage.seen_by.looks
    last, start = looks[-1].at, comparable_from(stage, server)
    canary = sum(in_the_end(server, Arm.CANARY, last).values())
    base, stable = in_the_end(server, Arm.STABLE, start), in_the_end(server, Arm.STABLE, last)
    assert sum(stage.counted(Arm.CANARY)["errors"]) == sum(stage.counted(Arm.CANARY)["latency"][:1]) == canary
    assert sum(stage.counted(Arm.STABLE)["errors"]) == sum(stable.values()) - sum(base.values())
    assert no_more_than_was_served(stage)
    each_look_has_a_new_scrape_of_every_serving_pod(stage, server)
    assert not stage.seen_by.held, stage.seen_by.held[:1]


def each_look_has_a_new_scrape_of_every_serving_pod(stage: Scraped, server: Replica) -> None:
    ends = [look.at for look in stage.seen_by.looks]
    assert len(ends) >= 3
    for before, at in pairwise(ends):
        serving = {
            pod.name
            for pod in stage.cluster.pods
            if (pod.ended is None or pod.ended > at) and pod.ready_at is not None and pod.ready_at < before
        }
        new = {pod for when, pod, _, _ in server.scraped if before < when <= at}
        assert serving
        assert serving <= new, f"at {at - stage.began:g} s"


@pytest.mark.parametrize("version", VERSIONS)
def test_a_version_with_more_errors_is_rolled_back(tmp_path: Path, version: str) -> None:
    with a_stage(tmp_path, version) as (stage, _):
        release = stage.run("bad")
    assert release.outcome is Outcome.REGRESSION
    assert no_more_than_was_served(stage)


@pytest.mark.parametrize("version", VERSIONS)
def test_a_version_that_leaks_is_rolled_back_by_its_guard_and_the_ledger_says_when(
    tmp_path: Path, version: str
) -> None:
    leaks = Behaviour(shows=lambda age_s: {"process_resident_memory_bytes": age_s * MIB})
    memory = guard("memory_bytes > 90MiB for 30s", name="memory")
    with a_stage(tmp_path, version, replace(ONE_STEP, **guarded_by(memory))) as (stage, _):
        stage.cluster.behaviours["leaky"] = leaks
        release = stage.run("leaky")
    assert release.outcome is Outcome.GUARD, release.reason
    (entry,) = [one for one in stage.ledger.read("web") if one.kind == "guard"]
    born = max(pod.born for pod in stage.cluster.pods if pod.name in entry.body["figures"])
    assert 90 < entry.body["since"] - born <= 105
    assert 30 <= entry.at - entry.body["since"] <= 45
    # A scrape counts when it is sure that none is still to come from before it.
    assert release.times["decided"] - entry.at <= 15 + 2 + 4


@pytest.mark.parametrize("version", VERSIONS)
def test_pods_deleted_in_mid_step_leave_a_release_where_it_is(tmp_path: Path, version: str) -> None:
    """All of the canary's, one after another, and one of the stable's; their series go stale."""
    with a_stage(tmp_path, version) as (stage, _):
        gone: list[str] = []

        def delete(arm: Arm) -> None:
            living = [pod for pod in stage.cluster.pods if pod.arm is arm and pod.ended is None]
            gone.append(living[0].name)
            stage.cluster.delete(living[0].name)

        for at, arm in ((70, Arm.CANARY), (90, Arm.CANARY), (110, Arm.STABLE)):
            stage.clock.at(at, partial(delete, arm))
        release = stage.run()

    assert (release.phase, len(gone)) == (Phase.PROMOTED, 3), release.reason
    assert no_more_than_was_served(stage)
    # What a pod served after its last scrape nobody has seen; all else counts.
    last = stage.seen_by.looks[-1].at
    canary = in_the_end(stage.servers[0], Arm.CANARY, last)
    assert len(canary) == 4
    assert sum(stage.counted(Arm.CANARY)["errors"]) == sum(canary.values())
    # Held at most while the old pod's silence might still be a late scrape.
    assert not [held for held in stage.seen_by.held if held[1] == "no_scrape"], stage.seen_by.held[:1]


@pytest.mark.parametrize("version", VERSIONS)
def test_a_process_that_begins_anew_counts_from_zero_and_nothing_twice(tmp_path: Path, version: str) -> None:
    with a_stage(tmp_path, version) as (stage, _):
        killed: list[float] = []

        def kill() -> None:
            pod = next(pod for pod in stage.cluster.pods if pod.arm is Arm.CANARY and pod.ended is None)
            stage.cluster.catch_up()
            killed.append(pod.counters()[stage.strategy.metrics[0].kind][1])
            stage.cluster.kill(pod.name)

        stage.clock.at(100, kill)
        release = stage.run()

    assert release.phase is Phase.PROMOTED, release.reason
    counted = sum(stage.counted(Arm.CANARY)["errors"])
    last = stage.seen_by.looks[-1].at
    after = sum(in_the_end(stage.servers[0], Arm.CANARY, last).values())
    # Of what it had served before, all but the part since its last scrape.
    unseen = 100.0 * stage.strategy.scrape_interval_s
    assert after + killed[0] - unseen <= counted <= after + killed[0]


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Release, Scraped]]:
    with a_stage(tmp_path_factory.mktemp("undisturbed")) as (stage, _):
        yield stage.run(), stage


@pytest.mark.parametrize("fault", ["refused", *FAULTS])
def test_two_minutes_without_an_answer_are_held_and_leave_the_same_evidence(
    tmp_path: Path, undisturbed: tuple[Release, Scraped], fault: str
) -> None:
    with a_stage(tmp_path) as (stage, front):
        begins, ends = (stage.began + at for at in OUTAGE)
        if fault == "refused":
            stage.clock.at(OUTAGE[0], front.refuse)
            stage.clock.at(OUTAGE[1], front.accept)
        else:
            front.fault = lambda at: fault if begins <= at < ends else None
        release = stage.run()

    assert fault == "refused" or front.failed > 30
    held = [(at, why) for at, why, _ in stage.seen_by.held]
    assert {why for _, why in held} == {"no_scrape"}
    assert min(held)[0] == pytest.approx(begins, abs=2.1)
    assert max(held)[0] == pytest.approx(ends, abs=2.1)
    assert not [look for look in stage.seen_by.looks_made_at if begins + 2.1 < look < ends]
    alike, other = undisturbed
    assert (release.phase, release.steps_at) == (alike.phase, alike.steps_at)
    assert stage.seen_by.looks == other.seen_by.looks


def test_before_the_first_answer_an_empty_one_loses_nothing(
    tmp_path: Path, undisturbed: tuple[Release, Scraped]
) -> None:
    """A driver that is started while the server still loads its history."""
    with a_stage(tmp_path) as (stage, front):
        front.fault = lambda at: "empty" if at < stage.began + 100 else None
        release = stage.run()
    assert release.phase is Phase.PROMOTED
    looks = {look.at: look for look in stage.seen_by.looks}
    for look in undisturbed[1].seen_by.looks:
        if look.at in looks:
            assert (looks[look.at].canary, looks[look.at].stable) == (look.canary, look.stable)
    assert no_more_than_was_served(stage)


@pytest.mark.parametrize(("lag_s", "scrape_s"), [(30.0, 15.0), (90.0, 60.0)])
def test_a_server_that_is_behind_loses_no_increment(tmp_path: Path, lag_s: float, scrape_s: float) -> None:
    """By up to three scrape intervals; further, pods are as good as not scraped."""
    with a_stage(tmp_path, scrape_s=scrape_s) as (stage, _):
        (server,) = stage.servers
        server.lag_s = lag_s
        release = stage.run()

    assert release.phase is Phase.PROMOTED, release.reason
    readable = min(stage.seen_by.looks[-1].at, stage.seen_by.looks_made_at[-1] - lag_s)
    assert sum(stage.counted(Arm.CANARY)["errors"]) == sum(in_the_end(server, Arm.CANARY, readable).values())
    assert no_more_than_was_served(stage)


AT_OTHER_TIMES, BEHIND = (7.0, 0.0), (0.0, 30.0)


@pytest.mark.parametrize("second", [AT_OTHER_TIMES, BEHIND], ids=["at other times", "30 s behind"])
def test_two_replicas_that_take_turns_count_as_the_first_of_them_alone(
    tmp_path: Path, undisturbed: tuple[Release, Scraped], second: tuple[float, float]
) -> None:
    with a_stage(tmp_path, second=second) as (stage, front):
        front.choose = lambda asked: asked % 2
        release = stage.run()

    assert release.phase is Phase.PROMOTED
    assert any("several replicas" in words for _, _, words in stage.seen_by.held)
    assert no_more_than_was_served(stage)
    looks, alone = stage.seen_by.looks, undisturbed[1].seen_by.looks
    assert looks[: len(alone)] == alone[: len(looks)]


def test_when_the_replica_that_was_read_stays_away_everything_is_read_from_the_other(tmp_path: Path) -> None:
    with a_stage(tmp_path, second=AT_OTHER_TIMES) as (stage, front):
        front.choose = lambda _: int(stage.clock.now() >= stage.began + OUTAGE[0])
        release = stage.run()

    assert release.phase is Phase.PROMOTED, release.reason
    assert any("reading everything again" in words for _, _, words in stage.seen_by.held)
    away = [at - stage.began for at, _, words in stage.seen_by.held if "does not answer" in words]
    assert min(away) == 60.0
    assert max(away) == pytest.approx(120.0, abs=4.0)
    assert no_more_than_was_served(stage)
