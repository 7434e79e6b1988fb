"""What surrounds a service of the local runtime: its replicas, its unit, its files. Changes nothing."""

import grp
import json
import os
import pwd
import stat
from collections.abc import Callable, Iterator
from contextlib import suppress
from itertools import islice
from pathlib import Path
from typing import TypeVar

import psutil

from canary.config.settings import LocalService
from canary.local import confinement
from canary.local.layout import Layout
from canary.preflight.facts import Host, Open, Proof, Replica, Unit
from canary.preflight.finding import Unseen
from canary.preflight.host import is_loopback
from canary.preflight.names import secrets

SHOWN = 5
"""So many open paths are told."""
OTHER_USER = "Run `canary preflight` as the user that runs the service."

Found = TypeVar("Found")


class LocalSurvey:
    """Implements `ports.Surroundings` for a local service.

    Args:
        service: as configured. unit: file of its systemd unit, if one is named. file: the configuration.
    """

    def __init__(self, service: LocalService, unit: Path | None, file: Path) -> None:
        self._service = service
        self._unit = unit
        self._file = file

    def kept(self) -> None:
        """As many old revisions as the runtime wants, which is enough."""

    def proofs(self) -> tuple[Proof | Unseen, ...]:
        """None: a backup here is told by evidence files alone."""
        return ()

    def place(self) -> Host:
        """The service as it runs now."""
        unit: Unit | Unseen | None = confinement.unit(self._unit) if self._unit is not None else None
        kept = [self._service.state, self._file, *([self._unit] if self._unit is not None else [])]
        return Host(
            listen=self._service.listen,
            replicas=tuple(self._replicas()),
            unit=unit,
            kept=tuple(str(one) for one in kept),
            open=_open(kept),
            secrets=secrets(self._service.env),
        )

    def _replicas(self) -> Iterator[Replica]:
        for path in sorted(Layout.of(self._service).pods.glob("*.json")):
            with suppress(OSError, ValueError, KeyError, TypeError, psutil.Error):
                found = json.loads(path.read_text(encoding="utf-8"))
                process = psutil.Process(int(found["pid"]))
                # The pid may be another's by now: a start time tells it.
                if abs(process.create_time() - float(found["created"])) < 1.0 and process.is_running():
                    yield _replica(str(found["name"]), process)


def _replica(name: str, process: psutil.Process) -> Replica:
    whole = [process, *process.children(recursive=True)]
    root = any(one.uids().effective == 0 for one in whole)
    return Replica(
        f"{name} (process {process.pid})",
        user=process.username(),
        root=root,
        listens=_seen(lambda: tuple(sorted({where for one in whole for where in _listens(one)}))),
        secrets=_seen(lambda: secrets(process.environ())),
        limits=confinement.limits(process.pid, root=root),
    )


def _listens(process: psutil.Process) -> Iterator[str]:
    for one in process.net_connections(kind="inet"):
        if one.status == psutil.CONN_LISTEN and one.laddr and not is_loopback(one.laddr.ip):
            yield f"{one.laddr.ip}:{one.laddr.port}"


def _seen(look: Callable[[], Found]) -> Found | Unseen:
    try:
        return look()
    except (psutil.Error, OSError) as fault:
        return Unseen(f"a replica's process may not be looked into: {fault}", OTHER_USER)


def _open(kept: list[Path]) -> tuple[Open, ...] | Unseen:
    """Paths, and all that is in them, that others may write to."""
    try:
        return tuple(islice((one for path in kept for one in _opened(path)), SHOWN))
    except OSError as fault:
        return Unseen(f"{fault.filename} cannot be looked at: {fault.strerror}", OTHER_USER)


def _opened(path: Path) -> Iterator[Open]:
    yield from _writable(path)
    if path.is_dir():
        for folder, folders, files in os.walk(path, onerror=_raise):
            for name in sorted((*folders, *files)):
                # The runtime goes on meanwhile: what is gone is not open.
                with suppress(FileNotFoundError):
                    yield from _writable(Path(folder) / name)


def _raise(fault: OSError) -> None:
    if not isinstance(fault, FileNotFoundError):
        raise fault


def _writable(path: Path) -> Iterator[Open]:
    found = path.lstat()
    mode = stat.filemode(found.st_mode)
    if stat.S_ISLNK(found.st_mode) or stat.S_ISSOCK(found.st_mode):
        return
    if found.st_mode & stat.S_IWOTH:
        yield Open(str(path), f"everybody ({mode})")
    elif found.st_mode & stat.S_IWGRP and not _is_private(found):
        yield Open(str(path), f"its group ({mode})")


def _is_private(found: os.stat_result) -> bool:
    """Whether the group is that of the owner alone, as systems make one for each user."""
    try:
        return grp.getgrgid(found.st_gid).gr_name == pwd.getpwuid(found.st_uid).pw_name
    except KeyError:
        return False
