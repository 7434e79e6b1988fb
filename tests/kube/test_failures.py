"""What goes wrong with pods and metrics: told in words, within seconds, and the target is whole again."""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from canary.kube.objects import CAUSE
from tests.cluster.kubectl import kubectl
from tests.kube.live import Place, wait_for
from tests.kube.stage import Floor, Stage, a_stage

pytestmark = pytest.mark.control_plane

READY_S = 300.0
"""Far beyond what these tests wait: what ends before has not waited for it."""


@pytest.fixture
def stage(place: Place, tmp_path: Path) -> Iterator[Stage]:
    with a_stage(place, tmp_path, {}) as found:
        yield found


@dataclass(frozen=True)
class Ended:
    """How a release ended, after how many seconds, and the fewest pods that were ready meanwhile."""

    code: int
    text: str
    after_s: float
    fewest: int


def released(stage: Stage, version: str, *more: str) -> Ended:
    with Floor(stage.session) as floor:
        ran = stage.run("start", version, *more)
    release = stage.recorded()
    assert release is not None, ran.text
    return Ended(ran.code, ran.text, release.times["restored"] - release.since, floor.fewest)


def runs_whole(stage: Stage, version: str) -> bool:
    return stage.image() == f"shop/web:{version}" and stage.is_whole()


def test_an_image_that_cannot_be_pulled_ends_the_release_within_seconds(stage: Stage) -> None:
    stage.configure(target={"ready": f"{READY_S:g}s"}, deadline="10m")

    ended = released(stage, "pull")

    assert ended.code == 7, ended.text
    assert "pull cannot run: web-canary-" in ended.text
    told = 'ImagePullBackOff of container app (shop/web:pull): Back-off pulling image "shop/web:pull"'
    assert told in ended.text
    assert ended.after_s < READY_S / 10
    assert ended.fewest == 4
    assert runs_whole(stage, "v1")


def test_a_version_that_crashes_after_it_was_ready_is_rolled_back_within_seconds(stage: Stage) -> None:
    hold = {"min": "120s", "max": "150s"}
    stage.configure(target={"ready": f"{READY_S:g}s"}, hold=hold, deadline="10m")

    ended = released(stage, "crash")

    assert ended.code == 3, ended.text
    assert "crash cannot run: web-canary-" in ended.text
    assert "container app keeps ending: exit code 1" in ended.text
    assert ended.after_s < READY_S / 10
    assert ended.fewest >= 3
    assert runs_whole(stage, "v1")


def test_a_version_that_never_gets_ready_has_the_time_it_was_given_and_no_more(stage: Stage) -> None:
    stage.configure(target={"ready": "20s"})

    ended = released(stage, "never")

    assert ended.code == 7, ended.text
    assert "never did not become ready within 20 s: web-canary-" in ended.text
    assert 19.0 <= ended.after_s < 60.0
    assert ended.fewest == 4
    assert runs_whole(stage, "v1")


@pytest.mark.parametrize(("version", "code"), [("pull", 7), ("never", 7), ("crash", 3)])
def test_what_cannot_run_is_undone_without_analysis_too(stage: Stage, version: str, code: int) -> None:
    stage.configure(target={"ready": "8s"}, hold={"min": "60s", "max": "90s"}, deadline="10m")

    ended = released(stage, version, "--skip-analysis", "--reason", "the stable is sick")

    assert ended.code == code, ended.text
    assert f"{version} " in ended.text
    assert runs_whole(stage, "v1")


def holds(stage: Stage) -> bool:
    release = stage.recorded()
    return release is not None and len(release.steps_at) > 0


@pytest.mark.parametrize(("status", "hangs_s"), [(503, 0.0), (0, 8.0)], ids=["answers 503", "hangs"])
def test_metrics_that_go_away_hold_the_release_and_it_goes_on_when_they_are_back(
    stage: Stage, status: int, hangs_s: float
) -> None:
    stage.configure(hold={"min": "4s", "max": "90s"}, deadline="4m")
    driver = stage.begin("start", "v2")
    wait_for(lambda: holds(stage), "the first step is held")
    stage.prometheus.broken, stage.prometheus.hangs_s = status, hangs_s
    time.sleep(16.0)
    during, canary = stage.recorded(), stage.deployment("web-canary")
    stage.prometheus.broken, stage.prometheus.hangs_s = 0, 0.0
    ran = stage.ended(driver, patience_s=300.0)

    assert during is not None
    assert (during.settled, during.step, during.pause) == (False, 0, None), ran.text
    assert canary is not None
    assert canary["spec"]["replicas"] == 1
    assert "waiting: no scrape: the metrics source does not answer" in ran.text
    assert ran.code == 0, ran.text
    assert runs_whole(stage, "v2")


def test_without_any_traffic_a_release_is_held_and_given_up_at_its_deadline(stage: Stage) -> None:
    stage.prometheus.quiet = True
    stage.configure(deadline="25s", on_inconclusive="rollback")

    ended = released(stage, "v2")

    assert ended.code == 4, ended.text
    assert "waiting: no traffic: the canary had no request" in ended.text
    assert "no conclusion by the deadline" in ended.text
    assert ended.after_s >= 25.0
    assert ended.fewest == 4
    assert runs_whole(stage, "v1")


def test_metrics_that_never_come_back_are_no_reason_to_promote(stage: Stage) -> None:
    stage.configure(deadline="20s", on_inconclusive="promote")
    stage.prometheus.broken = 503

    ended = released(stage, "v2")

    assert ended.code == 4, ended.text
    assert "the metrics source does not answer" in ended.text
    assert runs_whole(stage, "v1")


def rollout(stage: Stage, *arguments: str) -> str:
    where = ("deployment/web", "-n", stage.place.namespace)
    return kubectl(stage.place.kubeconfig, "rollout", *arguments[:1], *where, *arguments[1:])


def test_kubectl_shows_who_promoted_and_still_undoes_it(stage: Stage) -> None:
    stage.patch(
        {"op": "add", "path": "/metadata/annotations/kubernetes.io~1change-cause", "value": "first version"}
    )
    assert stage.run("start", "v2").code == 0

    assert "successfully rolled out" in rollout(stage, "status", "--timeout=20s")
    rows = {row.split()[0]: row for row in rollout(stage, "history").splitlines() if row[:1].isdigit()}
    assert list(rows) == ["1", "2"]
    assert "first version" in rows["1"]
    assert "canary: v2 promoted by" in rows["2"]
    assert "shop/web:v2" in rollout(stage, "history", "--revision=2")

    assert "rolled back" in rollout(stage, "undo")
    rollout(stage, "status", "--timeout=20s")
    wait_for(lambda: runs_whole(stage, "v1"), "the target runs v1 again")
    found = stage.deployment()
    assert found is not None
    assert found["metadata"]["annotations"][CAUSE] == "first version"
    assert stage.run("status").out.startswith("web runs v1, 4/4 replicas ready")


def test_after_an_undo_by_kubectl_the_next_release_starts_from_what_runs(stage: Stage) -> None:
    assert stage.run("start", "v2").code == 0
    rollout(stage, "undo")
    wait_for(lambda: runs_whole(stage, "v1"), "the target runs v1 again")

    again = stage.run("start", "v2")

    assert again.code == 0, again.text
    release = stage.recorded()
    assert release is not None
    assert release.stable.version == "v1"
    assert runs_whole(stage, "v2")


def test_a_lease_that_somebody_deletes_is_made_again(stage: Stage) -> None:
    stage.configure(hold={"min": "5s", "max": "90s"})
    driver = stage.begin("start", "v2")
    wait_for(lambda: holds(stage), "the first step is held")
    stage.session.delete(stage.session.path("coordination.k8s.io/v1", "leases", "canary-web"))

    ran = stage.ended(driver)

    assert ran.code == 0, ran.text
    assert runs_whole(stage, "v2")


def test_a_record_that_somebody_deletes_ends_the_driver_and_the_documented_way_back_works(
    stage: Stage,
) -> None:
    stage.configure(hold={"min": "20s", "max": "90s"})
    driver = stage.begin("start", "v2")
    wait_for(lambda: holds(stage), "the first step is held")
    stage.session.delete(stage.session.path("v1", "configmaps", "canary-web"))

    ran = stage.ended(driver)

    assert ran.code == 2, ran.text
    assert "there is no release of web" in ran.text
    assert stage.image() == "shop/web:v1"
    where = ("-n", stage.place.namespace)
    kubectl(stage.place.kubeconfig, "delete", "deployment", "web-canary", *where)
    kubectl(stage.place.kubeconfig, "scale", "deployment", "web", "--replicas=4", *where)
    wait_for(lambda: runs_whole(stage, "v1"), "the target is whole")
