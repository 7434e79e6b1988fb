"""The record's codec: what goes in comes out, and what is not known is refused."""

import json
import math
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from canary import record
from canary.core.release import (
    SCHEMA,
    ArmFacts,
    Outcome,
    Pause,
    Phase,
    PodFact,
    Release,
    Request,
    RequestKind,
    Stage,
)
from canary.core.revision import Revision
from canary.core.strategy import Capacity, Margin, Metric, MetricKind, OnInconclusive, Strategy
from canary.errors import InvalidError
from tests.a_release import a_release, a_revision

RECORDED = Path(__file__).parent / "recorded"

floats = st.floats(allow_nan=False, allow_infinity=False)
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
names = st.text("abcxyz-0123", min_size=1, max_size=8)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | floats | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=8,
)
revisions = st.builds(
    Revision,
    names,
    texts,
    st.dictionaries(texts, json_values, max_size=4),
    st.lists(names, max_size=2).map(tuple),
    st.none() | st.integers(1, 99),
)
metrics = st.builds(
    Metric,
    names,
    st.sampled_from(MetricKind),
    st.none() | names,
    slower_than_s=st.none() | floats,
    tolerance=floats,
    margin=st.builds(Margin, floats, floats),
)
strategies = st.builds(
    Strategy,
    steps=st.lists(floats, max_size=4).map(tuple),
    interval_s=floats,
    on_inconclusive=st.sampled_from(OnInconclusive),
    metrics=st.lists(metrics, max_size=2).map(tuple),
    exclude=st.dictionaries(names, st.lists(texts, max_size=2).map(tuple), max_size=2),
    capacity=st.sampled_from(Capacity),
)
facts = st.builds(
    ArmFacts,
    st.lists(names, max_size=2).map(tuple),
    st.lists(st.builds(PodFact, names, names, st.none() | floats), max_size=3).map(tuple),
)
requests = st.builds(Request, st.sampled_from(RequestKind), names, floats, texts, st.none() | floats)
releases = st.builds(
    Release,
    target=names,
    id=names,
    version=texts,
    strategy=strategies,
    stable=revisions,
    canary=revisions,
    replicas=st.integers(0, 10_000),
    since=floats,
    phase=st.sampled_from(Phase),
    step=st.integers(0, 9),
    stage=st.sampled_from(Stage),
    steps_at=st.lists(floats, max_size=3).map(tuple),
    arms=st.dictionaries(names, facts, max_size=3),
    slo_edges=st.dictionaries(names, st.lists(floats, max_size=3).map(tuple), max_size=2),
    unattended_s=floats,
    requests=st.lists(requests, max_size=2).map(tuple),
    pause=st.none() | st.builds(Pause, names, floats, floats, texts),
    outcome=st.none() | st.sampled_from(Outcome),
    times=st.dictionaries(names, floats, max_size=3),
)


def changed(**changes: Any) -> bytes:
    document = json.loads(record.dump(a_release()))
    return json.dumps({**document, **changes}).encode()


@given(releases)
def test_a_release_comes_back_exactly(release: Release) -> None:
    back = record.load(record.dump(release))

    assert back == release
    assert record.dump(back) == record.dump(release)


@given(floats)
def test_floats_come_back_to_the_last_bit(value: float) -> None:
    back = record.load(record.dump(a_release(since=value)))

    assert back.since.hex() == value.hex()


def test_enums_and_tuples_come_back_as_themselves() -> None:
    release = a_release(requests=(Request(RequestKind.PAUSE, "ada", 1.0),), outcome=Outcome.ABORTED)
    back = record.load(record.dump(release))

    assert back.requests[0].kind is RequestKind.PAUSE
    assert back.outcome is Outcome.ABORTED
    assert isinstance(back.strategy.steps, tuple)
    assert isinstance(back.requests, tuple)


def test_the_pinned_template_keeps_whole_numbers_apart_from_fractions() -> None:
    release = a_release(stable=a_revision("v1", port=8080, share=1.0, big=2**70))
    back = record.load(record.dump(release)).stable.template

    assert [type(back[name]) for name in ("port", "share", "big")] == [int, float, int]
    assert back["big"] == 2**70


@pytest.mark.parametrize(
    ("data", "word"),
    [
        (b"", "not a release record"),
        (b"{", "not a release record"),
        (b"[1]", "schema number"),
        (b"{}", "schema number"),
        (b'{"schema": true}', "schema number"),
        (b'{"schema": "1"}', "schema number"),
        (b"\xff\xfe", "not a release record"),
    ],
)
def test_what_is_no_record_is_refused_in_words(data: bytes, word: str) -> None:
    with pytest.raises(InvalidError, match=word) as caught:
        record.load(data)

    assert caught.value.remedy


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({"phaze": 1}, "phaze"),
        ({"replicas": "4"}, "replicas"),
        ({"replicas": 4.5}, "replicas"),
        ({"phase": "flying"}, "phase"),
        ({"since": None}, "since"),
        ({"strategy": {"stepz": []}}, "strategy.stepz"),
        ({"arms": {"stable": {"pods": [{"name": "a"}]}}}, "arms.stable.pods.0.uid"),
    ],
)
def test_a_field_that_is_wrong_or_unknown_is_named(changes: dict[str, Any], fault: str) -> None:
    with pytest.raises(InvalidError) as caught:
        record.load(changed(**changes))

    assert [line.split(":")[0] for line in caught.value.faults] == [fault]


def test_a_newer_schema_is_refused_and_says_what_to_do() -> None:
    with pytest.raises(InvalidError, match=f"schema {SCHEMA + 1}") as caught:
        record.load(changed(schema=SCHEMA + 1))

    assert "newer canary" in caught.value.remedy


def from_0(document: record.Document) -> record.Document:
    """As if schema 0 had called the revisions otherwise."""
    kept = {name: value for name, value in document.items() if not name.endswith("_revision")}
    return {**kept, "stable": document["stable_revision"], "canary": document["canary_revision"]}


def test_an_older_schema_is_migrated_step_by_step() -> None:
    data = (RECORDED / "release-schema-0.json").read_bytes()

    release = record.load(data, migrations={0: from_0})

    assert release.schema == SCHEMA
    assert release.phase is Phase.PROGRESSING
    assert release.stable.version == "v1"
    assert release.strategy.steps == (10.0, 50.0)
    assert record.load(record.dump(release)) == release


def test_an_older_schema_that_nothing_migrates_is_refused_and_says_what_to_do() -> None:
    with pytest.raises(InvalidError, match="schema 0") as caught:
        record.load((RECORDED / "release-schema-0.json").read_bytes())

    assert "the canary version that started it" in caught.value.remedy


def test_every_older_schema_has_a_migration() -> None:
    assert sorted(record.MIGRATIONS) == list(range(1, SCHEMA))


def test_a_release_that_is_too_large_is_refused_and_its_largest_part_named() -> None:
    with pytest.raises(InvalidError, match="262144") as caught:
        record.dump(a_release(stable=a_revision("v1", blob="x" * 262_144)))

    assert "`stable`" in caught.value.remedy


def test_a_release_with_many_pods_fits() -> None:
    pods = tuple(PodFact(f"web-7d9f8b6c5d-{n:05}", f"{n:036}", 1_700_000_000.123456) for n in range(500))

    assert len(record.dump(a_release(arms={"stable": ArmFacts(("a" * 10,), pods)}))) < record.MAX_BYTES


@pytest.mark.parametrize(
    "changes",
    [
        {"since": math.nan},
        {"since": math.inf},
        {"reason": "\udcff"},
        {"stable": a_revision("v1", limit=math.inf)},
    ],
)
def test_what_json_cannot_say_is_refused_before_it_is_written(changes: dict[str, Any]) -> None:
    with pytest.raises(InvalidError, match="cannot be written as JSON"):
        record.dump(a_release(**changes))
