"""The control group of a container, of version 1 and 2: its processes, CPU, memory, and their limits."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from math import inf
from pathlib import Path

ROOT = Path("/sys/fs/cgroup")
UNLIMITED = 2**60
"""Version 1 says no limit by a number larger than this."""
DEEPEST = 6
"""Folders deep in which a group is looked for by its name."""


class CgroupError(OSError):
    """A group, or a file of it, is not where it should be; the message says what that means."""


@dataclass(frozen=True)
class Cgroup:
    """The folders of one group; of version 2 they are all the same."""

    processes: Path
    cpu: Path
    usage: Path
    memory: Path
    version: int

    def pids(self) -> tuple[int, ...]:
        """Processes of the group and of all groups in it: none hides by leaving its parent.

        Raises:
            OSError: the group is not there.
        """
        found = _pids(self.processes)
        for folder in _below(self.processes):
            try:
                found += _pids(folder)
            except FileNotFoundError:
                # Groups inside come and go.
                continue
        return tuple(dict.fromkeys(found))

    def cpu_s(self) -> float:
        """CPU time of all its processes, ended ones too, seconds."""
        if self.version == 1:
            return int(_text(self.usage / "cpuacct.usage")) / 1e9
        return _table(self.usage / "cpu.stat")["usage_usec"] / 1e6

    def cores(self) -> float:
        """CPU limit that holds now, cores; infinite: none."""
        if self.version == 1:
            quota, period = (int(_text(self.cpu / f"cpu.cfs_{one}_us")) for one in ("quota", "period"))
            return quota / period if quota > 0 else inf
        limit, period_text = _text(self.cpu / "cpu.max").split()
        return inf if limit == "max" else int(limit) / int(period_text)

    def used(self) -> int:
        """Memory as `docker stats` has it: without file cache that is not in use, bytes."""
        table = _table(self.memory / "memory.stat")
        if self.version == 1:
            return max(0, int(_text(self.memory / "memory.usage_in_bytes")) - table["total_inactive_file"])
        return max(0, int(_text(self.memory / "memory.current")) - table["inactive_file"])

    def memory_limit(self) -> float:
        """Bytes; infinite: none."""
        text = _text(self.memory / ("memory.limit_in_bytes" if self.version == 1 else "memory.max"))
        return inf if text == "max" or int(text) >= UNLIMITED else float(int(text))

    def oom_kills(self) -> int:
        """How many of its processes the kernel has killed for lack of memory."""
        name = "memory.oom_control" if self.version == 1 else "memory.events"
        return _table(self.memory / name).get("oom_kill", 0)


def of(pid: int, container: str, *, proc: Path = Path("/proc"), root: Path = ROOT) -> Cgroup:
    """The group of a container.

    Args:
        pid: of its first process. container: its id, by which the process is known to be of it.

    Raises:
        CgroupError: the process is not of this container, or the groups of the host cannot be seen.
    """
    try:
        lines = (proc / str(pid) / "cgroup").read_text(encoding="ascii").splitlines()
    except OSError as fault:
        raise CgroupError(
            f"process {pid} of the container is not to be seen in {proc}: the monitor has to run on the "
            "host, or in a container with `pid: host`"
        ) from fault
    paths = {
        name: path for _, names, path in (line.split(":", 2) for line in lines) for name in names.split(",")
    }
    if not any(container in path for path in paths.values()):
        raise CgroupError(
            f"process {pid} is not of container {container[:12]}: process numbers are not those of its host; "
            "run the monitor on the host, or in a container with `pid: host`"
        )
    if "memory" in paths and "cpuacct" in paths:
        found = {
            name: _folder(root, name, paths[name])
            for name in ("cpu", "cpuacct", "memory", "pids")
            if name in paths
        }
        return Cgroup(found.get("pids", found["memory"]), found["cpu"], found["cpuacct"], found["memory"], 1)
    one = _folder(root, "", paths.get("", ""))
    return Cgroup(one, one, one, one, 2)


def _folder(root: Path, controller: str, path: str) -> Path:
    """Where a group's files are. From within another group's namespace paths begin with `/..`."""
    base = root / controller
    parts = [part for part in path.split("/") if part not in ("", "..")]
    straight = base.joinpath(*parts)
    if straight.is_dir() and not path.startswith("/.."):
        return straight
    if parts and (found := _named(base, parts[-1], DEEPEST)) is not None:
        return found
    raise CgroupError(
        f"the control group {path} is not to be seen under {base}: mount the host's /sys/fs/cgroup there, "
        "read-only"
    )


def _named(folder: Path, name: str, deep: int) -> Path | None:
    if (folder / name).is_dir():
        return folder / name
    if deep:
        for inner in _folders(folder):
            if (found := _named(inner, name, deep - 1)) is not None:
                return found
    return None


def _below(folder: Path) -> Iterator[Path]:
    for inner in _folders(folder):
        yield inner
        yield from _below(inner)


def _folders(folder: Path) -> list[Path]:
    try:
        with os.scandir(folder) as entries:
            return [Path(one.path) for one in entries if one.is_dir(follow_symlinks=False)]
    except FileNotFoundError:
        return []


def _pids(folder: Path) -> list[int]:
    return [int(line) for line in _text(folder / "cgroup.procs").split()]


def _text(path: Path) -> str:
    return path.read_text(encoding="ascii").strip()


def _table(path: Path) -> dict[str, int]:
    pairs = (line.split() for line in _text(path).splitlines())
    return {one[0]: int(one[1]) for one in pairs if len(one) == 2}
