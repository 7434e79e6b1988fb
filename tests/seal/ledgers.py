"""Ledgers with seals, as a driver writes them, and what somebody without the key can make of one."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from canary.core import seals
from canary.core.ledger import GENESIS, Entry, chain, entry_hash
from canary.core.seal_check import Copy
from canary.core.seals import Seal, SealKey, sealed
from canary.seal.keys import HmacKey

KEY = HmacKey(bytes(range(32)))
OTHER = HmacKey(bytes(range(100, 132)))
RELEASE = "web-v2-20260102T030405"


def with_seal(
    entries: Sequence[Entry], key: SealKey = KEY, *, target: str = "web", release: str = RELEASE
) -> list[Entry]:
    """The ledger with a seal of its last entry."""
    last = entries[-1]
    seal = sealed(key, last, target=target, release=release, at=last.at, actor="ci@runner")
    return [*entries, chain(last, seal.at, seals.SEAL, seal.actor, seals.body(seal))]


def with_entry(entries: Sequence[Entry], kind: str, **body: Any) -> list[Entry]:
    last = entries[-1] if entries else None
    at = 1_700_000_000.25 + len(entries)
    return [*entries, chain(last, at, kind, "ci@runner", {"release": RELEASE, **body})]


def a_ledger(
    decisions: int = 3, key: SealKey | None = KEY, *, said: str = "good", target: str = "web"
) -> list[Entry]:
    """A look, a decision and its seal, again and again: the entries 2, 5, 8 ... are sealed."""
    entries: list[Entry] = []
    for number in range(1, decisions + 1):
        entries = with_entry(entries, "look", number=number, harm=number / 7)
        entries = with_entry(entries, "decision", reason=f"{said} {number}")
        if key is not None:
            entries = with_seal(entries, key, target=target)
    return entries


def copies(entries: Sequence[Entry], place: str = "web.seals") -> list[Copy]:
    """What went outward."""
    found = [seals.seal_of(entry) for entry in entries if entry.kind == seals.SEAL]
    return [Copy(f"{place}:{n}", seals.encode(seal)) for n, seal in enumerate(found, 1)]


def chained_anew(entries: Sequence[Entry]) -> list[Entry]:
    """Numbers, links and hashes computed once more, as anybody can: a chain without a fault."""
    made: list[Entry] = []
    for entry in entries:
        number, link = len(made) + 1, made[-1].hash if made else GENESIS
        new = replace(entry, number=number, previous=link)
        made.append(
            replace(new, hash=entry_hash(number, new.at, new.kind, new.actor, new.body, new.previous))
        )
    return made


def resealed(seal: Seal, **changes: Any) -> Seal:
    """The seal changed, with the signature as it was."""
    return replace(seal, **changes)
