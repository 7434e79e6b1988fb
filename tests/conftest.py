"""What holds for all tests: no deadlines per example, since machines are shared and noisy."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import settings
from xdist.remote import Producer
from xdist.scheduler import LoadFileScheduling

from tests import cluster, docker
from tests.kube.live import Place, a_namespace

TOGETHER = "tests/examples/secured/"

settings.register_profile("shared-machine", deadline=None, print_blob=True)
settings.load_profile("shared-machine")


class _ByWhatTheyShare(LoadFileScheduling):  # type: ignore[misc]
    """As `--dist loadfile`, but one worker gets all files of `TOGETHER`: they share an installation."""

    def _split_scope(self, nodeid: str) -> str:
        return TOGETHER if nodeid.startswith(TOGETHER) else nodeid.split("::", 1)[0]


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> _ByWhatTheyShare | None:
    """Who of several workers gets which tests; None: as ever."""
    return _ByWhatTheyShare(config, log) if config.getvalue("dist") == "loadfile" else None


@contextmanager
def environment(kubeconfig: Path) -> Iterator[None]:
    """KUBECONFIG leads to this cluster for a while."""
    before = os.environ.get("KUBECONFIG")
    os.environ["KUBECONFIG"] = str(kubeconfig)
    try:
        yield
    finally:
        if before is None:
            del os.environ["KUBECONFIG"]
        else:
            os.environ["KUBECONFIG"] = before


@pytest.fixture(scope="session")
def kubeconfig() -> Iterator[Path]:
    """Of the cluster with simulated nodes, as an administrator."""
    with standing(node=False) as found, environment(found.kubeconfig):
        yield found.kubeconfig


@pytest.fixture(scope="session")
def real() -> Iterator[cluster.Cluster]:
    """A cluster whose node runs containers."""
    with standing(node=True) as found, environment(found.kubeconfig):
        yield found


@pytest.fixture(scope="session")
def daemon() -> Iterator[docker.Daemon]:
    """A Docker daemon; what is loaded into it stays, what runs on it does not."""
    try:
        with docker.running(docker.place()) as found:
            yield found
    except docker.LackingError as lacking:
        pytest.skip(str(lacking))


@contextmanager
def standing(*, node: bool) -> Iterator[cluster.Cluster]:
    """The cluster; taken down again when it was brought up for this run alone."""
    try:
        if "PYTEST_XDIST_WORKER" in os.environ:
            # One of several: the others go on with it.
            yield cluster.up(node)
        else:
            with cluster.running(node) as found:
                yield found
    except cluster.LackingError as lacking:
        pytest.skip(str(lacking))


@pytest.fixture
def place(kubeconfig: Path) -> Iterator[Place]:
    """A namespace of the test's own."""
    with a_namespace(kubeconfig) as found:
        yield found
