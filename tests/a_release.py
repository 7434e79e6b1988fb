"""Releases to test with."""

from typing import Any

from canary.core.release import Release
from canary.core.revision import Revision, template_hash
from canary.core.strategy import Strategy


def a_revision(version: str, **template: Any) -> Revision:
    whole = {"image": f"web:{version}", **template}
    return Revision(template_hash(whole), version, whole)


def a_release(target: str = "web", version: str = "v2", **changes: Any) -> Release:
    """A pending release, four replicas, started at an even second."""
    given: dict[str, Any] = {
        "id": f"{target}-{version}-1",
        "strategy": Strategy(),
        "stable": a_revision("v1"),
        "canary": a_revision(version),
        "replicas": 4,
        "since": 1_700_000_000.0,
        **changes,
    }
    return Release(target, given.pop("id"), version, **given)
