import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
import yaml

from canary.errors import CanaryError, InvalidError
from canary.local.demo.cast import Bell, Cast, StoppedError, bell
from canary.local.demo.stage import LOCK, pick_port, port_is_taken, stage
from tests.local.demo_process import SERVICE, free_port
from tests.local.offspring import children

SLEEPER = (sys.executable, "-c", "import time; time.sleep(60)")


def alive(pid: int) -> bool:
    return psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE


def test_a_folder_is_cleared_of_an_earlier_demo_and_its_processes(tmp_path: Path) -> None:
    folder = tmp_path / "demo"
    with stage(folder) as place:
        place.write_config(port=8080, faults="", seed=1)
    (folder / ".canary" / "ring").mkdir(parents=True)
    command = [sys.executable, "-m", SERVICE, "--version", "v1", "--port", str(free_port())]
    with subprocess.Popen([*command, "--shared", str(folder / "shared")]) as left_over:
        time.sleep(0.5)
        with stage(folder):
            assert left_over.wait(timeout=5) is not None
            assert {path.name for path in folder.iterdir()} == {LOCK}


def test_processes_of_others_are_left_alone(tmp_path: Path) -> None:
    """One that only names the folder, and a demo service that belongs to another folder."""
    folder = tmp_path / "demo"
    command = [sys.executable, "-m", SERVICE, "--version", "v1", "--port", str(free_port())]
    other = subprocess.Popen([*command, "--shared", str(tmp_path / "demo-2" / "shared")])
    reader = subprocess.Popen([*SLEEPER, str(folder / "canary.yaml")])
    try:
        time.sleep(0.5)
        with stage(folder):
            assert other.poll() is None
            assert reader.poll() is None
    finally:
        for process in (other, reader):
            process.kill()
            process.wait()


def test_a_folder_with_files_of_others_is_refused_and_untouched(tmp_path: Path) -> None:
    (tmp_path / "canary.yaml").write_text("mine")
    with pytest.raises(InvalidError, match="no demo wrote"), stage(tmp_path):
        pass
    assert [path.name for path in tmp_path.iterdir()] == ["canary.yaml"]


def test_two_demos_do_not_play_in_one_folder(tmp_path: Path) -> None:
    with stage(tmp_path), pytest.raises(InvalidError, match="another demo plays"), stage(tmp_path):
        pass


def test_a_folder_that_cannot_be_made_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(CanaryError, match="cannot be used"), stage(tmp_path / "file" / "demo"):
        pass


def test_the_configuration_says_what_is_shortened_and_names_the_versions_faults(tmp_path: Path) -> None:
    with stage(tmp_path) as place:
        place.write_config(port=8123, faults="v1.1.0=errors", seed=7)
        text = place.config.read_text()
    document = yaml.safe_load(text)
    assert document["local"]["listen"] == "127.0.0.1:8123"
    assert "v1.1.0=errors" in document["local"]["command"]
    assert text.count("# shortened; usual: ") == 4
    assert "false_rollback_rate" not in document["analysis"]


def test_the_usual_port_is_taken_when_it_is_free_and_another_when_not() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        assert port_is_taken(port)
        assert pick_port(port) != port
    assert pick_port(port) == port
    assert not port_is_taken(port)


def test_a_cast_ends_its_processes_even_those_that_do_not_listen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("canary.local.demo.cast.END_S", 0.5)
    deaf = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('deaf'); time.sleep(60)"
    with Cast(Bell(), {"PYTHONUNBUFFERED": "1"}) as cast:
        cast.start("one", SLEEPER, tmp_path / "one.log")
        cast.start("two", (sys.executable, "-c", deaf), tmp_path / "two.log")
        while "deaf" not in (tmp_path / "two.log").read_text():
            time.sleep(0.02)
        assert len(children()) == 2
        assert cast.status("one") is None
    assert children() == []


def test_a_command_in_the_foreground_gives_its_exit_status() -> None:
    with Cast(Bell(), os.environ) as cast:
        assert cast.play((sys.executable, "-c", "raise SystemExit(3)"), limit_s=20) == 3
        with pytest.raises(CanaryError, match=r"did not end within 0\.3 s"):
            cast.play(SLEEPER, limit_s=0.3)


def test_a_signal_ends_the_command_in_the_foreground_and_is_passed_on() -> None:
    before = signal.getsignal(signal.SIGTERM)
    with bell() as ears, Cast(ears, os.environ) as cast:
        os.kill(os.getpid(), signal.SIGTERM)
        with pytest.raises(StoppedError) as stopped:
            cast.play(SLEEPER, limit_s=20)
        assert stopped.value.number == signal.SIGTERM
        assert not children()
        with pytest.raises(StoppedError):
            ears.pause(0.01)
    assert signal.getsignal(signal.SIGTERM) is before
