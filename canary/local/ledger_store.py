"""The ledger as JSON lines: one file per target, append only."""

import json
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any
from urllib.parse import quote

from canary.core.ledger import GENESIS, Entry
from canary.errors import ConflictError, InvalidError
from canary.local.files import append_durable, ensure_directory, locked, read_lines

_FIELDS = tuple(field.name for field in fields(Entry))


class LocalLedger:
    """Implements `ports.LedgerStore` in the folder `ledger` of a state folder.

    Args:
        state_dir: made if it does not exist. On a local disk.
        folder: another one in it; empty: the state folder itself.
    """

    def __init__(self, state_dir: Path, folder: str = "ledger") -> None:
        self._folder = state_dir / folder

    def append(self, target: str, entries: Sequence[Entry]) -> None:
        """Durable once returned. Entries already there (same number and hash) are passed over.

        Raises:
            ConflictError: an entry does not continue what is there: its number is taken by another
                entry, or it does not follow the last one. Nothing was written.
            CanaryError: the file cannot be written; what was there before is whole.
        """
        if not entries:
            return
        path = self.path(target)
        ensure_directory(self._folder)
        with locked(path.with_suffix(".lock")):
            lines = read_lines(path)
            kept = _News(path, lines)
            for entry in entries:
                kept.add(entry)
            append_durable(path, b"".join(map(_line, kept.entries)))

    def flush(self, target: str) -> None:
        """Nothing to do: what was appended is on the disk."""

    def read(self, target: str) -> tuple[Entry, ...]:
        """All entries, oldest first. A torn last line is left out.

        Raises:
            InvalidError: a line is not an entry; it is named.
        """
        path = self.path(target)
        return tuple(_entry(path, number, line) for number, line in enumerate(read_lines(path), 1))

    def lines(self, target: str) -> tuple[str, ...]:
        """What stands in the file, line by line, whatever it is. A torn last line is left out."""
        return tuple(line.decode(errors="replace") for line in read_lines(self.path(target)))

    def path(self, target: str) -> Path:
        """Where it is, or will be."""
        return self._folder / f"{quote(target, safe='')}.jsonl"


class _News:
    """Those of the given entries that are not there yet, checked to continue the chain."""

    def __init__(self, path: Path, lines: Sequence[bytes]) -> None:
        self.entries: list[Entry] = []
        self._path = path
        self._lines = lines
        last = _entry(path, len(lines), lines[-1]) if lines else None
        self._length = len(lines)
        self._head = last.hash if last else GENESIS

    def add(self, entry: Entry) -> None:
        if entry.number <= self._length:
            self._pass_over(entry)
        elif (entry.number, entry.previous) == (self._length + 1, self._head):
            self.entries.append(entry)
            self._length, self._head = entry.number, entry.hash
        else:
            raise self._conflict(entry, f"the last one there is {self._length}, hash {self._head[:12]}")

    def _pass_over(self, entry: Entry) -> None:
        if entry.number > len(self._lines):
            there = self.entries[entry.number - len(self._lines) - 1]
        else:
            there = _entry(self._path, entry.number, self._lines[entry.number - 1])
        if there.hash != entry.hash:
            raise self._conflict(entry, f"{there.hash[:12]} stands there under this number")

    def _conflict(self, entry: Entry, found: str) -> ConflictError:
        return ConflictError(
            f"{self._path}: entry {entry.number} (hash {entry.hash[:12]}) does not follow: {found}",
            remedy="Somebody else wrote to it: read it again and go on from its end.",
        )


def _line(entry: Entry) -> bytes:
    # Compact and in the order of the fields: the hash is over the values, not over this text.
    values = {name: getattr(entry, name) for name in _FIELDS}
    return json.dumps(values, separators=(",", ":")).encode() + b"\n"


def _entry(path: Path, number: int, line: bytes) -> Entry:
    try:
        values: Any = json.loads(line)
        if not isinstance(values, dict) or set(values) != set(_FIELDS):
            found = "fields are missing or unknown"
        elif values["number"] != number:
            found = f"found number {values['number']}, wanted {number}: lines are missing or were added"
        else:
            return Entry(**values)
    except ValueError as fault:
        found = str(fault)
    raise InvalidError(
        f"{path}:{number}: this line is not a ledger entry: {found}",
        remedy="Something else changed the file: compare it with an earlier `canary audit export`.",
    )
