"""The example for kind, as its README has it: what can be seen of it where pods are simulated."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from canary.kube.rbac import Account, role
from canary.kube.session import Session, connect
from tests.cluster.kubectl import kubectl
from tests.command import ROOT, begun, ended
from tests.kube.live import wait_for

KIND = ROOT / "examples" / "kind"
NAMESPACE = "podinfo"


def test_the_role_of_the_example_is_the_one_that_is_printed() -> None:
    written = list(yaml.safe_load_all((KIND / "driver.yaml").read_text()))
    (found,) = (one for one in written if one["kind"] == "Role")
    assert found == role(Account.DRIVER, "podinfo", NAMESPACE)


@pytest.fixture
def applied(kubeconfig: Path) -> Iterator[Session]:
    def forget() -> None:
        kubectl(kubeconfig, "delete", "namespace", NAMESPACE, "--ignore-not-found", patience_s=120.0)

    forget()
    kubectl(kubeconfig, "apply", "-k", str(KIND))
    try:
        yield connect(NAMESPACE)
    finally:
        forget()


@pytest.mark.control_plane
def test_its_third_command_makes_a_job_that_is_let_in_where_only_the_strictest_pods_are(
    applied: Session, kubeconfig: Path
) -> None:
    (command,) = (line for line in (KIND / "README.md").read_text().splitlines() if "canary start 6" in line)
    words = command.split()[1:]

    ran = ended(begun(ROOT, {"KUBECONFIG": str(kubeconfig)}, *words, "--detach"), 60.0)

    assert ran.code == 0, ran.text
    wait_for(lambda: driver_pods(applied), "the Job has a pod")
    plan = ended(begun(ROOT, {"KUBECONFIG": str(kubeconfig)}, "plan", "6.9.2", "-f", words[-1]), 60.0)
    assert plan.code == 0, plan.text
    assert "no pod could be scraped from here" in plan.out


def driver_pods(session: Session) -> list[str]:
    pods = session.get(session.path("v1", "pods"), labelSelector="canary.target=podinfo").get("items") or []
    return [one["metadata"]["name"] for one in pods]
