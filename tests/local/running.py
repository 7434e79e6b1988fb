"""A supervisor as a real process, and what tests ask of it."""

import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, replace
from pathlib import Path
from threading import Event, Thread
from typing import TypeVar

from canary.config.settings import LocalService
from canary.core.actions import SetRevision
from canary.core.observation import Arm, Pod, World
from canary.errors import TransientError
from canary.local import status
from canary.local.layout import Layout
from canary.local.process import Started, end_now, find_marked
from canary.local.workloads import LocalWorkloads

ROOT = Path(__file__).parents[2]
PATIENCE_S = 40.0
Found = TypeVar("Found")


def a_service(folder: Path, *fault: str, **changes: object) -> LocalService:
    """The tiny service, state in `folder`, on a port that the system chooses."""
    command = (sys.executable, "-S", str(ROOT / "tests/local/tiny_service.py"), "{port}", "{version}", *fault)
    service = LocalService(
        "shop", command, "v1", folder, folder / "state", replicas=2, listen=("127.0.0.1", 0),
        scrape_s=0.5, drain_s=5.0,
    )  # fmt: skip
    return replace(service, **changes)  # type: ignore[arg-type]


def wait_for(what: Callable[[], Found | None], says: str) -> Found:
    """The first answer that is not None or False; fails with `says` after PATIENCE_S."""
    end = time.monotonic() + PATIENCE_S
    while time.monotonic() < end:
        with suppress(TransientError):
            found = what()
            if found is not None and found is not False:
                return found
        time.sleep(0.03)
    raise AssertionError(f"not within {PATIENCE_S:g} s: {says}")


class Up:
    """A running supervisor of a service."""

    def __init__(self, service: LocalService) -> None:
        self.service = service
        self.layout = Layout.of(service)
        self.workloads = LocalWorkloads(service)
        self.said = service.directory / "up.log"
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        values = {**asdict(self.service), "state": str(self.service.state)}
        values["directory"] = str(self.service.directory)
        values["targets"] = str(self.service.targets) if self.service.targets else None
        with open(self.said, "ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, str(ROOT / "tests/local/up.py"), json.dumps(values)],
                env={**os.environ, "PYTHONPATH": str(ROOT)},
                stdout=log,
                stderr=log,
            )

    def end(self, number: int = signal.SIGTERM) -> int:
        assert self.process is not None
        self.process.send_signal(number)
        return self.process.wait(PATIENCE_S)

    def words(self) -> str:
        return self.said.read_text()

    def world(self) -> World:
        found = self.workloads.observe()
        if found is None:
            raise TransientError("nothing yet")
        return found

    def settled(self) -> World:
        def look() -> World | None:
            world = self.world()
            seen = status.load(self.layout.observed)
            if seen is None or self.process is None or seen.pid != self.process.pid:
                # Still what an earlier supervisor saw.
                return None
            done = world.stable.settled and (world.canary is None or world.canary.settled)
            return world if done else None

        return wait_for(look, f"workloads settled; it said: {self.words()}")

    def pods(self) -> tuple[Pod, ...]:
        return self.world().stable.pods

    def url(self, path: str = "/") -> str:
        observed = status.load(self.layout.observed)
        assert observed is not None
        return f"http://127.0.0.1:{observed.address[1]}{path}"

    def canary(self, version: str, replicas: int) -> SetRevision:
        revision = self.workloads.revise(self.world().stable.revision, version)
        return SetRevision(Arm.CANARY, revision, replicas)

    def processes(self) -> list[Started]:
        return [one for those in find_marked(str(self.layout.root)).values() for one in those]


@contextmanager
def up(service: LocalService) -> Iterator[Up]:
    """Start it; whatever happens, leave no process behind."""
    running = Up(service)
    running.start()
    try:
        yield running
    finally:
        if running.process is not None and running.process.poll() is None:
            running.process.kill()
            running.process.wait()
        for those in find_marked(str(running.layout.root)).values():
            end_now(those)


def get(url: str) -> str:
    """The body of an answer, on a connection of its own."""
    with urllib.request.urlopen(url, timeout=30) as answer:
        return str(answer.read().decode())


class Load:
    """Requests one after another in a few threads, each on a connection of its own or kept alive."""

    def __init__(self, request: Callable[[], str], threads: int = 3) -> None:
        self.answers: list[str] = []
        self.failures: list[str] = []
        self._request = request
        self._over = Event()
        self._threads = [Thread(target=self._go) for _ in range(threads)]

    def __enter__(self) -> "Load":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join(PATIENCE_S)

    def _go(self) -> None:
        while not self._over.is_set():
            try:
                self.answers.append(self._request())
            except OSError as fault:
                self.failures.append(repr(fault))
            time.sleep(0.004)
