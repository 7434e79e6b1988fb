"""The example for kind, with images of this node: a Job that scrapes the pods itself; no Prometheus."""

import json
import shutil
from pathlib import Path

import pytest
import yaml

from tests.cluster import Cluster
from tests.cluster.kubectl import get, kubectl
from tests.command import begun, ended
from tests.kube.live import wait_for
from tests.kube.test_example import KIND, NAMESPACE
from tests.node.provided import CONTROLLER, PODINFO
from tests.node.stage import PATIENCE_S

pytestmark = pytest.mark.node

ASK = """
import os, time, urllib.request
where = "http://%(PODINFO_SERVICE_HOST)s:%(PODINFO_SERVICE_PORT)s/" % os.environ
while True:
    try:
        urllib.request.urlopen(where, timeout=5).read()
    except OSError as fault:
        print(fault, flush=True)
    time.sleep(0.05)
"""


def an_overlay(folder: Path) -> Path:
    """The example with images of this node; its load is made by Python."""
    shutil.copytree(KIND, folder / "kind")
    here = {"op": "add", "path": "/spec/template/spec/containers/0/imagePullPolicy", "value": "Never"}
    ask = {
        "op": "replace",
        "path": "/spec/template/spec/containers/0/command",
        "value": ["python", "-c", ASK],
    }
    name, tag = CONTROLLER.split(":")
    document = {
        "resources": ["kind"],
        "images": [
            {"name": "ghcr.io/stefanprodan/podinfo", "newName": PODINFO, "newTag": "good"},
            {"name": "curlimages/curl", "newName": name, "newTag": tag},
        ],
        "patches": [
            {"target": {"kind": "Deployment"}, "patch": json.dumps([here])},
            {"target": {"kind": "Deployment", "name": "load"}, "patch": json.dumps([ask])},
        ],
    }
    (folder / "kustomization.yaml").write_text(json.dumps(document))
    return folder


def a_configuration(folder: Path) -> None:
    """That of the example, in a hurry."""
    found = yaml.safe_load((KIND / "canary.yaml").read_text())
    found["image"] = PODINFO
    found["controller"] = {"image": CONTROLLER, "pull_policy": "Never"}
    found["hold"] = {"min": "8s", "max": "2m"}
    found["deadline"] = "6m"
    found["analysis"] |= {"interval": "4s", "warm_up": {"min": "6s", "max": "20s"}}
    found["analysis"]["source"]["pods"]["scrape"] = "2s"
    (folder / "canary.yaml").write_text(yaml.safe_dump(found))


def whole(cluster: Cluster, image: str) -> bool:
    status = get(cluster.kubeconfig, "deployment", "podinfo", "-n", NAMESPACE)
    running = status["spec"]["template"]["spec"]["containers"][0]["image"]
    counts = {status["status"].get(key, 0) for key in ("replicas", "readyReplicas", "updatedReplicas")}
    return running == image and counts == {4}


@pytest.mark.parametrize(("version", "code"), [("better", 0), ("errors", 3)])
def test_a_job_releases_podinfo_by_the_pods_own_metrics(
    shops: Cluster, podinfos: Cluster, tmp_path: Path, version: str, code: int
) -> None:
    def forget() -> None:
        kubectl(shops.kubeconfig, "delete", "namespace", NAMESPACE, "--ignore-not-found", patience_s=120.0)

    forget()
    try:
        kubectl(shops.kubeconfig, "apply", "-k", str(an_overlay(tmp_path / "overlay")))
        wait_for(lambda: whole(shops, f"{PODINFO}:good"), "podinfo is whole", 90.0)
        a_configuration(tmp_path)

        ran = ended(
            begun(tmp_path, {"KUBECONFIG": str(shops.kubeconfig)}, "start", version, "--in-cluster"),
            PATIENCE_S,
        )

        assert ran.code == code, ran.text
        wait_for(lambda: whole(shops, f"{PODINFO}:{'good' if code else version}"), "whole again", 60.0)
    finally:
        forget()
