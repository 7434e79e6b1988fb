"""The control groups of the daemon: one group in each hierarchy, with all that it has started below it."""

import os
import signal
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from tests.cluster.faults import ClusterError

ROOT = Path("/sys/fs/cgroup")
PATIENCE_S = 20.0


def own(name: str, root: Path = ROOT) -> Path:
    """The group that the daemon itself is to be started in: in the one hierarchy, or in that of `pids`."""
    return (root if (root / "cgroup.controllers").exists() else root / "pids") / name / "daemon"


def members(name: str, root: Path = ROOT) -> list[int]:
    """The pids of all that is in this group or below it, in any hierarchy."""
    found = set()
    for folder in _folders(name, root):
        with suppress(OSError):
            found |= {int(line) for line in (folder / "cgroup.procs").read_text().split()}
    return sorted(found - {0, os.getpid()})


def end(name: str) -> list[int]:
    """Kill all that is in it, again and again until nothing is, and remove it; what was killed.

    Raises:
        ClusterError: something cannot be killed.
    """
    killed: set[int] = set()
    late = time.monotonic() + PATIENCE_S
    while found := members(name):
        for pid in found:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        killed |= set(found)
        if time.monotonic() > late:
            raise ClusterError(f"processes {found} of the control group {name} do not die")
        time.sleep(0.05)
    _remove(name)
    return sorted(killed)


def _folders(name: str, root: Path = ROOT) -> Iterator[Path]:
    """Every folder of the group, the deepest first."""
    tops = [root / name, *(path / name for path in sorted(root.iterdir()) if path.is_dir())]
    for top in tops:
        for folder, _, _ in os.walk(top, topdown=False):
            yield Path(folder)


def _remove(name: str) -> None:
    late = time.monotonic() + PATIENCE_S
    while left := [folder for folder in _folders(name) if folder.exists()]:
        for folder in left:
            with suppress(OSError):  # the kernel takes a moment to see that it is empty
                folder.rmdir()
        if time.monotonic() > late:
            raise ClusterError(f"the control groups {', '.join(map(str, left))} cannot be removed")
        time.sleep(0.02)
