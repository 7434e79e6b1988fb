"""A version and its configuration started as one, over fake ports: what is joined, refused, made and when."""

from collections.abc import Callable

import pytest

from canary.begin import StartOptions
from canary.conduct import start
from canary.core.release import Outcome, Release
from canary.errors import BusyError, DeniedError, Exit, InvalidError
from canary.looking import Ports
from canary.wiring import exit_code
from tests.fakes import FakeLease, PowerCut, PowerLostError
from tests.stage import GOOD, Stage

ONE, TWO = ("configmap/settings-0000000001",), ("configmap/settings-0000000002",)


@pytest.fixture
def stage() -> Stage:
    return Stage({"v2": GOOD})


def test_the_version_that_runs_with_another_configuration_is_a_release(stage: Stage) -> None:
    release = stage.run("v1", config=ONE)

    assert (release.outcome, release.reason == "already running") == (Outcome.PROMOTED, False)
    assert stage.cluster.observe().stable.revision.template["config"] == list(ONE)  # type: ignore[union-attr]


def test_the_version_that_runs_with_this_configuration_is_none(stage: Stage) -> None:
    stage.run("v1", config=ONE)
    again = stage.run("v1", config=ONE)

    assert (again.reason, exit_code(again)) == ("already running", Exit.OK)


def left_open(stage: Stage, **options: object) -> None:
    with pytest.raises(PowerLostError):
        stage.run("v2", cut=PowerCut(6), **options)


def test_the_same_version_is_taken_over_with_the_same_configuration_or_when_none_is_named() -> None:
    for named in (ONE, ()):
        stage = Stage({"v2": GOOD})
        left_open(stage, config=ONE)
        begun = stage.recorded.id

        release = stage.run("v2", config=named)

        assert (release.id, release.outcome) == (begun, Outcome.PROMOTED)


def test_the_same_version_with_another_configuration_is_refused_and_nothing_is_made(stage: Stage) -> None:
    left_open(stage, config=ONE)
    made = list(stage.cluster.prepared)

    with pytest.raises(BusyError, match="v2 is being released to web with another configuration") as told:
        stage.run("v2", config=TWO)

    assert told.value.exit == Exit.BUSY
    assert stage.cluster.prepared == made


def test_it_supersedes_the_other_when_asked_to(stage: Stage) -> None:
    left_open(stage, config=ONE)

    release = stage.run("v2", config=TWO, supersede=True)

    assert release.outcome is Outcome.PROMOTED
    assert release.canary.template["config"] == list(TWO)


def test_configuration_is_made_before_the_record_and_with_the_lease_held(stage: Stage) -> None:
    seen: list[tuple[bool, bool]] = []
    ports = stage.ports()
    prepare = stage.cluster.prepare

    def watched(config: tuple[str, ...] = ()) -> None:
        holder = ports.lease.holder()
        seen.append((stage.records.load("web") is None, holder is not None and holder.alive))
        prepare(config)

    stage.cluster.prepare = watched  # type: ignore[method-assign, assignment]
    drive(stage, ports)

    assert seen == [(True, False), (True, True)]


def drive(stage: Stage, ports: Ports, config: tuple[str, ...] = ONE) -> Release:
    return start(ports, stage.settings(), "v2", StartOptions(config=config), stage.reporter).release


def test_it_waits_for_a_driver_that_is_still_tidying_up(stage: Stage) -> None:
    other = FakeLease(stage.leases, "web", "other@runner")
    assert other.hold() is not None
    waited: list[float] = []
    wait = stage.clock.wait

    def waiting(seconds: float) -> None:
        waited.append(seconds)
        if len(waited) == 3:
            other.release()
        wait(seconds)

    stage.clock.wait = waiting  # type: ignore[method-assign]

    assert drive(stage, stage.ports()).outcome is Outcome.PROMOTED
    assert waited[:3] == [0.05, 0.1, 0.2]


def test_what_a_driver_that_died_was_about_to_take_away_is_gone_before_it_is_looked_for(stage: Stage) -> None:
    other = FakeLease(stage.leases, "web", "other@runner")
    assert other.hold() is not None
    stage.leases.ended.append(other)
    began, at = stage.clock.now(), []
    prepare = stage.cluster.prepare

    def watched(config: tuple[str, ...] = ()) -> None:
        at.append(stage.clock.now() - began)
        prepare(config)

    stage.cluster.prepare = watched  # type: ignore[method-assign, assignment]

    assert drive(stage, stage.ports()).outcome is Outcome.PROMOTED
    # What is there when a call of the other can land no more is what counts.
    assert at == [0.0, 8.0]


def test_a_start_that_is_refused_gives_the_lease_up(stage: Stage) -> None:
    calls: list[object] = []

    def refused(config: tuple[str, ...] = ()) -> None:
        calls.append(config)
        if len(calls) == 2:
            raise InvalidError("there is one that is not ours")

    stage.cluster.prepare = refused  # type: ignore[method-assign, assignment]
    ports = stage.ports()

    with pytest.raises(InvalidError):
        drive(stage, ports)

    assert stage.records.load("web") is None
    assert FakeLease(stage.leases, "web", "next@runner").hold() is not None


def test_what_is_unused_is_looked_for_once_when_the_release_has_settled(stage: Stage) -> None:
    release = stage.run("v2", config=ONE)

    assert stage.cluster.tidied == [release.id]


def test_a_verdict_stands_when_what_is_unused_cannot_be_taken_away(stage: Stage) -> None:
    def refused(release: Release, left: Callable[[], float]) -> tuple[str, ...]:
        assert left() > 0
        raise DeniedError("this account may not list configmaps")

    stage.cluster.tidy = refused  # type: ignore[method-assign]

    release = stage.run("v2", config=ONE)

    assert release.outcome is Outcome.PROMOTED
    assert any("may be left: this account may not list" in note for note in stage.reporter.notes)


def test_killed_at_any_effect_it_ends_as_unkilled() -> None:
    whole = PowerCut()
    Stage({"v2": GOOD}).run(cut=whole, config=ONE)
    for at in range(1, len(whole.effects) + 1):
        for after in (False, True):
            stage = Stage({"v2": GOOD})
            with pytest.raises(PowerLostError):
                stage.run("v2", cut=PowerCut(at, after=after), config=ONE)
            release = stage.run("v2", config=ONE)
            assert release.outcome is Outcome.PROMOTED, (at, after)
            assert stage.tidy()
