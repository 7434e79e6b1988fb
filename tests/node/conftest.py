"""The images that run on the real node."""

import pytest

from tests.cluster import Cluster
from tests.node.stage import provide_images


@pytest.fixture(scope="session")
def shops(real: Cluster) -> Cluster:
    """The real node, with the images of every version."""
    provide_images()
    return real
