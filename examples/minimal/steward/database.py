"""The database file, seen without the service: copied while it is written to, checked, written back."""

import hashlib
import os
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from steward.problem import ProblemError

BUSY_S = 30.0
"""How long the one who writes is waited for."""


@dataclass(frozen=True)
class Content:
    """What is in a database.

    Attributes:
        schema: its number; 0: none. users: how many. digest: SHA-256 of who they are; see `digest_of`.
    """

    schema: int
    users: int
    digest: str


def digest_of(users: Iterable[tuple[int, str, float]]) -> str:
    """SHA-256 of users, in the order of their ids: id, name and time of creation (unix s), line by line.

    The same is made of the service's answers: so it is told whether it gives back the same users.
    """
    found = hashlib.sha256()
    for number, name, created in users:
        found.update(f"{number}\t{name}\t{created!r}\n".encode())
    return found.hexdigest()


def content(file: Path) -> Content:
    """What is in the file, once SQLite has found it whole.

    Raises:
        ProblemError: it is not whole, or no database of the service's.
    """
    with _faults_of(file), _opened(file) as database:
        said = [row[0] for row in database.execute("PRAGMA integrity_check(3)")]
        if said != ["ok"]:
            raise ProblemError(
                f"{file} is damaged: {'; '.join(said)}",
                remedy="Stop the service, move it and its -wal and -shm away, and recover from a backup.",
            )
        tables = {row[0] for row in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        if not {"users", "alembic_version"} <= tables:
            return Content(0, 0, digest_of(()))
        schema = int(database.execute("SELECT version_num FROM alembic_version").fetchone()[0])
        users = database.execute("SELECT id, name, created FROM users ORDER BY id").fetchall()
    return Content(schema, len(users), digest_of(users))


def copy(source: Path, target: Path) -> None:
    """Copy a database while others read and write it: what the copy holds is of one moment.

    Copying the files would not do: the newest transactions are in the log beside, and pages change meanwhile.

    Raises:
        ProblemError: there is none, or it cannot be read or written.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    target.touch(mode=0o600)
    with _faults_of(source), _opened(source) as live, _opened(target) as made:
        live.backup(made)
        made.execute("PRAGMA journal_mode=DELETE")  # one file, with no log beside it
    _synced(target)


def write_back(source: Path, target: Path) -> None:
    """Put the content of a database into the place of another, in one transaction.

    Whoever has it open goes on and sees the new content at the next question; nothing is moved under them.

    Raises:
        ProblemError: it cannot be written, or is damaged itself.
    """
    target.parent.mkdir(parents=True, exist_ok=True, mode=0o750)
    with _faults_of(target), _opened(source) as kept, _opened(target, make=True) as live:
        live.execute("PRAGMA journal_mode=WAL")
        kept.backup(live)


@contextmanager
def _opened(file: Path, *, make: bool = False) -> Iterator[sqlite3.Connection]:
    address = f"file:{quote(str(file))}?mode={'rwc' if make else 'rw'}"
    with closing(sqlite3.connect(address, uri=True, timeout=BUSY_S)) as connection:
        yield connection


@contextmanager
def _faults_of(file: Path) -> Iterator[None]:
    try:
        yield
    except (sqlite3.Error, ValueError) as fault:
        raise ProblemError(f"{file}: {fault}", remedy="Look whether it is the service's database.") from None
    except OSError as fault:
        raise ProblemError(f"{fault.filename}: {fault.strerror}", remedy="Mend that first.") from None


def _synced(file: Path) -> None:
    with file.open("rb") as opened:
        os.fsync(opened.fileno())
