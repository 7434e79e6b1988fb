import pytest

from canary.core.observation import Pod
from canary.kube.pods import alive, pod_of, seconds
from tests.kube.documents import Json, a_pod

BORN = seconds("2026-01-01T00:00:00Z") or 0.0


def seen(document: Json, after_s: float = 5.0) -> Pod:
    return pod_of(document, "abc", BORN + after_s)


def waiting(reason: str, message: str = "", **more: object) -> Json:
    return {"state": {"waiting": {"reason": reason, "message": message}}, **more}


def test_a_ready_pod_is_ready_and_has_been() -> None:
    pod = seen(a_pod(ready=True))

    assert (pod.ready, pod.was_ready, pod.trouble, pod.revision) == (True, True, None, "abc")
    assert pod.born == BORN
    assert pod.image == "shop/web@sha256:aa"


def test_a_pod_that_starts_has_not_been_ready() -> None:
    pod = seen(a_pod())

    assert (pod.ready, pod.was_ready, pod.trouble) == (False, False, None)


def test_a_pod_whose_readiness_changed_after_its_start_has_been_ready() -> None:
    document = a_pod()
    document["status"]["conditions"][0]["lastTransitionTime"] = "2026-01-01T00:01:00Z"

    assert seen(document, 70.0).was_ready


@pytest.mark.parametrize(
    "reason",
    ["ImagePullBackOff", "ErrImageNeverPull", "InvalidImageName", "CreateContainerConfigError"],
)
def test_what_time_does_not_mend_is_trouble_at_once_and_says_why(reason: str) -> None:
    pod = seen(a_pod(container=waiting(reason, "secret  web-keys\nnot found")))

    assert pod.trouble == f"{reason} of container app (shop/web:v2): secret web-keys not found"


@pytest.mark.parametrize("reason", ["ErrImagePull", "ContainerCreating", "PodInitializing"])
def test_what_may_pass_by_itself_is_no_trouble_yet(reason: str) -> None:
    assert seen(a_pod(container=waiting(reason))).trouble is None


def test_a_first_end_is_no_trouble_and_a_crash_loop_is() -> None:
    ended = {"terminated": {"exitCode": 137, "reason": "OOMKilled"}}

    assert seen(a_pod(container={"restartCount": 1})).trouble is None
    looping = waiting("CrashLoopBackOff", restartCount=1, lastState=ended)
    assert seen(a_pod(container=looping)).trouble == "container app keeps ending: OOMKilled, exit code 137"


def test_an_init_container_that_cannot_start_is_told() -> None:
    document = a_pod(
        initContainerStatuses=[{"name": "migrate", "image": "m:1", **waiting("ErrImageNeverPull")}]
    )

    assert "container migrate" in (seen(document).trouble or "")


def test_a_pod_without_a_node_is_in_trouble_when_its_time_is_over() -> None:
    document = a_pod(
        conditions=[
            {
                "type": "PodScheduled",
                "status": "False",
                "reason": "Unschedulable",
                "message": "0/3 nodes are available: 3 Insufficient memory.",
            }
        ],
        containerStatuses=[],
    )

    assert seen(document, 29.0).trouble is None
    assert seen(document, 31.0).trouble == (
        "no node takes it for 31 s: 0/3 nodes are available: 3 Insufficient memory."
    )
    assert pod_of(document, "abc", BORN + 31.0, schedule_s=300.0).trouble is None


def test_restarts_of_all_containers_count() -> None:
    document = a_pod(
        containerStatuses=[{"name": "app", "restartCount": 2}, {"name": "side", "restartCount": 1}]
    )

    assert seen(document).restarts == 3


def test_the_image_is_that_of_the_released_container() -> None:
    statuses = [{"name": "side", "imageID": "s@sha256:1"}, {"name": "app", "imageID": "a@sha256:2"}]

    assert pod_of(a_pod(containerStatuses=statuses), "abc", BORN, container="app").image == "a@sha256:2"


def test_going_and_ended_pods_are_not_counted() -> None:
    going = a_pod(ready=True)
    going["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:30Z"

    assert alive(a_pod())
    assert not alive(going)
    assert not alive(a_pod(phase="Failed"))


def test_a_time_that_is_none_is_none() -> None:
    assert seconds(None) is None
    assert seconds("soon") is None
    assert seconds("1970-01-01T00:00:10.250000Z") == 10.25
