"""Copies of seals as lines in a file, which should lie where the ledger's writers may only append."""

import os
from pathlib import Path

from canary.core.seal_check import Copy
from canary.core.seals import Seal, encode
from canary.errors import DeniedError, InvalidError, MissingError, TransientError


class FileCopies:
    """Appends each seal as one line of JSON. Nothing but appending is asked of the file system.

    Args:
        path: of the file, made when it is not there. Its folder is not: a share that is not mounted must not
            be taken for an empty one.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    @property
    def name(self) -> str:
        """For people."""
        return f"file {self._path}"

    def deliver(self, seal: Seal) -> None:
        """Append it; on the disk once returned.

        Raises:
            MissingError: there is no such folder. DeniedError: we may not. TransientError: it failed.
        """
        line = encode(seal).encode() + b"\n"
        if self._is_torn():
            line = b"\n" + line
        try:
            descriptor = os.open(
                self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NONBLOCK, 0o644
            )
            try:
                if os.write(descriptor, line) != len(line):
                    raise TransientError(f"{self._path} took but a part of the line")
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
        except FileNotFoundError as fault:
            raise MissingError(f"there is no folder {self._path.parent}") from fault
        except PermissionError as fault:
            raise DeniedError(f"{self._path} may not be written by this user") from fault
        except IsADirectoryError as fault:
            raise InvalidError(f"{self._path} is a folder, wanted a file in it") from fault
        except OSError as fault:
            raise TransientError(f"{self._path}: {fault.strerror}") from fault

    def _is_torn(self) -> bool:
        """Whether a crash has left a part of a line at the end. Not known, where we may not read."""
        try:
            # A pipe would hold us up until somebody writes to it.
            if not self._path.is_file():
                return False
            with self._path.open("rb") as file:
                file.seek(0, os.SEEK_END)
                if file.tell() == 0:
                    return False
                file.seek(-1, os.SEEK_END)
                return file.read(1) != b"\n"
        except OSError:
            return False


def copies_in(path: Path) -> list[Copy]:
    """The lines of a file of copies that hold something.

    Raises:
        OSError, UnicodeDecodeError: it cannot be read.
    """
    return numbered(str(path), path.read_text(encoding="utf-8"))


def numbered(name: str, text: str) -> list[Copy]:
    """The same of a text; `name`: where it is from, for people."""
    return [Copy(f"{name}:{number}", line) for number, line in enumerate(text.split("\n"), 1) if line.strip()]
