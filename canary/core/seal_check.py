"""Whether the seals of a ledger, and their copies that lie elsewhere, agree with its chain. Pure.

`ledger.verify` comes first: here the chain is taken to be whole in itself.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from canary.core.ledger import Entry, Fault, Wrong
from canary.core.seals import SEAL, Seal, SealError, SealKey, decode, message, seal_of

SEALED_KINDS = frozenset({"start", "decision", "end"})
"""Entries that are written together with their seal: one without it was written without the key."""


@dataclass(frozen=True)
class Copy:
    """A copy of a seal as it was found. `place`: where, for people. `line`: what is there."""

    place: str
    line: str


@dataclass(frozen=True)
class Checked:
    """What came of it.

    Attributes:
        faults: in the order of entries; empty: all agree. seals: how many good ones, or copies, there were.
        until: number of the last entry that a good seal vouches for; 0: none is.
        passed_over: copies that are of other targets, and say nothing about this one.
    """

    faults: tuple[Fault, ...] = ()
    seals: int = 0
    until: int = 0
    passed_over: int = 0


def target_of(entries: Sequence[Entry], copies: Sequence[Copy] = ()) -> str:
    """The target that the seals name, those in the ledger first; empty: none, or copies are of several."""
    inside = [str(one.body.get("target", "")) for one in entries if one.kind == SEAL]
    if inside:
        return inside[0]
    outside = {seal.target for copy in copies if isinstance(seal := _decoded(copy), Seal)}
    return outside.pop() if len(outside) == 1 else ""


def within(entries: Sequence[Entry], keys: Sequence[SealKey], target: str = "") -> Checked:
    """Check the seals that stand in the ledger.

    Args:
        entries: all of them, oldest first. target: whose ledger it is; empty: what the first seal says.
        keys: those that may have sealed; none: signatures are not checked, nor whether seals are lacking.
    """
    known, target = {one.id: one for one in keys}, target or target_of(entries)
    faults: list[Fault] = []
    good, last = 0, 0
    for entry in entries:
        if entry.kind != SEAL:
            continue
        found = _inside(entry, entries, known, target)
        if isinstance(found, Fault):
            faults.append(found)
        else:
            good, last = good + 1, entry.number
    faults += _lacking(entries, last) if keys else []
    return Checked(tuple(faults), good, last)


def _inside(entry: Entry, entries: Sequence[Entry], keys: Mapping[str, SealKey], target: str) -> Seal | Fault:
    try:
        seal = seal_of(entry)
    except SealError as why:
        return Fault(entry.number, Wrong.MISSEALED, str(why))
    if (wrong := _wrong(seal, entry.number, keys, target)) is not None:
        return wrong
    if other := _of_another_release(seal, entries[seal.number - 1]):
        return Fault(entry.number, Wrong.MISSEALED, other)
    return seal


def _wrong(seal: Seal, number: int, keys: Mapping[str, SealKey], target: str) -> Fault | None:
    """What speaks against a seal in itself, as it concerns the entry of this number."""
    if keys and seal.key not in keys:
        given = ", ".join(keys)
        return Fault(number, Wrong.FOREIGN, f"it was sealed with the key {seal.key}; given: {given}")
    if keys and not _signed(seal, keys[seal.key]):
        return Fault(number, Wrong.MISSEALED, f"its signature is not that of the key {seal.key}")
    if seal.target != target:
        return Fault(number, Wrong.MISSEALED, f"it is a seal of {seal.target!r:.80}, wanted {target!r:.80}")
    return None


def _of_another_release(seal: Seal, entry: Entry) -> str:
    """That a seal names another release than the entry that it seals; empty: it does not."""
    release = entry.body.get("release")
    if release is None or release == seal.release:
        return ""
    return f"it is a seal of release {seal.release!r:.80}, entry {seal.number} is of {release!r:.80}"


def _signed(seal: Seal, key: SealKey) -> bool:
    return seal.algorithm == key.algorithm and key.verifies(message(seal), seal.signature)


def _lacking(entries: Sequence[Entry], last: int) -> list[Fault]:
    """Entries after the last good seal that would have one, had the holder of the key written them."""
    if last == 0:
        detail = "no entry of the ledger has a good seal: whoever wrote it did not have the key"
        return [Fault(1, Wrong.UNSEALED, detail)] if entries else []
    for entry in entries[last:]:
        if entry.kind in SEALED_KINDS:
            after = f"this {entry.kind} stands after the last good seal, which is entry {last}"
            detail = f"{after}: whoever wrote it did not have the key"
            return [Fault(entry.number, Wrong.UNSEALED, detail)]
    return []


def against(
    entries: Sequence[Entry], copies: Sequence[Copy], keys: Sequence[SealKey], target: str
) -> Checked:
    """Check the ledger against copies of its seals that lie elsewhere.

    Args:
        entries: all of them, oldest first. copies: in any order; the same one any number of times.
        keys: see `within`. target: whose ledger it is; copies of others are passed over.
    """
    known = {one.id: one for one in keys}
    faults: list[Fault] = []
    sound: list[tuple[Seal, str]] = []
    passed_over = 0
    for place, copy in enumerate(copies):
        seal = _decoded(copy)
        if isinstance(seal, SealError):
            if not _torn(copy, copies[place + 1 : place + 2]):
                faults.append(Fault(0, Wrong.UNREADABLE, f"{copy.place}: {seal}"))
        elif seal.target != target:
            passed_over += 1
        elif (wrong := _wrong(seal, seal.number, known, target)) is not None:
            faults.append(Fault(seal.number, wrong.wrong, f"{copy.place}: {wrong.detail}"))
        else:
            sound.append((seal, copy.place))
    bad = [wrong for seal, where in sound if (wrong := _disagrees(seal, where, entries)) is not None]
    faults = sorted((*faults, *bad, *_forked(sound)), key=lambda one: one.number)
    until = max((seal.number for seal, _ in sound), default=0)
    return Checked(tuple(faults), len(sound) - len(bad), until, passed_over)


def _decoded(copy: Copy) -> Seal | SealError:
    try:
        return decode(copy.line)
    except SealError as why:
        return why


def _torn(copy: Copy, following: Sequence[Copy]) -> bool:
    """A line that a crash cut off, and that was written again whole, is no fault."""
    return bool(following) and copy.line != "" and following[0].line.startswith(copy.line)


def _disagrees(seal: Seal, place: str, entries: Sequence[Entry]) -> Fault | None:
    """How the chain contradicts a copy of a seal that is good in itself."""
    number = seal.number
    if number > len(entries):
        detail = f"{place} has the seal of entry {number}, the ledger ends at {len(entries)}"
        return Fault(len(entries) + 1, Wrong.TRUNCATED, detail)
    if (found := entries[number - 1].hash) != seal.head:
        detail = f"its hash is {found[:12]}, {place} has the seal of {seal.head[:12]}"
        return Fault(number, Wrong.CHANGED, f"{detail}: the chain was written anew")
    if other := _of_another_release(seal, entries[number - 1]):
        return Fault(number, Wrong.MISSEALED, f"{place}: {other}")
    if number == len(entries):
        detail = f"the ledger ends at {number}, without the seal of that entry, which is in {place}"
        return Fault(number + 1, Wrong.TRUNCATED, detail)
    try:
        same = seal_of(entries[number]) == seal
    except SealError:
        same = False
    if same:
        return None
    detail = f"it is not the seal of entry {number} that is in {place}: the chain was written anew"
    return Fault(number + 1, Wrong.CHANGED, detail)


def _forked(copies: Sequence[tuple[Seal, str]]) -> list[Fault]:
    """Numbers of which there are seals of several entries: whoever has the key sealed two chains."""
    first: dict[int, tuple[str, str]] = {}
    told: dict[int, Fault] = {}
    for seal, place in copies:
        head, where = first.setdefault(seal.number, (seal.head, place))
        if head != seal.head:
            detail = f"{where} and {place} have seals of two different entries of this number"
            told.setdefault(
                seal.number, Fault(seal.number, Wrong.CHANGED, f"{detail}: there were two chains")
            )
    return list(told.values())
