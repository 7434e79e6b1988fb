"""What the document of a driver's pod proves of its process."""

from typing import Any, cast

import pytest

from canary.errors import DeniedError, TransientError
from canary.kube.driver_pod import DriverPod
from canary.kube.session import Json, Session

RUNS: Json = {"running": {}}
WAITS: Json = {"waiting": {"reason": "Pulling"}}
ENDED: Json = {"terminated": {"exitCode": 137}}


class Pods:
    """A session that knows one pod, or fails."""

    def __init__(self, found: Json | Exception | None) -> None:
        self.found = found
        self.asked: list[tuple[str, dict[str, str]]] = []

    def path(self, *parts: str) -> str:
        return "/".join(parts)

    def get(self, path: str, **query: str) -> Json:
        self.asked.append((path, query))
        if isinstance(self.found, Exception):
            raise self.found
        return {"items": [self.found] if self.found else []}


def a_pod(*states: Json, phase: str = "Running", uid: str = "u-1") -> Json:
    statuses = [{"name": f"c{n}", "state": state} for n, state in enumerate(states)]
    return {
        "metadata": {"name": "job-x", "uid": uid},
        "status": {"phase": phase, "containerStatuses": statuses},
    }


def ended(found: Json | Exception | None, mark: str = "job-x/u-1", **own: Any) -> bool:
    return DriverPod(cast("Session", Pods(found)), **own).ended(mark)


def test_a_pod_all_of_whose_containers_have_ended_has_ended() -> None:
    assert ended(a_pod(ENDED))
    assert ended(a_pod(ENDED, ENDED, phase="Failed"))


@pytest.mark.parametrize(
    "found",
    [
        a_pod(RUNS),
        a_pod(WAITS),
        a_pod(ENDED, RUNS),
        # Set by others than its node, for a node that is out of reach.
        a_pod(RUNS, phase="Failed"),
        a_pod(phase="Failed"),
        {"metadata": {"name": "job-x", "uid": "u-1"}},
        # Deleted by force while it runs on; and what has its name since.
        None,
        a_pod(ENDED, uid="u-2"),
        DeniedError("this account may not list pods"),
        TransientError("the API server does not answer"),
    ],
)
def test_whatever_else_is_told_of_it_proves_nothing(found: Json | Exception | None) -> None:
    assert not ended(found)


@pytest.mark.parametrize("mark", ["", "job-x", "job-x/", "/u-1"])
def test_a_mark_that_names_no_pod_asks_nothing(mark: str) -> None:
    pods = Pods(a_pod(ENDED))

    assert not DriverPod(cast("Session", pods)).ended(mark)
    assert pods.asked == []


def test_a_pod_is_asked_for_by_its_name_with_the_right_to_list() -> None:
    pods = Pods(a_pod(ENDED))

    assert DriverPod(cast("Session", pods)).ended("job-x/u-1")
    assert pods.asked == [("v1/pods", {"fieldSelector": "metadata.name=job-x"})]


def test_a_driver_in_a_pod_tells_its_name_and_uid_and_another_nothing() -> None:
    session = cast("Session", Pods(None))

    assert DriverPod(session, "job-x", "u-1").mark() == "job-x/u-1"
    assert DriverPod(session).mark() == DriverPod(session, "job-x").mark() == ""


def test_a_pod_does_not_take_itself_for_ended() -> None:
    assert not ended(a_pod(ENDED), name="job-x", uid="u-1")
