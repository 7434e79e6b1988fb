"""Production manifests that others wrote, unchanged, released and undone on a real API server."""

from pathlib import Path

import pytest

from tests.kube.live import Place, wait_for
from tests.kube.scripted import Traffic, scripted
from tests.kube.stage import Floor, Stage
from tests.manifests import NAMESPACE, PROJECT_AI, TARGET, applied

pytestmark = pytest.mark.control_plane

FILES = ("production", "missing", "storage")


def test_the_production_manifests_are_released_and_undone_unchanged(kubeconfig: Path, tmp_path: Path) -> None:
    named = [word for name in FILES for word in ("-f", str(PROJECT_AI / f"{name}.yaml"))]
    with applied(kubeconfig, *named):
        session = Place(kubeconfig, NAMESPACE).session()
        deployment = session.path("apps/v1", "deployments", TARGET)
        wait_for(lambda: session.get(deployment)["status"].get("readyReplicas") == 3, "whole", 90.0)
        before = session.get(deployment)["spec"]["template"]
        with scripted(
            session, {"v1.1.0": Traffic(rate=1500.0), "v1.0.0": Traffic(rate=1500.0)}
        ) as prometheus:
            place, environment = Place(kubeconfig, NAMESPACE), {"KUBECONFIG": str(kubeconfig)}
            stage = Stage(place, session, prometheus, tmp_path, environment, TARGET)
            stage.configure()
            with Floor(session, f"app={TARGET}") as floor:
                ran = stage.run("start", "v1.1.0")
                assert ran.code == 0, ran.text
                assert stage.image() == "project-ai/core:v1.1.0"
                wait_for(lambda: stage.is_whole(3), "whole")

                undone = stage.run("undo")
                assert undone.code == 0, undone.text
                wait_for(lambda: stage.is_whole(3), "whole")
            assert session.get(deployment)["spec"]["template"] == before
            assert floor.fewest >= 3
