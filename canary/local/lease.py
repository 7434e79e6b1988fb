"""The lease on one host: an exclusive `flock`, held for as long as its holder lives.

Why this is a sound fence: the kernel grants the lock to one open file at a time and frees it when the
last descriptor on it closes, which a process cannot outlive, be it ended by `kill -9`, a crash or a power
cut. So there is no moment in which a former holder can still act and the next one already holds: what a
timeout approximates between hosts holds exactly here. A stopped process (SIGSTOP) keeps the lock, and
rightly: it would go on where it was. It shows as a holder that does not renew.

Children must not carry the descriptor on, or the lock would outlive its holder: it is close-on-exec, and a
forked child closes it at once.

Beside the lock lies a small file, for people and for the next holder: who, since which number, when last
renewed. It decides nothing.
"""

import contextlib
import fcntl
import json
import os
import weakref
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from urllib.parse import quote

from canary.errors import InvalidError
from canary.local.files import ensure_directory, fault_of, locked, read_whole, write_atomic
from canary.ports import Clock, Holder, Term

_RENEW_EVERY_S = 1.0


@dataclass(frozen=True)
class _Note:
    """What the file says. `renewed`: unix seconds. `released`: given up in an orderly way."""

    holder: str
    pid: int
    number: int
    renewed: float
    released: bool


class LocalLease:
    """Implements `ports.Lease` between the processes of one host.

    Args:
        state_dir: made if it does not exist. On a local disk.
        name: of the lease.
        actor: who asks for it, as people will see it.
        clock: `now` for the file, `monotonic` for the term.
        term_s: length of a term in seconds; each `hold` begins a new one.
    """

    def __init__(self, state_dir: Path, name: str, actor: str, clock: Clock, term_s: float = 10.0) -> None:
        self._folder = state_dir / "leases"
        stem = quote(name, safe="")
        self._lock = self._folder / f"{stem}.lock"
        self._file = self._folder / f"{stem}.json"
        # Held while somebody tries the lock, so that a mere look at it never makes a taker fail.
        self._door = self._folder / f"{stem}.door"
        self._actor = actor
        self._clock = clock
        self._term_s = term_s
        self._descriptor: int | None = None
        self._note: _Note | None = None
        self._idle_since: float | None = None
        _leases.add(self)

    def hold(self) -> Term | None:
        """Take or renew the lease. None when somebody else holds it. Never waits for it.

        Raises:
            CanaryError: the state folder cannot be written; the lease stays as it was.
        """
        if self._note is not None and self._in_place():
            return self._renew(self._note)
        self._close()
        ensure_directory(self._folder)
        with locked(self._door):
            return self._take()

    def confirm(self, term: Term) -> float:
        """Seconds left of this very term, 0 when it is over or lost. Asks no one."""
        if self._note is None or self._descriptor is None:
            return 0.0
        if (term.number, term.holder) != (self._note.number, self._actor):
            return 0.0
        return max(0.0, term.until - self._clock.monotonic())

    def holder(self) -> Holder | None:
        """Who holds it, for people. None when it is free, or was given up.

        `alive` is False when the holder is gone, or has not renewed for a whole term.
        """
        if not self._lock.exists():
            return None
        with locked(self._door):
            note, held = self._read(), self._held()
        if note is None or (note.released and not held):
            return None
        renewed_s = max(0.0, self._clock.now() - note.renewed)
        name = f"{note.holder} (pid {note.pid})"
        return Holder(name, renewed_s, alive=held and renewed_s <= self._term_s)

    def release(self) -> None:
        """Give it up. Harmless when not held.

        Raises:
            CanaryError: the file beside it could not be written; the lease is given up all the same.
        """
        note = self._note
        try:
            if note is not None and self._descriptor is not None and self._in_place():
                self._write(replace(note, renewed=self._clock.now(), released=True))
        finally:
            self._close()

    def _take(self) -> Term | None:
        descriptor = self._open()
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            before = self._read()
            number = before.number + 1 if before else 1
            note = _Note(self._actor, os.getpid(), number, self._clock.now(), released=False)
            until = self._clock.monotonic() + self._term_s
            self._write(note)
        except BlockingIOError:
            os.close(descriptor)
            return None
        except BaseException:
            os.close(descriptor)
            raise
        self._descriptor, self._note = descriptor, note
        self._idle_since = before.renewed if before else None
        return Term(self._actor, number, until, self._idle_since)

    def _renew(self, note: _Note) -> Term:
        until = self._clock.monotonic() + self._term_s
        now = self._clock.now()
        if not 0 <= now - note.renewed < min(_RENEW_EVERY_S, self._term_s / 3):
            note = replace(note, renewed=now)
            self._write(note)
            self._note = note
        return Term(self._actor, note.number, until, self._idle_since)

    def _in_place(self) -> bool:
        # If the state folder was removed and made anew, others lock another file: ours fences nothing.
        if self._descriptor is None:
            return False
        try:
            return os.path.samestat(os.fstat(self._descriptor), self._lock.stat())
        except OSError:
            return False

    def _held(self) -> bool:
        if self._note is not None and self._in_place():
            return True
        descriptor = self._open()
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        finally:
            os.close(descriptor)
        return False

    def _open(self) -> int:
        try:
            return os.open(self._lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        except OSError as fault:
            raise fault_of(fault, self._lock, "open") from fault

    def _close(self) -> None:
        descriptor, self._descriptor, self._note = self._descriptor, None, None
        if descriptor is not None:
            with contextlib.suppress(OSError):
                os.close(descriptor)

    def _read(self) -> _Note | None:
        data = read_whole(self._file)
        if data is None:
            return None
        try:
            return _Note(**json.loads(data))
        except (ValueError, TypeError) as fault:
            raise InvalidError(
                f"{self._file} is not a lease as canary writes it",
                remedy="Something else changed it; remove it when no canary is running on this host.",
            ) from fault

    def _write(self, note: _Note) -> None:
        write_atomic(self._file, json.dumps(asdict(note)).encode() + b"\n")

    def _forget_in_child(self) -> None:
        self._close()


_leases: "weakref.WeakSet[LocalLease]" = weakref.WeakSet()


def _after_fork() -> None:
    for lease in list(_leases):
        lease._forget_in_child()


os.register_at_fork(after_in_child=_after_fork)
