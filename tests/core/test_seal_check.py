"""What somebody does to a sealed ledger, and how it shows: in its seals, and against copies of them."""

import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from canary.core import seals
from canary.core.ledger import Entry, EntryError, Fault, Wrong, chain, decode, encode, verify
from canary.core.seal_check import Checked, Copy, against, target_of, within
from tests.seal.ledgers import (
    KEY,
    OTHER,
    a_ledger,
    chained_anew,
    copies,
    resealed,
    with_entry,
    with_seal,
)

WHOLE = a_ledger(3)
"""Nine entries: look, decision, seal, three times."""
COPIES = copies(WHOLE)


def found(entries: Sequence[Entry], outside: Sequence[Copy] = ()) -> list[tuple[int, Wrong]]:
    """The places of all faults: of the chain, else of the seals in it, else against the copies."""
    broken = verify(entries)
    faults = [broken] if broken else [*within(entries, [KEY], "web").faults]
    faults += [] if broken else against(entries, outside, [KEY], "web").faults
    return [(one.number, one.wrong) for one in faults]


def first(checked: Checked) -> Fault:
    assert checked.faults
    return checked.faults[0]


def test_a_ledger_as_it_was_sealed_is_good() -> None:
    assert within(WHOLE, [KEY], "web") == Checked((), 3, 9)
    assert against(WHOLE, COPIES, [KEY], "web") == Checked((), 3, 8)
    assert found(WHOLE, COPIES) == []


def test_looks_and_actions_after_the_last_seal_wait_for_the_next() -> None:
    entries = with_entry(with_entry(WHOLE, "look", number=4), "action", actions=[])
    assert within(entries, [KEY], "web") == Checked((), 3, 9)


# ── without the key, on the ledger alone


def test_a_chain_written_anew_without_seals_is_told_by_their_absence() -> None:
    forged = a_ledger(3, None, said="bad")
    assert verify(forged) is None
    assert within(forged, [KEY], "web").faults == (
        Fault(
            1, Wrong.UNSEALED, "no entry of the ledger has a good seal: whoever wrote it did not have the key"
        ),
    )


def test_a_chain_written_anew_with_seals_of_another_key_is_told_by_each() -> None:
    forged = a_ledger(2, OTHER, said="bad")
    assert verify(forged) is None
    faults = within(forged, [KEY], "web").faults
    assert [(one.number, one.wrong) for one in faults] == [
        (3, Wrong.FOREIGN),
        (6, Wrong.FOREIGN),
        (1, Wrong.UNSEALED),
    ]
    assert faults[0].detail == f"it was sealed with the key {OTHER.id}; given: {KEY.id}"


def test_a_chain_written_anew_with_the_old_seals_is_told_by_each() -> None:
    forged = chained_anew(
        [replace(one, body={**one.body, "reason": "bad"}) if one.kind == "decision" else one for one in WHOLE]
    )
    assert verify(forged) is None
    assert found(forged)[:3] == [(3, Wrong.MISSEALED), (6, Wrong.MISSEALED), (9, Wrong.MISSEALED)]


def test_an_end_written_anew_without_a_seal_is_told_at_its_first_decision() -> None:
    forged = with_entry(with_entry(WHOLE[:6], "look", number=3), "end", reason="bad")
    assert verify(forged) is None
    fault = first(within(forged, [KEY], "web"))
    assert (fault.number, fault.wrong) == (8, Wrong.UNSEALED)
    assert fault.detail.startswith("this end stands after the last good seal, which is entry 6")


def test_a_seal_that_claims_our_key_and_was_made_with_another_is_told() -> None:
    class Pretended:
        algorithm, id = KEY.algorithm, KEY.id

        def sign(self, message: bytes) -> str:
            return OTHER.sign(message)

        def verifies(self, message: bytes, signature: str) -> bool:
            return True

    forged = with_seal(WHOLE[:8], Pretended())
    assert verify(forged) is None
    assert found(forged) == [(9, Wrong.MISSEALED), (8, Wrong.UNSEALED)]


def test_an_old_seal_played_again_is_told_where_it_stands() -> None:
    last = WHOLE[-1]
    again = chain(last, WHOLE[2].at, seals.SEAL, WHOLE[2].actor, WHOLE[2].body)
    fault = first(within([*WHOLE, again], [KEY], "web"))
    assert (fault.number, fault.wrong) == (10, Wrong.MISSEALED)
    assert fault.detail == "it is the seal of entry 2, and stands after entry 9"


def test_a_seal_of_another_target_is_told() -> None:
    entries = with_seal(WHOLE[:8], KEY, target="api")
    fault = first(within(entries, [KEY], "web"))
    assert (fault.number, fault.detail) == (9, "it is a seal of 'api', wanted 'web'")
    assert first(within(entries, [KEY])).number == 9
    assert first(within(a_ledger(1, target="api"), [KEY], "web")).number == 3


def test_a_seal_of_another_release_is_told() -> None:
    entries = with_seal(WHOLE[:8], KEY, release="web-v9")
    fault = first(within(entries, [KEY], "web"))
    assert fault.number == 9
    assert fault.detail.startswith("it is a seal of release 'web-v9', entry 8 is of 'web-v2-")


def test_seals_of_keys_used_in_turn_are_good_with_both_keys_given() -> None:
    entries = with_seal(with_entry(WHOLE, "decision", reason="later"), OTHER)
    assert within(entries, [KEY, OTHER], "web").faults == ()
    assert [one.wrong for one in within(entries, [OTHER], "web").faults] == [Wrong.FOREIGN] * 3
    assert [one.wrong for one in within(entries, [KEY], "web").faults] == [Wrong.FOREIGN, Wrong.UNSEALED]


def test_without_a_key_only_the_form_of_seals_is_looked_at() -> None:
    assert within(a_ledger(2, OTHER), [], "web").faults == ()
    assert within(a_ledger(2, None), [], "web").faults == ()
    assert within(with_seal(WHOLE[:8], KEY, target="api"), [], "web").faults != ()


# ── against copies


def test_a_ledger_cut_back_to_an_earlier_seal_shows_against_a_later_copy() -> None:
    assert within(WHOLE[:6], [KEY], "web").faults == ()
    fault = first(against(WHOLE[:6], COPIES, [KEY], "web"))
    assert str(fault) == "entry 7 is truncated: web.seals:3 has the seal of entry 8, the ledger ends at 6"


def test_a_ledger_that_lost_nothing_but_its_last_seal_shows() -> None:
    fault = first(against(WHOLE[:8], COPIES, [KEY], "web"))
    assert (fault.number, fault.wrong) == (9, Wrong.TRUNCATED)
    assert fault.detail == "the ledger ends at 8, without the seal of that entry, which is in web.seals:3"


def test_a_chain_written_anew_shows_from_the_first_copy_on() -> None:
    for key in (None, OTHER, KEY):
        # The last one: whoever stole the key can seal what he likes, and not take the copies back.
        forged = a_ledger(3, key, said="bad")
        faults = against(forged, COPIES, [KEY], "web").faults
        assert [one.number for one in faults if one.wrong is Wrong.CHANGED][:1] == [2]
    assert first(against(a_ledger(3, KEY, said="bad"), COPIES, [KEY], "web")).detail.endswith(
        "web.seals:1 has the seal of " + WHOLE[1].hash[:12] + ": the chain was written anew"
    )


def test_a_seal_taken_out_of_the_chain_shows_against_its_copy() -> None:
    without = chained_anew([one for one in WHOLE if one.number != 9])
    other = with_entry(without, "look", number=4)
    assert found(other, COPIES) == [(8, Wrong.UNSEALED), (9, Wrong.CHANGED)]


def test_two_copies_of_one_number_with_different_heads_show_that_there_were_two_chains() -> None:
    outside = [*COPIES, *copies(a_ledger(1, KEY, said="bad"), "other.seals")]
    faults = against(WHOLE, outside, [KEY], "web").faults
    assert [(one.number, one.wrong) for one in faults] == [(2, Wrong.CHANGED), (2, Wrong.CHANGED)]
    assert faults[1].detail.startswith("web.seals:1 and other.seals:1 have seals of two different entries")


def test_copies_of_other_targets_are_passed_over_and_counted() -> None:
    outside = [*copies(a_ledger(2, target="api"), "all.seals"), *COPIES]
    assert against(WHOLE, outside, [KEY], "web") == Checked((), 3, 8, 2)


def test_a_copy_that_was_changed_or_signed_by_another_is_named_with_its_place() -> None:
    seal = seals.decode(COPIES[1].line)
    changed = Copy("web.seals:2", seals.encode(resealed(seal, at=seal.at + 1)))
    fault = first(against(WHOLE, [COPIES[0], changed], [KEY], "web"))
    assert (fault.number, fault.wrong) == (5, Wrong.MISSEALED)
    assert fault.detail == f"web.seals:2: its signature is not that of the key {KEY.id}"
    foreign = copies(a_ledger(1, OTHER))
    assert first(against(WHOLE, foreign, [KEY], "web")).wrong is Wrong.FOREIGN
    moved = Copy("web.seals:2", seals.encode(resealed(seal, release="web-v9")))
    assert first(against(WHOLE, [moved], [], "web")).wrong is Wrong.MISSEALED


def test_a_changed_copy_does_not_speak_against_the_good_one_of_that_number() -> None:
    seal = seals.decode(COPIES[0].line)
    bad = Copy("x:1", seals.encode(resealed(seal, head="0" * 64)))
    assert [one.wrong for one in against(WHOLE, [bad, *COPIES], [KEY], "web").faults] == [Wrong.MISSEALED]


def test_a_line_that_is_no_seal_is_named_and_one_that_a_crash_cut_off_is_not() -> None:
    rubbish = Copy("web.seals:2", "{}")
    fault = first(against(WHOLE, [COPIES[0], rubbish], [KEY], "web"))
    assert str(fault).startswith("a copy is unreadable: web.seals:2: fields are missing")
    torn = Copy("web.seals:2", COPIES[1].line[:40])
    assert against(WHOLE, [COPIES[0], torn, COPIES[1]], [KEY], "web").faults == ()
    assert against(WHOLE, [COPIES[0], torn], [KEY], "web").faults != ()


def test_the_same_copies_again_and_in_any_order_agree() -> None:
    assert against(WHOLE, [*reversed(COPIES), *COPIES], [KEY], "web") == Checked((), 6, 8)


def test_the_target_is_told_by_the_seals_or_by_copies_of_one_target() -> None:
    assert target_of(WHOLE) == "web"
    assert target_of(a_ledger(1, None), COPIES) == "web"
    assert target_of(a_ledger(1, None), [*COPIES, *copies(a_ledger(1, target="api"))]) == ""
    assert target_of([], [Copy("x:1", "{}")]) == ""


# ── laws


@given(st.permutations(range(9)), st.integers(0, 9))
def test_no_other_order_or_selection_of_entries_goes_unseen(order: list[int], kept: int) -> None:
    entries = [WHOLE[at] for at in order][:kept]
    assert (found(entries, COPIES) == []) == (entries == WHOLE)


@given(st.lists(st.integers(0, 8), unique=True, min_size=1, max_size=8))
def test_no_selection_chained_anew_goes_unseen(kept: list[int]) -> None:
    entries = chained_anew([WHOLE[at] for at in sorted(kept)])
    assert (found(entries, COPIES) == []) == (entries == WHOLE)


VALUES: st.SearchStrategy[Any] = st.one_of(st.text(max_size=8), st.integers(), st.booleans(), st.none())


@given(st.data(), st.integers(0, 8))
def test_no_single_entry_written_anew_and_chained_on_goes_unseen(data: st.DataObject, at: int) -> None:
    """Nor one of a seal: without the key no word of any entry changes, even with all hashes made anew."""
    entry = WHOLE[at]
    changed = data.draw(
        st.one_of(
            st.builds(lambda v: replace(entry, at=v), st.floats(allow_nan=False, allow_infinity=False)),
            st.builds(lambda v: replace(entry, kind=v), st.text(max_size=8)),
            st.builds(lambda v: replace(entry, actor=v), st.text(max_size=8)),
            st.builds(
                lambda key, value: replace(entry, body={**entry.body, key: value}),
                st.sampled_from(sorted(entry.body)),
                VALUES,
            ),
        )
    )
    forged = chained_anew([*WHOLE[:at], changed, *WHOLE[at + 1 :]])
    assert verify(forged) is None
    same = encode(forged[at]) == encode(entry)
    assert (within(forged, [KEY], "web").faults == ()) == same
    assert (against(forged, COPIES, [KEY], "web").faults == ()) == same


@given(st.data(), st.integers(0, 8))
def test_no_single_letter_of_an_exported_line_goes_unseen(data: st.DataObject, at: int) -> None:
    line = encode(WHOLE[at])
    spot = data.draw(st.integers(0, len(line) - 1))
    letter = data.draw(st.characters(codec="ascii"))
    changed = line[:spot] + letter + line[spot + 1 :]
    try:
        same = decode(changed) == WHOLE[at]
    except EntryError:
        same = False
    lines = [changed if n == at else encode(one) for n, one in enumerate(WHOLE)]
    assert (verify(lines) is None) == same


@given(st.data(), st.integers(0, 2))
def test_no_single_letter_of_a_copy_goes_unseen(data: st.DataObject, at: int) -> None:
    line = COPIES[at].line
    spot = data.draw(st.integers(0, len(line) - 1))
    letter = data.draw(st.characters(codec="ascii"))
    changed = Copy("x", line[:spot] + letter + line[spot + 1 :])
    outside = [changed if n == at else one for n, one in enumerate(COPIES)]
    checked = against(WHOLE, outside, [KEY], "web")
    try:
        same = json.loads(changed.line) == json.loads(line)
    except ValueError:
        same = False
    # A copy that came to name another target is passed over, and counted: it is not taken for one of ours.
    assert (checked.faults == () and checked.passed_over == 0) == same
