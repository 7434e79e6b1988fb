"""What is too slow for a term of the lease: the release goes on all the same, or it is said why not."""

from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from canary.core.actions import Move
from canary.core.assessed import Look
from canary.core.ledger import verify
from canary.core.observation import World
from canary.core.release import Outcome, Phase, Release
from canary.core.samples import Scrapes
from canary.core.strategy import Guard
from canary.errors import ConflictError, Exit, TransientError
from canary.patience import OUT_OF_REACH_S
from canary.ports import MetricsQuery, Recorded
from canary.record import strategy_from
from canary.replay import replay_file
from tests.fake_metrics import FakeMetrics
from tests.fakes import FakeLease, FakeReporter, PowerCut, PowerLostError
from tests.guarding import MIB, guard, guarded_by
from tests.stage import GOOD, Stage, quick

TERM_S = 10.0
SAID = "the lease term ended before the decision was carried out"


@dataclass
class SlowMetrics(FakeMetrics):
    """Takes the longer the more is asked for; the read of number `late` takes more than a term."""

    each_s: float = 0.0
    late: int = 0

    def read(self, query: MetricsQuery) -> Scrapes:
        found = super().read(query)
        takes_s = (query.end - query.start) * self.each_s
        self.cluster.clock.advance(takes_s + (TERM_S + 1) * (len(self.reads) == self.late))
        return found


def a_stage(*guards: Guard, each_s: float = 0.0, late: int = 0) -> Stage:
    stage = Stage({"v2": GOOD}, strategy=quick(**guarded_by(*guards)))
    stage.metrics = SlowMetrics(stage.cluster, each_s=each_s, late=late)
    stage.metrics.gauges = lambda pod, at: {"memory_bytes": MIB * (at - pod.born)}
    return stage


def test_a_past_that_takes_longer_to_read_than_a_term_is_read_once() -> None:
    stage = a_stage(each_s=2 * TERM_S / quick().history_s)
    release = stage.run()
    assert release.outcome is Outcome.PROMOTED
    # Once before the start, and once when the pods of each of the two steps are known.
    past = [query for query in stage.metrics.reads if query.end - query.start > quick().history_s / 2]
    assert len(past) == 3
    assert any(f"nothing was carried out for 20 s: {SAID}" in note for note in stage.reporter.notes)
    assert any("decisions are carried out again after " in note for note in stage.reporter.notes)


def test_a_driver_whose_every_tick_outlasts_its_term_says_so_and_ends_as_out_of_reach(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    stage = a_stage()
    inner = stage.cluster.observe

    def slowly() -> World | None:
        if stage.records.load("web") is not None:
            stage.clock.advance(TERM_S + 2)
        return inner()

    monkeypatch.setattr(stage.cluster, "observe", slowly)
    with pytest.raises(TransientError, match=SAID) as ended:
        stage.run()
    assert ended.value.exit is Exit.UNREACHABLE
    assert "machine" in ended.value.remedy
    assert stage.recorded.phase is Phase.PENDING
    assert not stage.acted()
    assert [note for note in stage.reporter.notes if SAID in note] != []
    assert 900 <= stage.clock.monotonic() < 1000


def test_a_start_that_others_keep_from_its_configuration_says_so_and_ends_as_out_of_reach() -> None:
    stage = a_stage()
    other = FakeLease(stage.leases, "web", "bob@laptop")

    def renewed() -> None:
        assert other.hold() is not None

    renewed()
    stage.clock.every(3.0, renewed)
    with pytest.raises(TransientError, match="the lease is held by another driver"):
        stage.run(config=("settings-1a2b",))
    assert any("nothing was carried out for 1" in note for note in stage.reporter.notes)
    assert stage.records.load("web") is None
    assert 900 <= stage.clock.monotonic() < 1000


HALF = guard("memory_bytes > 50MiB", "alert", name="half")


def as_on_a_cluster(stage: Stage) -> Stage:
    """Looks wait for the next move, and not for the disk."""
    ports = stage.ports
    stage.ports = lambda cut=None: replace(ports(cut), flush_s=600.0)  # type: ignore[method-assign]
    return stage


def told(stage: Stage) -> tuple[list[int], list[str]]:
    """By the ledger: the numbers of the looks, and the guards."""
    entries = stage.ledger.read("web")
    assert verify(entries) is None
    looks = [entry.body["number"] for entry in entries if entry.kind == "look"]
    return looks, [entry.body["guard"] for entry in entries if entry.kind == "guard"]


def reads_of_moves() -> list[int]:
    """The numbers of the reads on which a good release writes its record."""
    stage, found = as_on_a_cluster(a_stage(HALF)), []

    class Counting(FakeReporter):
        def tick(self, *tick: object) -> None:
            if isinstance(tick[3], Move):
                found.append(len(stage.metrics.reads))

    stage.reporter = Counting()
    assert stage.run().outcome is Outcome.PROMOTED
    return sorted(set(found))


def test_a_move_that_comes_too_late_loses_no_look_and_no_guard_that_waits_for_the_ledger() -> None:
    assert len(reads_of_moves()) > 4
    for number in reads_of_moves():
        stage = as_on_a_cluster(a_stage(HALF, late=number))
        assert stage.run().outcome is Outcome.PROMOTED
        looks, guards = told(stage)
        assert looks == list(range(1, len(looks) + 1)), number
        assert (len(looks) > 5, guards) == (True, ["half"]), number


def test_a_move_that_comes_too_late_leaves_a_recording_that_replays_to_the_same_evidence(
    tmp_path: Path,
) -> None:
    for number in reads_of_moves()[-3:]:
        stage, path, looks = as_on_a_cluster(a_stage(HALF, late=number)), tmp_path / "trace", list[Look]()
        release = stage.run(trace=path)
        assert release.outcome is Outcome.PROMOTED
        replay_file(path, on_look=looks.append, recorded_strategy=strategy_from)
        told = [entry for entry in stage.ledger.read("web") if entry.kind == "look"]
        assert [look.at + release.since for look in looks] == pytest.approx([entry.at for entry in told])
        assert [look.evidence.harm for look in looks] == pytest.approx([one.body["harm"] for one in told])


@pytest.mark.parametrize("at", [70, 90, 110, 130])
def test_a_silence_loses_no_look_and_no_guard_that_waits_for_the_ledger(at: int) -> None:
    stage = as_on_a_cluster(a_stage(HALF))
    stage.clock.at(at, lambda: setattr(stage.cluster, "out_of_reach", True))
    stage.clock.at(at + 3, lambda: setattr(stage.cluster, "out_of_reach", False))
    assert stage.run().outcome is Outcome.PROMOTED
    looks, guards = told(stage)
    assert looks == list(range(1, len(looks) + 1))
    assert guards == ["half"]


def test_the_way_back_of_a_superseded_release_counts_as_nobodys_silence() -> None:
    stage = Stage({"v2": GOOD, "v3": GOOD})
    with pytest.raises(PowerLostError):
        stage.run(cut=PowerCut(12))
    written = stage.records.save

    def overtaken_once(release: Release, *, expected: str | None) -> Recorded:
        if release.version == "v3":
            stage.records.save = written  # type: ignore[method-assign]
            raise ConflictError("somebody wrote first")
        if release.settled:
            stage.clock.advance(2 * OUT_OF_REACH_S)
        return written(release, expected=expected)

    stage.records.save = overtaken_once  # type: ignore[method-assign]
    assert stage.run("v3", supersede=True).outcome is Outcome.PROMOTED
    assert not [note for note in stage.reporter.notes if "nothing was carried out" in note]
