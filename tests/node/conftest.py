"""The images that run on the real node."""

import pytest

from tests.cluster import Cluster
from tests.node import provided


@pytest.fixture(scope="session")
def shops(real: Cluster) -> Cluster:
    """The real node, with the images of every version of the shop."""
    provided.shops()
    return real


@pytest.fixture(scope="session")
def podinfos(real: Cluster) -> Cluster:
    """The real node, with the images of every version of podinfo."""
    provided.podinfos()
    return real
