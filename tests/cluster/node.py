"""A real node: containerd, kubelet and kube-proxy, in namespaces of their own, on the machine's network."""

import json
import os
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import psutil
import yaml

from tests.cluster import build, dns, images, network, processes
from tests.cluster.faults import ClusterError
from tests.cluster.kubectl import apply, ready_nodes
from tests.cluster.place import HERE, REAL, write

NAME = "canary-node"
ACCOUNT = f"system:node:{NAME}"
POLICIES = "netpol"
ACCOUNTS: dict[str, tuple[str, ...]] = {ACCOUNT: ("system:nodes",), POLICIES: ()}
SOCKET = "/run/containerd/containerd.sock"
HELD = (
    "/etc/cni/net.d",
    "/run/containerd",
    "/run/netns",
    "/var/lib/cni",
    "/var/lib/containerd",
    "/var/lib/kubelet",
    "/var/log/containers",
    "/var/log/pods",
)
"""Where the three keep things: inside, each of these is a folder of ours."""


def start() -> None:
    """Start the node of `REAL`, whose control plane runs; returns when it is ready for pods."""
    archives = images.pause(), images.base(), images.dns()
    _write_settings()
    command = ["unshare", "--mount", "--pid", "--mount-proc", "--fork", "--kill-child"]
    inside = [sys.executable, "-m", "tests.cluster.inside", str(REAL.folder / "inside.json")]
    path = {"PATH": f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin", "PYTHONPATH": str(HERE.parents[1])}
    processes.start(REAL, "node", [*command, *inside], path)
    processes.until(lambda: _enter("test", "-S", SOCKET), "containerd", place=REAL)
    for archive in archives:
        load(archive)
    admin = REAL.kubeconfig("admin")
    processes.until(lambda: ready_nodes(admin) >= 1, "the node to be ready", place=REAL)
    apply(admin, dns.objects())


def load(archive: Path) -> None:
    """Give the node an image, from an archive as `images` makes it."""
    if not _enter("ctr", "--address", SOCKET, "-n", "k8s.io", "images", "import", str(archive)):
        raise ClusterError(f"containerd does not take {archive}:\n{processes.tail(REAL, 'node')}")


def made_folders() -> None:
    """Make the machine's folders that ours are bound over, and remember which were not there."""
    missing = []
    for name in HELD:
        for folder in (*reversed(Path(name).parents), Path(name)):
            if not folder.exists():
                missing.append(str(folder))
                write(REAL.folder / "folders.json", json.dumps(missing))
                folder.mkdir()


def remove_folders() -> None:
    """Remove those that `made_folders` made and nobody has put anything into."""
    path = REAL.folder / "folders.json"
    for name in reversed(json.loads(path.read_text()) if path.exists() else []):
        folder = Path(name)
        if folder.is_dir() and not any(folder.iterdir()):
            folder.rmdir()


def clear_groups() -> None:
    """Remove the control groups of pods that are no more; only those in which nothing runs can be."""
    for top in Path("/sys/fs/cgroup").rglob("kubepods"):
        for folder, _, _ in os.walk(top, topdown=False):
            with suppress(OSError):
                Path(folder).rmdir()


def _enter(*command: str) -> bool:
    """Run it where the node's mounts are; whether it went well."""
    pid = processes.running(REAL).get("node")
    first = psutil.Process(pid).children() if pid is not None else []
    if not first:
        return False
    within = ["nsenter", "--mount", "--target", str(first[0].pid), "--", *command]
    with (REAL.logs / "node.log").open("ab") as log:
        return subprocess.run(within, stdout=log, stderr=log, check=False).returncode == 0


def _write_settings() -> None:
    """Everything that the three read, and what the first process inside is to do."""
    made_folders()
    binds = []
    for name in HELD:
        source = REAL.folder / "host" / name[1:].replace("/", "-")
        source.mkdir(parents=True, exist_ok=True)
        binds.append((str(source), name))
    write(REAL.folder / "host" / "etc-cni-net.d" / "10-pods.conflist", json.dumps(_pod_network()))
    write(REAL.folder / "containerd.toml", _containerd())
    write(REAL.folder / "kubelet.yaml", yaml.safe_dump(_kubelet()))
    kube = str(build.built(build.KUBE))
    services: dict[str, dict[str, object]] = {
        "containerd": {
            "command": ["containerd", "--config", str(REAL.folder / "containerd.toml")],
            "ready": SOCKET,
        },
        "kubelet": {"command": [kube, "kubelet", *_kubelet_flags()]},
        "kube-proxy": {"command": [kube, "kube-proxy", *_proxy_flags()]},
    }
    for name, service in services.items():
        service["log"] = str(REAL.logs / f"{name}.log")
    write(REAL.folder / "inside.json", json.dumps({"binds": binds, "services": services}))


def _pod_network() -> dict[str, object]:
    return {
        "cniVersion": "0.4.0",
        "name": "canary-pods",
        "plugins": [
            {
                "type": "bridge",
                "bridge": network.POD_BRIDGE,
                "isGateway": True,
                "ipMasq": True,
                "hairpinMode": True,
                "ipam": {
                    "type": "host-local",
                    "ranges": [[{"subnet": network.PODS}]],
                    "routes": [{"dst": "0.0.0.0/0"}],
                },
            }
        ],
    }


def _containerd() -> str:
    cri = 'plugins."io.containerd.grpc.v1.cri"'
    # restrict_oom_score_adj: where root may not lower the score no pod would start.
    return f"""version = 2
[{cri}]
sandbox_image = "{images.PAUSE}"
disable_apparmor = true
restrict_oom_score_adj = true
[{cri}.cni]
bin_dir = "/usr/lib/cni"
conf_dir = "/etc/cni/net.d"
[{cri}.containerd.runtimes.runc]
runtime_type = "io.containerd.runc.v2"
[{cri}.containerd.runtimes.runc.options]
SystemdCgroup = false
"""


def _kubelet() -> dict[str, object]:
    return {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "address": REAL.address,
        "port": REAL.port("kubelet"),
        "healthzPort": REAL.port("kubelet-health"),
        "authentication": {"anonymous": {"enabled": True}, "webhook": {"enabled": False}},
        "authorization": {"mode": "AlwaysAllow"},
        "containerRuntimeEndpoint": f"unix://{SOCKET}",
        "cgroupDriver": "cgroupfs",
        "clusterDNS": [dns.ADDRESS],
        "clusterDomain": dns.DOMAIN,
        "failSwapOn": False,
        "failCgroupV1": False,
        "enforceNodeAllocatable": [],
        "localStorageCapacityIsolation": False,
        "imageGCHighThresholdPercent": 100,
        "imageGCLowThresholdPercent": 99,
        "evictionHard": {"memory.available": "0%", "nodefs.available": "0%", "imagefs.available": "0%"},
        "registerNode": True,
    }


def _kubelet_flags() -> list[str]:
    return [
        f"--config={REAL.folder / 'kubelet.yaml'}",
        f"--kubeconfig={REAL.kubeconfig(ACCOUNT)}",
        f"--hostname-override={NAME}",
        f"--node-ip={REAL.address}",
    ]


def _proxy_flags() -> list[str]:
    return [
        f"--kubeconfig={REAL.kubeconfig('system:kube-proxy')}",
        f"--hostname-override={NAME}",
        "--proxy-mode=iptables",
        f"--cluster-cidr={network.PODS}",
        f"--healthz-bind-address=127.0.0.1:{REAL.port('proxy-health')}",
        f"--metrics-bind-address=127.0.0.1:{REAL.port('proxy-metrics')}",
        "--conntrack-max-per-core=0",
        "--conntrack-tcp-timeout-established=0s",
        "--conntrack-tcp-timeout-close-wait=0s",
    ]
