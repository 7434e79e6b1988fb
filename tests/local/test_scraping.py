"""What the supervisor scrapes is in the ring, whoever dies; and what a full disk does to it."""

import os
import signal
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from itertools import pairwise
from pathlib import Path

import psutil
import pytest

from canary.core.actions import Remove, Scale
from canary.core.observation import Arm
from canary.core.release import ArmFacts
from canary.core.samples import Sample, Scrapes
from canary.core.strategy import ERRORS
from canary.errors import TransientError
from canary.local.metrics import RingMetrics
from canary.local.status import read_pods
from canary.ports import MetricsQuery
from tests.local.running import Up, a_service, get, up, wait_for

pytestmark = pytest.mark.e2e


def read(running: Up, metrics: RingMetrics, *canaries: str, end: float | None = None) -> Scrapes:
    stable = running.world().stable.revision.hash
    arms = {Arm.STABLE: ArmFacts((stable,)), Arm.CANARY: ArmFacts(canaries)}
    return metrics.read(MetricsQuery((ERRORS,), {}, arms, 0.0, end if end is not None else time.time()))


def served(samples: Sequence[Sample]) -> float:
    last = {one.pod: one.counters["errors"][1] for one in samples if "errors" in one.counters}
    return sum(last.values())


def settled(running: Up, metrics: RingMetrics, requests: int) -> tuple[Scrapes, float] | None:
    """The stretch that is whole, and its end, once so many requests are counted in it."""
    end = read(running, metrics).settled_until
    found = read(running, metrics, end=end)
    return (found, end) if served(found.samples) == requests else None


def test_every_request_is_counted_and_reads_the_same_after_everything_was_killed(tmp_path: Path) -> None:
    with up(a_service(tmp_path)) as running:
        running.settled()
        for _ in range(40):
            get(running.url())
        metrics = RingMetrics(running.service)
        # Scrapes are written before it is said that they are in: only up to there a stretch stays as it is.
        before, end = wait_for(lambda: settled(running, metrics, requests=40), "all are counted")
        for state in read_pods(running.layout.pods):
            assert state.pid is not None
            os.kill(state.pid, signal.SIGKILL)
        running.end(signal.SIGKILL)
        running.start()
        wait_for(lambda: all(pod.restarts == 1 and pod.ready for pod in running.pods()), "all are back")
        again = read(running, RingMetrics(running.service), end=end)
        assert again.samples == before.samples
        wait_for(lambda: read(running, metrics).settled_until > end, "scraping goes on")
        starts = {one.started for one in read(running, metrics).samples if one.pod == before.samples[0].pod}
        wait_for(lambda: len(starts_of(running, metrics, before.samples[0].pod)) == 2, f"new start {starts}")


def starts_of(running: Up, metrics: RingMetrics, pod: str) -> set[float | None]:
    return {one.started for one in read(running, metrics).samples if one.pod == pod}


def test_a_replica_that_ended_is_marked_as_gone(tmp_path: Path) -> None:
    with up(a_service(tmp_path)) as running:
        names = {pod.name for pod in running.settled().stable.pods}
        metrics = RingMetrics(running.service)
        wait_for(lambda: {one.pod for one in read(running, metrics).samples} == names, "both are scraped")
        assert read(running, metrics).gone == {}
        running.workloads.apply(Scale(Arm.STABLE, 1), within_s=5.0)
        gone = wait_for(lambda: read(running, metrics).gone or None, "one is gone")
        left = {pod.name for pod in running.settled().stable.pods}
        assert set(gone) == names - left


def test_a_metrics_page_that_hangs_delays_no_other(tmp_path: Path) -> None:
    with up(a_service(tmp_path)) as running:
        running.settled()
        action = running.canary("hang", 1)
        running.workloads.apply(action, within_s=5.0)
        running.settled()
        metrics = RingMetrics(running.service)
        began = time.time()

        def scraped() -> bool:
            times = [one.at for one in read(running, metrics, action.revision.hash).samples]
            return sum(at > began for at in times) >= 8

        wait_for(scraped, "the others are scraped on")
        found = read(running, metrics, action.revision.hash).samples
        assert {one.arm for one in found} == {Arm.STABLE}
        stable = sorted(one.at for one in found if one.pod == found[-1].pod and one.at > began)
        assert max(later - at for at, later in pairwise(stable)) < 3.0
        assert "could not scrape" in running.words()
        running.workloads.apply(Remove(), within_s=5.0)
        wait_for(lambda: running.world().canary is None, "it goes all the same")


def serving(url: str) -> set[str]:
    """Process ids of who answers; a request that met a replica just killed counts for nobody."""
    found = set()
    for _ in range(4):
        with suppress(OSError):
            found.add(get(url).split()[2])
    return found


@pytest.mark.skipif(sys.platform != "linux", reason="sets the limit of a running process")
def test_with_a_full_disk_the_service_goes_on_and_all_is_well_when_there_is_room(tmp_path: Path) -> None:
    with up(a_service(tmp_path)) as running:
        running.settled()
        url = running.url()
        assert running.process is not None
        supervisor = psutil.Process(running.process.pid)
        before = supervisor.rlimit(psutil.RLIMIT_FSIZE)
        supervisor.rlimit(psutil.RLIMIT_FSIZE, (0, before[1]))

        def unseen() -> str | None:
            try:
                running.workloads.observe()
            except TransientError as fault:
                return fault.remedy
            return None

        assert "its disk may be full" in wait_for(unseen, "nothing is heard of it")
        assert get(url).startswith("v1")
        victim = read_pods(running.layout.pods)[0].pid
        assert victim is not None
        os.kill(victim, signal.SIGKILL)
        wait_for(lambda: len(serving(url) - {str(victim)}) == 2, "it came back")
        supervisor.rlimit(psutil.RLIMIT_FSIZE, before)
        metrics = RingMetrics(running.service)
        assert sum(pod.restarts for pod in running.settled().stable.pods) == 1
        since = time.time()
        wait_for(lambda: any(one.at > since for one in read(running, metrics).samples), "scraped again")


@pytest.mark.skipif(sys.platform != "linux", reason="sets the limit of a running process")
def test_a_replica_that_ends_as_it_starts_on_a_full_disk_has_not_crashed(tmp_path: Path) -> None:
    with up(a_service(tmp_path)) as running:
        running.settled()
        running.workloads.apply(running.canary("deaf", 1), within_s=5.0)
        wait_for(lambda: deaf(running) or None, "the canary was started")
        assert running.process is not None
        supervisor = psutil.Process(running.process.pid)
        before = supervisor.rlimit(psutil.RLIMIT_FSIZE)
        supervisor.rlimit(psutil.RLIMIT_FSIZE, (0, before[1]))
        ended = set[int]()
        while len(ended) < 4:
            for pid in wait_for(lambda: deaf(running) - ended or None, "it is started again"):
                os.kill(pid, signal.SIGKILL)
                ended.add(pid)
        wait_for(lambda: deaf(running) - ended or None, "it is started once more")
        supervisor.rlimit(psutil.RLIMIT_FSIZE, before)
        canary = wait_for(lambda: running.world().canary, "it is seen again")
        # The first end may have come before the supervisor knew that the disk was full.
        assert [(pod.restarts <= 1, pod.trouble) for pod in canary.pods] == [(True, None)]


def deaf(running: Up) -> set[int]:
    """Processes of the canary that does not listen."""
    found = set()
    for one in running.processes():
        with suppress(psutil.Error):
            if "deaf" in psutil.Process(one.pid).cmdline():
                found.add(one.pid)
    return found
