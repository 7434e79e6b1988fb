"""Drivers that are killed, and what proves it, against a real API server: the next one does not wait a term.

The leases last two minutes here, and nothing is waited for nearly as long.
"""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from canary.core.ledger import verify
from canary.core.release import Outcome
from canary.kube.driver_pod import DriverPod
from canary.kube.lease import KubeLease, Terms
from canary.kube.session import Json
from tests.command import ROOT
from tests.fakes import FakeClock
from tests.kube.live import Place, wait_for
from tests.kube.proxy import Delay, Hold, Proxy
from tests.kube.scripted import Traffic
from tests.kube.stage import Floor, Stage, a_stage

pytestmark = pytest.mark.control_plane

PATIENCE_S = 60.0
"""Half a term: for a release to its end."""
HOLDING = "PUT configmaps/canary-web progressing/1/holding"
GOOD = Traffic(rate=3000.0)


@pytest.fixture
def proxy(kubeconfig: Path) -> Iterator[Proxy]:
    found = Proxy(kubeconfig)
    yield found
    found.close()


@pytest.fixture
def stage(place: Place, proxy: Proxy, tmp_path: Path) -> Iterator[Stage]:
    with a_stage(place, tmp_path, {"v1": GOOD, "v2": GOOD}) as found:
        found.configure(steps=[50], hold={"min": "2s", "max": "60s"})
        found.environment["KUBECONFIG"] = str(proxy.kubeconfig(tmp_path))
        yield found


def patient(stage: Stage, *arguments: str) -> "subprocess.Popen[str]":
    """The real command, with a lease that lasts two minutes."""
    return subprocess.Popen(
        [sys.executable, "-m", "tests.kube.hurried", *arguments],
        cwd=stage.folder,
        env={**os.environ, **stage.environment, "PYTHONPATH": str(ROOT), "TERM_S": "120", "RENEW_S": "3"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def kill(driver: "subprocess.Popen[str]") -> None:
    driver.kill()
    driver.communicate()


def test_who_comes_after_a_killed_driver_goes_on_at_once(stage: Stage, proxy: Proxy) -> None:
    driver = patient(stage, "start", "v2")
    wait_for(lambda: bool(proxy.writes(HOLDING)), "the first step holds")
    kill(driver)
    release = stage.recorded()
    assert release is not None

    ran = stage.ended(patient(stage, "start", "v2"), PATIENCE_S)

    assert ran.code == 0, ran.text
    ended = stage.recorded()
    assert ended is not None
    assert (ended.id, ended.outcome) == (release.id, Outcome.PROMOTED)
    assert stage.image() == "shop/web:v2"
    assert verify(stage.run("audit", "export").out.splitlines()) is None


def test_an_abort_after_a_kill_is_carried_out_by_who_asks_for_it(stage: Stage, proxy: Proxy) -> None:
    driver = patient(stage, "start", "v2")
    wait_for(lambda: bool(proxy.writes(HOLDING)), "the first step holds")
    kill(driver)

    ran = stage.ended(patient(stage, "abort"), PATIENCE_S)

    assert ran.code in (0, 5), ran.text
    assert "nobody drives the release of v2; this process does so now" in ran.text
    wait_for(stage.is_whole, "the target is whole", 5.0)
    assert stage.image() == "shop/web:v1"


@pytest.mark.parametrize("write", ["POST deployments web-canary", "PUT deployments/web/scale 2"])
def test_a_call_that_lands_when_the_next_one_has_turned_round_leaves_nothing_behind(
    stage: Stage, proxy: Proxy, write: str
) -> None:
    late = Delay()
    proxy.rule(write, late)
    with Floor(stage.session) as floor:
        driver = patient(stage, "start", "v2")
        wait_for(late.reached.is_set, f"{write} is on its way")
        kill(driver)
        aborting = patient(stage, "abort")
        wait_for(lambda: bool(proxy.writes("PUT configmaps/canary-web rolling_back")), "it turns round")
        late.over.set()

        ran = stage.ended(aborting, PATIENCE_S)

    (sent,) = [one for one in proxy.writes() if one.fault is late]
    assert sent.landed in (200, 201, 409), ran.text
    wait_for(stage.is_whole, "the target is whole, and no canary is left", 5.0)
    assert stage.image() == "shop/web:v1"
    assert floor.fewest >= 4, ran.text


def test_a_driver_that_hangs_is_alive(stage: Stage, proxy: Proxy) -> None:
    hangs = Hold()
    proxy.rule(HOLDING, hangs)
    driver = patient(stage, "start", "v2")
    wait_for(hangs.reached.is_set, "it hangs")
    lease = stage.session.path("coordination.k8s.io/v1", "leases", "canary-web")
    before = stage.session.get(lease)["spec"]["holderIdentity"]
    other = patient(stage, "start", "v2")
    try:
        with pytest.raises(subprocess.TimeoutExpired):
            other.communicate(timeout=8.0)
        assert stage.session.get(lease)["spec"]["holderIdentity"] == before
    finally:
        hangs.over.set()
        kill(other)
        kill(driver)


def a_pod(place: Place) -> Json:
    """One that a Job would make, on a node that is simulated."""
    session = place.session()
    spec = {"containers": [{"name": "canary", "image": "canary:1"}], "restartPolicy": "Never"}
    made = session.create(session.path("v1", "pods"), {"metadata": {"name": "driver"}, "spec": spec})
    path = session.path("v1", "pods", "driver")
    wait_for(lambda: session.get(path)["status"].get("containerStatuses"), "it runs")
    return made


def test_a_driver_in_a_pod_is_dead_when_its_containers_have_ended(place: Place) -> None:
    session, clock, pod = place.session(), FakeClock(), a_pod(place)
    terms = Terms(lasts_s=1000.0)

    def a_lease(actor: str, *own: str) -> KubeLease:
        return KubeLease(
            session, "canary-web", actor, clock, terms=terms, witnesses=(DriverPod(session, *own),)
        )

    assert a_lease("ada", "driver", pod["metadata"]["uid"]).hold() is not None
    bob = a_lease("bob")
    clock.advance(5.0)
    assert bob.hold() is None

    path = session.path("v1", "pods", "driver")
    for one in (statuses := session.get(path)["status"]["containerStatuses"]):
        one.update(state={"terminated": {"exitCode": 137, "reason": "OOMKilled"}}, ready=False)
    change = {"op": "replace", "path": "/status/containerStatuses", "value": statuses}
    session.patch(f"{path}/status", [change])
    clock.advance(1.0)

    assert bob.hold() is not None


def test_a_driver_whose_pod_was_deleted_by_force_is_waited_for(place: Place) -> None:
    session, clock, pod = place.session(), FakeClock(), a_pod(place)
    witness = DriverPod(session)
    mark = f"driver/{pod['metadata']['uid']}"
    ada = KubeLease(session, "canary-web", "ada", clock, witnesses=(DriverPod(session, *mark.split("/")),))
    assert ada.hold() is not None
    path = session.path("v1", "pods", "driver")
    session._call("DELETE", path, {"kind": "DeleteOptions", "apiVersion": "v1", "gracePeriodSeconds": 0}, 8.0)
    wait_for(lambda: not session.get(session.path("v1", "pods")).get("items"), "it is gone")

    bob = KubeLease(session, "canary-web", "bob", clock, witnesses=(witness,))
    clock.advance(5.0)
    assert bob.hold() is None
    clock.advance(10.0)
    assert bob.hold() is not None
