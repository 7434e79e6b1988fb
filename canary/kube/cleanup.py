"""Takes away all that is ours, so that the target is a plain Deployment again."""

from collections.abc import Iterator
from dataclasses import dataclass

from canary.errors import DeniedError, MissingError
from canary.kube import configs, objects
from canary.kube.configs import Kind, Named
from canary.kube.session import Json, Session

COLLECTIONS = (("batch/v1", "jobs"), ("apps/v1", "deployments"), ("v1", "configmaps"))
LEASE = ("coordination.k8s.io/v1", "leases")


@dataclass(frozen=True)
class Cleaned:
    """What became of what was ours.

    Attributes:
        deleted: `kind/name`, in order.
        kept: configuration that the target or a kept ReplicaSet of it refers to. It stays as it is.
        unseen: why some could not be looked for; empty: all were.
    """

    deleted: tuple[str, ...]
    kept: tuple[str, ...] = ()
    unseen: str = ""


def cleanup(session: Session, target: str) -> Cleaned:
    """Delete Jobs, canary, record, ledger, lease and unused configuration of a target without a release."""
    selector = (
        f"{objects.MANAGED_BY}={objects.OURS},{objects.PART_OF}={objects.labels(target)[objects.PART_OF]}"
    )
    deleted = []
    for group, kind in COLLECTIONS:
        found = session.get(session.path(group, kind), labelSelector=f"{selector},!{configs.CONFIG}")
        for name in _names(found):
            session.delete(session.path(group, kind, name))
            deleted.append(f"{kind}/{name}")
    lease = session.path(*LEASE, objects.record_name(target))
    try:
        session.get(lease)
    except MissingError:
        pass
    else:
        session.delete(lease)
        deleted.append(f"leases/{objects.record_name(target)}")
    deleted += _cause(session, target)
    return _configuration(session, target, tuple(deleted))


def _cause(session: Session, target: str) -> list[str]:
    """Take our change cause off the target: the next change would carry it on. Its history keeps it."""
    path = session.path("apps/v1", "deployments", target)
    try:
        annotations = session.get(path)["metadata"].get("annotations") or {}
    except MissingError:
        return []
    found = str(annotations.get(objects.CAUSE, ""))
    if not found.startswith(objects.OUR_CAUSE):
        return []
    session.patch(path, objects.without_cause(found))
    return [f"deployments/{target}: annotation {objects.CAUSE}"]


def _configuration(session: Session, target: str, deleted: tuple[str, ...]) -> Cleaned:
    """Delete what nothing refers to: pods of the others could not start without theirs."""
    found, unseen = [], ""
    for kind in Kind:
        try:
            listed = session.get(session.path("v1", kind.resource), labelSelector=configs.selector(target))
        except DeniedError as fault:
            unseen = fault.message
            continue
        found += [Named(kind, name) for name in _names(listed)]
    used = configs.hashed(*_templates(session, target)) if found else frozenset()
    for one in found:
        if one not in used:
            session.delete(session.path("v1", one.kind.resource, one.name))
    gone = [f"{one.kind.resource}/{one.name}" for one in found if one not in used]
    kept = [f"{one.kind.resource}/{one.name}" for one in found if one in used]
    return Cleaned((*deleted, *gone), tuple(kept), unseen)


def _templates(session: Session, target: str) -> Iterator[Json]:
    """Of all Deployments of the namespace and of the target's kept ReplicaSets."""
    uid = ""
    for one in session.get(session.path("apps/v1", "deployments")).get("items") or []:
        uid = one["metadata"]["uid"] if one["metadata"]["name"] == target else uid
        if one["metadata"]["name"] != objects.canary_name(target):
            yield one["spec"]["template"]
    for one in session.get(session.path("apps/v1", "replicasets")).get("items") or []:
        if uid and objects.owned_by(one, uid):
            yield one["spec"]["template"]


def _names(found: Json) -> Iterator[str]:
    for item in found.get("items") or []:
        yield str(item["metadata"]["name"])
