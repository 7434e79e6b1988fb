"""Processes in sessions of their own, known by a pid file: `PID START`, START in clock ticks since boot.

The process writes its file itself before it becomes the program. A start that is killed at any point thus
leaves nothing that no file knows. The start time tells it from a later process that got the same pid.
"""

import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

import psutil

from tests.cluster.faults import ClusterError
from tests.cluster.place import Place

PATIENCE_S = 20.0
REGISTER = 'echo "$$ $(cut -d" " -f22 /proc/$$/stat)" > "$0.part" && mv "$0.part" "$0" && exec "$@"'


def start(
    place: Place, name: str, command: Sequence[str | Path], environment: Mapping[str, str] | None = None
) -> None:
    """Start a program that outlives us, its output in `logs/NAME.log`."""
    (place.folder / "pids").mkdir(parents=True, exist_ok=True)
    place.logs.mkdir(parents=True, exist_ok=True)
    with (place.logs / f"{name}.log").open("ab") as log:
        # No child of ours but init's: it outlives us, and nobody here has to wait for its end.
        subprocess.run(
            ["setsid", "--fork", "sh", "-c", REGISTER, str(_pid_file(place, name)), *map(str, command)],
            cwd=place.folder,
            env={**os.environ, **(environment or {})},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            check=True,
        )
    until(lambda: _pid_file(place, name).exists(), f"{name} to start", patience_s=5)


def running(place: Place) -> dict[str, int]:
    """The pids of what is alive of all that was started here, by name."""
    found = {path.stem: _alive(path) for path in sorted((place.folder / "pids").glob("*.pid"))}
    return {name: pid for name, pid in found.items() if pid is not None}


def dead(place: Place) -> list[str]:
    """What was started here and is not alive any more."""
    return sorted({path.stem for path in (place.folder / "pids").glob("*.pid")} - running(place).keys())


def stop_all(place: Place) -> list[str]:
    """End all that was started here, with all descendants; what it was.

    At once and without grace: no state is kept, and what cannot be killed in the middle is no test cluster.
    """
    found = running(place)
    _end(found.values())
    for path in (place.folder / "pids").glob("*.pid"):
        path.unlink()
    return sorted(found)


def stop(place: Place, name: str) -> None:
    """End this one, as `stop_all` does all of them; that it is not there any more is nobody's death."""
    _end([pid for found, pid in running(place).items() if found == name])
    _pid_file(place, name).unlink(missing_ok=True)


def _end(pids: Iterable[int]) -> None:
    ended: list[psutil.Process] = []
    for pid in pids:
        try:
            leader = psutil.Process(pid)
            ended += [leader, *leader.children(recursive=True)]
            os.killpg(pid, signal.SIGKILL)
        except (psutil.NoSuchProcess, ProcessLookupError):
            continue
    for process in ended:
        try:
            process.kill()
        except psutil.NoSuchProcess:
            continue
    until(lambda: not any(_runs(process) for process in ended), "all of it to die", patience_s=PATIENCE_S)


def until(
    what: Callable[[], object], says: str, *, place: Place | None = None, patience_s: float = 60.0
) -> None:
    """Wait until it is true; fails with `says`, and at once when something started at `place` has died."""
    end = time.monotonic() + patience_s
    while not what():
        if place is not None and (gone := dead(place)):
            raise ClusterError(f"waited for {says}, but {gone[0]} has died:\n{tail(place, gone[0])}")
        if time.monotonic() > end:
            logs = f"; logs are in {place.logs}" if place is not None else ""
            raise ClusterError(f"waited {patience_s:g} s for {says}{logs}")
        time.sleep(0.05)


def tail(place: Place, name: str) -> str:
    """The last words of its log, and where the rest is."""
    path = place.logs / f"{name}.log"
    return f"{path.read_text(errors='replace')[-2000:]}\n({path})"


def _runs(process: psutil.Process) -> bool:
    """Whether it is alive. A zombie is not: some containers' first process never takes one in."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def _pid_file(place: Place, name: str) -> Path:
    return place.folder / "pids" / f"{name}.pid"


def _alive(path: Path) -> int | None:
    """The pid in this file if the process that wrote it still runs."""
    try:
        pid, started = path.read_text().split()
        stat = Path(f"/proc/{pid}/stat").read_text()
    except (OSError, ValueError):
        return None
    state, *rest = stat.rpartition(")")[2].split()  # the name in parentheses may hold spaces
    return int(pid) if rest[18] == started and state not in "ZX" else None
