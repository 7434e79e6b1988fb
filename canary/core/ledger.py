"""The hash chain: each entry carries the hash of the one before it. Pure.

An entry is one line of JSON. Its hash is over the values, not over the text of the line. JSON knows no
infinity: infinite e-values, and whatever else is not finite, stand as the words `inf`, `-inf`, `nan`.
"""

import hashlib
import json
import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from enum import StrEnum
from numbers import Integral, Real
from typing import Any

GENESIS = "0" * 64


@dataclass(frozen=True)
class Entry:
    """One link.

    Attributes:
        number: 1, 2, 3 ... without gaps. at: unix seconds.
        kind: start | look | decision | action | request | end | seal | copy.
        actor: who did it: `user@host` of a person, or of the driver. body: JSON values.
        previous: hash of the entry before, GENESIS for the first. hash: over all the above.
    """

    number: int
    at: float
    kind: str
    actor: str
    body: Mapping[str, Any]
    previous: str
    hash: str


class Wrong(StrEnum):
    """What is the matter with an entry."""

    UNREADABLE = "unreadable"
    CHANGED = "changed"
    MISSING = "missing"
    REORDERED = "reordered"
    INSERTED = "inserted"
    TRUNCATED = "truncated"
    UNSEALED = "not sealed"
    MISSEALED = "wrongly sealed"
    FOREIGN = "sealed with another key"


@dataclass(frozen=True)
class Fault:
    """A bad place of a ledger.

    Attributes:
        number: where, counted from 1: of the entry, which is also its line in a file. 0: in a copy of a seal
            that does not tell its entry.
        wrong: for machines. detail: in words, for people.
    """

    number: int
    wrong: Wrong
    detail: str

    def __str__(self) -> str:
        """One line: where, what, and what was found."""
        if not self.number:
            return f"a copy is {self.wrong}: {self.detail}"
        return f"entry {self.number} is {self.wrong}: {self.detail}"


class EntryError(ValueError):
    """A line is not an entry of a ledger; the message says why."""


def entry_hash(number: int, at: float, kind: str, actor: str, body: Mapping[str, Any], previous: str) -> str:
    """SHA-256 over the canonical JSON of all fields; 64 hexadecimal digits.

    Raises:
        ValueError: a number is not finite. `chain` puts words in their place.
    """
    values = [number, at, kind, actor, body, previous]
    text = json.dumps(values, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


def chain(previous: Entry | None, at: float, kind: str, actor: str, body: Mapping[str, Any]) -> Entry:
    """The entry that follows `previous`; the first one without it.

    Args:
        previous: the last entry of the ledger.
        at: unix seconds, finite.
        kind: see `Entry`.
        actor: see `Entry`.
        body: mappings, sequences, text, numbers, booleans, None. Numbers that are not finite become
            the words `inf`, `-inf`, `nan`, sequences lists, keys text: it reads back as it stands.

    Raises:
        ValueError: `at` is not finite, or the body holds something else.
    """
    if not math.isfinite(at):
        raise ValueError(f"at {at}: wanted finite unix seconds")
    number = previous.number + 1 if previous else 1
    link = previous.hash if previous else GENESIS
    plain: dict[str, Any] = {str(key): _plain(value) for key, value in body.items()}
    digest = entry_hash(number, float(at), kind, actor, plain, link)
    return Entry(number, float(at), kind, actor, plain, link, digest)


def _plain(value: object) -> object:
    match value:
        case None | bool():
            return value
        case str():
            return str(value)
        case Integral():
            return int(value)
        case Real():
            return float(value) if math.isfinite(value) else str(float(value))
        case Mapping():
            return {str(key): _plain(inner) for key, inner in value.items()}
        case Sequence() | set() | frozenset() if not isinstance(value, bytes):
            return [_plain(inner) for inner in value]
        case _:
            raise ValueError(f"{type(value).__name__}: wanted only what JSON knows in the body of an entry")


def encode(entry: Entry) -> str:
    """The entry as one line of JSON, ASCII only, without the line's end."""
    values = {field.name: getattr(entry, field.name) for field in fields(Entry)}
    return json.dumps(values, separators=(",", ":"), allow_nan=False)


def decode(line: str) -> Entry:
    """Read one line; its hash is not checked here.

    Raises:
        EntryError: it is no JSON, a field is missing, unknown, given twice or of the wrong kind, or a
            number is not finite.
    """
    try:
        found = json.loads(
            line, parse_constant=_finite, parse_float=_finite, object_pairs_hook=_without_repeats
        )
    except RecursionError:
        raise EntryError("it is nested too deeply") from None
    except EntryError:
        raise
    except ValueError as fault:
        raise EntryError(f"it is no JSON ({fault})" if line.strip() else "the line is empty") from None
    if not isinstance(found, dict):
        raise EntryError(f"found {type(found).__name__}, wanted an object")
    wanted = {field.name for field in fields(Entry)}
    if set(found) != wanted:
        odd = ", ".join(sorted(set(found) ^ wanted))
        raise EntryError(f"fields are missing or unknown: {odd}")
    for name, (fits, wanted_kind) in _KINDS.items():
        if not fits(found[name]):
            raise EntryError(f"{name}: found {found[name]!r:.60}, wanted {wanted_kind}")
    return Entry(**found)


def _is_hash(value: object) -> bool:
    return isinstance(value, str) and re.fullmatch("[0-9a-f]{64}", value) is not None


def _is_text(value: object) -> bool:
    return isinstance(value, str)


_KINDS: Mapping[str, tuple[Callable[[Any], bool], str]] = {
    "number": (lambda v: type(v) is int and v >= 1, "a whole number from 1"),
    "at": (lambda v: type(v) in (int, float), "unix seconds"),
    "kind": (_is_text, "text"),
    "actor": (_is_text, "text"),
    "body": (lambda v: isinstance(v, dict), "an object"),
    "previous": (_is_hash, "64 hexadecimal digits"),
    "hash": (_is_hash, "64 hexadecimal digits"),
}


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise EntryError(f"the number {text:.40} is not finite")
    return number


def _without_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Of a repeated key readers disagree which value counts; the hash would cover only one."""
    found = dict(pairs)
    if len(found) != len(pairs):
        raise EntryError("a field is given twice")
    return found


def verify(entries: Iterable[Entry | str], *, head: str = "", length: int | None = None) -> Fault | None:
    """Find the first bad entry; None when the ledger is whole.

    A chain that was rewritten whole, or cut at its end, can only be told by a head that is known from
    elsewhere, such as the record's.

    Args:
        entries: oldest first; or the lines of an exported file.
        head: hash that the entry number `length`, without it the last one, must have; empty: unknown.
        length: how many entries there must be at least; more may have been written since.
    """
    read: list[Entry] = []
    fault: Fault | None = None
    for place, entry in enumerate(entries, 1):
        try:
            read.append(decode(entry) if isinstance(entry, str) else entry)
        except EntryError as why:
            fault = Fault(place, Wrong.UNREADABLE, str(why))
            break
    return _broken_link(read) or fault or _wrong_head(read, head, length)


def _broken_link(entries: Sequence[Entry]) -> Fault | None:
    last: Entry | None = None
    for place, entry in enumerate(entries):
        if _digest(entry) != entry.hash:
            return Fault(place + 1, Wrong.CHANGED, "its content does not give its hash")
        number = last.number + 1 if last else 1
        link = last.hash if last else GENESIS
        if (entry.number, entry.previous) != (number, link):
            return Fault(place + 1, *_misplaced(entries, place, number, link))
        last = entry
    return None


def _digest(entry: Entry) -> str:
    try:
        return entry_hash(entry.number, entry.at, entry.kind, entry.actor, entry.body, entry.previous)
    except ValueError:
        return ""


def _misplaced(entries: Sequence[Entry], place: int, number: int, link: str) -> tuple[Wrong, str]:
    """Why an entry that is sound in itself does not follow the one before it."""
    entry, later = entries[place], entries[place + 1 :]
    if entry in entries[:place]:
        return Wrong.INSERTED, f"number {entry.number} stands here a second time"
    comes_later = any((other.number, other.previous) == (number, link) for other in later)
    if entry.number > number and comes_later:
        return Wrong.REORDERED, f"number {entry.number} stands before number {number}"
    if comes_later:
        return Wrong.INSERTED, f"the entry that follows number {number - 1} comes after it"
    if entry.number > number:
        gap = (
            f"number {number} is"
            if entry.number == number + 1
            else f"numbers {number} to {entry.number - 1} are"
        )
        return Wrong.MISSING, f"{gap} missing before number {entry.number}"
    if entry.number < number:
        return Wrong.INSERTED, f"number {entry.number} stands where number {number} should"
    before = f"number {number - 1}" if number > 1 else "the beginning"
    return Wrong.CHANGED, f"it does not follow {before}: one of the two was written anew"


def _wrong_head(entries: Sequence[Entry], head: str, length: int | None) -> Fault | None:
    wanted = len(entries) if length is None else length
    if len(entries) < wanted or (head and not entries):
        return Fault(
            len(entries) + 1, Wrong.TRUNCATED, f"{len(entries)} entries, wanted at least {max(wanted, 1)}"
        )
    if not head or not wanted or entries[wanted - 1].hash == head:
        return None
    found = entries[wanted - 1].hash
    if length is None:
        detail = f"the last hash is {found[:12]}, wanted {head[:12]}: entries are missing or written anew"
        return Fault(wanted, Wrong.TRUNCATED, detail)
    return Fault(
        wanted, Wrong.CHANGED, f"its hash is {found[:12]}, wanted {head[:12]}: the chain was written anew"
    )
