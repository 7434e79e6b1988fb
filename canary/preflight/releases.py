"""What canary itself stands for: a way back, and a ledger that tells who changed it."""

from canary.preflight.facts import Facts, Kept
from canary.preflight.finding import Parts, Unseen, age, bad, good


def upgrade(facts: Facts) -> Parts:
    """The record can be read, nothing is under way, and there is something to go back to."""
    history = facts.history
    if history.fault:
        yield bad(f"the record cannot be read: {history.fault}", "Put it back as it was written.")
    if history.unsettled:
        yield bad(
            f"a release has not ended: {history.unsettled}",
            "Wait for it (`canary watch`), or end it (`canary abort`).",
        )
    if history.limit is not None and history.limit < 1:
        yield bad(
            f"{facts.target} keeps no old revision (revisionHistoryLimit is {history.limit})",
            "Set `revisionHistoryLimit` to 2 or more.",
        )
    yield from _pinned(history.runs, "what runs now")
    if history.others:
        last = history.others[0]
        yield from _pinned(last, "the one before")
        yield good(f"{len(history.others)} earlier revisions are kept, the last is {_named(last)}")
    elif not history.fault:
        yield good(f"{_named(history.runs)} is the first revision: a release pins it to come back to")


def _pinned(kept: Kept, what: str) -> Parts:
    if kept.floating:
        yield bad(
            f"{what}, {_named(kept)}, has images that may be others tomorrow: {', '.join(kept.floating)}",
            "Name images with a version as their tag, or by their digest.",
        )


def _named(kept: Kept) -> str:
    return f"{kept.version} (revision {kept.number})" if kept.number is not None else kept.version


def audit(facts: Facts) -> Parts:
    """The ledger's chain holds, and whoever writes it all anew would be found out."""
    ledger = facts.ledger
    if isinstance(ledger, Unseen):
        yield ledger.part
        return
    if ledger.fault:
        yield bad(
            f"the ledger does not hold: {ledger.fault}",
            "Somebody changed it: `canary audit verify --seals FILE` names each place.",
        )
    elif ledger.entries:
        last = f", the last {age(facts.now - ledger.last)} ago" if ledger.last is not None else ""
        yield good(f"the ledger's {ledger.entries} entries are whole and unchanged{last}")
    else:
        yield good("the ledger is on; it begins with the first release")
    if ledger.unsealed:
        yield bad(
            f"{ledger.unsealed}; who can write the ledger could write all of it anew",
            "Have it sealed and copied outward (`ledger.seal`): `canary audit keygen` makes a key.",
        )
    elif not ledger.fault:
        yield good(f"{ledger.seals} good seals" if ledger.seals else "the next release is sealed")
