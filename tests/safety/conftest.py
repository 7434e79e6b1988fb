"""The sandbox of the tests."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.docker import Daemon
from tests.safety.box import NETWORK, Box


@pytest.fixture
def box(daemon: Daemon, tmp_path: Path) -> Iterator[Box]:
    """A place for one sandbox; nothing of it stays."""
    daemon.empty()
    daemon.docker("network", "create", "--internal", NETWORK)
    found = Box(daemon, tmp_path)
    try:
        yield found
    finally:
        found.close()
