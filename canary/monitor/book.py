"""The ledger of a monitor, written by a thread of its own: a disk that hangs holds up nobody who watches.

What is put first is written first. Whoever needs to know that it is on the disk waits for it, for a while.
"""

import os
import threading
import time
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from canary.core import seals as sealing
from canary.core.ledger import Entry, chain, encode, verify
from canary.core.seal_check import SEALED_KINDS
from canary.core.seals import Seal, seal_of, sealed
from canary.errors import CanaryError, ConflictError, InvalidError
from canary.local.files import append_durable, locked
from canary.local.ledger_store import LocalLedger
from canary.ports import Seals

ROOM_BYTES = 32 * 1024
"""The end of a sandbox takes some thousands; a disk that is full is known before anything has to be told."""
AGAIN_S = 0.2
"""After a failure it is tried again so soon."""


@dataclass(frozen=True)
class _Line:
    at: float
    kind: str
    body: Mapping[str, Any]
    put: float


class Book:
    """Adds entries to `FOLDER/NAME.jsonl`, in one chain with all that stands there.

    Args:
        folder: made if it is not there. name: of the container. actor: who writes.
        seals: makes seals of what matters; None: none are made.
    """

    def __init__(self, folder: Path, name: str, actor: str, seals: Seals | None = None) -> None:
        self.path = LocalLedger(folder, "").path(name)
        self.session = ""
        self.last: Entry | None = None
        self.changed = ""
        """What another has done to it, in words; empty: nothing."""
        self.fault = ""
        """Why it could not be written just now."""
        self._store = LocalLedger(folder, "")
        self._name = name
        self._actor = actor
        self._seals = seals
        self._more = threading.Condition()
        self._lines: deque[_Line] = deque()
        self._mark: tuple[int, ...] | None = None
        self._busy = False
        self._opened = False

    def open(self) -> None:
        """Read what is there. Without this call the writing thread does it.

        Raises:
            CanaryError: it cannot be read, or is not whole.
        """
        entries = self._store.read(self._name)
        if (fault := verify(entries)) is not None:
            raise InvalidError(
                f"{self.path} is not whole: {fault}",
                remedy=f"See `canary audit verify {self.path}`; move the file away to begin a new one.",
            )
        self.last = entries[-1] if entries else None
        self._mark = _mark(self.path)
        self._opened = True

    def put(self, kind: str, body: Mapping[str, Any], at: float) -> None:
        """Have it written; returns at once. `at`: unix seconds."""
        with self._more:
            if not self._lines and not self._busy:
                self._busy = True
                threading.Thread(target=self._write, name="ledger", daemon=True).start()
            self._lines.append(_Line(at, kind, body, time.monotonic()))

    def waiting_since(self) -> float | None:
        """Since when the oldest entry has waited to be written, monotonic seconds; None: none waits."""
        with self._more:
            return self._lines[0].put if self._lines else None

    def full(self) -> str:
        """That the disk has no room for what may have to be told, in words; empty: it has."""
        try:
            found = os.statvfs(self.path.parent)
        except OSError:
            return ""
        free = found.f_bavail * found.f_frsize
        return "" if free >= ROOM_BYTES else f"{free} bytes are free for {self.path}, wanted {ROOM_BYTES}"

    def settle(self, within_s: float) -> bool:
        """Wait until all that was put is on the disk, at most so long; whether it is."""
        with self._more:
            return self._more.wait_for(lambda: not self._lines, within_s)

    def tampered(self) -> str:
        """What another has done to the file since it was written last, in words; empty: nothing is seen."""
        with self._more:
            # While it is written it changes.
            if self.changed or self._busy or not self._opened:
                return self.changed
            found = _mark(self.path)
            if found != self._mark:
                self.changed = f"{self.path} was {_difference(self._mark, found)} by another"
            return self.changed

    def _write(self) -> None:
        """Until nothing waits."""
        while True:
            with self._more:
                lines = tuple(self._lines)
                if not lines:
                    self._busy = False
                    self._more.notify_all()
                    return
            try:
                self._append(lines)
            except ConflictError as fault:
                self._failed(f"was written to by another: {fault.message}", changed=True)
            except CanaryError as fault:
                self._failed(fault.message)
            except Exception as fault:  # noqa: BLE001 - a thread that dies silently would leave a gap unsaid
                self._failed(f"{type(fault).__name__}: {fault}")

    def _failed(self, why: str, *, changed: bool = False) -> None:
        self.fault = why
        if changed:
            self.changed = f"{self.path} {why}"
        time.sleep(AGAIN_S)

    def _append(self, lines: Sequence[_Line]) -> None:
        if not self._opened:
            self.open()
        before = _mark(self.path)
        if self._mark is not None and before != self._mark and not self.changed:
            self.changed = f"{self.path} was {_difference(self._mark, before)} by another"
        entries, made = self._chained(lines)
        self._add(entries)
        self.last, self.fault = entries[-1], ""
        self._mark = _mark(self.path)
        wanted = (before[2] if before else 0) + sum(len(encode(one)) + 1 for one in entries)
        if (self._mark is None or self._mark[2] != wanted) and not self.changed:
            self.changed = f"{self.path} was written to by another"
        for seal in made:
            if self._seals is not None:
                self._seals.send(seal)
        with self._more:
            for _ in lines:
                self._lines.popleft()
            self._more.notify_all()

    def _add(self, entries: Sequence[Entry]) -> None:
        """Where nobody else has written, the end is known: a long file is not read again each time."""
        if self._mark is None:
            self._store.append(self._name, entries)
            return
        with locked(self.path.with_suffix(".lock")):
            if known := _mark(self.path) == self._mark:
                append_durable(self.path, "".join(f"{encode(one)}\n" for one in entries).encode())
        if not known:
            self._store.append(self._name, entries)

    def _chained(self, lines: Sequence[_Line]) -> tuple[list[Entry], list[Seal]]:
        last, entries, made = self.last, list[Entry](), list[Seal]()
        for line in lines:
            body = {"container": self.session, **line.body} if self.session else line.body
            last = chain(last, line.at, line.kind, self._actor, body)
            entries.append(last)
            if self._seals is not None and line.kind in SEALED_KINDS:
                seal = sealed(
                    self._seals.key,
                    last,
                    target=self._name,
                    release=self.session,
                    at=line.at,
                    actor=self._actor,
                )
                last = chain(last, line.at, sealing.SEAL, self._actor, sealing.body(seal))
                entries.append(last)
                made.append(seal_of(last))
        return entries, made


def _mark(path: Path) -> tuple[int, ...] | None:
    """What tells that a file has changed: even who sets its times back changes the last of these."""
    try:
        found = os.stat(path)
    except FileNotFoundError:
        return None
    return (found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns)


def _difference(before: tuple[int, ...] | None, after: tuple[int, ...] | None) -> str:
    if after is None:
        return "removed"
    if before is None:
        return "made"
    if before[:2] != after[:2]:
        return "replaced"
    return "changed" if before[2] == after[2] else f"changed (from {before[2]} to {after[2]} bytes)"
