"""The Job that drives a release, as a document, and as a real API server takes it."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from canary.kube.job import SETTLED, Drive, document, finished, job_name, last_words
from canary.kube.session import Json, connect
from tests.kube.live import Place, a_namespace, wait_for
from tests.kube.stage import Stage, a_stage


def a_drive(**changes: Any) -> Drive:
    usual: dict[str, Any] = {
        "target": "web",
        "version": "v1.1.0",
        "release": "web-v1.1.0-x",
        "config": "target: {deployment: web}\n",
        "image": "canary:1",
        "account": "canary",
        "pull_policy": "Never",
        "lasts_s": 3600.0,
        "actor": "ann@ci",
    }
    return Drive(**{**usual, **changes})


def test_tries_of_one_release_have_one_name_and_others_another() -> None:
    assert job_name("web", "v1.1.0") == job_name("web", "v1.1.0")
    assert job_name("web", "v1.1.0").startswith("canary-web-v1-1-0-")
    assert len({job_name("web", version) for version in ("v1.1.0", "v1-1-0", "V1.1.0", "v1_1_0")}) == 4
    config = ("configmap/settings-0123456789",)
    assert a_drive(objects=config).name == job_name("web", "v1.1.0", config) != a_drive().name


@pytest.mark.parametrize("version", ["x" * 128, "sha256:" + "a" * 64, "_._", "9"])
def test_a_name_is_one_that_kubernetes_takes(version: str) -> None:
    name = job_name("a" * 56, version)
    assert len(name) <= 63
    assert name.replace("-", "").isalnum()
    assert name == name.lower()
    assert not name.endswith("-")


def test_codes_that_another_try_would_not_change_fail_the_job_and_disruptions_do_not_count() -> None:
    rules = document(a_drive(), "prod")["spec"]["podFailurePolicy"]["rules"]
    assert rules[0]["action"] == "Ignore"
    assert rules[0]["onPodConditions"][0]["type"] == "DisruptionTarget"
    assert rules[1]["action"] == "FailJob"
    assert tuple(rules[1]["onExitCodes"]["values"]) == SETTLED
    assert not {0, 8, 130, 137, 143} & set(SETTLED)


def test_the_configuration_comes_with_the_job() -> None:
    pod = document(a_drive(arguments=("--timeout", "30m")), "prod")["spec"]["template"]
    container = pod["spec"]["containers"][0]
    assert pod["metadata"]["annotations"]["canary.config"] == "target: {deployment: web}\n"
    assert container["args"] == [
        "run", "v1.1.0", "--release", "web-v1.1.0-x", "-f", "/etc/canary/canary.yaml", "-n", "prod",
        "--timeout", "30m",
    ]  # fmt: skip


def test_the_driver_is_told_which_pod_it_is_in() -> None:
    (container,) = document(a_drive(), "prod")["spec"]["template"]["spec"]["containers"]
    told = {one["name"]: one["valueFrom"]["fieldRef"]["fieldPath"] for one in container["env"][1:]}
    assert told == {"CANARY_DRIVER_POD": "metadata.name", "CANARY_DRIVER_POD_UID": "metadata.uid"}


def test_the_key_comes_from_a_secret_that_only_the_pods_own_group_can_read() -> None:
    plain = document(a_drive(), "prod")["spec"]["template"]["spec"]
    assert "fsGroup" not in plain["securityContext"]
    assert "secret" not in json.dumps(plain)
    pod = document(a_drive(seal=("web-seal", "/etc/canary-seal")), "prod")["spec"]["template"]["spec"]
    assert pod["securityContext"]["fsGroup"] == pod["securityContext"]["runAsGroup"] == 65532
    assert pod["volumes"][-1] == {
        "name": "seal",
        "secret": {"secretName": "web-seal", "defaultMode": 0o440, "optional": True},
    }
    mounts = pod["containers"][0]["volumeMounts"]
    assert mounts[-1] == {"name": "seal", "mountPath": "/etc/canary-seal", "readOnly": True}


def test_how_a_job_and_its_driver_ended_is_read_from_their_status() -> None:
    assert finished({"status": {"conditions": [{"type": "SuccessCriteriaMet", "status": "True"}]}}) is None
    failed = {"type": "Failed", "status": "True", "message": "Container canary failed with exit code 3"}
    assert (
        finished({"status": {"conditions": [failed]}}) == "Failed: Container canary failed with exit code 3"
    )
    ended = {"name": "canary", "state": {"terminated": {"exitCode": 3, "message": "error: no\n"}}}
    assert last_words({"status": {"containerStatuses": [ended]}}) == (3, "error: no")
    assert (
        last_words({"status": {"containerStatuses": [{"name": "canary", "state": {"running": {}}}]}}) is None
    )


@pytest.fixture
def strict(kubeconfig: Path) -> Iterator[Place]:
    """A namespace that admits nothing but restricted pods."""
    with a_namespace(kubeconfig, **{"pod-security.kubernetes.io/enforce": "restricted"}) as found:
        yield found


RESTRICTED: Json = {
    "securityContext": {
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
        "runAsNonRoot": True,
        "seccompProfile": {"type": "RuntimeDefault"},
    }
}


@pytest.fixture
def stage(strict: Place, tmp_path: Path) -> Iterator[Stage]:
    container = {"name": "app", "image": "shop/web:v1", **RESTRICTED}
    template = {"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [container]}}
    session = strict.session()
    session.create(session.path("v1", "serviceaccounts"), {"metadata": {"name": "canary"}})
    with a_stage(strict, tmp_path, {}, template=template) as found:
        yield found


@pytest.mark.control_plane
def test_the_job_is_admitted_where_only_restricted_pods_are_and_found_again_by_a_retry(stage: Stage) -> None:
    first = stage.run("start", "v2", "--in-cluster", "--detach", "-o", "json")
    assert first.code == 0, first.text
    made = json.loads(first.out[first.out.index('{\n  "job"') :])

    session = connect(stage.place.namespace)
    pods = wait_for(
        lambda: session.get(session.path("v1", "pods"), labelSelector=f"job-name={made['job']}").get("items"),
        "its pod was admitted",
    )
    assert pods[0]["spec"]["serviceAccountName"] == "canary"
    assert pods[0]["metadata"]["annotations"]["canary.config"] == stage.file.read_text()
    job = session.get(session.path("batch/v1", "jobs", made["job"]))
    assert job["metadata"]["annotations"]["canary.release"] == made["release"]


@pytest.mark.control_plane
def test_without_a_deployment_there_is_no_job(tmp_path: Path, kubeconfig: Path) -> None:
    import subprocess
    import sys

    (tmp_path / "canary.yaml").write_text(
        "target: {local: shop}\nlocal: {command: [x, '{port}', '{version}'], version: v1}\n"
    )
    command = [sys.executable, "-m", "canary", "start", "v2", "--in-cluster"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "go together, with a Deployment" in done.stderr
