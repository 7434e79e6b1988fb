"""The hash chain, what breaks it, and what a file of it may hold."""

import json
import math
from dataclasses import replace
from enum import StrEnum
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from canary.core.ledger import (
    GENESIS,
    Entry,
    EntryError,
    Fault,
    Wrong,
    chain,
    decode,
    encode,
    entry_hash,
    verify,
)

scalars = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text())
bodies = st.dictionaries(
    st.text(),
    st.recursive(
        scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3)
    ),
    max_size=4,
)


def a_ledger(length: int, **body: Any) -> list[Entry]:
    entries: list[Entry] = []
    for at in range(length):
        last = entries[-1] if entries else None
        entries.append(chain(last, 1000.0 + at, "look", "ada@host", {"harm": at / 7, **body}))
    return entries


def rewritten(entry: Entry, **changes: Any) -> Entry:
    """The entry changed by somebody who computes the hash anew."""
    new = replace(entry, **changes)
    return replace(new, hash=entry_hash(new.number, new.at, new.kind, new.actor, new.body, new.previous))


def test_the_first_entry_follows_genesis_and_each_other_the_one_before() -> None:
    first, second = a_ledger(2)
    assert (first.number, first.previous) == (1, GENESIS)
    assert (second.number, second.previous) == (2, first.hash)


def test_a_hash_stays_the_same_over_versions_of_this_program() -> None:
    # Ledgers outlive programs: a change of this digest breaks every ledger that exists.
    entry = chain(None, 1.5, "start", "ada@host", {"version": "v1", "harm": math.inf, "counts": (1, 2.0)})
    assert entry.hash == "5e46ae7ce87d4aacaea97b840b670b01b03ba44138c41531bc47aabea9c9694c"


def test_a_ledger_as_it_was_written_is_whole() -> None:
    assert verify(a_ledger(5)) is None
    assert verify([]) is None
    assert verify([encode(entry) for entry in a_ledger(5)]) is None


@pytest.mark.parametrize(
    "change", [{"at": 5.0}, {"kind": "end"}, {"actor": "eve@host"}, {"body": {"harm": 0}}, {"number": 7}]
)
def test_a_changed_entry_is_named(change: dict[str, Any]) -> None:
    entries = a_ledger(5)
    entries[2] = replace(entries[2], **change)
    assert verify(entries) == Fault(3, Wrong.CHANGED, "its content does not give its hash")


def test_an_entry_changed_together_with_its_hash_is_told_by_the_next_one() -> None:
    entries = a_ledger(5)
    entries[2] = rewritten(entries[2], actor="eve@host")
    fault = verify(entries)
    assert fault is not None
    assert (fault.number, fault.wrong) == (4, Wrong.CHANGED)
    assert "does not follow number 3" in fault.detail


def test_a_missing_entry_is_named() -> None:
    entries = a_ledger(6)
    assert verify(entries[:2] + entries[3:]) == Fault(3, Wrong.MISSING, "number 3 is missing before number 4")
    assert verify(entries[2:]) == Fault(1, Wrong.MISSING, "numbers 1 to 2 are missing before number 3")


def test_entries_out_of_order_are_named() -> None:
    one, two, three, four = a_ledger(4)
    assert verify([one, three, two, four]) == Fault(2, Wrong.REORDERED, "number 3 stands before number 2")


def test_an_inserted_entry_is_named() -> None:
    one, two, three = a_ledger(3)
    foreign = chain(one, 1000.5, "decision", "eve@host", {})
    fault = verify([one, foreign, two, three])
    assert fault is not None
    assert (fault.number, fault.wrong) == (3, Wrong.INSERTED)
    unlinked = rewritten(two, previous="f" * 64)
    assert verify([one, unlinked, two, three]) == Fault(
        2, Wrong.INSERTED, "the entry that follows number 1 comes after it"
    )


def test_an_entry_given_twice_is_named() -> None:
    one, two, three = a_ledger(3)
    assert verify([one, two, two, three]) == Fault(3, Wrong.INSERTED, "number 2 stands here a second time")


def test_a_ledger_cut_at_its_end_is_told_by_the_head_that_the_record_knows() -> None:
    entries = a_ledger(5)
    head = entries[-1].hash
    assert verify(entries, head=head, length=5) is None
    assert verify(entries[:3]) is None
    cut = verify(entries[:3], head=head, length=5)
    assert cut == Fault(4, Wrong.TRUNCATED, "3 entries, wanted at least 5")
    without_length = verify(entries[:3], head=head)
    assert without_length is not None
    assert (without_length.number, without_length.wrong) == (3, Wrong.TRUNCATED)
    gone = verify([], head=head)
    assert gone is not None
    assert gone.wrong is Wrong.TRUNCATED


def test_a_ledger_may_be_ahead_of_its_record() -> None:
    entries = a_ledger(5)
    assert verify(entries, head=entries[2].hash, length=3) is None


def test_a_chain_written_anew_from_the_start_is_told_by_the_head() -> None:
    head = a_ledger(5)[-1].hash
    forged = verify(a_ledger(5, by="eve"), head=head, length=5)
    assert forged is not None
    assert (forged.number, forged.wrong) == (5, Wrong.CHANGED)


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("", "the line is empty"),
        ("{", "it is no JSON"),
        ("[1]", "found list, wanted an object"),
        ("[" * 100_000, "nested too deeply"),
        ("9" * 10_000, "it is no JSON"),
        ('{"number":1}', "fields are missing or unknown: actor, at, body, hash, kind, previous"),
    ],
)
def test_a_line_that_is_no_entry_is_named_with_its_number(line: str, why: str) -> None:
    lines = [encode(entry) for entry in a_ledger(2)] + [line]
    fault = verify(lines)
    assert fault is not None
    assert (fault.number, fault.wrong) == (3, Wrong.UNREADABLE)
    assert why in fault.detail


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("number", "1"),
        ("number", True),
        ("number", 0),
        ("at", None),
        ("kind", 3),
        ("actor", []),
        ("body", []),
        ("previous", "0" * 63),
        ("hash", "X" * 64),
    ],
)
def test_a_field_of_the_wrong_kind_is_named(field: str, value: object) -> None:
    values = json.loads(encode(a_ledger(1)[0])) | {field: value}
    with pytest.raises(EntryError, match=f"^{field}: found .* wanted"):
        decode(json.dumps(values))


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e999"])
def test_a_number_in_a_file_that_is_not_finite_is_refused(number: str) -> None:
    line = encode(a_ledger(1, harm=0.5)[0]).replace("0.5", number)
    assert number in line
    with pytest.raises(EntryError, match="not finite"):
        decode(line)


def test_a_field_given_twice_is_refused() -> None:
    line = encode(a_ledger(1)[0])
    with pytest.raises(EntryError, match="given twice"):
        decode(line[:-1] + ',"actor":"eve@host"}')


def test_an_earlier_broken_link_is_named_before_an_unreadable_line() -> None:
    one, two, three = a_ledger(3)
    fault = verify([encode(one), encode(three), "{"])
    assert fault is not None
    assert (fault.number, fault.wrong) == (2, Wrong.MISSING)
    assert two.number == 2


def test_numbers_that_are_not_finite_become_words() -> None:
    body = {"harm": math.inf, "low": -math.inf, "mid": math.nan, "in": [{"deep": math.inf}]}
    entry = chain(None, 1.0, "look", "ada@host", body)
    assert entry.body == {"harm": "inf", "low": "-inf", "mid": "nan", "in": [{"deep": "inf"}]}
    assert decode(encode(entry)) == entry


class Word(StrEnum):
    GOOD = "good"


def test_what_programs_use_becomes_what_json_knows() -> None:
    entry = chain(None, 1, "look", "ada@host", {"word": Word.GOOD, "pair": (1, True), "by": {3: None}})
    assert entry.body == {"word": "good", "pair": [1, True], "by": {"3": None}}
    assert decode(encode(entry)) == entry
    with pytest.raises(ValueError, match="bytes: wanted only what JSON knows"):
        chain(None, 1, "look", "ada@host", {"raw": b"x"})


@pytest.mark.parametrize("at", [math.inf, math.nan])
def test_a_time_that_is_not_finite_is_refused(at: float) -> None:
    with pytest.raises(ValueError, match="finite unix seconds"):
        chain(None, at, "look", "ada@host", {})


def test_an_entry_made_by_hand_with_infinity_counts_as_changed() -> None:
    entry = replace(a_ledger(1)[0], body={"harm": math.inf})
    fault = verify([entry])
    assert fault is not None
    assert fault.wrong is Wrong.CHANGED


def test_a_fault_is_told_in_one_line() -> None:
    assert str(Fault(3, Wrong.MISSING, "number 3 is missing before number 4")) == (
        "entry 3 is missing: number 3 is missing before number 4"
    )


@settings(deadline=None)
@given(st.lists(bodies, min_size=1, max_size=5), st.text(), st.floats(allow_nan=False, allow_infinity=False))
def test_whatever_is_chained_reads_back_equal_and_whole(
    given_bodies: list[dict[str, Any]], actor: str, at: float
) -> None:
    entries: list[Entry] = []
    for body in given_bodies:
        entries.append(chain(entries[-1] if entries else None, at, "look", actor, body))
    lines = [encode(entry) for entry in entries]
    assert all(line.isascii() and "\n" not in line for line in lines)
    assert [decode(line) for line in lines] == entries
    assert verify(lines) is None


@settings(deadline=None)
@given(st.lists(st.text(), min_size=1))
def test_no_garbage_is_taken_for_a_ledger(lines: list[str]) -> None:
    fault = verify(lines)
    assert fault is not None
    assert fault.number == 1


@settings(deadline=None)
@given(st.data())
def test_no_single_change_to_a_file_goes_unseen(data: st.DataObject) -> None:
    entries = a_ledger(4)
    lines = [encode(entry) for entry in entries]
    at = data.draw(st.integers(0, 3))
    spot = data.draw(st.integers(0, len(lines[at]) - 1))
    letter = data.draw(st.characters(codec="ascii"))
    changed = lines[at][:spot] + letter + lines[at][spot + 1 :]
    broken = verify([*lines[:at], changed, *lines[at + 1 :]])
    try:
        same = decode(changed) == entries[at]
    except EntryError:
        same = False
    assert (broken is None) == same


@settings(deadline=None)
@given(st.permutations(range(5)), st.integers(0, 5))
def test_no_other_order_or_selection_of_entries_is_whole(order: list[int], kept: int) -> None:
    entries = a_ledger(5)
    shuffled = [entries[at] for at in order][:kept]
    assert (verify(shuffled, length=5) is None) == (shuffled == entries)
