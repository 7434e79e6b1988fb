"""The schema of the database: which one it has, and how it gets another. Alembic does the steps."""

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from alembic.util import CommandError
from sqlalchemy import Connection, Engine, inspect, text
from sqlalchemy.exc import SQLAlchemyError

from project_ai.problem import ProblemError, reason
from project_ai.releases import LATEST_SCHEMA

MIGRATIONS = Path(__file__).parent / "migrations"


def revision(schema: int) -> str:
    """The name of a schema in Alembic: 2 is `0002`."""
    return f"{schema:04d}"


def schema_of(connection: Connection) -> int:
    """The number of the schema that the database has; 0: none yet.

    Raises:
        sqlalchemy.exc.SQLAlchemyError: it cannot be asked.
        ProblemError: the database is somebody else's.
    """
    if not inspect(connection).has_table("alembic_version"):
        return 0
    found = connection.execute(text("SELECT version_num FROM alembic_version")).scalar()
    if found is None:
        return 0
    if not (isinstance(found, str) and found.isdecimal()):
        raise ProblemError(
            f"the database has the schema {found}, which is not one of ours",
            remedy="Point DATABASE_URL at the service's own database.",
        )
    return int(found)


def parse_schema(given: str) -> int:
    """The number of a schema that somebody named: `2`, `0002`, `head`.

    Raises:
        ProblemError: there is no such.
    """
    if given == "head":
        return LATEST_SCHEMA
    if given.isascii() and given.isdecimal() and 1 <= int(given) <= LATEST_SCHEMA:
        return int(given)
    known = ", ".join(revision(number) for number in range(1, LATEST_SCHEMA + 1))
    raise ProblemError(f"there is no schema {given!r}", remedy=f"Give one of {known}, or head.")


def migrate(engine: Engine, to: int) -> tuple[int, int]:
    """Bring the database to a schema, all steps in one transaction; the number before, and after.

    Forwards only: a step back would throw data away. That is what a backup is for.

    Raises:
        ProblemError: the schema is newer already, or a step failed; nothing was changed then.
    """
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    with engine.begin() as connection:
        before = schema_of(connection)
        if before > to:
            raise ProblemError(
                f"the database has schema {revision(before)}, which is newer than {revision(to)}",
                remedy="Steps back are not made: restore the backup from before.",
            )
        config.attributes["connection"] = connection
        try:
            command.upgrade(config, revision(to))
        except (CommandError, SQLAlchemyError) as fault:
            raise ProblemError(
                f"the database cannot be brought to schema {revision(to)}: {reason(fault)}",
                remedy=f"Nothing was changed: it still has {revision(before)}.",
                code=1,
            ) from fault
        return before, schema_of(connection)


def steps() -> dict[int, str]:
    """All schemas, each with what its step does."""
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    found = ScriptDirectory.from_config(config).walk_revisions()
    return {int(one.revision): (one.doc or "").strip() for one in found}
