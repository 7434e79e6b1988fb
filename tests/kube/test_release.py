"""Whole releases by the real command against a real API server; pods are simulated, metrics scripted."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from canary.core.ledger import verify
from canary.kube.objects import REVISION
from canary.kube.session import Json
from tests.cluster.kubectl import kubectl
from tests.kube.live import Place, gone, wait_for
from tests.kube.scripted import Traffic
from tests.kube.stage import Ceiling, Floor, Stage, a_stage

pytestmark = pytest.mark.control_plane

BAD = Traffic(errors=0.03)
SLOW = Traffic(latency=(0.6, 0.2, 0.1, 0.05, 0.05))


@pytest.fixture
def stage(place: Place, tmp_path: Path) -> Iterator[Stage]:
    with a_stage(place, tmp_path, {"bad": BAD, "slow": SLOW}) as found:
        yield found


def test_a_good_version_is_promoted_and_nothing_is_left_but_its_history(stage: Stage) -> None:
    with Floor(stage.session) as floor, Ceiling(stage.session) as ceiling:
        ran = stage.run("start", "v2")

    assert ran.code == 0, ran.text
    assert stage.image() == "shop/web:v2"
    assert stage.is_whole()
    assert (floor.fewest, ceiling.most) == (4, 5)
    target = stage.deployment()
    assert target is not None
    assert target["metadata"]["annotations"]["kubernetes.io/change-cause"].startswith(
        "canary: v2 promoted by"
    )
    assert "canary.track" not in target["spec"]["template"]["metadata"]["labels"]
    assert target["spec"]["selector"] == {"matchLabels": {"app": "web"}}


@pytest.mark.parametrize("version", ["bad", "slow"])
def test_a_worse_version_is_rolled_back_and_the_way_back_is_proved(stage: Stage, version: str) -> None:
    with Floor(stage.session) as floor:
        ran = stage.run("start", version)

    assert ran.code == 3, ran.text
    assert stage.image() == "shop/web:v1"
    assert stage.is_whole()
    assert floor.fewest == 4
    assert "not proved" not in ran.text
    release = stage.recorded()
    assert release is not None
    assert {"detected", "decided", "restored"} <= set(release.times)


def test_the_ledger_is_whole_and_can_be_checked(stage: Stage, tmp_path: Path) -> None:
    assert stage.run("start", "v2").code == 0

    exported = stage.run("audit", "export")
    (tmp_path / "ledger.jsonl").write_text(exported.out)

    assert verify(exported.out.splitlines()) is None
    assert stage.run("audit", "verify", "ledger.jsonl", "-f", "canary.yaml").code == 0
    kinds = {line.split('"kind":"')[1].split('"')[0] for line in exported.out.splitlines()}
    assert kinds >= {"start", "look", "decision", "action", "end"}


def test_a_promotion_is_undone_by_one_command_and_to_any_kept_revision(stage: Stage) -> None:
    assert stage.run("start", "v2").code == 0
    undone = stage.run("undo")
    assert undone.code == 0, undone.text
    assert stage.image() == "shop/web:v1"
    assert stage.is_whole()

    numbers = {one["version"]: one["revision"] for one in history(stage)}
    again = stage.run("undo", "--to-revision", str(numbers["v2"]))
    assert again.code == 0, again.text
    assert stage.image() == "shop/web:v2"
    assert stage.run("undo", "--to-revision", "99").code == 2


def history(stage: Stage) -> list[Json]:
    import json

    found: list[Json] = json.loads(stage.run("history", "-o", "json").out)["revisions"]
    return found


def test_an_abort_from_another_process_is_obeyed(stage: Stage) -> None:
    stage.configure(hold={"min": "40s", "max": "90s"})
    driver = stage.begin("start", "v2")
    wait_for(lambda: stage.deployment("web-canary"), "the canary is there")
    asked = stage.run("abort", "--why", "customers complain")

    ran = stage.ended(driver)
    assert (asked.code, ran.code) == (0, 5), ran.text
    assert stage.is_whole()
    assert stage.image() == "shop/web:v1"


def test_the_version_that_runs_already_is_a_success_and_touches_nothing(stage: Stage) -> None:
    ran = stage.run("start", "v1")

    assert ran.code == 0
    assert "already running" in ran.text
    assert gone(lambda: stage.session.get(stage.session.path("v1", "configmaps", "canary-web")))


def test_a_namespace_without_the_target_is_told(stage: Stage) -> None:
    ran = stage.run("start", "v2", "-n", "default")

    assert ran.code == 2
    assert "there is no web" in ran.text


def test_after_a_cleanup_the_target_is_a_plain_deployment(stage: Stage) -> None:
    before = plain(stage)
    assert stage.run("start", "v2").code == 0

    ran = stage.run("cleanup", "--yes")

    assert ran.code == 0, ran.text
    assert ours(stage) == []
    assert stage.is_whole()
    after = plain(stage)
    assert after["spec"].pop("template") != before["spec"].pop("template")
    assert after == before
    assert "canary: v2 promoted by" in kubectl(
        stage.place.kubeconfig, "-n", stage.place.namespace, "rollout", "history", "deployment/web"
    )
    assert stage.run("cleanup", "--yes").out.startswith("there was nothing")


def plain(stage: Stage) -> Json:
    """The target as somebody wrote it: without what the API server and its controllers keep there."""
    found = stage.deployment()
    assert found is not None
    kept = {
        key: value for key, value in found["metadata"].items() if key in ("name", "labels", "annotations")
    }
    kept["annotations"] = {
        key: value for key, value in kept.get("annotations", {}).items() if key != REVISION
    }
    return {"metadata": kept, "spec": found["spec"]}


def ours(stage: Stage) -> list[str]:
    selector = "app.kubernetes.io/managed-by=canary"
    kinds = (("v1", "configmaps"), ("apps/v1", "deployments"), ("coordination.k8s.io/v1", "leases"))
    return [
        one["metadata"]["name"]
        for kind in kinds
        for one in stage.session.get(stage.session.path(*kind), labelSelector=selector).get("items") or []
    ]


def test_while_a_release_runs_nothing_is_cleaned_up(stage: Stage) -> None:
    stage.configure(hold={"min": "40s", "max": "90s"})
    driver = stage.begin("start", "v2")
    wait_for(lambda: stage.deployment("web-canary"), "the canary is there")

    assert stage.run("cleanup", "--yes").code == 9

    stage.run("abort")
    assert stage.ended(driver).code == 5


def test_another_image_set_by_somebody_else_is_left_alone_and_the_canary_taken_away(stage: Stage) -> None:
    stage.configure(hold={"min": "40s", "max": "90s"})
    driver = stage.begin("start", "v2")
    wait_for(lambda: stage.deployment("web-canary"), "the canary is there")
    stage.patch(
        {"op": "replace", "path": "/spec/template/spec/containers/0/image", "value": "shop/web:hotfix"}
    )

    ran = stage.ended(driver)

    assert ran.code == 6, ran.text
    assert stage.image() == "shop/web:hotfix"
    wait_for(stage.is_whole, "the target is whole")


def test_the_target_scaled_back_by_somebody_else_is_brought_to_the_step_again(stage: Stage) -> None:
    stage.configure(hold={"min": "5s", "max": "90s"})
    driver = stage.begin("start", "v2")
    wait_for(lambda: (stage.deployment() or {})["spec"]["replicas"] == 3, "the step is reached")
    stage.patch({"op": "replace", "path": "/spec/replicas", "value": 4})

    ran = stage.ended(driver)

    assert ran.code == 0, ran.text
    assert stage.is_whole()


def test_a_canary_that_somebody_deletes_is_made_again(stage: Stage) -> None:
    stage.configure(hold={"min": "5s", "max": "90s"})
    driver = stage.begin("start", "v2")
    wait_for(lambda: stage.deployment("web-canary"), "the canary is there")
    stage.session.delete(stage.session.path("apps/v1", "deployments", "web-canary"))

    ran = stage.ended(driver)

    assert ran.code == 0, ran.text
    assert stage.is_whole()


def test_a_target_that_is_deleted_ends_the_release(stage: Stage) -> None:
    stage.configure(hold={"min": "40s", "max": "90s"})
    driver = stage.begin("start", "v2")
    wait_for(lambda: stage.deployment("web-canary"), "the canary is there")
    stage.session.delete(stage.session.path("apps/v1", "deployments", "web"))

    assert stage.ended(driver).code == 6
    wait_for(lambda: stage.deployment("web-canary") is None, "the canary goes with its owner")


def test_a_deployment_of_somebody_else_with_the_canarys_name_is_left_alone(stage: Stage) -> None:
    found = stage.deployment()
    assert found is not None
    meta = {"name": "web-canary", "namespace": stage.place.namespace}
    spec = {key: found["spec"][key] for key in ("selector", "template")} | {"replicas": 0}
    path = stage.session.path("apps/v1", "deployments")
    stage.session.create(
        path, {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": meta, "spec": spec}
    )

    ran = stage.run("start", "v2")

    assert ran.code == 2
    assert "web-canary that canary did not make" in ran.text


def test_a_paused_target_is_refused_before_anything_is_touched(stage: Stage) -> None:
    stage.patch({"op": "add", "path": "/spec/paused", "value": True})

    ran = stage.run("start", "v2")

    assert ran.code == 2
    assert "is paused" in ran.text
    assert stage.recorded() is None
