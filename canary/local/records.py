"""Records as files: one per target, replaced whole, compare-and-swap between processes."""

import hashlib
import json
from pathlib import Path
from urllib.parse import quote

from canary import record
from canary.core.release import Release
from canary.errors import ConflictError, InvalidError
from canary.local.files import ensure_directory, locked, read_whole, write_atomic
from canary.ports import Recorded


class LocalRecords:
    """Implements `ports.Records` in the folder `records` of a state folder.

    A file has two lines: `{"counter": N, "sha256": HASH}`, then the record itself. The version of a
    reading is both: the counter tells a state from an equal one that came later, the hash tells a
    record from one that was removed and begun again, and from one that was damaged.

    Args:
        state_dir: made if it does not exist. On a local disk.
    """

    def __init__(self, state_dir: Path) -> None:
        self._folder = state_dir / "records"

    def load(self, target: str) -> Recorded | None:
        """The record, or None if there is none.

        Raises:
            InvalidError: it was written by a newer schema, or is not a record.
            CanaryError: the file cannot be read.
        """
        path = self._path(target)
        found = _read(path)
        if found is None:
            return None
        _, version, document = found
        try:
            return Recorded(record.load(document), version)
        except InvalidError as fault:
            raise InvalidError(
                f"{path}: {fault.message}", faults=fault.faults, remedy=fault.remedy
            ) from fault

    def save(self, release: Release, *, expected: str | None) -> Recorded:
        """Replace the record of `release.target` if it is still at `expected` (None: must not exist).

        Raises:
            ConflictError: somebody else wrote since `expected` was read.
            TransientError: full disk and the like; load again to see whether it landed.
            InvalidError: the release cannot be written (see `record.dump`), or the file is damaged.
        """
        document = record.dump(release)
        path = self._path(release.target)
        ensure_directory(self._folder)
        with locked(path.with_suffix(".lock")):
            found = _read(path)
            counter, version = (found[0], found[1]) if found else (0, None)
            if version != expected:
                raise ConflictError(
                    f"the record of {release.target} is at version {version}, not at {expected}",
                    remedy="Somebody else wrote it: load it again.",
                )
            digest = hashlib.sha256(document).hexdigest()
            head = json.dumps({"counter": counter + 1, "sha256": digest})
            write_atomic(path, head.encode() + b"\n" + document + b"\n")
        return Recorded(release, _version(counter + 1, digest))

    def _path(self, target: str) -> Path:
        return self._folder / f"{quote(target, safe='')}.json"


def _version(counter: int, digest: str) -> str:
    return f"{counter}-{digest[:16]}"


def _read(path: Path) -> tuple[int, str, bytes] | None:
    data = read_whole(path)
    if data is None:
        return None
    head, _, document = data.removesuffix(b"\n").partition(b"\n")
    digest = hashlib.sha256(document).hexdigest()
    try:
        found = json.loads(head)
        counter, stated = int(found["counter"]), found["sha256"]
    except (ValueError, KeyError, TypeError) as fault:
        raise _damaged(path, "its first line is not a counter and a hash") from fault
    if stated != digest:
        raise _damaged(path, "the record does not have the hash that its first line states")
    return counter, _version(counter, digest), document


def _damaged(path: Path, found: str) -> InvalidError:
    return InvalidError(
        f"{path} is not a record as canary writes it: {found}",
        remedy="It was changed by something else. Put it back from a copy, or move it away to begin anew.",
    )
