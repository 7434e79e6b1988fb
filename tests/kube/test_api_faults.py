"""The API server refuses, loses answers, hangs, lags or goes away: a release ends as if it had not."""

import re
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from canary.core.ledger import verify
from canary.kube.session import Json
from tests.command import Ran
from tests.kube.live import Place, wait_for
from tests.kube.proxy import Answer, Asked, Delay, Fault, Hold, Lose, Proxy
from tests.kube.scripted import Traffic
from tests.kube.stage import Floor, Stage, a_stage

pytestmark = pytest.mark.control_plane

GOOD, BAD = Traffic(rate=3000.0), Traffic(rate=3000.0, errors=0.3)
WRITES = {
    "record": "PUT configmaps/canary-web progressing/1/holding",
    "scale": "PUT deployments/web/scale 2",
    "template": "PATCH deployments/web",
    "create": "POST deployments web-canary",
    "delete": "DELETE deployments/web-canary",
    "lease": "PUT leases/canary-web renewed",
    "lease taken": "POST leases renewed",
    "lease given up": "PUT leases/canary-web given up",
}
RETRY_AFTER_S = 3
FAULTS: dict[str, Fault] = {
    "409": Answer(409),
    "429": Answer(429, RETRY_AFTER_S),
    "500": Answer(500),
    "lost": Lose(),
}
ANY_WRITE = r"(PUT|PATCH|DELETE|POST (deployments|leases|configmaps)) ?.*"


@pytest.fixture
def proxy(kubeconfig: Path) -> Iterator[Proxy]:
    found = Proxy(kubeconfig)
    yield found
    found.close()


@pytest.fixture
def stage(place: Place, proxy: Proxy, tmp_path: Path) -> Iterator[Stage]:
    """Its commands reach the API server through the proxy; all else goes there directly."""
    with a_stage(place, tmp_path, {"v1": GOOD, "v2": GOOD, "bad": BAD}) as found:
        found.configure(steps=[50], hold={"min": "1s", "max": "60s"})
        found.environment["KUBECONFIG"] = str(proxy.kubeconfig(tmp_path))
        yield found


def ends_as_undisturbed(stage: Stage, ran: Ran, version: str = "v2") -> None:
    good = version != "bad"
    assert ran.code == (0 if good else 3), ran.text
    assert stage.image() == f"shop/web:{version if good else 'v1'}"
    wait_for(stage.is_whole, "the target is whole", 5.0)
    exported = stage.run("audit", "export")
    assert verify(exported.out.splitlines()) is None
    release = stage.recorded()
    assert release is not None
    assert release.outcome == ("promoted" if good else "regression")


def told(writes: list[Asked]) -> list[tuple[str, int, int]]:
    return [(one.name, one.status, one.landed) for one in writes]


def reached(proxy: Proxy, write: str) -> None:
    wait_for(lambda: bool(proxy.writes(re.escape(write))), write)


@contextmanager
def driven(stage: Stage) -> Iterator[subprocess.Popen[str]]:
    """A driver of v2, which does not outlive its test."""
    driver = stage.begin("start", "v2")
    try:
        yield driver
    finally:
        if driver.poll() is None:
            driver.kill()
            driver.communicate()


def obeyed(proxy: Proxy) -> bool:
    """After each 429 nothing is written until it was time."""
    asked = proxy.writes()
    refused = [one for one in asked if one.status == 429]
    assert refused
    return all(later.at - one.at >= RETRY_AFTER_S for one in refused for later in asked if later.at > one.at)


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("kind", WRITES)
def test_a_write_that_fails_once_changes_nothing_about_the_end(
    stage: Stage, proxy: Proxy, kind: str, fault: str
) -> None:
    proxy.rule(re.escape(WRITES[kind]), FAULTS[fault])

    with Floor(stage.session) as floor:
        ran = stage.run("start", "v2")

    assert [one for one in proxy.asked if one.fault], told(proxy.writes())
    assert floor.fewest == 4
    if fault == "429":
        assert obeyed(proxy), [(round(one.at, 2), one.name, one.status) for one in proxy.writes()]
    ends_as_undisturbed(stage, ran)


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("version", ["v2", "bad"])
def test_every_write_may_fail_once(stage: Stage, proxy: Proxy, version: str, fault: str) -> None:
    proxy.rule("(?!POST configmaps)" + ANY_WRITE, FAULTS[fault], each=True)

    with Floor(stage.session) as floor:
        ran = stage.run("start", version)

    assert len([one for one in proxy.asked if one.fault]) > 10, told(proxy.writes())
    assert floor.fewest == 4
    ends_as_undisturbed(stage, ran, version)


@pytest.mark.parametrize("fault", ["429", "500", "lost"])
def test_a_record_that_cannot_be_begun_ends_the_command_and_it_can_be_given_again(
    stage: Stage, proxy: Proxy, fault: str
) -> None:
    proxy.rule("POST configmaps pending", FAULTS[fault])

    first = stage.run("start", "v2")

    assert first.code == 8, first.text
    assert proxy.writes("(PUT|PATCH|DELETE|POST (deployments|leases)).*") == []
    ends_as_undisturbed(stage, stage.run("start", "v2"))


@pytest.mark.parametrize("kind", ["record", "scale", "lease"])
def test_a_write_that_hangs_is_given_up_within_the_term(stage: Stage, proxy: Proxy, kind: str) -> None:
    hold = Hold()
    proxy.rule(re.escape(WRITES[kind]), hold)

    ran = stage.run("start", "v2")

    assert hold.reached.is_set()
    hold.over.set()
    ends_as_undisturbed(stage, ran)


def asked_for(stage: Stage) -> list[tuple[str, Json]]:
    return [
        (one["metadata"]["uid"], one["spec"])
        for one in (stage.deployment(), stage.deployment("web-canary"))
        if one
    ]


def test_while_the_api_server_is_away_a_release_is_held_and_then_goes_on(stage: Stage, proxy: Proxy) -> None:
    stage.configure(hold={"min": "10s", "max": "90s"}, deadline="5m")
    with driven(stage) as driver:
        reached(proxy, WRITES["record"])
        before = asked_for(stage)
        with proxy.away():
            time.sleep(60)
            during = asked_for(stage)
        back = time.monotonic()
        ran = stage.ended(driver)

    assert during == before
    assert "held, nothing is changed, trying again" in ran.text
    assert "in reach again after" in ran.text
    assert proxy.writes(since=back)[0].at - back < 15
    ends_as_undisturbed(stage, ran)


def a_canary_pod(stage: Stage) -> str:
    found = stage.session.get(stage.session.path("v1", "pods"), labelSelector="canary.track=canary")
    return str(found["items"][0]["metadata"]["name"]) if found["items"] else ""


def turned(stage: Stage, name: str, *, ready: bool) -> None:
    """From now on this pod says so of itself."""
    path = stage.session.path("v1", "pods", name)
    conditions = stage.session.get(path)["status"]["conditions"]
    for one in conditions:
        if one["type"] in ("Ready", "ContainersReady"):
            one["status"] = str(ready)
    change = {"op": "replace", "path": "/status/conditions", "value": conditions}
    stage.session.patch(f"{path}/status", [change])


@pytest.mark.parametrize("how", ["unready", "going", "gone"])
def test_capacity_is_not_lowered_on_a_view_that_lags(stage: Stage, proxy: Proxy, how: str) -> None:
    """The canary is seen to be ready, its pod dies, and no event comes to tell of it."""
    looking = Delay()
    # The look at the pods before capacity is lowered: a list of its own, after the copies were read.
    proxy.rule("GET pods", looking, since="POST deployments web-canary")
    with Floor(stage.session) as floor, driven(stage) as driver:
        wait_for(looking.reached.is_set, "capacity is about to be lowered")
        with proxy.frozen():
            name = a_canary_pod(stage)
            if how == "unready":
                turned(stage, name, ready=False)
            else:
                stage.session.delete(stage.session.path("v1", "pods", name))
            if how == "gone":
                wait_for(lambda: a_canary_pod(stage) not in ("", name), "another pod is in its place")
            looking.over.set()
            frozen = time.monotonic()
            time.sleep(10)
            lowered = proxy.writes("PUT deployments/web/scale .*", frozen)
            looks = [one for one in proxy.asked if one.name == "GET pods" and one.at >= frozen]
        if how == "unready":
            turned(stage, name, ready=True)
        ran = stage.ended(driver)

    # Another pod in its place is as good, once it was seen by that look.
    assert how == "gone" or lowered == [], told(lowered)
    assert len(looks) < 25
    assert floor.fewest == 4
    ends_as_undisturbed(stage, ran)


def taken(stage: Stage, holder: str) -> None:
    """Somebody else writes themselves into the Lease, whoever holds it."""
    path = stage.session.path("coordination.k8s.io/v1", "leases", "canary-web")
    changes = {"holderIdentity": holder, "leaseTransitions": 77}
    stage.session.patch(
        path, [{"op": "replace", "path": f"/spec/{key}", "value": value} for key, value in changes.items()]
    )


def test_a_driver_that_lost_its_lease_writes_no_more_until_it_is_free_again(
    stage: Stage, proxy: Proxy
) -> None:
    stage.configure(hold={"min": "5s", "max": "90s"})
    with driven(stage) as driver:
        reached(proxy, WRITES["record"])
        lost = time.monotonic()
        while time.monotonic() < lost + 20:
            taken(stage, f"somebody@else_{time.monotonic()}")
            time.sleep(1)
        held = time.monotonic()
        ran = stage.ended(driver)

    # It learns of it when it renews, which it does every three seconds.
    after = [one for one in proxy.writes() if one.landed // 100 == 2 and lost + 3.5 <= one.at <= held]
    assert after == [], told(after)
    assert "the lease is held by somebody@else; held" in ran.text
    assert min(one.at for one in proxy.writes(since=held)) > held + 8
    ends_as_undisturbed(stage, ran)


def test_a_follower_stays_when_it_is_not_told_who_drives(stage: Stage, proxy: Proxy) -> None:
    stage.configure(hold={"min": "10s", "max": "90s"})
    with driven(stage) as driver:
        reached(proxy, WRITES["record"])
        proxy.rule("GET leases/canary-web", Answer(500), nth=6, times=2)
        follower = stage.run("start", "v2")
        ran = stage.ended(driver)

    assert [one for one in proxy.asked if one.fault]
    assert "drives this release; following" in follower.text
    assert follower.code == 0, follower.text
    ends_as_undisturbed(stage, ran)
