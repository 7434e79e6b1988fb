"""An agent that enforces network policies on the real node, for those tests that want one.

It is the part of kube-router that does this, on iptables and ipsets of the machine. What comes from the
machine itself (probes, scrapes, NodePorts) is let through, as everywhere; pods are held to them.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.cluster import build, network, processes
from tests.cluster.control import SERVICES
from tests.cluster.faults import LackingError
from tests.cluster.kubectl import apply
from tests.cluster.node import NAME, POLICIES
from tests.cluster.place import REAL

BRIDGED = Path("/proc/sys/net/bridge/bridge-nf-call-iptables")
"""Whether what goes from pod to pod over their bridge passes the firewall."""

READS = {
    "apiVersion": "rbac.authorization.k8s.io/v1",
    "kind": "ClusterRole",
    "metadata": {"name": POLICIES},
    "rules": [
        {"apiGroups": [""], "resources": ["pods", "namespaces", "nodes"], "verbs": ["get", "list", "watch"]},
        {
            "apiGroups": ["networking.k8s.io"],
            "resources": ["networkpolicies"],
            "verbs": ["get", "list", "watch"],
        },
    ],
}
BINDS = {
    "apiVersion": "rbac.authorization.k8s.io/v1",
    "kind": "ClusterRoleBinding",
    "metadata": {"name": POLICIES},
    "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": POLICIES},
    "subjects": [{"kind": "User", "apiGroup": "rbac.authorization.k8s.io", "name": POLICIES}],
}


@contextmanager
def enforced() -> Iterator[None]:
    """Policies hold while this is open, a second or two after they, or a pod, have come. The node must stand.

    Raises:
        LackingError: this kernel does not show bridged packets to its firewall.
    """
    if not BRIDGED.exists():
        raise LackingError("network policies need a kernel with bridge netfilter")
    apply(REAL.kubeconfig("admin"), [READS, BINDS])
    before = BRIDGED.read_text()
    BRIDGED.write_text("1")
    flags = [f"--kubeconfig={REAL.kubeconfig(POLICIES)}", f"--node={NAME}", f"--services={SERVICES}"]
    processes.start(REAL, "netpol", [build.built(build.NETPOL), *flags])
    try:
        processes.until(lambda: network.has_policies(), "the agent of network policies", place=REAL)
        yield
    finally:
        processes.stop(REAL, "netpol")
        network.remove_chains("iptables", network.POLICY_CHAIN)
        network.remove_sets()
        BRIDGED.write_text(before)
