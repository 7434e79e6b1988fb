"""What every `ports.LedgerStore` keeps to: in memory, on disk, and in ConfigMaps."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from canary.core.ledger import GENESIS, Entry, decode, entry_hash
from canary.errors import ConflictError
from canary.local.ledger_store import LocalLedger
from canary.ports import LedgerStore
from tests.fakes import FakeLedger
from tests.kube.shelves import Shelves


@pytest.fixture(params=["fake", "local", pytest.param("kube", marks=pytest.mark.control_plane)])
def ledger(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[LedgerStore]:
    if request.param == "kube":
        shelves = Shelves(request.getfixturevalue("place"))
        yield shelves
        shelves.close()
    else:
        yield FakeLedger() if request.param == "fake" else LocalLedger(tmp_path / "state")


def a_chain(length: int, **body: Any) -> list[Entry]:
    entries: list[Entry] = []
    for number in range(1, length + 1):
        previous = entries[-1].hash if entries else GENESIS
        at = 1_700_000_000.1 + number / 3
        values = {"look": number, "rates": [0.1, 1e-300], "said": "größer\n", **body}
        digest = entry_hash(number, at, "look", "ada@host", values, previous)
        entries.append(Entry(number, at, "look", "ada@host", values, previous, digest))
    return entries


def test_a_target_without_a_ledger_reads_as_empty(ledger: LedgerStore) -> None:
    assert ledger.read("web") == ()


def test_entries_are_read_as_they_were_appended(ledger: LedgerStore) -> None:
    chain = a_chain(5)
    ledger.append("web", chain[:2])
    ledger.append("web", chain[2:])
    ledger.flush("web")

    assert ledger.read("web") == tuple(chain)


def test_what_is_kept_can_be_seen_line_by_line(ledger: LedgerStore) -> None:
    chain = a_chain(5)
    assert ledger.lines("web") == ()
    ledger.append("web", chain)
    ledger.flush("web")

    assert [decode(line) for line in ledger.lines("web")] == chain


def test_what_was_read_still_has_its_hashes(ledger: LedgerStore) -> None:
    ledger.append("web", a_chain(3))

    for entry in ledger.read("web"):
        assert entry.hash == entry_hash(
            entry.number, entry.at, entry.kind, entry.actor, entry.body, entry.previous
        )


def test_entries_that_are_there_already_are_passed_over(ledger: LedgerStore) -> None:
    chain = a_chain(4)
    ledger.append("web", chain[:3])
    ledger.append("web", chain[1:])
    ledger.append("web", chain)

    assert ledger.read("web") == tuple(chain)


def test_another_entry_under_a_number_that_is_taken_is_a_conflict(ledger: LedgerStore) -> None:
    ledger.append("web", a_chain(3))

    with pytest.raises(ConflictError):
        ledger.append("web", a_chain(4, other="story"))

    assert ledger.read("web") == tuple(a_chain(3))


def test_an_entry_that_does_not_follow_the_last_one_is_a_conflict(ledger: LedgerStore) -> None:
    chain = a_chain(4)
    ledger.append("web", chain[:2])

    with pytest.raises(ConflictError):
        ledger.append("web", chain[3:])
    with pytest.raises(ConflictError):
        ledger.append("web", a_chain(3, other="story")[2:])

    assert ledger.read("web") == tuple(chain[:2])


def test_nothing_is_appended_when_one_of_the_entries_is_refused(ledger: LedgerStore) -> None:
    chain = a_chain(4)

    with pytest.raises(ConflictError):
        ledger.append("web", [*chain[:2], chain[3]])

    assert ledger.read("web") == ()


def test_ledgers_of_targets_are_apart(ledger: LedgerStore) -> None:
    ledger.append("web", a_chain(2))
    ledger.append("api", a_chain(1))

    assert len(ledger.read("web")) == 2
    assert len(ledger.read("api")) == 1


def test_appending_nothing_changes_nothing(ledger: LedgerStore) -> None:
    ledger.append("web", [])

    assert ledger.read("web") == ()
