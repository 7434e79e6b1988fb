"""A folder with a service that really runs, load on it, and real `canary` commands; ended by pid."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import psutil

from canary.config.load import load as load_config
from canary.core.ledger import Entry
from canary.core.observation import Arm, Pod
from canary.core.release import Release
from canary.errors import CanaryError
from canary.local import status
from canary.local.demo.tally import Summary, read_summary
from canary.local.layout import Layout
from canary.local.ledger_store import LocalLedger
from canary.local.process import end_now, find_marked
from canary.local.records import LocalRecords
from canary.local.status import Observed
from tests.local.demo_process import free_port

ROOT = Path(__file__).parents[2]
PATIENCE_S = 90.0
"""Far above what anything here takes: other work on the machine must not fail a test."""

Found = TypeVar("Found")


def until(what: Callable[[], Found | None], says: str, patience_s: float = PATIENCE_S) -> Found:
    """The first answer that is true; fails with `says` when none comes."""
    end = time.monotonic() + patience_s
    while time.monotonic() < end:
        with suppress(CanaryError):
            found = what()
            if found:
                return found
        time.sleep(0.02)
    raise AssertionError(f"not within {patience_s:g} s: {says}")


@dataclass(frozen=True)
class Ran:
    """A command that has ended. `out`, `err`: what it printed."""

    code: int
    out: str
    err: str

    @property
    def text(self) -> str:
        return f"exit code {self.code}\n{self.out}{self.err}"

    @property
    def document(self) -> dict[str, Any]:
        """What it printed last, as JSON."""
        found: dict[str, Any] = json.loads(self.out.splitlines()[-1])
        return found


class Driver:
    """A `canary` command that goes on; its output is in files."""

    def __init__(self, command: Sequence[str], folder: Path, name: str) -> None:
        self.out, self.err = folder / f"{name}.out", folder / f"{name}.err"
        with self.out.open("w") as out, self.err.open("w") as err:
            self.process = subprocess.Popen(
                command, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=out, stderr=err
            )

    @property
    def pid(self) -> int:
        return self.process.pid

    def says(self, text: str) -> None:
        """Wait until it has said so."""
        until(lambda: text in self.text() or self._over(), f"{text!r} from {self.text()}")

    def ended(self, patience_s: float = 2 * PATIENCE_S) -> Ran:
        """Wait for its end."""
        try:
            code = self.process.wait(patience_s)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"it goes on after {patience_s:g} s: {self.text()}") from None
        return Ran(code, self.out.read_text(), self.err.read_text())

    def kill(self) -> None:
        """As a power cut would."""
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def text(self) -> str:
        return self.out.read_text() + self.err.read_text()

    def _over(self) -> bool:
        assert self.process.poll() is None, f"it has ended: {self.text()}"
        return False


CONFIG: Mapping[str, Any] = {
    "target": {"local": "shop"},
    "local": {
        "version": "v1",
        "replicas": 2,
        "directory": str(ROOT),
        "health": "/health/ready",
        "drain": "5s",
        "ready": "2m",
        "scrape": "500ms",
        "state": ".canary",
    },
    "steps": [33, 50],
    "hold": {"min": "1s", "max": "60s"},
    "deadline": "10m",
    "analysis": {
        "interval": "500ms",
        "warm_up": {"min": "500ms", "max": "5s"},
        "metrics": [
            {
                "preset": "http",
                "errors": {"margin": {"abs": "30pp"}},
                "latency": {"slower_than": "250ms", "margin": {"abs": "30pp"}},
            }
        ],
    },
}
"""Times are short and margins wide, so that a release takes seconds; all rates are the real ones."""


def merged(base: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """The base with the changes, key by key all the way down."""
    found = dict(base)
    for key, value in changes.items():
        inner = found.get(key)
        found[key] = merged(inner, value) if isinstance(inner, Mapping) and isinstance(value, dict) else value
    return found


class Place:
    """One service in one folder.

    Args:
        folder: of its own.
        faults: which versions are bad, as the shop reads it.
        changes: to CONFIG.
    """

    def __init__(self, folder: Path, faults: str = "", **changes: Any) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder, self.config = folder, folder / "canary.yaml"
        self.outage = folder / "no-metrics"
        self.port = free_port()
        command = [sys.executable, "-m", "tests.e2e.shop", "--outage", str(self.outage)]
        command += ["--version", "{version}", "--port", "{port}", "--faults", faults]
        command += ["--shared", str(folder / "shared")]
        local = {"local": {"command": command, "listen": f"127.0.0.1:{self.port}"}}
        # JSON is YAML too.
        self.config.write_text(json.dumps(merged(merged(CONFIG, local), changes), indent=1))
        service = load_config(self.config).local
        assert service is not None
        self.service, self.layout = service, Layout.of(service)
        self.supervisor: Driver | None = None
        self.generator: Driver | None = None
        self._drivers: list[Driver] = []

    def up(self) -> None:
        """Start the supervisor, and wait until all replicas are ready."""
        self.supervisor = self.begin("local", "up")
        pid = self.supervisor.pid

        def whole() -> bool:
            seen = status.load(self.layout.observed)
            assert self.supervisor is not None
            assert self.supervisor.process.poll() is None, self.supervisor.text()
            if seen is None or seen.pid != pid:
                return False  # still what an earlier supervisor saw
            return len(ready(seen)) >= self.service.replicas

        until(whole, f"ready; the supervisor said: {self.supervisor.text()}")

    def load(self, rps: float) -> None:
        """Start requests, and wait for the first answers."""
        url = f"http://127.0.0.1:{self.port}"
        command = [sys.executable, "-m", "canary.local.demo.load", "--url", url, "--rps", str(rps)]
        command += ["--seconds", "3000", "--live", str(self.folder / "load.json"), "--seed", "7"]
        self.generator = self._start(command)
        until(lambda: self._books() is not None and self.books().answered > rps / 2, "the first answers")

    def command(self, *arguments: str) -> list[str]:
        """A canary command on this place's configuration."""
        return [sys.executable, "-m", "canary", *arguments, "-f", str(self.config)]

    def begin(self, *arguments: str) -> Driver:
        """Start a command that goes on."""
        return self._start(self.command(*arguments))

    def run(self, *arguments: str) -> Ran:
        """Run a command to its end."""
        return self.begin(*arguments).ended()

    def _start(self, command: Sequence[str]) -> Driver:
        driver = Driver(command, self.folder, f"said-{len(self._drivers)}")
        self._drivers.append(driver)
        return driver

    def start_killed(self, effect: str, when: str, log: Path, version: str) -> Ran:
        """`canary start`, ended by SIGKILL at an effect; see `killed_driver`."""
        command = [sys.executable, "-m", "tests.e2e.killed_driver", effect, when, str(log)]
        return self._start([*command, "start", version, "-f", str(self.config)]).ended()

    def rested(self, seconds: float = 7.0) -> None:
        """Wait until there is so much history of the target: the reference of a release."""

        def old() -> bool:
            births = [pod.born or time.time() for pod in self.seen().pods[Arm.STABLE]]
            return time.time() - min(births) > seconds

        until(old, f"{seconds:g} s of history")

    def seen(self) -> Observed:
        """What the supervisor saw last."""
        return until(lambda: status.load(self.layout.observed), "the supervisor has written nothing")

    def stable(self) -> tuple[str, int, int]:
        """Version, replicas asked for and replicas ready of the target."""
        seen = self.seen()
        pods = seen.pods[Arm.STABLE]
        good = sum(pod.ready and pod.revision == seen.stable.revision for pod in pods)
        return self.version_of(seen.stable.revision), seen.stable.replicas, good

    def version_of(self, revision: str) -> str:
        path = self.layout.revisions / f"{revision}.json"
        found: str = json.loads(path.read_text())["template"]["version"]
        return found

    def canaries(self) -> tuple[Pod, ...]:
        """Replicas of the canary."""
        return self.seen().pods[Arm.CANARY]

    def pid_of(self, pod: Pod) -> int:
        found: int = json.loads((self.layout.pods / f"{pod.name}.json").read_text())["pid"]
        return found

    def release(self) -> Release | None:
        """The record as it stands."""
        found = LocalRecords(self.service.state).load(self.service.name)
        return found.release if found else None

    def recorded(self) -> Release:
        found = self.release()
        assert found is not None
        return found

    def entries(self) -> tuple[Entry, ...]:
        """The ledger as it stands."""
        return LocalLedger(self.service.state).read(self.service.name)

    def _books(self) -> Summary | None:
        return read_summary(self.folder / "load.json")

    def books(self) -> Summary:
        """The load generator's counts so far."""
        return until(self._books, "the load generator has written nothing")

    def failed(self) -> int:
        """Requests without an answer, by all that has begun before now."""
        at = time.time()
        return until(
            lambda: self.books() if self.books().at > at else None, "newer counts of the load"
        ).failed

    def verified(self) -> str:
        """Export the ledger and have it verified; empty when it is whole, else what was said."""
        exported = self.run("audit", "export")
        ledger = self.folder / "ledger.jsonl"
        ledger.write_text(exported.out)
        found = self.run("audit", "verify", str(ledger))
        return "" if exported.code == found.code == 0 else exported.err + found.text

    def close(self) -> None:
        """End all that was started here, replicas included."""
        for driver in reversed(self._drivers):
            if driver.process.poll() is None:
                driver.kill()
        for those in find_marked(str(self.layout.root)).values():
            end_now(those)


class Floor(threading.Thread):
    """Looks all the time how many replicas are ready, until stopped; `fewest` is the least that was seen."""

    def __init__(self, layout: Layout) -> None:
        super().__init__(daemon=True)
        self.fewest = sys.maxsize
        self.looks = 0
        self._layout = layout
        self._over = threading.Event()

    def run(self) -> None:
        before = None
        while not self._over.wait(0.01):
            stamp = self._layout.observed.stat().st_mtime_ns
            if stamp == before:
                continue
            before = stamp
            seen = status.load(self._layout.observed)
            if seen is not None:
                self.fewest = min(self.fewest, len(ready(seen)))
                self.looks += 1

    def __enter__(self) -> "Floor":
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self.join()


def ready(seen: Observed) -> list[Pod]:
    """All replicas that serve, of both arms."""
    return [pod for pods in seen.pods.values() for pod in pods if pod.ready]


@contextmanager
def place(folder: Path, faults: str = "", **changes: Any) -> Iterator[Place]:
    """A place that leaves no process behind, whatever happens."""
    here = Place(folder, faults, **changes)
    try:
        yield here
    finally:
        here.close()


@contextmanager
def serving(folder: Path, faults: str = "", *, rps: float = 60.0, **changes: Any) -> Iterator[Place]:
    """A place with its service up, under load unless `rps` is 0."""
    with place(folder, faults, **changes) as here:
        here.up()
        if rps:
            here.load(rps)
        yield here


def refused(ran: Ran, code: int, *told: str) -> None:
    """It ended with this code, told all this, and nothing of the program's inside."""
    assert ran.code == code, ran.text
    assert "Traceback" not in ran.text, ran.text
    assert "internal fault" not in ran.text, ran.text
    assert [text for text in told if text not in ran.text] == [], ran.text


def gone(pid: int) -> bool:
    """No such process any more, or only its end is left to be collected."""
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def kill(pid: int) -> None:
    """SIGKILL, and wait until it is gone."""
    os.kill(pid, signal.SIGKILL)
    until(lambda: gone(pid), f"process {pid} is gone")
