"""The README of the examples' service, run as it stands."""

from pathlib import Path

import pytest

from tests.examples.minimal.stage import a_server, blocks

pytestmark = [pytest.mark.e2e, pytest.mark.solo]


def test_every_step_of_the_readme_does_what_it_says(tmp_path: Path) -> None:
    with a_server(tmp_path, "app") as server:
        first, faults = blocks(server.folder / "README.md")
        said = server.run(first)
        assert '{"status":"healthy","version":"1.0.0"}' in said
        assert said.count('"name": "Ada"') == 2
        assert '"v1.0.0 201"' in said.splitlines()[-1]
        assert "failed" not in said.splitlines()[-1]
        said = server.run(faults)
        assert '{"errors":0.02,"latency":0.5}' in said
        assert said.splitlines()[-1] == "{}"
