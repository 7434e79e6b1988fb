"""A namespace of one's own on the test cluster's API server."""

import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

from canary.errors import CanaryError, MissingError
from canary.kube.session import Json, Session, connect

PATIENCE_S = 40.0
Found = TypeVar("Found")


@dataclass(frozen=True)
class Place:
    """A namespace. `kubeconfig`: of its cluster, as an administrator."""

    kubeconfig: Path
    namespace: str

    def session(self, seen: Callable[[str, str], None] | None = None) -> Session:
        return connect(self.namespace, seen=seen)

    def named(self, namespace: str) -> "Place":
        return replace(self, namespace=namespace)


@contextmanager
def a_namespace(kubeconfig: Path, **labels: str) -> Iterator[Place]:
    """Made and, in the end, deleted; KUBECONFIG has to lead to its cluster."""
    name = f"test-{secrets.token_hex(4)}"
    session = connect(name)
    session.create("/api/v1/namespaces", {"metadata": {"name": name, "labels": labels}})
    try:
        yield Place(kubeconfig, name)
    finally:
        session.delete(f"/api/v1/namespaces/{name}")


def wait_for(what: Callable[[], Found | None], says: str, patience_s: float = PATIENCE_S) -> Found:
    """The first answer that is neither None nor False."""
    end = time.monotonic() + patience_s
    while time.monotonic() < end:
        found = what()
        if found is not None and found is not False:
            return found
        time.sleep(0.05)
    raise AssertionError(f"not within {patience_s:g} s: {says}")


def a_target(session: Session, document: Json) -> Json:
    """Make this Deployment, and wait until its controller has seen it."""
    body = {"apiVersion": "apps/v1", "kind": "Deployment", **document}
    name = body["metadata"]["name"]
    session.create(session.path("apps/v1", "deployments"), body)

    def seen() -> Json | None:
        found = session.get(session.path("apps/v1", "deployments", name))
        return found if found.get("status", {}).get("observedGeneration") else None

    return wait_for(seen, f"the controller sees {name}")


def gone(call: Callable[[], object]) -> bool:
    """Whether asking for it says that it is not there."""
    try:
        call()
    except MissingError:
        return True
    except CanaryError:
        return False
    return False
