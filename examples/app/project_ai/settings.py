"""Where the database is and where the secrets are, from the environment.

Secrets are never in the environment themselves: whoever may look at the process, or at what describes it,
would have them. The environment names files. A key is read again at each use: a new one needs no restart.
"""

import os
from collections.abc import Mapping
from pathlib import Path

from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError

from project_ai.problem import ProblemError

DEFAULT_URL = "sqlite:///data/project_ai.db"
PROVIDERS: Mapping[str, str] = {"openai": "OPENAI_API_KEY", "huggingface": "HUGGINGFACE_API_KEY"}
"""Providers of models, and the variable whose `..._FILE` names the file with the key."""


def database_url(environment: Mapping[str, str] = os.environ) -> URL:
    """Where the database is, with the password from its file.

    DATABASE_URL, or the file that DATABASE_URL_FILE names; `sqlite:///data/project_ai.db` when none is given.

    Raises:
        ProblemError: it is no such address, it holds a password, or a file cannot be read.
    """
    text = from_file("DATABASE_URL_FILE", environment) or environment.get("DATABASE_URL") or DEFAULT_URL
    try:
        url = make_url(text)
    except ArgumentError:
        raise ProblemError(
            "DATABASE_URL is not an address of a database",
            remedy="Wanted: sqlite:////var/lib/project-ai/project_ai.db, or postgresql://USER@HOST:5432/NAME.",
        ) from None
    backend = url.get_backend_name()
    if backend not in ("sqlite", "postgresql"):
        raise ProblemError(
            f"DATABASE_URL begins with {backend}",
            remedy="Wanted: sqlite:///FILE or postgresql://USER@HOST/NAME.",
        )
    if backend == "sqlite" and url.database in (None, "", ":memory:"):
        raise ProblemError(
            "DATABASE_URL names no file", remedy="Wanted: sqlite:////var/lib/project-ai/project_ai.db."
        )
    if url.password is not None:
        raise ProblemError(
            "DATABASE_URL holds a password, which everybody sees who may look at the process",
            remedy="Take it out, put it into a file, and name that in DATABASE_PASSWORD_FILE.",
        )
    if backend == "sqlite":
        return url
    return url.set(drivername="postgresql+psycopg", password=from_file("DATABASE_PASSWORD_FILE", environment))


def sqlite_file(url: URL) -> Path | None:
    """The file of the database; None for PostgreSQL."""
    return Path(url.database or "") if url.get_backend_name() == "sqlite" else None


def api_key(provider: str, environment: Mapping[str, str] = os.environ) -> str | None:
    """The key for a provider of models; None when there is none.

    Raises:
        ProblemError: its file cannot be read.
    """
    return from_file(f"{PROVIDERS[provider]}_FILE", environment)


def keys_in_environment(environment: Mapping[str, str] = os.environ) -> list[str]:
    """Variables that hold a key themselves. They are not used."""
    return [name for name in PROVIDERS.values() if environment.get(name)]


def from_file(variable: str, environment: Mapping[str, str]) -> str | None:
    """What stands in the file that this variable names, without the space around; None when it names none.

    Raises:
        ProblemError: the file cannot be read, or nothing is in it.
    """
    name = environment.get(variable)
    if not name:
        return None
    try:
        text = Path(name).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as fault:
        why = fault.strerror if isinstance(fault, OSError) else "it is no text"
        raise ProblemError(
            f"{variable} names {name}: {why}", remedy="Mount the file there, readable for this user."
        ) from None
    if not text:
        raise ProblemError(f"{variable} names {name}, which is empty", remedy="Put the secret into it.")
    return text
