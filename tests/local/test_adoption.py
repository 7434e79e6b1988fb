"""Replicas that an earlier supervisor left: what is told of those that are not taken over."""

import json
import subprocess
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import psutil
import pytest

from canary.local.adoption import adopt
from canary.local.layout import Layout
from canary.local.status import PodState


@pytest.fixture
def left() -> Iterator["subprocess.Popen[bytes]"]:
    """A process that runs."""
    with subprocess.Popen(["sleep", "60"], start_new_session=True) as process:
        yield process
        process.kill()


def told(folder: Path, pid: int, created: float) -> tuple[list[str], bool]:
    """What is said of a replica that was written down with this process; whether it is taken over."""
    layout = Layout(folder)
    layout.pods.mkdir()
    state = PodState("web-1", "uid-1", "stable", "abc", born=1.0, pid=pid, created=created)
    (layout.pods / "web-1.json").write_text(json.dumps(asdict(state)))
    said: list[str] = []
    ((_, process),) = adopt(layout, said.append)
    return said, process is not None


def test_one_that_runs_is_taken_over_without_a_word(tmp_path: Path, left: "subprocess.Popen[bytes]") -> None:
    created = psutil.Process(left.pid).create_time()
    assert told(tmp_path, left.pid, created) == ([], True)


def test_one_that_has_ended_is_started_again(tmp_path: Path, left: "subprocess.Popen[bytes]") -> None:
    left.kill()
    left.wait()
    assert told(tmp_path, left.pid, 1.0) == (
        ["web-1 ended while no supervisor was there; it is started again"],
        False,
    )


def test_one_that_may_not_be_looked_into_is_not_said_to_have_ended(
    tmp_path: Path, left: "subprocess.Popen[bytes]", monkeypatch: pytest.MonkeyPatch
) -> None:
    # As /proc is with hidepid=invisible, for processes of another namespace of users.
    def hidden(pid: int) -> psutil.Process:
        raise psutil.NoSuchProcess(pid)

    monkeypatch.setattr(psutil, "Process", hidden)
    ((words,), taken_over) = told(tmp_path, left.pid, 1.0)
    assert not taken_over
    assert words.startswith(f"web-1 cannot be taken over: process {left.pid} is there and may not be looked")
    assert "PrivateUsers=" in words
