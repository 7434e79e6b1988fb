"""Where everything of the server is: `server.toml`, read and checked."""

import fcntl
import os
import tomllib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from steward.problem import ProblemError

FILE = "server.toml"
TEXTS = ("database", "backups", "evidence", "releases", "service", "canary")
LISTS = ("copies", "configuration")
NUMBERS = ("keep_days", "rto_s", "rpo_s")
"""All keys of the file. All must be there."""


@dataclass(frozen=True)
class Place:
    """One server.

    Attributes:
        folder: of `server.toml`; everything else is relative to it.
        database: the file of SQLite. backups: folder of backups. copies: where each is copied to.
        evidence: folder of what backups and drills have proved. releases: folder of installed releases.
        configuration: files and folders that go into a backup, relative to `folder`.
        service, canary: where the sources of both are.
        keep_s: a backup is kept at least so long. rto_s, rpo_s: what is promised, in seconds.
    """

    folder: Path
    database: Path
    backups: Path
    copies: tuple[Path, ...]
    evidence: Path
    releases: Path
    configuration: tuple[str, ...]
    service: Path
    canary: Path
    keep_s: float
    rto_s: float
    rpo_s: float

    @property
    def config(self) -> Path:
        """What canary reads."""
        return self.folder / "canary.yaml"

    @contextmanager
    def alone(self) -> Iterator[None]:
        """One command at a time changes code or data; the kernel frees the lock of one that is killed.

        Raises:
            ProblemError: another one is at it.
        """
        with (self.folder / ".steward.lock").open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise ProblemError(
                    "another steward changes this server just now", remedy="Wait for its end.", code=2
                ) from None
            yield


def read(folder: Path) -> Place:
    """The server that this folder's `server.toml` describes.

    Raises:
        ProblemError: it is not there, or something in it is not as wanted; all faults at once.
    """
    path = folder / FILE
    try:
        found = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as fault:
        raise ProblemError(
            f"{path}: {fault.strerror}", remedy="Go to the server's folder, or name it with --at.", code=2
        ) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as fault:
        raise ProblemError(f"{path}: {fault}", remedy="Mend the file.", code=2) from None
    if faults := _faults(found):
        raise ProblemError(f"{path}: {'; '.join(faults)}", remedy="Mend the file.", code=2)
    return _place(folder.absolute(), found)


def _faults(found: Mapping[str, Any]) -> list[str]:
    known = (*TEXTS, *LISTS, *NUMBERS)
    faults = [f"{key} is unknown" for key in found if key not in known]
    faults += [f"{key} is missing" for key in known if key not in found]
    for key in known:
        if key in found and not _is_good(key, found[key]):
            wanted = "text" if key in TEXTS else "a list of texts" if key in LISTS else "a number above 0"
            faults.append(f"{key} is {found[key]!r}, wanted {wanted}")
    return faults


def _is_good(key: str, value: object) -> bool:
    if key in TEXTS:
        return isinstance(value, str) and value != ""
    if key in LISTS:
        return isinstance(value, list) and all(isinstance(one, str) for one in value)
    return isinstance(value, int | float) and not isinstance(value, bool) and value > 0


def _place(folder: Path, found: Mapping[str, Any]) -> Place:
    def path(text: str) -> Path:
        return Path(os.path.normpath(folder / Path(text).expanduser()))

    return Place(
        folder=folder,
        database=path(found["database"]),
        backups=path(found["backups"]),
        copies=tuple(path(one) for one in found["copies"]),
        evidence=path(found["evidence"]),
        releases=path(found["releases"]),
        configuration=tuple(found["configuration"]),
        service=path(found["service"]),
        canary=path(found["canary"]),
        keep_s=found["keep_days"] * 86400.0,
        rto_s=float(found["rto_s"]),
        rpo_s=float(found["rpo_s"]),
    )
