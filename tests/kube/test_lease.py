"""What a lease tells of who acted before, by its document alone; the server is played by one object."""

from typing import Any

import pytest

from canary.errors import MissingError
from canary.kube.lease import KubeLease
from canary.kube.session import Json
from tests.fakes import FakeClock


class Kept:
    """A session that keeps one Lease."""

    namespace = "shop"

    def __init__(self, document: Json | None) -> None:
        self.document = document

    def path(self, *parts: str) -> str:
        return "/".join(parts)

    def get(self, path: str, *_: Any) -> Json:
        if self.document is None:
            raise MissingError(path)
        return self.document

    def create(self, path: str, body: Json, *_: Any) -> Json:
        return self.replace(path, body)

    def replace(self, path: str, body: Json, *_: Any) -> Json:
        self.document = {**body, "metadata": {**body["metadata"], "resourceVersion": "99"}}
        return self.document


def a_lease(holder: str) -> Json:
    spec = {"holderIdentity": holder, "leaseDurationSeconds": 10, "leaseTransitions": 1}
    return {"metadata": {"name": "canary-web", "resourceVersion": "41"}, "spec": spec}


@pytest.mark.parametrize(
    ("found", "since"),
    [
        (None, ""),
        (a_lease(""), "41"),
        # Who vanished may have written after its last renewal.
        (a_lease("ci_1"), None),
    ],
)
def test_who_takes_a_lease_is_told_since_when_nobody_acts(found: Json | None, since: str | None) -> None:
    clock = FakeClock()
    told: list[str | None] = []
    lease = KubeLease(Kept(found), "canary-web", "ann", clock, taken=told.append)  # type: ignore[arg-type]

    if lease.hold() is None:
        clock.advance(10.0)
        assert lease.hold() is not None

    assert told == [since]
