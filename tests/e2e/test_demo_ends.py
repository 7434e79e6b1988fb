"""However a demo ends, it leaves no process behind, and the next one is not hindered."""

import signal
import subprocess
import time
from pathlib import Path

import pytest

from tests.e2e.demo_run import command, play, processes_of

pytestmark = [pytest.mark.e2e, pytest.mark.solo]


def wait_for(log: Path, text: str) -> None:
    latest = time.monotonic() + 60
    while text not in log.read_text():
        assert time.monotonic() < latest, log.read_text()
        time.sleep(0.05)


@pytest.mark.parametrize(
    ("number", "status", "moment"),
    [
        (signal.SIGINT, 130, "The demo plays in"),
        (signal.SIGTERM, 143, "Watching it for"),
        (signal.SIGINT, 130, "Nobody has told canary"),
    ],
)
def test_a_signal_at_any_moment_ends_everything(
    tmp_path: Path, number: int, status: int, moment: str
) -> None:
    folder, log = tmp_path / "demo", tmp_path / "log"
    with log.open("w") as out:
        demo = subprocess.Popen(command(folder, "--fault", "none"), stdout=out, stderr=subprocess.STDOUT)
    wait_for(log, moment)
    time.sleep(1.0)
    demo.send_signal(number)
    assert demo.wait(timeout=60) == status, log.read_text()
    assert processes_of(folder) == []
    assert "Traceback" not in log.read_text()


def test_a_demo_that_was_killed_does_not_hinder_the_next(tmp_path: Path) -> None:
    folder, log = tmp_path / "demo", tmp_path / "log"
    with log.open("w") as out:
        demo = subprocess.Popen(command(folder, "--fault", "none"), stdout=out, stderr=subprocess.STDOUT)
    wait_for(log, "Nobody has told canary")
    time.sleep(2.0)
    demo.kill()
    demo.wait()
    assert processes_of(folder) != []
    ended = play(folder, "--fault", "errors", "--seed", "13")
    assert ended.status == 0, ended.text
    assert processes_of(folder) == []


def test_a_kept_demo_says_what_to_try_and_ends_well_by_ctrl_c(tmp_path: Path) -> None:
    folder, log = tmp_path / "demo", tmp_path / "log"
    with log.open("w") as out:
        demo = subprocess.Popen(
            command(folder, "--fault", "errors", "--keep", "--seed", "14"),
            stdout=out,
            stderr=subprocess.STDOUT,
        )
    wait_for(log, "go on until Ctrl-C")
    time.sleep(1.0)
    assert demo.poll() is None
    demo.send_signal(signal.SIGINT)
    assert demo.wait(timeout=60) == 0, log.read_text()
    assert f"start v1.2.0 -f {folder}/canary.yaml" in log.read_text()
    assert processes_of(folder) == []
