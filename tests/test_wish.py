"""What people ask for, and who hears it: a driver that lives, or whoever asked when there is none."""

import pytest

from canary.core.release import Outcome, Phase, Release, Request, RequestKind
from canary.ports import Recorded
from canary.wiring import request
from tests.fakes import FakeLease, PowerCut, PowerLostError
from tests.stage import GOOD, Stage


@pytest.fixture
def stage() -> Stage:
    """A release whose driver was killed in the middle; it holds the lease to the end of its term."""
    found = Stage({"v2": GOOD})
    with pytest.raises(PowerLostError):
        found.run(cut=PowerCut(12))
    assert found.recorded.phase is Phase.PROGRESSING
    return found


def abort(stage: Stage) -> Release:
    wish = Request(RequestKind.ABORT, "ann@laptop", stage.clock.now(), "enough")
    return request(stage.ports(), stage.settings(), wish, reporter=stage.reporter).release


def test_a_driver_that_died_hears_nothing_so_whoever_asks_waits_for_its_term_and_carries_it_out(
    stage: Stage,
) -> None:
    began = stage.clock.monotonic()

    release = abort(stage)

    assert (release.outcome, release.settled) == (Outcome.ABORTED, True)
    assert stage.tidy()
    assert stage.clock.monotonic() - began >= 9.0
    silent, taken = stage.reporter.notes[:2]
    assert "has not heard it yet; waiting for it, or for its lease to run out" in silent
    assert taken == "nobody drives the release of v2; this process does so now"


def test_a_driver_that_renews_hears_it(stage: Stage) -> None:
    driver = stage.leases.held["web"].owner
    assert isinstance(driver, FakeLease)
    terms: list[object] = []
    stage.clock.every(3.0, lambda: terms.append(driver.hold()))
    began = stage.clock.monotonic()

    release = abort(stage)

    assert [wish.kind for wish in release.requests] == [RequestKind.ABORT]
    assert not release.settled
    assert stage.clock.monotonic() - began < 4.0


def test_a_driver_that_writes_has_heard_it(stage: Stage) -> None:
    def obeys() -> None:
        found = stage.records.load("web")
        assert found is not None
        stage.records.save(found.release.with_(requests=()), expected=found.version)

    stage.clock.at(0.4, obeys)
    began = stage.clock.monotonic()

    assert not abort(stage).settled
    assert stage.clock.monotonic() - began < 1.0
    assert stage.reporter.notes == []


def test_a_driver_that_has_carried_it_out_before_anyone_asks_who_drives_was_one(stage: Stage) -> None:
    stage.leases.held.clear()
    written = stage.records.save

    def obeyed_at_once(release: Release, *, expected: str | None) -> Recorded:
        saved = written(release, expected=expected)
        if release.requests and not release.settled:
            stage.records.save = written  # type: ignore[method-assign]
            stage.run()
        return saved

    stage.records.save = obeyed_at_once  # type: ignore[method-assign]
    assert [wish.kind for wish in abort(stage).requests] == [RequestKind.ABORT]
    assert stage.recorded.outcome is Outcome.ABORTED
    assert not [note for note in stage.reporter.notes if "this process does so now" in note]
    assert stage.leases.held["web"].released


def test_who_is_told_to_stop_meanwhile_has_its_wish_recorded(stage: Stage) -> None:
    stage.clock.at(0.4, lambda: stage.clock.interrupt(2))

    assert [wish.kind for wish in abort(stage).requests] == [RequestKind.ABORT]
