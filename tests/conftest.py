"""What holds for all tests: no deadlines per example, since machines are shared and noisy."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from tests.kube.live import Place, a_namespace

settings.register_profile("shared-machine", deadline=None, print_blob=True)
settings.load_profile("shared-machine")


@pytest.fixture(scope="session")
def kubeconfig() -> Iterator[Path]:
    """Of the test cluster, as an administrator; KUBECONFIG leads there as long as tests run."""
    path = Path(os.environ["CANARY_TEST_KUBECONFIG"])
    before = os.environ.get("KUBECONFIG")
    os.environ["KUBECONFIG"] = str(path)
    yield path
    if before is None:
        del os.environ["KUBECONFIG"]
    else:
        os.environ["KUBECONFIG"] = before


@pytest.fixture
def place(kubeconfig: Path) -> Iterator[Place]:
    """A namespace of the test's own."""
    with a_namespace(kubeconfig) as found:
        yield found
