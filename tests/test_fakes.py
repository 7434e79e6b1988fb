"""The fakes behave as what they stand for: a law proved on a wrong fake proves nothing."""

import pytest

from canary.core.actions import Remove, Scale, SetRevision
from canary.core.observation import Arm, World
from canary.core.release import ArmFacts
from canary.core.samples import Sample
from canary.core.strategy import ERRORS, LATENCY
from canary.errors import ConflictError, TransientError
from canary.ports import MetricsQuery
from tests.a_release import a_release
from tests.fake_cluster import Behaviour, FakeCluster
from tests.fake_metrics import FakeMetrics
from tests.fakes import FakeClock, FakeRecords, PowerCut, PowerLostError


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def cluster(clock: FakeClock) -> FakeCluster:
    return FakeCluster(clock, behaviours={"v2": Behaviour(start_s=3.0, error_rate=0.5)})


def seen(cluster: FakeCluster) -> World:
    world = cluster.observe()
    assert world is not None
    return world


def begin(cluster: FakeCluster, replicas: int = 1, version: str = "v2") -> None:
    revision = cluster.revise(seen(cluster).stable.revision, version)
    cluster.apply(SetRevision(Arm.CANARY, revision, replicas), within_s=5.0)


def test_what_is_due_happens_in_its_order_while_one_waits(clock: FakeClock) -> None:
    told: list[tuple[str, float]] = []
    clock.at(3.0, lambda: told.append(("once", clock.monotonic())))
    clock.every(2.0, lambda: told.append(("again", clock.monotonic())))
    clock.wait(5.0)

    assert told == [("again", 2.0), ("once", 3.0), ("again", 4.0)]
    assert clock.monotonic() == 5.0


def test_an_interrupt_ends_the_wait_it_comes_in(clock: FakeClock) -> None:
    clock.at(3.0, lambda: clock.interrupt(2))
    clock.wait(60.0)
    clock.wait(60.0)

    assert clock.monotonic() == 3.0
    assert clock.interrupted == 2


def test_a_canary_starts_and_becomes_ready_in_its_time(clock: FakeClock, cluster: FakeCluster) -> None:
    begin(cluster, 2)
    clock.advance(2.9)
    early = seen(cluster).canary
    clock.advance(0.1)
    late = seen(cluster).canary

    assert early is not None
    assert late is not None
    assert (len(early.pods), early.ready, early.settled) == (2, 0, False)
    assert (len(late.pods), late.ready, late.settled) == (2, 2, True)


def test_a_version_that_never_gets_ready_says_why(clock: FakeClock, cluster: FakeCluster) -> None:
    cluster.behaviours["v2"] = Behaviour(never_ready=True, trouble="cannot pull the image")
    begin(cluster)
    clock.advance(60.0)
    canary = seen(cluster).canary

    assert canary is not None
    assert canary.ready == 0
    assert canary.pods[0].trouble == "cannot pull the image"


@pytest.mark.parametrize(("surge", "unavailable"), [(1, 0), (0, 1), (2, 1), (4, 0), (0, 4)])
def test_a_rolling_update_keeps_to_surge_and_floor(
    clock: FakeClock, cluster: FakeCluster, surge: int, unavailable: int
) -> None:
    cluster.surge, cluster.unavailable = surge, unavailable
    stable = seen(cluster).stable
    cluster.watch()
    new = cluster.revise(stable.revision, "v2")
    cluster.apply(SetRevision(Arm.STABLE, new, expected=stable.revision.hash), within_s=5.0)
    clock.advance(60.0)
    after = seen(cluster).stable

    assert after.settled
    assert after.revision == new
    assert cluster.most_pods <= 4 + surge
    assert cluster.fewest_ready >= 4 - unavailable
    assert [one.version for one in cluster.history()] == ["v1", "v2"]


def test_a_target_that_somebody_else_changed_is_not_overwritten(cluster: FakeCluster) -> None:
    expected = seen(cluster).stable.revision.hash
    cluster.someone_else_sets("v9")

    with pytest.raises(ConflictError):
        cluster.apply(
            SetRevision(Arm.STABLE, cluster.revise(cluster.history()[0], "v2"), expected=expected),
            within_s=5.0,
        )

    assert seen(cluster).stable.revision.version == "v9"


def test_actions_done_twice_do_nothing_more(clock: FakeClock, cluster: FakeCluster) -> None:
    for _ in range(2):
        begin(cluster, 2)
        cluster.apply(Scale(Arm.STABLE, 3), within_s=5.0)
        clock.advance(5.0)
    world = seen(cluster)
    assert world.canary is not None
    assert (len(world.stable.pods), len(world.canary.pods)) == (3, 2)
    for _ in range(2):
        cluster.apply(Remove(), within_s=5.0)
    assert seen(cluster).canary is None


def test_nothing_is_asked_for_once_the_term_is_over(cluster: FakeCluster) -> None:
    with pytest.raises(TransientError):
        cluster.apply(Scale(Arm.STABLE, 1), within_s=0.0)

    assert seen(cluster).stable.replicas == 4


def test_a_crash_restarts_the_pod_in_its_place(clock: FakeClock, cluster: FakeCluster) -> None:
    cluster.behaviours["v2"] = Behaviour(start_s=1.0, crash_after_s=10.0)
    begin(cluster)
    clock.advance(11.5)
    canary = seen(cluster).canary

    assert canary is not None
    assert canary.pods[0].restarts == 1
    assert canary.pods[0].was_ready
    assert not canary.pods[0].ready


def read(cluster: FakeCluster, metrics: FakeMetrics, start: float = 0.0) -> list[Sample]:
    world = seen(cluster)
    arms = {Arm.STABLE: ArmFacts((world.stable.revision.hash,))}
    if world.canary:
        arms[Arm.CANARY] = ArmFacts((world.canary.revision.hash,))
    query = MetricsQuery([ERRORS, LATENCY], {}, arms, start, cluster.clock.now())
    return list(metrics.read(query).samples)


def test_a_stretch_reads_the_same_again(clock: FakeClock, cluster: FakeCluster) -> None:
    metrics = FakeMetrics(cluster)
    start = clock.now()
    begin(cluster)
    clock.advance(120.0)
    first = read(cluster, metrics, start)
    again = [one for one in read(cluster, metrics, start) if one.at <= clock.now()]

    assert first == again
    assert len(first) == 8 * (4 + 1)


def test_counters_add_up_to_the_traffic_and_the_error_rates(clock: FakeClock, cluster: FakeCluster) -> None:
    metrics = FakeMetrics(cluster)
    begin(cluster)
    clock.advance(60.0)
    before = {one.pod: one for one in read(cluster, metrics) if one.at == clock.now()}
    clock.advance(60.0)
    after = {one.pod: one for one in read(cluster, metrics) if one.at == clock.now()}
    grown = {
        pod: (
            after[pod].arm,
            after[pod].counters["errors"][0] - one.counters["errors"][0],
            after[pod].counters["errors"][1] - one.counters["errors"][1],
        )
        for pod, one in before.items()
    }

    assert sum(requests for _, _, requests in grown.values()) == pytest.approx(40.0 * 60, abs=5)
    bad, requests = next((bad, all_) for arm, bad, all_ in grown.values() if arm is Arm.CANARY)
    assert bad / requests == pytest.approx(0.5, abs=0.01)
    latency = next(iter(after.values())).counters["latency"]
    assert list(latency) == sorted(latency)
    assert len(latency) == 5


def test_the_history_of_the_stable_goes_before_the_start(clock: FakeClock, cluster: FakeCluster) -> None:
    metrics = FakeMetrics(cluster, history_s=300.0)
    times = sorted({one.at for one in read(cluster, metrics)})

    assert times[0] == clock.now() - 300.0
    assert times[-1] == clock.now()
    assert {one.arm for one in read(cluster, metrics)} == {Arm.STABLE}


def test_a_restarted_pod_counts_from_nothing_and_says_so(clock: FakeClock, cluster: FakeCluster) -> None:
    metrics = FakeMetrics(cluster)
    name = seen(cluster).stable.pods[0].name
    clock.advance(15.0)
    cluster.kill(name)
    clock.advance(15.0)
    before, after = [one for one in read(cluster, metrics, clock.now() - 20) if one.pod == name]

    assert after.counters["errors"][1] < before.counters["errors"][1]
    assert after.started != before.started


def test_scrapes_that_were_not_made_are_missing_for_ever(clock: FakeClock, cluster: FakeCluster) -> None:
    metrics = FakeMetrics(cluster)
    start = clock.now()
    metrics.scraping = False
    clock.advance(30.0)
    metrics.scraping = True
    clock.advance(15.0)

    assert {one.at for one in read(cluster, metrics, start)} == {start + 45.0}


@pytest.mark.parametrize("after", [False, True])
def test_the_power_goes_before_or_after_the_effect_and_stays_away(*, after: bool) -> None:
    inner = FakeRecords()
    cut = PowerCut(2, after=after)
    records = cut.records(inner)
    first = records.save(a_release(), expected=None)

    with pytest.raises(PowerLostError):
        records.save(a_release(reason="second"), expected=first.version)
    with pytest.raises(PowerLostError):
        records.load("web")

    found = inner.load("web")
    assert found is not None
    assert (found.release.reason == "second") is after
    assert len(cut.effects) == 2
