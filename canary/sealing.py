"""How a driver seals its ledger: what is sealed when, which copies go out, and what is said of them.

Nothing here decides anything, and nothing that goes wrong with a seal or a copy holds up a release.
"""

from contextlib import suppress

from canary.core.journal import Journal
from canary.core.ledger import Entry, Wrong, verify
from canary.core.release import Release
from canary.core.seal_check import within
from canary.core.seals import Carried, SealError, SealKey, message, seal_of
from canary.errors import CanaryError
from canary.ports import LedgerStore, Reporter, Seals

EVERY_S = 300.0
"""While no decision is taken, what was written is sealed after so long."""
SETTLE_S = 5.0
"""At the end of a release its last copies may take so long."""
LAST_S = 2.0
"""And so long when a driver is told to stop."""


def check(seals: Seals | None) -> None:
    """See that there is a key, if the ledger is to be sealed; asked before anything is touched.

    Raises:
        CanaryError: there is none, or it must not be used.
    """
    if seals is not None:
        _ = seals.key


def usable(seals: Seals | None, ledger: LedgerStore, target: str, reporter: Reporter) -> Seals | None:
    """The seals of a driver that begins; None when it has to do without, which is said.

    The ledger is looked at once: whoever seals it goes on from what is there. Its last seal goes out again:
    the driver before may have been killed before it did.
    """
    if seals is None:
        return None
    try:
        key = seals.key
    except CanaryError as fault:
        reporter.note(f"the ledger is not sealed: {fault.message}")
        return None
    with suppress(CanaryError):
        entries = ledger.read(target)
        if (wrong := _changed(entries, key)) is not None:
            reporter.note(f"the ledger was changed: {wrong}; `canary audit verify` tells more")
        _resend(seals, entries)
    return seals


def _changed(entries: tuple[Entry, ...], key: SealKey) -> str | None:
    """What is wrong with the ledger as far as this key can tell: others may have sealed before."""
    if (fault := verify(entries)) is not None:
        return str(fault)
    found = within(entries, [key]).faults
    return next((str(one) for one in found if one.wrong is Wrong.MISSEALED), None)


def _resend(seals: Seals, entries: tuple[Entry, ...]) -> None:
    for entry in reversed(entries):
        with suppress(SealError):
            seal = seal_of(entry)
            # What this key did not make is not vouched for.
            if seals.key.id == seal.key and seals.key.verifies(message(seal), seal.signature):
                seals.send(seal)
            return


def signed(
    seals: Seals | None, book: Journal, release: Release, at: float, actor: str, *, every_s: float = 0.0
) -> Journal:
    """What waits to be written, with a seal at its end.

    Args:
        at: unix seconds. every_s: not when the last seal is younger than this, seconds.
    """
    if seals is None or (book.seal is not None and at - book.seal.at < every_s):
        return book
    return book.with_seal(seals.key, release, at, actor)


def sent(seals: Seals | None, book: Journal) -> None:
    """Copies of the last seal go out; all of the book must have been written."""
    if seals is not None and book.seal is not None:
        with suppress(SealError):
            seals.send(seal_of(book.seal))


def told(
    seals: Seals | None, book: Journal, release: Release, at: float, actor: str, reporter: Reporter
) -> Journal:
    """What became of copies: in the output, and among what waits to be written."""
    for one in seals.news() if seals is not None else ():
        reporter.note(in_words(one))
        book = book.with_copy(release, one, at, actor)
    return book


def in_words(carried: Carried) -> str:
    """One line for people."""
    if not carried.fault:
        return f"copies of seals get to {carried.to} again, up to that of entry {carried.number}"
    return (
        f"the copy of the seal of entry {carried.number} did not get to {carried.to}: {carried.fault}; the "
        "release goes on, it is tried again with the next"
    )
