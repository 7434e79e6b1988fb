"""A real Kubernetes for the tests: see README.md beside this file.

with tests.cluster.running() as cluster:
    cluster.kubectl("get", "nodes")
"""

from tests.cluster.faults import ClusterError, LackingError
from tests.cluster.made import Cluster
from tests.cluster.upkeep import down, running, up

__all__ = ["Cluster", "ClusterError", "LackingError", "down", "running", "up"]
