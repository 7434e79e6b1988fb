"""Simulated nodes: kwok plays them, and the pods on them, as `stages.yaml` has it."""

from pathlib import Path
from typing import Any

from tests.cluster import build, processes
from tests.cluster.kubectl import apply, get, kubectl, ready_nodes
from tests.cluster.place import HERE, Place, write

PODS = "10.96.0.1/16"
LABEL = "canary.test/simulated"


def start(place: Place, nodes: int) -> None:
    """Start kwok and this many nodes; returns when they are ready."""
    # kwok takes its own stages for what the file does not cover: nodes.
    config = place.folder / "kwok.yaml"
    write(config, (HERE / "stages.yaml").read_text())
    command: list[str | Path] = [
        build.built(build.KWOK),
        f"--kubeconfig={place.kubeconfig('kwok')}",
        f"--config={config}",
        "--manage-all-nodes=true",
        f"--cidr={PODS}",
        "--node-ip=127.0.0.1",
        "--node-lease-duration-seconds=40",
    ]
    processes.start(place, "kwok", command)
    scale(place, nodes)


def scale(place: Place, nodes: int) -> None:
    """Have exactly this many nodes; those of the highest numbers go."""
    admin = place.kubeconfig("admin")
    wanted = [f"simulated-{number}" for number in range(nodes)]
    found = {item["metadata"]["name"] for item in get(admin, "nodes", "-l", LABEL)["items"]}
    if surplus := sorted(found - set(wanted)):
        kubectl(admin, "delete", "node", *surplus)
    if missing := [name for name in wanted if name not in found]:
        apply(admin, [_node(name) for name in missing])
    processes.until(lambda: ready_nodes(admin) >= nodes, f"{nodes} simulated nodes", place=place)


def _node(name: str) -> dict[str, Any]:
    size = {"cpu": "32", "memory": "256Gi", "ephemeral-storage": "256Gi", "pods": "250"}
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {
            "name": name,
            "annotations": {"kwok.x-k8s.io/node": "fake"},
            "labels": {
                LABEL: "true",
                "kubernetes.io/hostname": name,
                "kubernetes.io/os": "linux",
                "kubernetes.io/arch": "amd64",
            },
        },
        "status": {"allocatable": size, "capacity": size},
    }
