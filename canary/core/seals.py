"""A seal: the hash of an entry, signed with a key that whoever can write the ledger need not have. Pure.

A hash chain alone can be rewritten whole. A seal cannot be made anew without its key, and a copy of it that
lies elsewhere tells what the chain was. It stands in the ledger as an entry of its own, right after the one
that it seals, and that entry says nothing which the signature does not cover.
"""

import json
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import Any, Protocol

from canary.core.ledger import Entry

SEAL = "seal"
"""Kind of the entries that are seals."""
DOMAIN = b"canary ledger seal, form 1\n"
"""Comes before what is signed: no signature made for anything else can pass for a seal."""
MAX_TEXT = 8192
"""A line longer than this, in characters, is no seal."""


class SealKey(Protocol):
    """What seals are made or checked with.

    Attributes:
        algorithm: `hmac-sha256` or `ed25519`. id: 16 hexadecimal digits that tell it from other keys.
    """

    @property
    def algorithm(self) -> str:
        """How it signs."""

    @property
    def id(self) -> str:
        """Tells nothing about a secret."""

    def sign(self, message: bytes) -> str:
        """The signature, hexadecimal. Only with the key itself: its public half makes none."""

    def verifies(self, message: bytes, signature: str) -> bool:
        """Whether this key made the signature for this very message."""


@dataclass(frozen=True)
class Seal:
    """That the ledger of `target` had this head, as the holder of a key saw it.

    Attributes:
        target, release: whose ledger, and in which release. number, head: of the sealed entry: its number,
            from 1, and its hash. at: unix seconds. actor: who sealed it.
        algorithm, key: see `SealKey`. signature: over all the above, hexadecimal.
    """

    target: str
    release: str
    number: int
    head: str
    at: float
    actor: str
    algorithm: str
    key: str
    signature: str = ""


@dataclass(frozen=True)
class Carried:
    """What became of copies on their way outward, when that changes.

    Attributes:
        to: where they go, without what may be secret in an address. number: of the last sealed entry that was
            to get there. fault: why it did not; empty: it did, and so did those that waited.
        waiting: how many copies have not got there.
    """

    to: str
    number: int
    fault: str = ""
    waiting: int = 0


class SealError(ValueError):
    """It is no seal; the message says why."""


def message(seal: Seal) -> bytes:
    """What is signed: the domain, and the canonical JSON of all fields but the signature."""
    values = {name: value for name, value in asdict(seal).items() if name != "signature"}
    return DOMAIN + json.dumps(values, sort_keys=True, separators=(",", ":"), allow_nan=False).encode()


def sealed(key: SealKey, entry: Entry, *, target: str, release: str, at: float, actor: str) -> Seal:
    """Seal an entry, and with it all before.

    Args:
        key: that can sign. entry: the last one there is. at: unix seconds. others: see `Seal`.
    """
    plain = Seal(target, release, entry.number, entry.hash, float(at), actor, key.algorithm, key.id)
    return replace(plain, signature=key.sign(message(plain)))


def body(seal: Seal) -> dict[str, Any]:
    """The body of the entry that the seal becomes; the rest stands in the entry itself."""
    return {name: value for name, value in asdict(seal).items() if name not in ("at", "actor")}


def seal_of(entry: Entry) -> Seal:
    """The seal that an entry of this kind is.

    Raises:
        SealError: it is none, or one of another entry than that before it.
    """
    if entry.kind != SEAL:
        raise SealError(f"it is a {entry.kind}, not a seal")
    found = _read({**entry.body, "at": entry.at, "actor": entry.actor})
    if found.number != entry.number - 1:
        raise SealError(f"it is the seal of entry {found.number}, and stands after entry {entry.number - 1}")
    if found.head != entry.previous:
        raise SealError(f"it seals {found.head[:12]}, and stands after {entry.previous[:12]}")
    return found


def encode(seal: Seal) -> str:
    """The seal as one line of JSON, ASCII only: what copies of it are, wherever they lie."""
    return json.dumps(asdict(seal), separators=(",", ":"), allow_nan=False)


def decode(line: str) -> Seal:
    """Read one line; its signature is not checked here.

    Raises:
        SealError: it is no JSON, or a field is missing, unknown, given twice or of the wrong kind.
    """
    if len(line) > MAX_TEXT:
        raise SealError(f"it has {len(line)} characters, wanted at most {MAX_TEXT}")
    try:
        found = json.loads(line, object_pairs_hook=_without_repeats)
    except SealError:
        raise
    except (ValueError, RecursionError):
        raise SealError("it is no JSON") from None
    if not isinstance(found, dict):
        raise SealError(f"found {type(found).__name__}, wanted an object")
    return _read(found)


def _without_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise SealError("a field is given twice")
    return found


def _read(values: Mapping[str, Any]) -> Seal:
    wanted = {field.name for field in fields(Seal)}
    if set(values) != wanted:
        odd = ", ".join(sorted(set(values) ^ wanted))
        raise SealError(f"fields are missing or unknown: {odd}")
    for name, (fits, what) in _KINDS.items():
        if not fits(values[name]):
            raise SealError(f"{name}: found {values[name]!r:.60}, wanted {what}")
    return Seal(**values)


def _is_text(value: object) -> bool:
    return isinstance(value, str)


def _is_hex(pattern: str) -> Callable[[object], bool]:
    return lambda value: isinstance(value, str) and re.fullmatch(pattern, value) is not None


_KINDS: Mapping[str, tuple[Callable[[Any], bool], str]] = {
    "target": (_is_text, "text"),
    "release": (_is_text, "text"),
    "number": (lambda v: type(v) is int and v >= 1, "a whole number from 1"),
    "head": (_is_hex("[0-9a-f]{64}"), "64 hexadecimal digits"),
    "at": (lambda v: type(v) in (int, float) and math.isfinite(v), "unix seconds"),
    "actor": (_is_text, "text"),
    "algorithm": (_is_text, "text"),
    "key": (_is_hex("[0-9a-f]{16}"), "16 hexadecimal digits"),
    "signature": (_is_hex("[0-9a-f]{64}|[0-9a-f]{128}"), "64 or 128 hexadecimal digits"),
}
