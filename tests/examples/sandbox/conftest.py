"""The example, with its images built once as its README says."""

from collections.abc import Iterator

import pytest

from tests.docker import Daemon
from tests.examples.sandbox.stage import Box, a_checkout, blocks, named_bases


@pytest.fixture(scope="session")
def built(daemon: Daemon, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Box]:
    """Images built and pinned; nothing runs."""
    daemon.empty()
    named_bases(daemon)
    box = Box(daemon, a_checkout(tmp_path_factory.mktemp("sandbox")))
    box.run(blocks()["build"])
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


@pytest.fixture
def box(built: Box) -> Iterator[Box]:
    """Images built and pinned; nothing runs, before and after."""
    built.daemon.empty()
    yield built
    built.daemon.empty()
