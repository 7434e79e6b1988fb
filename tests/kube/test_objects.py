import copy

import pytest

from canary.errors import InvalidError
from canary.kube import objects
from tests.kube.documents import a_deployment


@pytest.mark.parametrize(
    ("image", "wanted"),
    [
        ("web", ("web", "latest")),
        ("web:v1", ("web", "v1")),
        ("shop/web:v1.2", ("shop/web", "v1.2")),
        ("registry:5000/shop/web", ("registry:5000/shop/web", "latest")),
        ("registry:5000/shop/web:v1", ("registry:5000/shop/web", "v1")),
        ("shop/web@sha256:ab", ("shop/web", "sha256:ab")),
        ("registry:5000/web:v1@sha256:ab", ("registry:5000/web", "sha256:ab")),
        ("registry:5000/web@sha256:ab", ("registry:5000/web", "sha256:ab")),
    ],
)
def test_an_image_is_split_into_repository_and_tag(image: str, wanted: tuple[str, str]) -> None:
    assert objects.split_image(image) == wanted


def test_a_revision_keeps_what_it_does_not_know() -> None:
    revision = objects.revision_of(a_deployment(), None)

    assert revision.version == "v1"
    assert revision.template["spec"]["containers"][0]["unknownToUs"] == {"kept": True}


def test_the_labels_that_tell_pods_apart_are_no_part_of_a_revision() -> None:
    target = a_deployment()
    revision = objects.revision_of(target, None)
    of_set = copy.deepcopy(target)
    of_set["spec"]["template"]["metadata"]["labels"][objects.POD_HASH] = "7c9"

    assert objects.revision_of(of_set, None).hash == revision.hash
    assert objects.revision_of(objects.canary_deployment(target, revision, 1), None).hash == revision.hash


def test_another_version_changes_the_tag_of_its_container_alone() -> None:
    target = a_deployment()
    target["spec"]["template"]["spec"]["containers"].append({"name": "side", "image": "proxy:1"})
    base = objects.revision_of(target, "app")

    found = objects.with_version(base, "v2", "app", None)

    images = [one["image"] for one in found.template["spec"]["containers"]]
    assert images == ["shop/web:v2", "proxy:1"]
    assert found.version == "v2"
    assert found.hash != base.hash
    assert objects.with_version(found, "v1", "app", None).hash == base.hash


def test_a_version_may_be_a_digest_and_come_from_another_repository() -> None:
    base = objects.revision_of(a_deployment(), None)

    found = objects.with_version(base, "sha256:ab", None, "mirror/web")

    assert found.template["spec"]["containers"][0]["image"] == "mirror/web@sha256:ab"


@pytest.mark.parametrize(("name", "wanted"), [(None, "has several containers"), ("x", "has no container x")])
def test_a_container_that_cannot_be_told_is_refused_with_the_names(name: str | None, wanted: str) -> None:
    target = a_deployment()
    target["spec"]["template"]["spec"]["containers"].append({"name": "side", "image": "proxy:1"})

    with pytest.raises(InvalidError, match=wanted) as told:
        objects.revision_of(target, name)
    assert "app, side" in told.value.remedy


def test_the_canary_is_selected_by_the_targets_service_and_not_by_the_target() -> None:
    target = a_deployment()
    canary = objects.canary_deployment(target, objects.revision_of(target, None), 2)

    labels = canary["spec"]["template"]["metadata"]["labels"]
    assert labels == {"app": "web", objects.TRACK: "canary"}
    assert canary["spec"]["selector"]["matchLabels"] == labels
    assert canary["metadata"]["name"] == "web-canary"
    assert canary["spec"]["replicas"] == 2
    assert canary["metadata"]["ownerReferences"] == [
        {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "name": "web",
            "uid": "uid-web",
            "controller": False,
            "blockOwnerDeletion": False,
        }
    ]
    assert target == a_deployment()


def test_a_template_is_only_set_on_what_was_seen() -> None:
    target = a_deployment()
    template = objects.with_version(objects.revision_of(target, None), "v2", None, None).template

    operations = objects.template_patch(target, template, "canary: v2")

    assert operations[0] == {"op": "test", "path": "/metadata/generation", "value": 1}
    assert operations[1] == {"op": "replace", "path": "/spec/template", "value": template}
    assert operations[2:] == [
        {"op": "add", "path": "/metadata/annotations", "value": {}},
        {"op": "add", "path": "/metadata/annotations/kubernetes.io~1change-cause", "value": "canary: v2"},
    ]


@pytest.mark.parametrize(
    ("rolling", "replicas", "wanted"),
    [
        ({"maxSurge": 1, "maxUnavailable": 0}, 3, (1, 0)),
        ({"maxSurge": "25%", "maxUnavailable": "25%"}, 3, (1, 0)),
        ({"maxSurge": "25%", "maxUnavailable": "25%"}, 10, (3, 2)),
        ({}, 4, (1, 1)),
        ({"maxSurge": "28%", "maxUnavailable": "28%"}, 25, (7, 7)),
        ({"maxSurge": "0%", "maxUnavailable": "10%"}, 4, (0, 0)),
    ],
)
def test_surge_is_rounded_up_and_unavailable_down(
    rolling: dict[str, object], replicas: int, wanted: tuple[int, int]
) -> None:
    spec = {"replicas": replicas, "strategy": {"type": "RollingUpdate", "rollingUpdate": rolling}}
    assert tuple(bound.of(replicas) for bound in objects.bounds(spec)) == wanted


def test_a_recreated_target_may_lose_all_its_pods() -> None:
    surge, unavailable = objects.bounds({"replicas": 3, "strategy": {"type": "Recreate"}})
    assert (surge.of(3), unavailable.of(3)) == (0, 3)


def test_a_selector_is_written_as_a_query_has_it() -> None:
    selector = {
        "matchLabels": {"app": "web", "tier": "a"},
        "matchExpressions": [
            {"key": "x", "operator": "In", "values": ["1", "2"]},
            {"key": "y", "operator": "NotIn", "values": ["3"]},
            {"key": "z", "operator": "Exists"},
            {"key": "w", "operator": "DoesNotExist"},
        ],
    }
    assert objects.selector_text(selector) == "app=web,tier=a,x in (1,2),y notin (3),z,!w"


def test_why_pods_cannot_be_made_is_read_from_the_conditions() -> None:
    quota = {
        "type": "ReplicaFailure",
        "status": "True",
        "reason": "FailedCreate",
        "message": "exceeded quota: q",
    }
    late = {
        "type": "Progressing",
        "status": "False",
        "reason": "ProgressDeadlineExceeded",
        "message": "timed out",
    }

    assert objects.failure([quota]) == "FailedCreate: exceeded quota: q"
    assert objects.failure([late]) == "ProgressDeadlineExceeded: timed out"
    assert (
        objects.failure([{"type": "Progressing", "status": "True", "reason": "NewReplicaSetAvailable"}])
        is None
    )


@pytest.mark.parametrize(
    ("image", "version"), [("web", "latest"), ("web:v1@sha256:ab", "sha256:ab"), ("a:5000/web:v1", "v1")]
)
def test_the_version_that_runs_already_is_the_same_revision_however_its_image_is_written(
    image: str, version: str
) -> None:
    base = objects.revision_of(a_deployment(image=image), None)

    assert objects.with_version(base, version, None, None).hash == base.hash
    assert objects.with_version(base, version, None, "mirror/web").hash != base.hash
