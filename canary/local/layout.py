"""Where the supervisor and its adapters keep what they share, and the two locks on it.

STATE/runtime/TARGET/
    layout.json      {"layout": 1}: a newer one is refused
    supervisor.lock  held (flock) by the one supervisor for as long as it lives
    desired.json     what is asked for; written by adapters, one at a time (desired.lock)
    observed.json    what is; written by the supervisor alone, on every change and as a heartbeat
    revisions/       HASH.json, templates
    pods/            NAME.json, one per replica that exists; written by the supervisor alone
    logs/            NAME.out, NAME.err, and one older part of each
    ring/            segments of scrapes, JSON lines
"""

import fcntl
import json
import os
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import psutil

from canary.config.settings import LocalService
from canary.errors import InvalidError
from canary.local.files import ensure_directory, fault_of, read_whole, write_atomic

LAYOUT = 1


@dataclass(frozen=True)
class Layout:
    """The folder of one target, and the paths in it."""

    root: Path

    @classmethod
    def of(cls, service: LocalService) -> "Layout":
        """The layout of a service; touches nothing."""
        return cls(service.state.absolute() / "runtime" / quote(service.name, safe=""))

    @property
    def desired(self) -> Path:
        """What is asked for."""
        return self.root / "desired.json"

    @property
    def desired_lock(self) -> Path:
        """Held while `desired.json` is read and written again."""
        return self.root / "desired.lock"

    @property
    def observed(self) -> Path:
        """What is."""
        return self.root / "observed.json"

    @property
    def revisions(self) -> Path:
        """Folder of templates."""
        return self.root / "revisions"

    @property
    def pods(self) -> Path:
        """Folder of replicas that exist."""
        return self.root / "pods"

    @property
    def logs(self) -> Path:
        """Folder of what replicas print."""
        return self.root / "logs"

    @property
    def ring(self) -> Path:
        """Folder of scrapes."""
        return self.root / "ring"

    def check(self) -> None:
        """Refuse a folder that a newer canary has laid out; one that does not exist is fine.

        Raises:
            InvalidError: it was laid out by a newer canary, or by something else.
        """
        path = self.root / "layout.json"
        data = read_whole(path)
        if data is None:
            return
        try:
            found = int(json.loads(data)["layout"])
        except (ValueError, KeyError, TypeError) as fault:
            raise InvalidError(
                f"{path} does not say which layout this folder has",
                remedy=f'If canary made this folder, put {{"layout": {LAYOUT}}} back; else move it away.',
            ) from fault
        if found > LAYOUT:
            raise InvalidError(
                f"{self.root} has layout {found}; this canary understands layouts up to {LAYOUT}",
                remedy="Use the newer canary that made it, or another `state` folder.",
            )

    def make(self) -> None:
        """Make the folders and state the layout.

        Raises:
            CanaryError: newer layout, full disk, no permission.
        """
        for folder in (self.root, self.revisions, self.pods, self.logs, self.ring):
            ensure_directory(folder)
        self.check()
        path = self.root / "layout.json"
        if read_whole(path) is None:
            write_atomic(path, json.dumps({"layout": LAYOUT}).encode() + b"\n")


class SupervisorLock:
    """The right to be the one supervisor of a folder. The kernel frees it when its holder dies."""

    def __init__(self, layout: Layout) -> None:
        self._path = layout.root / "supervisor.lock"
        self._descriptor: int | None = None

    def take(self) -> None:
        """Take it at once.

        Raises:
            InvalidError: another supervisor has it.
        """
        try:
            descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        except OSError as fault:
            raise fault_of(fault, self._path, "open") from fault
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.pread(descriptor, 32, 0).decode(errors="replace").strip()
            os.close(descriptor)
            raise InvalidError(
                f"{self._path.parent} already has a supervisor{f' (process {holder})' if holder else ''}",
                remedy="Use that one, stop it (Ctrl-C in its terminal), or choose another `state` folder.",
            ) from None
        except OSError as fault:
            os.close(descriptor)
            raise fault_of(fault, self._path, "lock") from fault
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
        self._descriptor = descriptor

    def free(self) -> None:
        """Give it up. Harmless when not held."""
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            os.close(descriptor)


def holder_of_port(port: int) -> str:
    """Who listens on a TCP port of this host, in words; empty where the system does not tell us."""
    for process in psutil.process_iter(["pid", "name"]):
        try:
            sockets = process.net_connections(kind="tcp")
        except (psutil.Error, OSError):
            continue
        for one in sockets:
            if one.status == psutil.CONN_LISTEN and one.laddr and one.laddr.port == port:
                return f"process {process.pid} ({process.info['name']})"
    return ""
