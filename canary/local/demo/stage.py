"""Where a demo plays: its folder, its `canary.yaml`, its port; and what an earlier one left there."""

import fcntl
import json
import os
import shutil
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import IO

import psutil

from canary.errors import CanaryError, InvalidError

HOST = "127.0.0.1"
USUAL_PORT = 8080
LOCK = "demo.lock"

REPLICAS = 4

_OURS = ("canary.yaml", "load.json", "local.log", "load.log")
_FOLDERS = (".canary", "shared")

CONFIG = """\
# Written by `canary demo`. Everything in here works the same for a service of your own.
#
# Shortened for the demo: `scrape`, `hold`, `interval` and `warm_up` (each line says what is usual): the
# service answers hundreds of requests a second, so seconds tell as much as minutes of a quieter one.
# Not shortened: the rates. `false_rollback_rate` (1 %) and `false_promotion_rate` (2 %) are the
# defaults, and so are tolerances and margins.
target: {{local: shop}}
local:
  command: [{python}, -m, canary.local.demo.service, --version, "{{version}}", --port, "{{port}}",
            --faults, "{faults}", --seed, "{seed}", --shared, {shared}]
  version: v1.0.0
  replicas: {replicas}
  listen: {host}:{port}
  health: /health/ready
  metrics: /metrics
  surge: 1
  unavailable: 0
  drain: 5s
  scrape: 500ms                  # shortened; usual: 15s
  state: .canary
steps: [25, 50]
hold: {{min: 3s, max: 60s}}        # shortened; usual: {{min: 1m, max: 15m}}
deadline: 3m
analysis:
  interval: 1s                   # shortened; usual: 15s
  warm_up: {{min: 4s, max: 20s}}   # shortened; usual: {{min: 60s, max: 5m}}
  exclude: {{path: ["/health*", "/metrics"]}}
  metrics:
    - preset: http
      errors:  {{tolerance: 10%, margin: {{ratio: 1.5, abs: 0.5pp}}}}
      latency: {{tolerance: 25%, slower_than: 250ms, margin: {{ratio: 1.5, abs: 1pp}}}}
"""


@dataclass(frozen=True)
class Stage:
    """A folder in which one demo plays."""

    folder: Path

    @property
    def config(self) -> Path:
        """The demo's `canary.yaml`."""
        return self.folder / "canary.yaml"

    @property
    def live(self) -> Path:
        """The load generator's counts, as they grow."""
        return self.folder / "load.json"

    def log(self, name: str) -> Path:
        """Where a background process writes what it says."""
        return self.folder / f"{name}.log"

    def write_config(self, *, port: int, faults: str, seed: int) -> None:
        """Write `canary.yaml`.

        Args:
            port: in front of the service. faults: which versions are bad, as the service reads it.
            seed: of the service's latencies and errors.
        """
        text = CONFIG.format(
            python=json.dumps(sys.executable),
            replicas=REPLICAS,
            host=HOST,
            port=port,
            faults=faults,
            seed=seed,
            shared=json.dumps(str(self.folder / "shared")),
        )
        self.config.write_text(text)


@contextmanager
def stage(folder: Path) -> Iterator[Stage]:
    """Take the folder for one demo, cleared of what an earlier one left there, processes included.

    Raises:
        InvalidError: it holds files that no demo wrote, or another demo plays in it now.
        CanaryError: it cannot be written to.
    """
    folder = folder.absolute()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if not (folder / LOCK).exists() and any(folder.iterdir()):
            raise InvalidError(
                f"{folder} holds files that no demo wrote",
                remedy="Give an empty or a new folder: canary demo --directory FOLDER",
            )
        lock = (folder / LOCK).open("a")
    except OSError as error:
        raise CanaryError(
            f"{folder} cannot be used for the demo: {error.strerror}",
            remedy="Give a folder that can be written to: canary demo --directory FOLDER",
        ) from error
    with lock:
        _take(lock, folder)
        stop_leftovers(folder)
        _clear(folder)
        try:
            yield Stage(folder)
        finally:
            # A replica outlives a supervisor that was killed.
            stop_leftovers(folder)


def _take(lock: IO[str], folder: Path) -> None:
    try:
        # Let go by the kernel when this process ends, however it ends.
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        raise InvalidError(
            f"another demo plays in {folder} now",
            remedy="End it with Ctrl-C, or play elsewhere: canary demo --directory FOLDER",
        ) from error


def _clear(folder: Path) -> None:
    for name in _OURS:
        (folder / name).unlink(missing_ok=True)
    for name in _FOLDERS:
        with suppress(FileNotFoundError):
            shutil.rmtree(folder / name)


def stop_leftovers(folder: Path) -> list[int]:
    """End what demos started in this folder and did not end, replicas included; returns the pids.

    Only processes of this user that were started as `python -m canary...` with a path in the folder
    among their arguments.
    """
    found = [process for process in psutil.process_iter() if _left_over(process, folder)]
    for process in found:
        with suppress(psutil.Error):
            process.terminate()
    _, alive = psutil.wait_procs(found, timeout=5)
    for process in alive:
        with suppress(psutil.Error):
            process.kill()
    psutil.wait_procs(alive, timeout=5)
    return [process.pid for process in found]


def _left_over(process: psutil.Process, folder: Path) -> bool:
    try:
        words = process.cmdline()
        if process.pid == os.getpid() or process.uids().real != os.getuid():
            return False
    except psutil.Error:
        return False  # gone meanwhile, or not ours to see
    modules = [after for before, after in pairwise(words) if before == "-m"]
    ours = any(module.partition(".")[0] == "canary" for module in modules)
    return ours and any(Path(word).is_relative_to(folder) and Path(word) != folder for word in words)


def pick_port(wanted: int = USUAL_PORT) -> int:
    """The wanted port if nobody listens there, else any free one."""
    for port in (wanted, 0):
        with socket.socket() as probe, suppress(OSError):
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((HOST, port))
            return int(probe.getsockname()[1])
    raise CanaryError(f"no free port on {HOST}", remedy="End something that listens there, then try again.")


def port_is_taken(port: int) -> bool:
    """Whether somebody listens there now."""
    with socket.socket() as probe:
        return probe.connect_ex((HOST, port)) == 0
