"""A real Kubernetes for the tests: `python -m tests.cluster build|up|down|status [--node] [--nodes N]`.

    build    build and fetch what a cluster needs; `up` does it too
    up       bring one up, unless it stands; says where its kubeconfig is
    down     take everything down and leave nothing behind; with --node only that one
    status   which clusters stand; exits 1 when none does

Without --node the control plane is real and nodes and pods are simulated. With it containers really run; it
needs root. The two can stand side by side.
"""

import argparse
import shlex
import sys
from collections.abc import Sequence

from tests.cluster import build, upkeep
from tests.cluster.faults import ClusterError
from tests.cluster.made import Cluster
from tests.cluster.place import REAL, SIMULATED


def main(arguments: Sequence[str]) -> int:
    """Do one of them; the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.cluster",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("what", choices=["build", "up", "down", "status"])
    parser.add_argument("--node", action="store_true", help="a node that really runs containers")
    parser.add_argument("--nodes", type=int, metavar="N", help="how many simulated nodes (begins with 3)")
    chosen = parser.parse_args(arguments)
    if chosen.nodes is not None and (chosen.node or chosen.nodes < 0):
        parser.error("--nodes N counts simulated nodes: N >= 0, and not together with --node")
    try:
        return _do(chosen.what, chosen.node, chosen.nodes)
    except ClusterError as fault:
        print(fault, file=sys.stderr)
        return 1


def _do(what: str, node: bool, nodes: int | None) -> int:
    if what == "build":
        upkeep.provide(node)
    elif what == "up":
        _tell(upkeep.up(node, nodes))
    elif what == "down":
        for name in upkeep.down(REAL) if node else upkeep.down():
            print(f"stopped {name}")
    else:
        found = [cluster for place in (SIMULATED, REAL) if (cluster := upkeep.standing(place)) is not None]
        for cluster in found:
            _tell(cluster)
        if not found:
            print("no cluster stands; `python -m tests.cluster up` brings one up")
            return 1
    return 0


def _tell(cluster: Cluster) -> None:
    kind = "containers run on one node" if cluster.node else "nodes and pods are simulated"
    print(f"{cluster.server}: {kind}")
    print(f"  export KUBECONFIG={shlex.quote(str(cluster.kubeconfig))}")
    print(f"  alias kubectl={shlex.quote(f'{build.built(build.KUBE)} kubectl')}")
    if cluster.audit_log is not None:
        print(f"  audit log   {cluster.audit_log}")
    if cluster.prometheus is not None:
        print(f"  Prometheus  {cluster.prometheus}")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
