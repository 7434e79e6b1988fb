"""What a seal covers, and what is no seal."""

import json
import re
from dataclasses import asdict, replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from canary.core.ledger import chain
from canary.core.seals import SEAL, Seal, SealError, body, decode, encode, message, seal_of, sealed
from tests.seal.ledgers import KEY, OTHER, a_ledger, chained_anew

ENTRY = chain(None, 1.5, "start", "ada@host", {"release": "r1", "version": "v1"})
ONE = sealed(KEY, ENTRY, target="web", release="r1", at=2.5, actor="ada@host")


def test_a_seal_names_the_entry_and_whose_ledger_it_is_of() -> None:
    assert (ONE.target, ONE.release, ONE.number, ONE.head, ONE.at) == ("web", "r1", 1, ENTRY.hash, 2.5)
    assert (ONE.algorithm, ONE.key) == ("hmac-sha256", KEY.id)
    assert KEY.verifies(message(ONE), ONE.signature)
    assert not OTHER.verifies(message(ONE), ONE.signature)


def test_a_signature_stays_the_same_over_versions_of_this_program() -> None:
    # Seals outlive programs: a change of this signature breaks every seal that exists.
    assert KEY.id == "b0c7d097544005b2"
    assert ONE.signature == "5a43df51a2089c27e4fccc08050decb0809c56ca2c70cdbafaf3875fb87f43fd"


def test_what_is_signed_says_that_it_is_a_seal() -> None:
    assert message(ONE).startswith(b"canary ledger seal, form 1\n{")
    assert ONE.signature.encode() not in message(ONE)


def test_a_seal_reads_back_as_it_was_written() -> None:
    assert decode(encode(ONE)) == ONE
    assert encode(ONE).isascii()
    assert "\n" not in encode(ONE)


def test_a_seal_becomes_an_entry_that_reads_back_as_the_seal() -> None:
    entry = chain(ENTRY, ONE.at, SEAL, ONE.actor, body(ONE))
    assert seal_of(entry) == ONE
    with pytest.raises(SealError, match="it is a start, not a seal"):
        seal_of(ENTRY)


def test_a_seal_that_stands_elsewhere_is_none() -> None:
    second = chain(ENTRY, 3.0, "look", "ada@host", {})
    with pytest.raises(SealError, match="it is the seal of entry 1, and stands after entry 2"):
        seal_of(chain(second, ONE.at, SEAL, ONE.actor, body(ONE)))
    another = chain(None, 9.0, "start", "eve@host", {})
    with pytest.raises(SealError, match=r"it seals .* and stands after"):
        seal_of(chain(another, ONE.at, SEAL, ONE.actor, body(ONE)))


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("", "it is no JSON"),
        ("{", "it is no JSON"),
        ("[" * 5000, "it is no JSON"),
        ("x" * 9000, "it has 9000 characters, wanted at most 8192"),
        ("[1]", "found list, wanted an object"),
        ('{"number":1}', "fields are missing or unknown: actor, algorithm, at, head"),
        ('{"number":1,"number":2}', "a field is given twice"),
    ],
)
def test_a_line_that_is_no_seal_says_why(line: str, why: str) -> None:
    with pytest.raises(SealError, match="^" + re.escape(why)):
        decode(line)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("target", None),
        ("release", 3),
        ("number", 0),
        ("number", True),
        ("number", "1"),
        ("head", "0" * 63),
        ("at", "1"),
        ("at", float("nan")),
        ("actor", []),
        ("algorithm", {}),
        ("key", "0" * 17),
        ("signature", "X" * 64),
        ("signature", "0" * 65),
    ],
)
def test_a_field_of_the_wrong_kind_is_named(field: str, value: object) -> None:
    with pytest.raises(SealError, match=f"^{field}: found .*, wanted"):
        decode(json.dumps(asdict(ONE) | {field: value}))


CHANGES: dict[str, st.SearchStrategy[Any]] = {
    "target": st.text(),
    "release": st.text(),
    "number": st.integers(1, 10**9),
    "head": st.text("0123456789abcdef", min_size=64, max_size=64),
    "at": st.floats(allow_nan=False, allow_infinity=False),
    "actor": st.text(),
    "algorithm": st.text(),
    "key": st.text("0123456789abcdef", min_size=16, max_size=16),
}


@given(st.data(), st.sampled_from(sorted(CHANGES)))
def test_the_signature_covers_every_field(data: st.DataObject, field: str) -> None:
    changed = replace(ONE, **{field: data.draw(CHANGES[field])})
    assert KEY.verifies(message(changed), changed.signature) == (changed == ONE)


@given(st.text(), st.text(), st.text(), st.text())
def test_no_two_seals_sign_the_same_words(target: str, release: str, actor: str, other: str) -> None:
    one = Seal(target, release, 1, "0" * 64, 1.0, actor, "hmac-sha256", "0" * 16)
    for field in ("target", "release", "actor"):
        changed = decode(json.dumps({**asdict(one), field: other, "signature": "0" * 64}))
        assert (message(changed) == message(one)) == (getattr(one, field) == other)


def test_a_sealed_ledger_has_a_seal_after_each_decision() -> None:
    entries = a_ledger(2)
    assert [entry.kind for entry in entries] == ["look", "decision", "seal", "look", "decision", "seal"]
    assert chained_anew(entries) == entries
