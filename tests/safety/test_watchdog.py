"""The second process: what it does when the monitor dies, falls silent, or says goodbye."""

import os
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from canary.core.ledger import decode, verify
from canary.errors import TransientError
from canary.monitor.book import Book
from canary.monitor.docker import Docker
from canary.monitor.heart import Link
from canary.monitor.watchdog import Watchdog
from canary.safety.container import Container

SILENT_S = 1.2


class Box(Docker):
    """Docker, as far as a watchdog asks it, for a process of this machine. `deaf`: it never answers."""

    def __init__(self, process: "subprocess.Popen[bytes]") -> None:
        super().__init__("unix:///nowhere", "box")
        self.process = process
        self.deaf = False

    def inspect(self) -> Container | None:
        if self.deaf:
            raise TransientError("no answer")
        running = self.process.poll() is None
        return Container("a" * 64, "box", status="running" if running else "exited", pid=self.process.pid)

    def kill(self, signal: str = "SIGKILL") -> bool:
        if self.deaf:
            time.sleep(0.2)
            raise TransientError("no answer")
        self.process.kill()
        return True


class Guarded:
    """A watchdog in a thread, its monitor's end of the link, and a process for a sandbox."""

    def __init__(self, folder: Path) -> None:
        self.box = Box(subprocess.Popen(["sleep", "1000"]))
        mine, its = socket.socketpair()
        self.monitor = Link(mine)
        self.path = folder / "box.jsonl"
        self.said: list[str] = []
        self.good: bool | None = None
        dog = Watchdog(self.box, Book(folder, "box", "watchdog"), Link(its), SILENT_S, self.said.append)
        dog.is_of = lambda pid, container: pid == self.box.process.pid and container == "a" * 64
        self.thread = threading.Thread(target=self._run, args=(dog, its), daemon=True)
        self.thread.start()

    def _run(self, dog: Watchdog, end: socket.socket) -> None:
        self.good = dog.run()
        end.close()

    def beat_for(self, seconds: float) -> None:
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            self.monitor.beat()
            self.monitor.hear()
            time.sleep(0.05)

    def watch(self) -> None:
        self.monitor.say("watch", {"id": "a" * 64, "pid": self.box.process.pid})

    def over(self) -> bool | None:
        self.thread.join(10)
        assert not self.thread.is_alive()
        return self.good

    def kinds(self) -> list[str]:
        entries = [decode(line) for line in self.path.read_text().splitlines()]
        assert verify(entries) is None
        return [one.kind for one in entries]


@pytest.fixture
def guarded(tmp_path: Path) -> Iterator[Guarded]:
    found = Guarded(tmp_path)
    yield found
    found.monitor.close()
    found.box.deaf = False
    found.box.process.kill()
    found.box.process.wait()
    found.thread.join(10)


def dead_within(guarded: Guarded, seconds: float) -> None:
    assert guarded.box.process.wait(seconds) == -signal.SIGKILL


def test_while_the_monitor_beats_nothing_happens_and_it_beats_back(guarded: Guarded) -> None:
    guarded.watch()
    guarded.beat_for(2.5)
    assert guarded.box.process.poll() is None
    assert time.monotonic() - guarded.monitor.heard_at < SILENT_S
    assert not guarded.path.exists()
    guarded.monitor.say("bye")
    assert guarded.over() is True
    assert guarded.box.process.poll() is None


def test_when_the_monitor_dies_the_sandbox_dies_and_the_ledger_says_why(guarded: Guarded) -> None:
    guarded.watch()
    guarded.beat_for(0.3)
    guarded.monitor.close()
    dead_within(guarded, 10)
    assert guarded.over() is False
    assert guarded.kinds() == ["decision", "effect", "end"]
    assert "the monitor has died" in guarded.said[0]


def test_when_the_monitor_falls_silent_the_sandbox_dies(guarded: Guarded) -> None:
    guarded.watch()
    guarded.beat_for(0.3)
    begun = time.monotonic()
    dead_within(guarded, 10)
    assert time.monotonic() - begun >= SILENT_S - 0.3
    assert guarded.over() is False
    assert "silent for" in guarded.said[0]


def test_without_docker_it_kills_directly(guarded: Guarded) -> None:
    guarded.watch()
    guarded.beat_for(0.3)
    guarded.box.deaf = True
    guarded.monitor.close()
    dead_within(guarded, 10)
    assert guarded.over() is False
    assert any("SIGKILL sent directly" in one for one in guarded.said)


def test_a_monitor_that_cannot_kill_has_it_killed_and_goes_on_writing_alone(guarded: Guarded) -> None:
    guarded.watch()
    guarded.beat_for(0.3)
    guarded.monitor.say("kill")
    dead_within(guarded, 10)
    assert guarded.over() is False
    assert not guarded.path.exists()


def test_a_ledger_that_cannot_be_written_keeps_it_from_nothing(guarded: Guarded) -> None:
    guarded.path.mkdir()
    guarded.watch()
    guarded.beat_for(0.3)
    guarded.monitor.close()
    dead_within(guarded, 10)


def test_a_monitor_that_dies_before_its_sandbox_came_leaves_none_that_runs(guarded: Guarded) -> None:
    guarded.beat_for(0.3)
    guarded.monitor.close()
    dead_within(guarded, 10)
    assert guarded.over() is False


def test_a_number_that_means_another_process_here_is_not_held(guarded: Guarded) -> None:
    guarded.monitor.say("watch", {"id": "a" * 64, "pid": os.getppid()})
    guarded.beat_for(0.3)
    guarded.monitor.close()
    dead_within(guarded, 10)
    assert guarded.over() is False


def test_noise_on_the_link_is_no_goodbye(guarded: Guarded) -> None:
    guarded.watch()
    end = guarded.monitor._end
    for noise in (
        b"\xff\xfe\n",
        b"[]\n",
        b'"bye"\n',
        b'{"watch": 7}\n',
        b'{"watch": {"pid": "x"}}\n',
        os.urandom(9000),
    ):
        end.send(noise)
    guarded.beat_for(2.0)
    assert guarded.thread.is_alive()
    assert guarded.box.process.poll() is None
