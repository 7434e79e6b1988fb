"""The record and the ledger of a target, in ConfigMaps.

One ConfigMap, `canary-<target>`, holds the record and the end of the ledger: what a decision says of itself
in the ledger and the state it leads to are one write. When the end has grown long it is put into a
ConfigMap of its own first, which never changes again; so the ledger is whole wherever a crash falls.
"""

import hashlib
import json
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import fields
from typing import Any

from canary import record
from canary.core.ledger import GENESIS, Entry
from canary.core.release import Release
from canary.errors import ConflictError, InvalidError, MissingError
from canary.kube.mirror import Mirror
from canary.kube.objects import labels, record_name
from canary.kube.session import Json, Session
from canary.ports import Recorded

CONFIG_MAPS = ("v1", "configmaps")
TAIL_BYTES = 128 * 1024
"""The end of the ledger beside the record; longer, and it is put away."""
CHUNK_BYTES = 384 * 1024
"""Entries of one ConfigMap of the ledger, about; such an object is at most 1 MiB."""
CHUNK = "canary.ledger"
"""Label of the ConfigMaps with earlier entries."""
CHUNKS = "canary.ledger-chunks"
"""Annotation on the record: the ends of their names, in order. One that is not listed was never meant."""
_FIELDS = tuple(field.name for field in fields(Entry))


class Shelf:
    """The ConfigMaps of one target; `records` and `ledger` are its two ports.

    Entries that are appended wait until the next save, or until they are flushed.

    Args:
        session: in the namespace of the target.
        target: its name.
        changed: called, from another thread, when somebody wrote.
    """

    def __init__(self, session: Session, target: str, changed: Callable[[], None] = lambda: None) -> None:
        self.target = target
        self.name = record_name(target)
        self._session = session
        query = {"fieldSelector": f"metadata.name={self.name}"}
        self._mirror = Mirror(session, session.path(*CONFIG_MAPS), query, changed)
        self._staged: list[Entry] = []

    @property
    def staged(self) -> tuple[Entry, ...]:
        """Entries that are not written yet."""
        return tuple(self._staged)

    def document(self) -> Json | None:
        """The ConfigMap with the record, as far as known here."""
        return self._mirror.objects().get(self.name)

    def stage(self, entries: Sequence[Entry]) -> None:
        """Have these written with the next save."""
        self._staged += entries

    def restage(self, entries: Sequence[Entry]) -> None:
        """Have these written with the next save, instead of what was staged."""
        self._staged = list(entries)

    def write(self, text: str | None, expected: str | None) -> Json:
        """Write the record, unless None, and all that is staged.

        Raises:
            ConflictError: it is no longer at `expected` (None: it exists). TransientError: not known whether
                it landed.
        """
        before = self.document()
        version = before["metadata"]["resourceVersion"] if before else None
        if version != expected:
            raise ConflictError(
                f"the record of {self.target} is at version {version}, not at {expected}",
                remedy="Somebody else wrote it: load it again.",
            )
        data: dict[str, str] = dict((before or {}).get("data") or {})
        chunks = _chunks(before) if before else ()
        tail, put_away = _arranged(data.get("ledger", ""), self._staged)
        for chunk in put_away:
            chunks = (*chunks, self._put_away(len(chunks) + 1, chunk))
        data["ledger"] = tail
        if text is not None:
            data["record"] = text
        written = self._put(before, data, chunks)
        self._mirror.learn(written)
        self._staged = []
        return written

    def chunks(self) -> str:
        """All entries that were put away, oldest first; one request for each ConfigMap of them."""
        found = self.document()
        ends = _chunks(found) if found else ()
        paths = [self._session.path(*CONFIG_MAPS, f"{self.name}-ledger-{end}") for end in ends]
        return "".join(self._session.get(path)["data"]["ledger"] for path in paths)

    def kept(self) -> str:
        """What is there of the entries that were put away, whoever has been at them."""
        found, parts = self.document(), []
        for end in _chunks(found) if found else ():
            with suppress(MissingError):
                one = self._session.get(self._session.path(*CONFIG_MAPS, f"{self.name}-ledger-{end}"))
                parts.append(str((one.get("data") or {}).get("ledger", "")))
        return "".join(part if part.endswith("\n") or not part else f"{part}\n" for part in parts)

    def refresh(self, since: str | None = None) -> None:
        """Read anew at the next look, see `Mirror.refresh`."""
        self._mirror.refresh(since)

    def close(self) -> None:
        """Follow the server no more."""
        self._mirror.close()

    def _put(self, before: Json | None, data: dict[str, str], chunks: tuple[str, ...]) -> Json:
        meta: Json = {"name": self.name, "namespace": self._session.namespace, "labels": labels(self.target)}
        if chunks:
            meta["annotations"] = {CHUNKS: ",".join(chunks)}
        body: Json = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta, "data": data}
        if before is None:
            return self._session.create(self._session.path(*CONFIG_MAPS), body)
        meta["resourceVersion"] = before["metadata"]["resourceVersion"]
        meta["uid"] = before["metadata"]["uid"]
        try:
            return self._session.replace(self._session.path(*CONFIG_MAPS, self.name), body)
        except MissingError as fault:
            raise ConflictError(f"the record of {self.target} was deleted meanwhile") from fault

    def _put_away(self, number: int, text: str) -> str:
        """Keep these entries in a ConfigMap of their own; the end of its name."""
        # Named after what it holds: made once more after a crash, it is the same.
        end = f"{number:06d}-{hashlib.sha256(text.encode()).hexdigest()[:8]}"
        body: Json = {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "immutable": True,
            "metadata": {
                "name": f"{self.name}-ledger-{end}",
                "namespace": self._session.namespace,
                "labels": {**labels(self.target), CHUNK: "true"},
            },
            "data": {"ledger": text},
        }
        with suppress(ConflictError):
            self._session.create(self._session.path(*CONFIG_MAPS), body)
        return end


def _chunks(document: Json) -> tuple[str, ...]:
    listed = (document["metadata"].get("annotations") or {}).get(CHUNKS, "")
    return tuple(end for end in listed.split(",") if end)


def _arranged(tail: str, staged: Sequence[Entry]) -> tuple[str, list[str]]:
    """The new end of the ledger, and what has to be put away before, in order."""
    put_away: list[str] = []
    for entry in staged:
        line = _line(entry)
        if len(tail) + len(line) > CHUNK_BYTES:
            put_away.append(tail)
            tail = ""
        tail += line
    lines = tail.splitlines(keepends=True)
    if len(tail) > TAIL_BYTES and len(lines) > 1:
        # The last entry stays: it is what the next one has to follow.
        put_away.append("".join(lines[:-1]))
        tail = lines[-1]
    return tail, put_away


class KubeRecords:
    """Implements `ports.Records` on a shelf."""

    def __init__(self, shelf: Shelf) -> None:
        self._shelf = shelf

    def load(self, target: str) -> Recorded | None:
        """The record, or None if there is none.

        Raises:
            InvalidError: it was written by a newer schema, or is not a record.
        """
        found = self._shelf.document()
        text = (found.get("data") or {}).get("record") if found else None
        if found is None or text is None:
            return None
        try:
            release = record.load(text.encode())
        except InvalidError as fault:
            raise InvalidError(
                f"ConfigMap {self._shelf.name}: {fault.message}", faults=fault.faults, remedy=fault.remedy
            ) from fault
        return Recorded(release, found["metadata"]["resourceVersion"])

    def save(self, release: Release, *, expected: str | None) -> Recorded:
        """Replace the record if it is still at `expected` (None: must not exist), and write what is staged.

        Raises:
            ConflictError: somebody else wrote since `expected` was read.
            InvalidError: the release cannot be written.
        """
        text = record.dump(release).decode()
        found = self._shelf.document()
        if expected is None and found is not None and "record" not in (found.get("data") or {}):
            expected = found["metadata"]["resourceVersion"]
        written = self._shelf.write(text, expected)
        return Recorded(release, written["metadata"]["resourceVersion"])


class KubeLedger:
    """Implements `ports.LedgerStore` on a shelf."""

    def __init__(self, shelf: Shelf) -> None:
        self._shelf = shelf

    def append(self, target: str, entries: Sequence[Entry]) -> None:
        """Durable with the next save of the record, or when flushed.

        Raises:
            ConflictError: an entry does not continue what is there; none of them is taken then.
        """
        there = {entry.number: entry for entry in self._end()}
        last = max(there, default=0)
        news: list[Entry] = []
        for entry in entries:
            if entry.number <= last:
                known = there.get(entry.number)
                # What was put away long ago is not read again for this.
                if known is not None and known.hash != entry.hash:
                    raise self._conflict(entry)
                continue
            head = (news[-1] if news else there[last]).hash if last or news else GENESIS
            if entry.number != (news[-1].number if news else last) + 1 or entry.previous != head:
                raise self._conflict(entry)
            news.append(entry)
        self._shelf.stage(news)

    def flush(self, target: str) -> None:
        """Durable once returned.

        Raises:
            ConflictError: somebody else wrote in the same moment.
        """
        if not self._shelf.staged:
            return
        found = self._shelf.document()
        self._shelf.write(None, found["metadata"]["resourceVersion"] if found else None)

    def read(self, target: str) -> tuple[Entry, ...]:
        """All entries, oldest first, those that wait to be written too."""
        end = self._end()
        return (*_entries(self._shelf.chunks(), self._shelf.name), *end)

    def lines(self, target: str) -> tuple[str, ...]:
        """What stands in the ConfigMaps, line by line, whatever it is; one that is gone or empty has none."""
        found = self._shelf.document()
        end = str(((found or {}).get("data") or {}).get("ledger", ""))
        return tuple(line for line in (self._shelf.kept() + end).split("\n") if line)

    def _end(self) -> tuple[Entry, ...]:
        """The entries beside the record, and those that wait and still follow them."""
        found = self._shelf.document()
        text = (found.get("data") or {}).get("ledger", "") if found else ""
        written = _entries(text, self._shelf.name)
        last = written[-1] if written else None
        waiting = [one for one in self._shelf.staged if last is None or one.number > last.number]
        if waiting and waiting[0].previous != (last.hash if last else GENESIS):
            # Somebody else has written since: what waits was meant to follow something else.
            waiting = []
        self._shelf.restage(waiting)
        return (*written, *waiting)

    def _conflict(self, entry: Entry) -> ConflictError:
        return ConflictError(
            f"the ledger of {self._shelf.target}: entry {entry.number} (hash {entry.hash[:12]}) does not "
            "follow what is there",
            remedy="Somebody else wrote to it: read it again and go on from its end.",
        )


def _line(entry: Entry) -> str:
    values = {name: getattr(entry, name) for name in _FIELDS}
    return json.dumps(values, separators=(",", ":")) + "\n"


def _entries(text: str, name: str) -> tuple[Entry, ...]:
    found = []
    for number, line in enumerate(text.splitlines(), 1):
        try:
            values: Any = json.loads(line)
            found.append(Entry(**values))
        except (ValueError, TypeError) as fault:
            raise InvalidError(
                f"ConfigMap {name}: line {number} of its ledger is not an entry: {fault}",
                remedy="Something else changed it: compare it with an earlier `canary audit export`.",
            ) from fault
    return tuple(found)
