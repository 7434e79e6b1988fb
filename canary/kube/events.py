"""Copies of seals as Events of the target's namespace, where whatever collects events takes them further."""

import hashlib
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime

from canary.core.seal_check import Copy
from canary.core.seals import Seal, encode
from canary.errors import ConflictError
from canary.kube.objects import labels, record_name
from canary.kube.session import Json, Session

EVENTS = ("v1", "events")
REASON = "LedgerSealed"
DELIVER_S = 3.0


class EventCopies:
    """Makes one Event of each seal; its message is the seal.

    Args:
        session: in the namespace of the target.
    """

    name = "events"

    def __init__(self, session: Session) -> None:
        self._session = session

    def deliver(self, seal: Seal) -> None:
        """One attempt. An Event that is there already is the same.

        Raises:
            As `Session.create`.
        """
        with suppress(ConflictError):
            path = self._session.path(*EVENTS)
            self._session.create(path, document(seal, self._session.namespace), within_s=DELIVER_S)


def document(seal: Seal, namespace: str) -> Json:
    """The Event of a seal, about the record; named after it, so that it is made once."""
    told = hashlib.sha256(encode(seal).encode()).hexdigest()[:10]
    at = datetime.fromtimestamp(seal.at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {
            "name": f"{record_name(seal.target)}-seal-{seal.number}-{told}",
            "namespace": namespace,
            "labels": labels(seal.target),
        },
        "involvedObject": {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "name": record_name(seal.target),
            "namespace": namespace,
        },
        "reason": REASON,
        "message": encode(seal),
        "type": "Normal",
        "source": {"component": "canary"},
        "firstTimestamp": at,
        "lastTimestamp": at,
        "count": 1,
    }


def copies(session: Session, target: str) -> Iterator[Copy]:
    """The seals of a target among the events that the API server still has.

    Raises:
        DeniedError: this account may not list events. Others as `Session.get`.
    """
    asked = f"reason={REASON},involvedObject.name={record_name(target)}"
    for one in session.get(session.path(*EVENTS), fieldSelector=asked).get("items") or []:
        yield Copy(f"event {one['metadata']['name']}", str(one.get("message", "")))
