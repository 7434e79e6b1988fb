"""Releases beside an autoscaler, a disruption budget, a quota and a GitOps tool, on a real API server."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from canary.kube.session import Json
from tests.kube.live import Place, wait_for
from tests.kube.scripted import Traffic
from tests.kube.stage import Floor, Stage, a_stage

pytestmark = pytest.mark.control_plane


@pytest.fixture
def stage(place: Place, tmp_path: Path) -> Iterator[Stage]:
    with a_stage(place, tmp_path, {"bad": Traffic(errors=0.03)}) as found:
        yield found


def an_autoscaler(stage: Stage) -> None:
    target = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"}
    spec = {"scaleTargetRef": target, "minReplicas": 3, "maxReplicas": 10}
    path = stage.session.path("autoscaling/v2", "horizontalpodautoscalers")
    stage.session.create(path, {"metadata": {"name": "web"}, "spec": spec})


def replicas_written(stage: Stage) -> int:
    """How often somebody wrote the target's replicas, as its managed fields tell."""
    found = stage.deployment()
    assert found is not None
    return sum(one.get("subresource") == "scale" for one in found["metadata"]["managedFields"])


def test_the_replicas_of_a_target_with_an_autoscaler_are_left_to_it(stage: Stage) -> None:
    an_autoscaler(stage)
    plan = json.loads(stage.run("plan", "v2", "-o", "json").out)
    assert plan["capacity"] == "extra"
    assert "HorizontalPodAutoscaler web, 3 to 10" in plan["others"][0]

    with Floor(stage.session) as floor:
        ran = stage.run("start", "v2")

    assert ran.code == 0, ran.text
    assert stage.image() == "shop/web:v2"
    assert replicas_written(stage) == 0
    assert floor.fewest >= 4
    assert stage.is_whole()


def test_an_autoscaler_and_capacity_replace_are_refused(stage: Stage) -> None:
    an_autoscaler(stage)
    stage.configure(capacity="replace")

    ran = stage.run("start", "v2")

    assert ran.code == 2
    assert "capacity: found replace" in ran.text
    assert stage.recorded() is None


def test_what_a_disruption_budget_asks_for_stays_ready(stage: Stage) -> None:
    spec: Json = {"minAvailable": "100%", "selector": {"matchLabels": {"app": "web"}}}
    path = stage.session.path("policy/v1", "poddisruptionbudgets")
    stage.session.create(path, {"metadata": {"name": "web"}, "spec": spec})
    loose = {"maxSurge": 1, "maxUnavailable": 2}
    stage.patch({"op": "replace", "path": "/spec/strategy/rollingUpdate", "value": loose})
    stage.configure(steps=[50])

    with Floor(stage.session) as floor:
        ran = stage.run("start", "bad")

    assert ran.code == 3, ran.text
    assert floor.fewest == 4
    assert "asks for 4 ready pods of 4" in stage.run("plan", "v2").out


def test_a_quota_that_leaves_no_room_is_told_before_anything_is_touched(stage: Stage) -> None:
    a_quota(stage, "4")

    ran = stage.run("start", "v2")

    assert ran.code == 2, ran.text
    assert "ResourceQuota full leaves room for 0 more of its pods" in ran.text
    assert stage.recorded() is None
    assert "no room:" in stage.run("plan", "v2").out


def test_a_quota_that_comes_in_mid_release_ends_it_within_seconds(stage: Stage) -> None:
    stage.configure(hold={"min": "6s", "max": "60s"})
    driver = stage.begin("start", "v2")
    wait_for(lambda: stage.deployment("web-canary"), "the canary is there")
    a_quota(stage, "4")

    ran = stage.ended(driver)

    assert ran.code == 7, ran.text
    assert "exceeded quota" in ran.text
    wait_for(stage.is_whole, "whole again")


def a_quota(stage: Stage, pods: str) -> None:
    path = stage.session.path("v1", "resourcequotas")
    stage.session.create(path, {"metadata": {"name": "full"}, "spec": {"hard": {"pods": pods}}})
    wait_for(lambda: stage.session.get(f"{path}/full").get("status", {}).get("used"), "the quota counts")


@pytest.mark.parametrize(("version", "code"), [("v2", 0), ("bad", 3)])
def test_with_external_promotion_the_target_is_never_touched(stage: Stage, version: str, code: int) -> None:
    before = stage.deployment()
    assert before is not None

    ran = stage.run("start", version, "--promote=external")

    assert ran.code == code, ran.text
    after = stage.deployment()
    assert after is not None
    assert after["metadata"]["generation"] == before["metadata"]["generation"]
    assert stage.is_whole()
    if code == 0:
        assert "set v2" in ran.out
        assert "was not touched" in ran.out


def test_a_tool_that_resets_the_replicas_and_the_template_again_and_again_harms_nothing(stage: Stage) -> None:
    """As a GitOps tool does that holds the target to what it has in Git."""
    stage.configure(hold={"min": "5s", "max": "60s"})
    found = stage.deployment()
    assert found is not None
    template = found["spec"]["template"]
    driver = stage.begin("start", "v2", "--promote=external")
    wait_for(lambda: stage.deployment("web-canary"), "the canary is there")
    while driver.poll() is None and stage.deployment("web-canary"):
        stage.patch(
            {"op": "replace", "path": "/spec/replicas", "value": 4},
            {"op": "replace", "path": "/spec/template", "value": template},
        )

    ran = stage.ended(driver)

    assert ran.code == 0, ran.text
    assert stage.image() == "shop/web:v1"


def test_the_image_set_back_to_the_stable_one_changes_nothing(stage: Stage) -> None:
    """Somebody sets what runs already: there is nothing to supersede, and no second release of it."""
    stage.configure(hold={"min": "5s", "max": "60s"})
    driver = stage.begin("start", "v2")
    wait_for(lambda: stage.deployment("web-canary"), "the canary is there")
    stage.patch({"op": "replace", "path": "/spec/template/spec/containers/0/image", "value": "shop/web:v1"})

    assert stage.ended(driver).code == 0
    assert stage.image() == "shop/web:v2"
