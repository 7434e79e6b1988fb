"""Takes away all that is ours, so that the target is a plain Deployment again."""

from collections.abc import Iterator

from canary.errors import MissingError
from canary.kube import objects
from canary.kube.session import Json, Session

COLLECTIONS = (("batch/v1", "jobs"), ("apps/v1", "deployments"), ("v1", "configmaps"))
LEASE = ("coordination.k8s.io/v1", "leases")


def cleanup(session: Session, target: str) -> tuple[str, ...]:
    """Delete Jobs, canary, record, ledger and lease of a target that no release is running on.

    Returns:
        What was deleted, as `kind/name`, in order; empty when there was nothing.
    """
    selector = (
        f"{objects.MANAGED_BY}={objects.OURS},{objects.PART_OF}={objects.labels(target)[objects.PART_OF]}"
    )
    deleted = []
    for group, kind in COLLECTIONS:
        found = session.get(session.path(group, kind), labelSelector=selector)
        for name in _names(found):
            session.delete(session.path(group, kind, name))
            deleted.append(f"{kind}/{name}")
    lease = session.path(*LEASE, objects.record_name(target))
    try:
        session.get(lease)
    except MissingError:
        return tuple(deleted)
    session.delete(lease)
    return (*deleted, f"leases/{objects.record_name(target)}")


def _names(found: Json) -> Iterator[str]:
    for item in found.get("items") or []:
        yield str(item["metadata"]["name"])
