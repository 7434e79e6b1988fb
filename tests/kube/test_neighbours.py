"""What others ask of a target, read from their documents."""

from decimal import Decimal
from typing import Any

import pytest

from canary.core.observation import Bound
from canary.kube import neighbours
from canary.kube.session import quantity

Json = dict[str, Any]
POD: Json = {
    "containers": [
        {"name": "app", "resources": {"requests": {"cpu": "250m"}, "limits": {"cpu": "1", "memory": "64Mi"}}}
    ]
}


def an_autoscaler(name: str, kind: str = "Deployment") -> Json:
    target = {"apiVersion": "apps/v1", "kind": kind, "name": name}
    return {"metadata": {"name": "h"}, "spec": {"scaleTargetRef": target, "minReplicas": 2, "maxReplicas": 9}}


def test_an_autoscaler_is_told_with_its_bounds_and_only_that_of_the_target() -> None:
    others = [an_autoscaler("api"), an_autoscaler("web", "StatefulSet")]
    assert neighbours.scaler(others, "web") == ""
    assert neighbours.scaler([*others, an_autoscaler("web")], "web") == "HorizontalPodAutoscaler h, 2 to 9"


def a_budget(selector: Json | None, **spec: Any) -> Json:
    return {"metadata": {"name": "b"}, "spec": {"selector": selector, **spec}}


@pytest.mark.parametrize(
    ("selector", "selects"),
    [
        ({"matchLabels": {"app": "web"}}, True),
        ({"matchLabels": {"app": "web", "tier": "x"}}, False),
        ({}, True),
        (None, False),
        ({"matchExpressions": [{"key": "app", "operator": "In", "values": ["web", "api"]}]}, True),
        ({"matchExpressions": [{"key": "app", "operator": "NotIn", "values": ["web"]}]}, False),
        ({"matchExpressions": [{"key": "old", "operator": "Exists"}]}, False),
        ({"matchExpressions": [{"key": "old", "operator": "DoesNotExist"}]}, True),
    ],
)
def test_a_budget_counts_for_the_pods_that_it_selects(selector: Json | None, selects: bool) -> None:
    found = neighbours.budgets([a_budget(selector, minAvailable=2)], {"app": "web"})
    assert bool(found) is selects


def test_both_forms_of_a_budget_are_read() -> None:
    every = {"matchLabels": {"app": "web"}}
    documents = [a_budget(every, minAvailable="50%"), a_budget(every, maxUnavailable=1)]
    half, one = neighbours.budgets(documents, {"app": "web"})
    assert (half.demand(5), one.demand(5)) == (3, 4)
    assert half.ready == Bound(part=0.5, up=True)


def a_quota(hard: Json, used: Json, **spec: Any) -> Json:
    return {
        "metadata": {"name": "q"},
        "spec": {"hard": hard, **spec},
        "status": {"hard": hard, "used": used},
    }


@pytest.mark.parametrize(
    ("hard", "used", "more", "fits"),
    [
        ({"pods": "5"}, {"pods": "4"}, 1, True),
        ({"pods": "5"}, {"pods": "4"}, 2, False),
        ({"requests.cpu": "1500m"}, {"requests.cpu": "1"}, 2, True),
        ({"requests.cpu": "1500m"}, {"requests.cpu": "1"}, 3, False),
        ({"cpu": "1500m"}, {"cpu": "1"}, 3, False),
        ({"limits.memory": "128Mi"}, {"limits.memory": "65Mi"}, 1, False),
        # What is limited and not requested counts as requested.
        ({"requests.memory": "128Mi"}, {"requests.memory": "65Mi"}, 1, False),
        ({"count/deployments.apps": "1"}, {}, 9, True),
    ],
)
def test_pods_fit_under_a_quota_or_they_do_not(hard: Json, used: Json, more: int, fits: bool) -> None:
    told = neighbours.no_room([a_quota(hard, used)], POD, more, quantity)
    assert (told == "") is fits
    assert fits or "ResourceQuota q leaves room for" in told


def test_a_quota_of_other_pods_does_not_count() -> None:
    full = {"pods": "4"}
    assert neighbours.no_room([a_quota(full, full, scopes=["BestEffort"])], POD, 1, quantity) == ""
    assert neighbours.no_room([a_quota(full, full, scopes=["NotTerminating"])], POD, 1, quantity) != ""


def test_containers_that_run_before_the_others_count_by_the_largest() -> None:
    first = {"name": "init", "resources": {"requests": {"cpu": "2"}}}
    pod = {**POD, "initContainers": [first]}
    quota = a_quota({"requests.cpu": "3"}, {"requests.cpu": "1500m"})
    assert neighbours.no_room([quota], POD, 1, quantity) == ""
    assert neighbours.no_room([quota], pod, 1, quantity) != ""


def test_a_quantity_is_a_number() -> None:
    assert [quantity(text) for text in ("250m", "64Mi", "2")] == [Decimal("0.25"), 64 * 2**20, 2]
