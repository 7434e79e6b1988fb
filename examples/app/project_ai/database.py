"""The database: connections, and the users in it."""

import sqlite3
import time
from collections.abc import Sequence
from typing import Any
from urllib.parse import quote

from sqlalchemy import (
    Column,
    Double,
    Engine,
    Integer,
    MetaData,
    String,
    Table,
    create_engine,
    event,
    insert,
    select,
)
from sqlalchemy.engine import URL
from sqlalchemy.exc import SQLAlchemyError

from project_ai.problem import ProblemError, reason
from project_ai.releases import Found, Release
from project_ai.schema import revision, schema_of
from project_ai.settings import sqlite_file

BUSY_MS = 5000
"""How long a connection waits for another process that writes to the same file."""

ANSWER_S = 10
"""No question to PostgreSQL takes longer."""

PAGE, MOST = 100, 1000
"""Users in a list, unless asked for more, and at most."""

USERS = Table(
    "users",
    MetaData(),
    Column("id", Integer, primary_key=True),
    Column("name", String(200)),
    Column("plan", String(20)),
    Column("created", Double),
    Column("email", String(254)),
)
"""All columns of all schemas; each release touches its own."""


def connect(url: URL, *, connections: int = 8, make: bool = False, answer_s: int = ANSWER_S) -> Engine:
    """An engine for the database; nothing is opened yet.

    Args:
        connections: kept at most.
        make: with SQLite, make the file and its folder if they are not there.
        answer_s: PostgreSQL gives up a question after so long; 0: never.

    Raises:
        ProblemError: the folder cannot be made.
    """
    file = sqlite_file(url)
    if file is None:
        options = {"connect_timeout": 3, "options": f"-c statement_timeout={answer_s}s"}
        return create_engine(
            url,
            connect_args=options,
            pool_pre_ping=True,
            pool_size=connections,
            max_overflow=0,
            pool_timeout=ANSWER_S,
        )
    if make:
        try:
            file.parent.mkdir(parents=True, exist_ok=True, mode=0o750)
        except OSError as fault:
            raise ProblemError(
                f"{file.parent} cannot be made: {fault.strerror}",
                remedy="Give a folder that this user may write to.",
            ) from None
    mode = "rwc" if make else "rw"
    address = f"sqlite:///file:{quote(str(file))}?mode={mode}&uri=true"
    engine = create_engine(address, pool_size=connections, max_overflow=0, pool_timeout=ANSWER_S)
    event.listen(engine, "connect", _prepare_sqlite)
    event.listen(engine, "begin", lambda connection: connection.exec_driver_sql("BEGIN"))
    return engine


def _prepare_sqlite(connection: sqlite3.Connection, _record: object) -> None:
    # The driver's own transactions leave out what changes the schema; ours hold everything.
    connection.isolation_level = None
    for setting in ("journal_mode=WAL", f"busy_timeout={BUSY_MS}", "synchronous=FULL", "foreign_keys=ON"):
        connection.execute(f"PRAGMA {setting}").close()


class Users:
    """The users, as one release sees them.

    All methods raise `sqlalchemy.exc.SQLAlchemyError` when the database does not answer.
    """

    def __init__(self, engine: Engine, release: Release) -> None:
        self._engine = engine
        self._release = release
        self._columns = [USERS.c[name] for name in release.columns]

    def add(self, name: str, email: str | None = None) -> Found:
        """Store a new user; what was stored."""
        values: dict[str, Any] = {"name": name, "created": round(time.time(), 3)}
        if self._release.keeps_email:
            values["email"] = email
        if "plan" in self._release.columns:
            values["plan"] = "free"
        with self._engine.begin() as connection:
            found = connection.execute(insert(USERS).values(values).returning(*self._columns))
            return dict(found.mappings().one())

    def get(self, number: int) -> Found | None:
        """One user; None: there is no such."""
        with self._engine.begin() as connection:
            found = connection.execute(select(*self._columns).where(USERS.c.id == number)).mappings().first()
            return None if found is None else dict(found)

    def list(self, *, after: int = 0, most: int = PAGE) -> Sequence[Found]:
        """Users in the order of their ids, from the one after `after` on."""
        asked = select(*self._columns).where(USERS.c.id > after).order_by(USERS.c.id).limit(min(most, MOST))
        with self._engine.begin() as connection:
            return [dict(one) for one in connection.execute(asked).mappings()]

    def why_not(self) -> str | None:
        """Why this release cannot work with the database just now; None: it can."""
        try:
            with self._engine.begin() as connection:
                schema = schema_of(connection)
        except SQLAlchemyError as fault:
            return f"the database does not answer: {reason(fault)}"
        except ProblemError as fault:
            return str(fault)
        if self._release.can_read(schema):
            return None
        first, last = (revision(number) for number in self._release.reads)
        wanted = first if first == last else f"{first} to {last}"
        found = f"has schema {revision(schema)}" if schema else "has no schema yet"
        return f"the database {found}; {self._release.name} reads {wanted}"
