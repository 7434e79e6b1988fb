"""Whole releases whose ledger is sealed: what is sealed when, and that nothing about it decides anything."""

from collections.abc import Sequence
from itertools import pairwise

import pytest

from canary.conduct import drive
from canary.core.ledger import chain, verify
from canary.core.release import Outcome, Request, RequestKind
from canary.core.seal_check import Copy, against, within
from canary.core.seals import Carried, Seal, SealKey, encode
from canary.errors import MissingError
from canary.loop import InterruptedDriveError
from canary.ports import LedgerStore
from canary.wiring import request, undo
from tests.fakes import FakeLedger, PowerCut
from tests.seal.ledgers import KEY, OTHER
from tests.stage import BAD, GOOD, Stage, quick


class FakeSeals:
    """`ports.Seals` that keeps the copies; `away`: none gets there.

    Each copy is given only once its entry is in the ledger: looked at whenever one is sent.
    """

    def __init__(self, ledger: LedgerStore, key: SealKey | None = KEY) -> None:
        self._key = key
        self._ledger = ledger
        self.sent: list[Seal] = []
        self.away = False
        self.waited: list[float] = []
        self._news: list[Carried] = []

    @property
    def key(self) -> SealKey:
        if self._key is None:
            raise MissingError("there is no key file seal.key")
        return self._key

    def send(self, seal: Seal) -> None:
        entries = self._ledger.read("web")
        assert entries[seal.number - 1].hash == seal.head, "a copy went out before its entry was written"
        if seal in self.sent:
            return
        self.sent.append(seal)
        if self.away and not any(one.fault for one in self._news):
            self._news.append(Carried("place", seal.number, "it answered 503", 1))

    def news(self) -> tuple[Carried, ...]:
        found, self._news = tuple(self._news), []
        return found

    def settle(self, within_s: float) -> None:
        self.waited.append(within_s)

    def copies(self) -> list[Copy]:
        return [Copy(f"place:{n}", encode(seal)) for n, seal in enumerate(self.sent, 1)]


def a_stage(
    behaviour: object = GOOD, key: SealKey | None = KEY, **changes: object
) -> tuple[Stage, FakeSeals]:
    stage = Stage({"v2": behaviour}, **changes)  # type: ignore[dict-item, arg-type]
    seals = FakeSeals(stage.ledger, key)
    stage.seals = seals
    return stage, seals


def kinds(stage: Stage) -> list[str]:
    return [entry.kind for entry in stage.ledger.read("web")]


def check(stage: Stage, seals: FakeSeals, keys: Sequence[SealKey] = (KEY,)) -> None:
    entries = stage.ledger.read("web")
    assert verify(entries) is None
    assert within(entries, keys, "web").faults == ()
    assert against(entries, seals.copies(), keys, "web").faults == ()


def test_every_decision_is_sealed_from_the_start_to_the_end_and_the_copies_agree() -> None:
    stage, seals = a_stage()
    release = stage.run()
    found = kinds(stage)
    assert release.outcome is Outcome.PROMOTED
    assert {"start", "decision", "end", "seal"} <= set(found)
    for place, kind in enumerate(found):
        if kind in ("start", "decision", "end"):
            assert found[place + 1] == "seal"
    assert found[-1] == "seal"
    assert stage.recorded.ledger_head == stage.ledger.read("web")[-1].hash
    assert len(seals.sent) == found.count("seal")
    check(stage, seals)


def test_what_is_decided_is_the_same_with_and_without_seals() -> None:
    for behaviour in (GOOD, BAD):
        plain = Stage({"v2": behaviour})
        stage, _ = a_stage(behaviour)
        assert stage.run().outcome is plain.run().outcome
        assert stage.moves() == plain.moves()
        assert [kind for kind in kinds(stage) if kind != "seal"] == kinds(plain)


def test_looks_are_sealed_after_some_minutes_where_nothing_is_decided() -> None:
    stage, seals = a_stage(rate=1.0, strategy=quick(hold_min_s=1500, hold_max_s=3000, steps=(25.0,)))
    stage.run()
    entries = stage.ledger.read("web")
    sealed_at = [entry.at for entry in entries if entry.kind == "seal"]
    gaps = [later - one for one, later in pairwise(sealed_at)]
    assert max(gaps) < 340
    assert kinds(stage).count("look") > 3 * kinds(stage).count("seal")
    check(stage, seals)


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_a_driver_killed_at_any_effect_leaves_a_ledger_that_its_copies_agree_with(after: bool) -> None:
    cut = PowerCut()
    stage, _ = a_stage(BAD)
    outcome = stage.run(cut=cut).outcome
    for at in range(1, len(cut.effects) + 1):
        stage, seals = a_stage(BAD)
        assert stage.run_through("v2", [(at, after)]).outcome is outcome, at
        check(stage, seals)
        # Of every seal that stands in the ledger before the last, a copy went out, or a later one did.
        assert seals.sent[-1].number == len(stage.ledger.read("web")) - 1


def test_copies_that_do_not_get_there_stop_nothing_and_are_told_in_the_output_and_the_ledger() -> None:
    stage, seals = a_stage()
    seals.away = True
    assert stage.run().outcome is Outcome.PROMOTED
    told = [note for note in stage.reporter.notes if "did not get to place: it answered 503" in note]
    assert told
    entries = [entry for entry in stage.ledger.read("web") if entry.kind == "copy"]
    assert entries[0].body["to"] == "place"
    assert entries[0].body["fault"] == "it answered 503"
    assert entries[0].body["release"] == stage.recorded.id
    check(stage, seals)


def test_what_became_of_the_last_copy_is_told_after_the_end() -> None:
    stage, seals = a_stage()
    settle = seals.settle

    def late(within_s: float) -> None:
        if not seals.waited:
            seals._news.append(Carried("place", 99, "no answer within 5 s", 1))
        settle(within_s)

    seals.settle = late  # type: ignore[method-assign]
    stage.run()
    assert kinds(stage)[-3:] == ["end", "seal", "copy"]
    assert seals.waited[0] == 5.0
    check(stage, seals)


def test_without_its_key_a_release_does_not_begin_and_nothing_is_touched() -> None:
    stage, _ = a_stage(key=None)
    with pytest.raises(MissingError, match="there is no key file"):
        stage.run()
    assert stage.records.load("web") is None
    assert stage.ledger.read("web") == ()
    assert stage.leases.held == {}


def test_a_release_that_has_begun_is_taken_back_without_the_key_and_that_is_said() -> None:
    stage, seals = a_stage()
    stage.clock.at(100, lambda: stage.clock.interrupt(2))
    with pytest.raises(InterruptedDriveError):
        stage.run()
    stage.clock.clear()
    stage.clock.advance(30)
    stage.seals = FakeSeals(stage.ledger, None)
    wish = Request(RequestKind.ABORT, "ann@laptop", stage.clock.now(), "no")
    found = request(stage.ports(), stage.settings(), wish, reporter=stage.reporter)
    assert found.release.outcome is Outcome.ABORTED
    assert "the ledger is not sealed: there is no key file seal.key" in stage.reporter.notes
    faults = within(stage.ledger.read("web"), [KEY], "web").faults
    assert [str(one.wrong) for one in faults] == ["not sealed"]
    assert against(stage.ledger.read("web"), seals.copies(), [KEY], "web").faults == ()


def test_an_undo_is_sealed_as_a_release_is() -> None:
    stage, seals = a_stage()
    stage.run()
    undo(stage.ports(), stage.settings(), number=None, why="", reporter=stage.reporter)
    assert kinds(stage)[-2:] == ["end", "seal"]
    assert seals.sent[-1].release.startswith("web-undo-")
    check(stage, seals)


def test_a_ledger_that_was_changed_is_told_when_the_next_release_begins() -> None:
    stage, seals = a_stage()
    stage.run()
    entries = list(stage.ledger.read("web"))
    sealed = max(n for n, one in enumerate(entries) if one.kind == "seal")
    forged = entries[:sealed]
    body = {**entries[sealed].body, "signature": "0" * 64}
    forged.append(chain(forged[-1], entries[sealed].at, "seal", entries[sealed].actor, body))
    stage.ledger.entries["web"] = forged
    stage.run("v3")
    assert any("the ledger was changed: entry" in note for note in stage.reporter.notes)
    assert all(seal.signature != "0" * 64 for seal in seals.sent)


def test_a_new_key_goes_on_where_the_old_one_sealed_and_says_nothing_of_it() -> None:
    stage, _ = a_stage()
    stage.run()
    stage.seals = later = FakeSeals(stage.ledger, OTHER)
    stage.run("v3")
    assert not [note for note in stage.reporter.notes if "changed" in note]
    assert {seal.key for seal in later.sent} == {OTHER.id}
    assert within(stage.ledger.read("web"), [KEY, OTHER], "web").faults == ()


def test_the_last_seal_goes_out_again_when_another_driver_begins() -> None:
    stage, first = a_stage()
    stage.run()
    again = FakeSeals(stage.ledger)
    stage.seals = again
    drive(stage.ports(), stage.settings(), stage.reporter)
    assert again.sent == [first.sent[-1]]


def test_no_key_is_needed_where_nothing_is_to_be_sealed() -> None:
    assert Stage({"v2": GOOD}).run().outcome is Outcome.PROMOTED
    assert isinstance(Stage().ledger, FakeLedger)
