"""Both generations of Compose read the file, and understand the same."""

import json
import subprocess
from typing import Any

import pytest
import yaml

from tests.cluster import build
from tests.docker import LackingError
from tests.examples.sandbox.stage import SANDBOX, Box

pytestmark = pytest.mark.docker

SAME = (
    "image",
    "container_name",
    "network_mode",
    "pid",
    "user",
    "read_only",
    "cap_drop",
    "security_opt",
    "restart",
)


@pytest.fixture(scope="module")
def first(built: Box) -> dict[str, Any]:
    """As `docker-compose` 1.29 understands it."""
    return dict(yaml.safe_load(built.run("docker-compose config")))


@pytest.fixture(scope="module")
def second(built: Box) -> dict[str, Any]:
    """As Compose 2 understands it, by its own library."""
    try:
        program = build.built(build.COMPOSE)
    except LackingError as lacking:
        pytest.skip(str(lacking))
    command = [str(program), "docker-compose.yml"]
    done = subprocess.run(
        command, cwd=built.folder, env=built.environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return dict(json.loads(done.stdout))


def test_both_understand_the_same(first: dict[str, Any], second: dict[str, Any]) -> None:
    assert set(first["services"]) == set(second["services"])
    for name, one in first["services"].items():
        other = second["services"][name]
        assert {key: one.get(key) for key in SAME} == {key: other.get(key) for key in SAME}, name
        for limit in ("pids_limit", "cpus"):
            assert float(one[limit]) == float(other[limit]), name
        assert waits(one) == waits(other), name


def waits(service: dict[str, Any]) -> dict[str, str]:
    """What it waits for, and until when."""
    return {name: of["condition"] for name, of in service.get("depends_on", {}).items()}


def test_limits_of_the_sandbox_are_those_of_the_file_in_the_second_too(second: dict[str, Any]) -> None:
    found = second["services"]["sandbox"]
    assert (found["mem_limit"], found["memswap_limit"]) == ("536870912", "536870912")
    assert found["network_mode"] == "none"
    assert found["container_name"] == SANDBOX
    assert {one["source"] for one in found["volumes"]} == {"door", "reports"}
    assert second["volumes"]["ledger"]["external"]


def test_without_pins_neither_starts_anything(built: Box) -> None:
    said = built.run("mv .env .env.away; docker-compose up --detach && echo started; mv .env.away .env")
    assert "started" not in said
    assert built.containers() == [] or "is missing" in said
    assert "pin is in .env" in said
