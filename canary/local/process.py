"""One process of a replica: start it, find it again, see whether it lives, signal it, keep its logs small.

Its output goes to files and not through us, so that it goes on when the supervisor is gone.
"""

import contextlib
import os
import signal
import socket
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

MARK = "CANARY_POD_UID"
HOME = "CANARY_STATE"
LOG_BYTES = 1024 * 1024
KEPT_LOGS = 20
_CREATED_WITHIN_S = 2.5  # a start is told relative to the boot, whose time moves when the clock is set


@dataclass(frozen=True)
class Started:
    """A process as it is known again after a restart of the supervisor: its id and its start (unix s)."""

    pid: int
    created: float


@dataclass(frozen=True)
class Launch:
    """How to start a replica. `logs`: path without suffix; `.out` and `.err` are added."""

    command: Sequence[str]
    env: Mapping[str, str]
    directory: str
    logs: Path


class Process:
    """A started process, ours or one that an earlier supervisor started."""

    def __init__(self, started: Started, child: "subprocess.Popen[bytes] | None" = None) -> None:
        self.started = started
        self._child = child
        self._known: psutil.Process | None = None

    @classmethod
    def launch(cls, launch: Launch) -> "Process":
        """Start it in a session of its own, so that signals to our terminal do not reach it.

        Raises:
            OSError: the command or the directory does not exist, or may not be run.
        """
        with (
            open(f"{launch.logs}.out", "ab") as out,
            open(f"{launch.logs}.err", "ab") as err,
        ):
            child = subprocess.Popen(
                list(launch.command),
                cwd=launch.directory,
                env={**os.environ, **launch.env},
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                start_new_session=True,
                close_fds=True,
            )
        return cls(Started(child.pid, _created(child.pid) or 0.0), child)

    @classmethod
    def adopt(cls, started: Started) -> "Process | None":
        """The process of an earlier supervisor, None when it has ended."""
        process = cls(started)
        with contextlib.suppress(psutil.Error):
            process._known = psutil.Process(started.pid)
            same = abs(process._known.create_time() - started.created) < _CREATED_WITHIN_S
            return process if same and process.alive else None
        return None

    @property
    def alive(self) -> bool:
        """Whether it still runs. A zombie does not."""
        if self._child is not None:
            return self._child.poll() is None
        try:
            known = self._known
            return known is not None and known.is_running() and known.status() != psutil.STATUS_ZOMBIE
        except psutil.Error:
            return False

    @property
    def exit_words(self) -> str:
        """How it ended."""
        code = self._child.poll() if self._child is not None else None
        if code is None:
            return "ended (exit code unknown: an earlier supervisor had started it)"
        if code < 0:
            with contextlib.suppress(ValueError):
                return f"was killed by {signal.Signals(-code).name}"
            return f"was killed by signal {-code}"
        return f"exited with code {code}"

    def send(self, number: int) -> None:
        """Signal it and all that it started. Harmless when it is gone."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.started.pid, number)


def _created(pid: int) -> float | None:
    try:
        process = psutil.Process(pid)
        return None if process.status() == psutil.STATUS_ZOMBIE else float(process.create_time())
    except psutil.Error:
        return None


def find_marked(home: str) -> dict[str, list[Started]]:
    """Processes of this user that carry our mark: uid of the pod -> its processes, the leader first.

    Args:
        home: only those of this state folder.
    """
    found: dict[str, list[tuple[bool, Started]]] = {}
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):
            marks = process.environ()
            if marks.get(HOME) == home and MARK in marks and process.status() != psutil.STATUS_ZOMBIE:
                follower = not leads(process.pid)
                one = Started(process.pid, float(process.create_time()))
                found.setdefault(marks[MARK], []).append((follower, one))
    return {
        uid: [one for _, one in sorted(those, key=lambda those: (those[0], those[1].created))]
        for uid, those in found.items()
    }


def leads(pid: int) -> bool:
    """Whether it is the process that a replica was started as, and not one that it started itself."""
    try:
        return os.getpgid(pid) == pid
    except OSError:
        return False


def is_hidden(pid: int) -> bool:
    """Whether a process is there that we may signal, and may not look into."""
    try:
        os.kill(pid, 0)
        psutil.Process(pid)
    except OSError:
        return False
    except psutil.Error:
        return True
    return False


def end_now(processes: Sequence[Started]) -> None:
    """Kill processes that belong to nobody any more. Each is checked again just before."""
    for one in processes:
        if Process.adopt(one) is not None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(one.pid, signal.SIGKILL)


def free_port() -> int:
    """A TCP port on 127.0.0.1 that nobody listens on just now. Another may take it before it is used."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def size_of(path: Path) -> int:
    """Bytes in a log, 0 when there is none."""
    try:
        return path.stat().st_size
    except OSError:
        return 0


def last_words(path: Path, since: int) -> str:
    """The end of a log from byte `since` on, at most 4 KiB; empty when there is none."""
    try:
        with open(path, "rb") as file:
            end = file.seek(0, os.SEEK_END)
            # Cut in between: all that is there is newer than `since`.
            file.seek(max(since if since <= end else 0, end - 4096))
            return file.read().decode(errors="replace")
    except OSError:
        return ""


def last_line(text: str) -> str:
    """The last line with something in it, at most 300 characters."""
    return next((line.strip()[:300] for line in reversed(text.splitlines()) if line.strip()), "")


def bound_logs(folder: Path, living: frozenset[str]) -> None:
    """Keep each log under about LOG_BYTES plus one older part, and logs of the last KEPT_LOGS dead pods.

    A log is copied and then cut to nothing, since its writer keeps it open; lines written between the
    two are lost.

    Args:
        folder: of the logs.
        living: names of pods that exist.
    """
    with contextlib.suppress(OSError):
        for path in folder.glob("*.[oe][ur][tr]"):
            if path.stat().st_size > LOG_BYTES:
                text = path.read_bytes()[-LOG_BYTES:]
                path.with_name(path.name + ".1").write_bytes(text)
                os.truncate(path, 0)
        dead: dict[str, float] = {}
        for path in folder.iterdir():
            name = path.name.split(".out")[0].split(".err")[0]
            if name not in living:
                dead[name] = max(dead.get(name, 0.0), path.stat().st_mtime)
        for name in sorted(dead, key=lambda name: dead[name])[:-KEPT_LOGS]:
            for suffix in (".out", ".err", ".out.1", ".err.1"):
                (folder / f"{name}{suffix}").unlink(missing_ok=True)
