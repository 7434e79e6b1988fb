"""Volumes for claims on the real node: folders of it, one for each claim, as a provisioner would make them.

They are inside the node's own `/var/lib/kubelet`, which goes with the node. A claim that was deleted leaves
its volume behind, released; `fresh` makes others, so what is claimed anew is empty.
"""

import secrets
import shutil
from typing import Any

from tests.cluster.kubectl import apply, get, kubectl
from tests.cluster.node import NAME
from tests.cluster.place import REAL

CLASS = "folders"
WITHIN = "/var/lib/kubelet/canary-volumes"
OUTSIDE = REAL.folder / "host" / "var-lib-kubelet" / "canary-volumes"


def fresh(number: int) -> None:
    """Make so many empty volumes, 1 GiB each by their own word, for claims that name no class."""
    admin = REAL.kubeconfig("admin")
    apply(admin, [_storage_class(), *(_volume(secrets.token_hex(4)) for _ in range(number))])


def forget() -> None:
    """Remove them all, with what is in them; the claims have to be gone."""
    admin = REAL.kubeconfig("admin")
    ours = [
        one["metadata"]["name"]
        for one in get(admin, "persistentvolumes")["items"]
        if one["spec"]["storageClassName"] == CLASS
    ]
    if ours:
        kubectl(admin, "delete", "persistentvolume", *ours)
    kubectl(admin, "delete", "storageclass", CLASS, "--ignore-not-found")
    shutil.rmtree(OUTSIDE, ignore_errors=True)


def _storage_class() -> dict[str, Any]:
    return {
        "apiVersion": "storage.k8s.io/v1",
        "kind": "StorageClass",
        "metadata": {"name": CLASS, "annotations": {"storageclass.kubernetes.io/is-default-class": "true"}},
        "provisioner": "kubernetes.io/no-provisioner",
        "volumeBindingMode": "WaitForFirstConsumer",
    }


def _volume(name: str) -> dict[str, Any]:
    """`local`, since the kubelet gives such a volume to the group of the pod, as a real one."""
    (OUTSIDE / name).mkdir(parents=True)
    here = {"key": "kubernetes.io/hostname", "operator": "In", "values": [NAME]}
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {"name": f"folder-{name}"},
        "spec": {
            "capacity": {"storage": "1Gi"},
            "accessModes": ["ReadWriteOnce"],
            "storageClassName": CLASS,
            "persistentVolumeReclaimPolicy": "Retain",
            "local": {"path": f"{WITHIN}/{name}"},
            "nodeAffinity": {"required": {"nodeSelectorTerms": [{"matchExpressions": [here]}]}},
        },
    }
