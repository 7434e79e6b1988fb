"""Faults one would not see by eye, found by the real commands on real processes under real load."""

import time
from pathlib import Path

import pytest

from tests.e2e.demo_run import play, processes_of

pytestmark = [pytest.mark.e2e, pytest.mark.solo]


@pytest.mark.parametrize("fault", ["errors", "latency"])
def test_a_version_with_a_fault_is_rolled_back_and_no_request_pays_for_it(tmp_path: Path, fault: str) -> None:
    ended = play(tmp_path, "--fault", fault, "--seed", "11")
    assert ended.status == 0, ended.text
    assert "Exit code 3: rolled back" in ended.text
    assert ended.failed == 0, ended.text
    assert processes_of(tmp_path) == []


def test_a_version_that_crashes_after_a_while_is_rolled_back(tmp_path: Path) -> None:
    """The crash cuts off what the replica was answering; nobody is refused or left waiting."""
    ended = play(tmp_path, "--fault", "crash", "--seed", "12")
    assert ended.status == 0, ended.text
    assert "Exit code 3: rolled back" in ended.text
    assert ended.load is not None
    assert set(ended.load.failures) <= {"short", "reset"}, ended.text
    assert ended.failed <= 0.1 * ended.load.versions["v1.1.0"].requests, ended.text


@pytest.mark.parametrize("seed", ["21", "22", "23"])
def test_a_good_version_is_promoted_and_no_request_pays_for_it(tmp_path: Path, seed: str) -> None:
    ended = play(tmp_path, "--fault", "none", "--seed", seed)
    assert ended.status == 0, ended.text
    assert "Exit code 0: promoted" in ended.text
    assert ended.failed == 0, ended.text
    assert ended.load is not None
    assert ended.load.versions["v1.1.0"].requests > 1000


def test_the_demo_rolls_back_the_bad_version_and_promotes_the_good_one_within_90_seconds(
    tmp_path: Path,
) -> None:
    began = time.monotonic()
    ended = play(tmp_path, "--seed", "31")
    took_s = time.monotonic() - began
    assert ended.status == 0, ended.text
    assert "v1.1.0 rolled back, exit code 3, as it must" in ended.text
    assert "v1.1.1 promoted, exit code 0, as it must" in ended.text
    assert "Failed because of moving replicas: 0." in ended.text
    assert ended.failed == 0
    assert took_s < 90, ended.text
