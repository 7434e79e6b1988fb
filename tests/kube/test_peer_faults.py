"""The faults that other controllers were put through: nothing unseen is promoted, nothing healthy undone."""

from pathlib import Path

import pytest

from canary.core.observation import Arm
from tests.kube.documents import a_deployment
from tests.kube.faulted import FAULTS, GOOD, a_case, went
from tests.kube.live import Place, a_target, wait_for
from tests.kube.scripted import Traffic
from tests.kube.stage import a_stage

pytestmark = pytest.mark.control_plane


@pytest.mark.parametrize("name", FAULTS)
def test_a_release_survives_it(place: Place, tmp_path: Path, name: str) -> None:
    with a_case(place, tmp_path) as case:
        went(case, FAULTS[name])
        assert case.wrong == []


def test_pods_with_the_same_labels_that_belong_to_neither_deployment_count_in_no_arm(
    place: Place, tmp_path: Path
) -> None:
    """One by hand, one of a Job, those of another Deployment: all of them fail half of their requests."""
    with a_stage(place, tmp_path, {"v1": GOOD, "v2": GOOD, "sick": Traffic(1000.0, 0.5)}) as stage:
        session, labels = stage.session, {"app": "web", "canary.track": "canary"}
        spec = {"containers": [{"name": "app", "image": "shop/web:sick"}], "restartPolicy": "Never"}
        session.create(
            session.path("v1", "pods"), {"metadata": {"name": "by-hand", "labels": labels}, "spec": spec}
        )
        template = {"metadata": {"labels": labels}, "spec": spec}
        job = {"metadata": {"name": "batch"}, "spec": {"template": template, "completions": 1}}
        session.create(session.path("batch/v1", "jobs"), job)
        body = {"metadata": {"labels": labels}, "spec": {"containers": spec["containers"]}}
        other = a_deployment("other", replicas=2, selector={"matchLabels": labels}, template=body)
        other["metadata"] = {"name": "other", "namespace": place.namespace}
        other.pop("status")
        a_target(session, other)

        def alike() -> int:
            return len(session.get(session.path("v1", "pods"), labelSelector="app=web")["items"])

        wait_for(lambda: alike() == 8, "all of them are there")

        ran = stage.run("start", "v2")

        assert ran.code == 0, ran.text
        release = stage.recorded()
        assert release is not None
        for arm, beginning in ((Arm.STABLE, "web-"), (Arm.CANARY, "web-canary-")):
            names = [pod.name for pod in release.pods_of(arm)]
            assert names
            assert all(name.startswith(beginning) for name in names), names
