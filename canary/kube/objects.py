"""The objects of a release as documents: names, labels, templates, patches. Pure."""

import copy
from collections.abc import Mapping, Sequence
from typing import Any

from canary.core.observation import Bound
from canary.core.revision import Revision, template_hash
from canary.errors import InvalidError
from canary.kube.neighbours import bound

Json = dict[str, Any]

TRACK = "canary.track"
MANAGED_BY = "app.kubernetes.io/managed-by"
PART_OF = "canary.target"
OURS = "canary"
CAUSE = "kubernetes.io/change-cause"
OUR_CAUSE = "canary: "
SERVICE = "kubernetes.io/service-name"
REVISION = "deployment.kubernetes.io/revision"
POD_HASH = "pod-template-hash"
MAX_NAME = 63


def canary_name(target: str) -> str:
    """Of the canary's Deployment."""
    return f"{target}-canary"


def record_name(target: str) -> str:
    """Of the ConfigMap that holds the record, and of the Lease."""
    return f"canary-{target}"


def labels(target: str) -> dict[str, str]:
    """Of every object that is ours."""
    return {MANAGED_BY: OURS, PART_OF: target[:MAX_NAME]}


def is_ours(document: Mapping[str, Any]) -> bool:
    """Whether we made it."""
    return (document["metadata"].get("labels") or {}).get(MANAGED_BY) == OURS


def template_of(document: Mapping[str, Any]) -> Json:
    """The pod template of a Deployment or ReplicaSet, without the labels that tell its pods apart."""
    template: Json = copy.deepcopy(document["spec"]["template"])
    meta = template.setdefault("metadata", {})
    meta.pop("creationTimestamp", None)
    kept = {key: value for key, value in (meta.get("labels") or {}).items() if key not in (TRACK, POD_HASH)}
    meta["labels"] = kept
    return template


def container_of(template: Mapping[str, Any], name: str | None) -> Json:
    """The container whose image is released.

    Raises:
        InvalidError: there is none of this name, or several and no name was given.
    """
    containers: list[Json] = template["spec"]["containers"]
    if name is None and len(containers) == 1:
        return containers[0]
    found = next((one for one in containers if one["name"] == name), None)
    if found is None:
        names = ", ".join(one["name"] for one in containers)
        asked = f"has no container {name}" if name else "has several containers"
        raise InvalidError(f"the Deployment {asked}", remedy=f"Set `target.container` to one of: {names}.")
    return found


def split_image(image: str) -> tuple[str, str]:
    """An image reference as (repository, tag or digest): `a/b:v1` -> (`a/b`, `v1`); no tag is `latest`."""
    name, at, digest = image.partition("@")
    if at:
        return name.rpartition(":")[0] if ":" in name.rpartition("/")[2] else name, digest
    head, slash, tail = name.rpartition("/")
    base, _, tag = tail.partition(":")
    return f"{head}{slash}{base}", tag or "latest"


def revision_of(document: Mapping[str, Any], container: str | None, number: int | None = None) -> Revision:
    """What a Deployment or ReplicaSet runs, as a revision."""
    template = template_of(document)
    image = str(container_of(template, container).get("image", ""))
    return Revision(template_hash(template), split_image(image)[1], template, number=number)


def with_version(base: Revision, version: str, container: str | None, image: str | None) -> Revision:
    """`base` with the container's image at another tag (or digest); all else as it is."""
    template: Json = copy.deepcopy(dict(base.template))
    chosen = container_of(template, container)
    runs, tag = split_image(str(chosen.get("image", "")))
    repository = image or runs
    if (repository, version) != (runs, tag):
        # Else it stays as it is written: `web` is `web:latest`.
        chosen["image"] = (
            f"{repository}@{version}" if version.startswith("sha256:") else f"{repository}:{version}"
        )
    return Revision(template_hash(template, base.config), version, template, base.config)


def canary_deployment(target: Mapping[str, Any], revision: Revision, replicas: int) -> Json:
    """The canary's Deployment: the target's, with the revision's template and the track label.

    The target's own labels stay on its pods, so every Service that selects the target selects both. It
    belongs to the target, and goes with it.
    """
    meta, spec = target["metadata"], target["spec"]
    name = meta["name"]
    template = copy.deepcopy(dict(revision.template))
    template["metadata"] = {
        **template.get("metadata", {}),
        "labels": {**template.get("metadata", {}).get("labels", {}), TRACK: OURS},
    }
    selector = copy.deepcopy(spec["selector"])
    selector.setdefault("matchLabels", {})[TRACK] = OURS
    kept = ("minReadySeconds", "progressDeadlineSeconds", "strategy")
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {
            "name": canary_name(name),
            "namespace": meta["namespace"],
            "labels": labels(name),
            "ownerReferences": [owner(target)],
        },
        "spec": {
            **{key: copy.deepcopy(spec[key]) for key in kept if key in spec},
            "replicas": replicas,
            "revisionHistoryLimit": 1,
            "selector": selector,
            "template": template,
        },
    }


def owner(target: Mapping[str, Any]) -> Json:
    """A reference that lets an object go with the target, and hinders nothing."""
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "name": target["metadata"]["name"],
        "uid": target["metadata"]["uid"],
        "controller": False,
        "blockOwnerDeletion": False,
    }


def template_patch(document: Mapping[str, Any], template: Mapping[str, Any], cause: str) -> list[Json]:
    """A JSON patch that sets the template and the change cause, if nothing was changed since it was seen.

    The generation grows with every change of what is asked for, and with nothing else.
    """
    operations: list[Json] = [
        {"op": "test", "path": "/metadata/generation", "value": document["metadata"]["generation"]},
        {"op": "replace", "path": "/spec/template", "value": dict(template)},
    ]
    if cause:
        if not document["metadata"].get("annotations"):
            operations.append({"op": "add", "path": "/metadata/annotations", "value": {}})
        operations.append({"op": "add", "path": f"/metadata/annotations/{_pointer(CAUSE)}", "value": cause})
    return operations


def without_cause(cause: str) -> list[Json]:
    """A JSON patch that takes this very change cause away."""
    path = f"/metadata/annotations/{_pointer(CAUSE)}"
    return [{"op": "test", "path": path, "value": cause}, {"op": "remove", "path": path}]


def _pointer(key: str) -> str:
    return key.replace("~", "~0").replace("/", "~1")


def selector_text(selector: Mapping[str, Any]) -> str:
    """A label selector as a query has it."""
    parts = [f"{key}={value}" for key, value in (selector.get("matchLabels") or {}).items()]
    for one in selector.get("matchExpressions") or []:
        parts.append(_expression(one))
    return ",".join(parts)


def _expression(one: Mapping[str, Any]) -> str:
    key, values = one["key"], ",".join(one.get("values") or [])
    match one["operator"]:
        case "Exists":
            return str(key)
        case "DoesNotExist":
            return f"!{key}"
        case "In":
            return f"{key} in ({values})"
        case _:
            return f"{key} notin ({values})"


def owned_by(document: Mapping[str, Any], uid: str) -> bool:
    """Whether the object with this uid controls it."""
    return any(
        one.get("controller") and one.get("uid") == uid
        for one in document["metadata"].get("ownerReferences") or []
    )


def bounds(spec: Mapping[str, Any]) -> tuple[Bound, Bound]:
    """Surge and unavailable; percentages are rounded up and down, as Kubernetes does."""
    strategy = spec.get("strategy") or {}
    if strategy.get("type") == "Recreate":
        return Bound(), Bound(part=1.0)
    rolling = strategy.get("rollingUpdate") or {}
    surge = bound(rolling.get("maxSurge", "25%"), up=True)
    return surge, bound(rolling.get("maxUnavailable", "25%"), up=False)


def failure(conditions: Sequence[Mapping[str, Any]]) -> str | None:
    """Why a Deployment cannot make its pods (a quota, an admission, its own deadline), or None."""
    for one in conditions:
        told = " ".join(str(one.get("message", "")).split())[:300]
        if one.get("type") == "ReplicaFailure" and one.get("status") == "True":
            return f"{one.get('reason')}: {told}"
        if one.get("type") == "Progressing" and one.get("reason") == "ProgressDeadlineExceeded":
            return f"ProgressDeadlineExceeded: {told}"
    return None


def selects(service: Mapping[str, Any], labels: Mapping[str, str]) -> bool:
    """Whether a Service sends requests to pods with these labels."""
    selector = service["spec"].get("selector") or {}
    return bool(selector) and all(labels.get(key) == value for key, value in selector.items())


def lacking(services: Sequence[str], slices: Sequence[Mapping[str, Any]], wanted: set[str]) -> str:
    """What keeps each Service from sending requests to exactly these pods, in words; empty: nothing.

    Args:
        services: names. slices: EndpointSlices of the namespace. wanted: uids of pods.
    """
    told = []
    for name in services:
        mine = [one for one in slices if (one["metadata"].get("labels") or {}).get(SERVICE) == name]
        sent = {uid for one in mine for uid in _sent_to(one)}
        if missing := len(wanted - sent):
            told.append(f"{missing} ready pods are not in the endpoints of Service {name} yet")
        if others := len(sent - wanted):
            told.append(f"{others} other pods are still in the endpoints of Service {name}")
    return "; ".join(told)


def _sent_to(slice_: Mapping[str, Any]) -> set[str]:
    """Uids of the pods that get new connections."""
    return {
        str((one.get("targetRef") or {}).get("uid", ""))
        for one in slice_.get("endpoints") or []
        # Not told counts as ready, as the API defines it.
        if (one.get("conditions") or {}).get("ready", True) is not False
    }
