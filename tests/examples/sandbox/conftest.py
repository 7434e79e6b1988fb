"""The example, with its images built once as its README says."""

from collections.abc import Iterator

import pytest

from tests.docker import Daemon
from tests.examples.sandbox import webhook
from tests.examples.sandbox.stage import SANDBOX, Box, a_checkout, blocks, named_bases, until


@pytest.fixture(scope="session")
def built(daemon: Daemon, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Box]:
    """Images built and pinned; nothing runs."""
    daemon.empty()
    named_bases(daemon)
    with webhook.listening() as alerts:
        box = Box(daemon, a_checkout(tmp_path_factory.mktemp("sandbox")), alerts)
        box.run(blocks()["build"])
        box.run(blocks()["secrets"])
        yield box
        daemon.empty()


@pytest.fixture(scope="module")
def standing(built: Box) -> Iterator[Box]:
    """A sandbox that serves, for all that only looks at it."""
    built.daemon.empty()
    built.box("up")
    yield built
    built.box("destroy")
    built.daemon.empty()


@pytest.fixture(scope="module")
def unwatched(built: Box) -> Iterator[Box]:
    """A sandbox without its monitor: what holds it are its limits alone."""
    built.daemon.empty()
    for name in ("ledger", "keys", "seals"):
        built.daemon.docker("volume", "create", f"{SANDBOX}-{name}")
    built.run("docker-compose up --detach --no-deps sandbox door")
    until(lambda: built.inside("python3", "/app/health.py").returncode == 0, "the sandbox to serve")
    yield built
    built.daemon.empty()


@pytest.fixture
def box(built: Box) -> Iterator[Box]:
    """Images built and pinned; nothing runs, before and after."""
    built.daemon.empty()
    yield built
    built.daemon.empty()
