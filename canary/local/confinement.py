"""How the system holds a process: a systemd unit as it is written, and the limits that a process has."""

import os
import re
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path

import psutil

from canary.preflight.facts import Unit
from canary.preflight.finding import Unseen

ANSWER_S = 30.0
CGROUPS = Path("/sys/fs/cgroup")
CGROUP_FILES = {"memory": "memory.max", "cpu": "cpu.max", "tasks": "pids.max"}
RLIMITS = {"memory": ("RLIMIT_AS", "RLIMIT_DATA"), "cpu": ("RLIMIT_CPU",), "tasks": ("RLIMIT_NPROC",)}
_EXPOSURE = re.compile(r"Overall exposure level for \S+: ([0-9.]+)")
_ADDED = frozenset({"IPAddressAllow", "IPAddressDeny"})
"""Keys whose lines add up, where others are replaced by the last."""


def unit(path: Path) -> Unit | Unseen:
    """A unit's section [Service], and how exposed it leaves the service."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as fault:
        return Unseen(f"the unit {path} cannot be read: {fault}", "Name another with `preflight.unit`.")
    return Unit(str(path), _settings(text), _exposure(path))


def _settings(text: str) -> Mapping[str, str]:
    section, found = "", dict[str, str]()
    for line in re.sub(r"\s*\\\n\s*", " ", text).splitlines():
        plain = line.strip()
        if plain.startswith("["):
            section = plain
        elif section == "[Service]" and "=" in plain and not plain.startswith(("#", ";")):
            key, _, value = (part.strip() for part in plain.partition("="))
            before = found.get(key, "") if key in _ADDED and value else ""
            found[key] = f"{before} {value}".strip()
    return found


def _exposure(path: Path) -> float | Unseen:
    """As `systemd-analyze security` counts it, 0 to 10."""
    command = ["systemd-analyze", "security", "--offline=true", "--no-pager", str(path.resolve())]
    try:
        done = subprocess.run(
            command,
            env={**os.environ, "LC_ALL": "C.UTF-8"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=ANSWER_S,
            check=False,
        )
    except FileNotFoundError:
        return Unseen(
            "how exposed the unit is: systemd-analyze is not installed",
            "Run `canary preflight` where systemd is.",
        )
    except (OSError, subprocess.TimeoutExpired) as fault:
        return Unseen(f"how exposed the unit is: {fault}", f"Try `{' '.join(command)}`.")
    found = _EXPOSURE.search(done.stdout.decode(errors="replace"))
    if found is None:
        said = done.stderr.decode(errors="replace").strip()[:300] or f"exit code {done.returncode}"
        return Unseen(f"how exposed the unit is: {said}", f"Try `{' '.join(command)}`.")
    return float(found[1])


def limits(pid: int, groups: Path = CGROUPS, *, root: bool = False) -> Mapping[str, str]:
    """What a process is limited in (`memory`, `cpu`, `tasks`), and how; what is not is left out.

    Args:
        groups: where the control groups are (version 2); the nearest one with a limit is told.
        root: it runs as root, whom the number of its tasks does not hold.
    """
    own = {what: told for what, told in _of_process(pid).items() if not (root and what == "tasks")}
    return {**own, **_of_groups(pid, groups)}


def _of_groups(pid: int, root: Path) -> Mapping[str, str]:
    found: dict[str, str] = {}
    for folder in _groups(pid, root):
        for what, name in CGROUP_FILES.items():
            try:
                value = (folder / name).read_text(encoding="ascii").strip()
            except (OSError, UnicodeDecodeError):
                continue
            if what not in found and not value.startswith("max"):
                found[what] = f"{name} {value}"
    return found


def _groups(pid: int, root: Path) -> Iterator[Path]:
    """The control group of a process and those above it, the nearest first."""
    try:
        lines = Path(f"/proc/{pid}/cgroup").read_text(encoding="utf-8").splitlines()
    except OSError:
        return
    path = next((line.removeprefix("0::") for line in lines if line.startswith("0::")), None)
    if path is None:
        return
    folder = root / path.strip("/")
    yield folder
    while folder != root and root in folder.parents:
        folder = folder.parent
        yield folder


def _of_process(pid: int) -> Mapping[str, str]:
    """By the limits of the process itself, where the system tells them."""
    found: dict[str, str] = {}
    for what, names in RLIMITS.items():
        for name in names:
            if what not in found and (limit := _rlimit(pid, name)) is not None:
                found[what] = f"{name} {limit}"
    return found


def _rlimit(pid: int, name: str) -> int | None:
    number, endless = getattr(psutil, name, None), getattr(psutil, "RLIM_INFINITY", -1)
    if number is None:
        return None
    try:
        soft, _ = psutil.Process(pid).rlimit(number)
    except (psutil.Error, OSError, AttributeError):
        return None
    return None if soft in (endless, -1) else int(soft)
