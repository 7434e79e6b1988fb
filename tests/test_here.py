"""Processes of this machine, real ones, and whether they are seen to have ended."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from canary.here import ThisMachine
from tests.command import ROOT

HERE = ThisMachine()
pytestmark = pytest.mark.skipif(not HERE.mark(), reason="this system tells nothing of its processes")
SAYS = "from canary.here import ThisMachine\nprint(ThisMachine().mark(), flush=True)\n"


@contextmanager
def a_process(then: str = "import time; time.sleep(60)") -> Iterator[tuple["subprocess.Popen[str]", str]]:
    """One that lives, and its mark."""
    command = [sys.executable, "-c", SAYS + then]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        yield process, process.stdout.readline().strip()
    finally:
        process.kill()
        process.communicate()


def test_one_that_lives_has_not_ended() -> None:
    with a_process() as (_, mark):
        assert not HERE.ended(mark)
    assert not HERE.ended(HERE.mark())


def test_one_that_was_killed_has_ended() -> None:
    with a_process() as (process, mark):
        process.send_signal(signal.SIGKILL)
        process.wait()

        assert HERE.ended(mark)


def test_one_that_only_waits_to_be_buried_has_ended() -> None:
    with a_process() as (process, mark):
        os.kill(process.pid, signal.SIGKILL)
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)

        assert HERE.ended(mark)


def test_one_whose_first_thread_alone_has_ended_lives() -> None:
    then = "import ctypes, threading, time\nthreading.Thread(target=time.sleep, args=(60,)).start()\n"
    with a_process(then + "ctypes.CDLL(None).pthread_exit(None)") as (process, mark):
        stat = Path(f"/proc/{process.pid}/stat")
        end = time.monotonic() + 20.0
        while stat.read_text().rpartition(")")[2].split()[0] != "Z" and time.monotonic() < end:
            time.sleep(0.02)

        assert stat.read_text().rpartition(")")[2].split()[0] == "Z"
        assert not HERE.ended(mark)


def test_a_number_that_was_given_anew_is_another_process() -> None:
    with a_process() as (_, mark):
        earlier = "/".join((*mark.split("/")[:4], "1"))

        assert HERE.ended(earlier)


@pytest.mark.parametrize("part", [0, 1, 2], ids=["boot", "process numbers", "clock"])
def test_of_another_machine_or_namespace_nothing_is_known(part: int) -> None:
    with a_process() as (process, mark):
        process.kill()
        process.wait()
        parts = mark.split("/")
        parts[part] = "0"

        assert HERE.ended(mark)
        assert not HERE.ended("/".join(parts))


@pytest.mark.parametrize("tail", ["0/1", "-1/1", "x/1", "", "1", "1/2/3"])
def test_a_mark_that_is_none_proves_nothing(tail: str) -> None:
    space = HERE.mark().split("/")[:3]

    assert not HERE.ended("/".join((*space, tail)) if tail else "")


def kernel(folder: Path, number: int) -> Path:
    """What the kernel shows of itself, with this as the number of whoever asks."""
    (folder / "sys/kernel/random").mkdir(parents=True)
    (folder / "sys/kernel/random/boot_id").write_text("b0\n")
    (folder / str(number) / "ns").mkdir(parents=True)
    (folder / str(number) / "stat").write_text(f"{number} (a ) name) S " + " ".join(map(str, range(4, 30))))
    (folder / str(number) / "ns/pid").touch()
    (folder / str(number) / "ns/time").touch()
    (folder / "self").symlink_to(str(number))
    return folder


def test_a_process_is_told_by_its_boot_its_namespaces_its_number_and_its_start(tmp_path: Path) -> None:
    mark = ThisMachine(kernel(tmp_path, os.getpid())).mark().split("/")

    assert (mark[0], mark[3], mark[4]) == ("b0", str(os.getpid()), "22")


def test_numbers_of_another_namespace_are_not_taken_for_ours(tmp_path: Path) -> None:
    assert ThisMachine(kernel(tmp_path, os.getpid() + 1)).mark() == ""


def test_where_the_system_tells_nothing_there_is_no_mark_and_nothing_is_proved(tmp_path: Path) -> None:
    elsewhere = ThisMachine(tmp_path)

    assert elsewhere.mark() == ""
    assert not elsewhere.ended(HERE.mark())
