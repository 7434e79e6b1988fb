"""A sandbox of the tests: a real container, and the real `canary guard run` that watches it."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from canary.core.ledger import Entry, decode, verify
from tests.command import ROOT, Ran, begun, ended
from tests.docker import Daemon, images

NAME = "sandbox"
NETWORK = "sandbox"
PATIENCE_S = 60.0
WITHIN_S = 2.0
"""What is promised: stopped so soon after its rule's time."""
HARDENED = (
    "--cap-drop=ALL",
    "--security-opt=no-new-privileges",
    "--user=33",
    "--memory=128m",
    "--memory-swap=128m",
    "--cpus=0.5",
    "--pids-limit=300",
)
RULES = """\
rules:
  - {name: egress, condition: "network_connections > 0", action: kill_container, alert: true}
  - {name: cpu, condition: "cpu_usage > 95% for 30s", action: throttle, alert: true}
  - {name: memory, condition: "memory_usage > 90%", action: kill_container, alert: true}
  - {name: time, condition: "runtime > 3600s", action: graceful_shutdown, alert: false}
  - {name: privileges, condition: "process_privileges_changed", action: kill_container, alert: true}
  - {name: laws, condition: "four_laws_violation_detected", action: kill_container, alert: true}
  - {name: processes, condition: "processes > 100", action: kill_container}
"""


@dataclass
class Box:
    """One sandbox, its monitor and its places.

    Attributes:
        folder: of the test. before: what comes before the monitor's command.
    """

    daemon: Daemon
    folder: Path
    before: tuple[str, ...] = ()
    monitors: list["subprocess.Popen[str]"] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.ledger = self.folder / "ledger"
        self.reports = self.folder / "reports"
        self.reports.mkdir(exist_ok=True)
        self.ledger.mkdir(exist_ok=True)

    def guard(self, *options: str, rules: str = RULES) -> "subprocess.Popen[str]":
        """The monitor, waiting for the container."""
        path = self.folder / "safety_rules.yaml"
        path.write_text(rules)
        monitor = self._begun(
            *("guard", "run", "--rules", str(path), "--container", NAME, "--docker", self.daemon.host),
            *("--ledger", str(self.ledger), "--reports", str(self.reports / "socket"), *options),
        )
        self.monitors.append(monitor)
        return monitor

    def _begun(self, *arguments: str) -> "subprocess.Popen[str]":
        if not self.before:
            return begun(self.folder, {}, *arguments)
        return subprocess.Popen(
            [*self.before, sys.executable, "-m", "canary", *arguments],
            cwd=self.folder,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def watched(self, *options: str, rules: str = RULES) -> "subprocess.Popen[str]":
        """The monitor, once it has begun to wait."""
        before = len(self.entries())
        monitor = self.guard(*options, rules=rules)
        self.until(lambda: len(self.entries()) > before or monitor.poll() is not None, "the monitor to wait")
        return monitor

    def start(self, what: str, *options: str, network: str = NETWORK, hardened: bool = True) -> None:
        """The sandbox, which does something after a second and a half."""
        base = images.provide(self.daemon)
        work = Path(__file__).with_name("workload.py")
        limits = HARDENED if hardened else ()
        self.daemon.docker(
            *("run", "--detach", "--name", NAME, "--network", network, *limits),
            *("--volume", f"{work}:/workload.py:ro", "--volume", f"{self.reports}:/reports:ro", *options),
            *(base, "python3", "/workload.py", *what.split()),
        )

    def look(self, path: str = NAME) -> dict[str, Any]:
        """What Docker says of it."""
        (found,) = json.loads(self.daemon.docker("inspect", path))
        return dict(found)

    def runs(self) -> bool:
        """Whether it runs."""
        return bool(self.look()["State"]["Running"])

    def acted_at(self) -> float:
        """When it did what it should not, unix seconds."""
        self.until(lambda: bool(self.daemon.docker("logs", NAME).strip()), "the workload to act")
        return float(self.daemon.docker("logs", NAME).split()[0])

    def died_at(self) -> float:
        """When it had ended, unix seconds, as Docker says."""
        self.until(lambda: not self.runs(), "the container's end")
        return datetime.fromisoformat(self.look()["State"]["FinishedAt"]).timestamp()

    def entries(self) -> list[Entry]:
        """The ledger so far; each line of it is one."""
        path = self.ledger / f"{NAME}.jsonl"
        text = path.read_text() if path.exists() else ""
        return [decode(line) for line in text.split("\n")[:-1]]

    def whole(self) -> list[Entry]:
        """The ledger, which is whole."""
        found = self.entries()
        assert verify(found) is None
        return found

    def told(self, kind: str) -> list[dict[str, Any]]:
        """Bodies of the entries of a kind."""
        return [dict(one.body) for one in self.entries() if one.kind == kind]

    def ended(self, monitor: "subprocess.Popen[str]", patience_s: float = PATIENCE_S) -> Ran:
        """What came of the monitor."""
        return ended(monitor, patience_s)

    def until(self, holds: Callable[[], bool], what: str, patience_s: float = PATIENCE_S) -> None:
        """Wait until something holds."""
        end = time.monotonic() + patience_s
        while not holds():
            assert time.monotonic() < end, f"waited {patience_s:g} s for {what}: {self._said()}"
            time.sleep(0.05)

    def _said(self) -> str:
        return "; ".join(f"{one.kind}: {one.body.get('said')}" for one in self.entries()[-6:])

    def watchdog_of(self, monitor: "subprocess.Popen[str]") -> int:
        """The process id of a monitor's watchdog."""
        children = Path(f"/proc/{monitor.pid}/task/{monitor.pid}/children").read_text().split()
        assert len(children) == 1
        return int(children[0])

    def close(self) -> None:
        """End all that is left."""
        for monitor in self.monitors:
            with suppress(ProcessLookupError):
                os.kill(monitor.pid, signal.SIGCONT)
            monitor.kill()
            monitor.communicate()
        self.daemon.empty()


def audited(box: Box, *options: str) -> Ran:
    """What `canary audit verify` says of its ledger."""
    command = [sys.executable, "-m", "canary", "audit", "verify", "--ledger", str(box.ledger), *options]
    done = subprocess.run(
        command, env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=False
    )
    return Ran(done.returncode, done.stdout, done.stderr)
