"""The cluster's own `kubectl`, and kubeconfig files for it and for everything else that talks to the API."""

import base64
import json
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from tests.cluster import build
from tests.cluster.faults import ClusterError
from tests.cluster.place import write


def kubectl(kubeconfig: Path, *arguments: str, send: str | None = None, patience_s: float = 120.0) -> str:
    """Run it and return what it printed. `send`: its standard input.

    Raises:
        ClusterError: it ended with an error; its words are in the message.
    """
    command = [str(build.built(build.KUBE)), "kubectl", "--kubeconfig", str(kubeconfig), *arguments]
    try:
        done = subprocess.run(
            command, input=send or "", capture_output=True, text=True, timeout=patience_s, check=False
        )
    except subprocess.TimeoutExpired:
        raise ClusterError(f"kubectl {' '.join(arguments)}: no end within {patience_s:g} s") from None
    if done.returncode:
        raise ClusterError(f"kubectl {' '.join(arguments)}: {done.stderr.strip() or done.stdout.strip()}")
    return done.stdout


def apply(kubeconfig: Path, documents: Sequence[dict[str, Any]]) -> None:
    """Create these objects, or make them what is written here."""
    send = "\n---\n".join(json.dumps(document) for document in documents)
    kubectl(kubeconfig, "apply", "--server-side", "--force-conflicts", "-f", "-", send=send)


def get(kubeconfig: Path, *arguments: str) -> dict[str, Any]:
    """What `kubectl get ARGUMENTS -o json` says."""
    found: dict[str, Any] = json.loads(kubectl(kubeconfig, "get", *arguments, "-o", "json"))
    return found


def ready_nodes(kubeconfig: Path) -> int:
    """How many nodes are ready."""
    conditions = [
        condition
        for item in get(kubeconfig, "nodes")["items"]
        for condition in item["status"].get("conditions", [])
    ]
    return sum(each["type"] == "Ready" and each["status"] == "True" for each in conditions)


def write_kubeconfig(path: Path, *, cluster: dict[str, Any], account: str, token: str) -> None:
    """`cluster`: where the server is and what it is verified with, as in any kubeconfig."""
    document = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "test", "cluster": cluster}],
        "users": [{"name": account, "user": {"token": token}}],
        "contexts": [{"name": "test", "context": {"cluster": "test", "user": account}}],
        "current-context": "test",
    }
    write(path, yaml.safe_dump(document, sort_keys=False))


def reached(server: str, certificate: Path) -> dict[str, Any]:
    """The cluster part of a kubeconfig; `certificate` is the file to verify the server with."""
    authority = base64.b64encode(certificate.read_bytes()).decode()
    return {"server": server, "certificate-authority-data": authority}
