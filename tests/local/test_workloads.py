"""The workloads port over files, with the supervisor's side written by hand."""

import json
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from canary.config.settings import LocalService
from canary.core.actions import Remove, Scale, SetRevision
from canary.core.observation import Arm, Pod
from canary.core.revision import Revision
from canary.errors import ConflictError, InvalidError, MissingError, TransientError
from canary.local import files, status
from canary.local.layout import Layout
from canary.local.status import Observed, dump, write_passing
from canary.local.store import KEPT_REVISIONS, Store, apply_configuration
from canary.local.workloads import LocalWorkloads

NOW = 1_764_000_000.0


class World:
    """A service whose supervisor saw what was asked `generation` ago, at NOW."""

    def __init__(self, folder: Path) -> None:
        self.service = LocalService("shop", ("serve", "{version}"), "v1", folder, folder / "state")
        self.layout = Layout.of(self.service)
        self.layout.make()
        self.store = Store(self.layout)
        self.desired, _ = apply_configuration(self.store, self.service)
        self.workloads = LocalWorkloads(self.service, lambda: NOW)
        self.saw()

    def saw(self, at: float = NOW, canary_pods: tuple[Pod, ...] = (), stopping: bool = False) -> None:
        now = self.store.load()
        assert now is not None
        pods = {"stable": (Pod("a", "u", now.stable.revision, ready=True),), "canary": canary_pods}
        seen = Observed(
            now.generation, at, 1, ("127.0.0.1", 1), now.stable, now.canary, pods, stopping=stopping
        )  # fmt: skip
        write_passing(self.layout.observed, dump(seen))

    def apply(self, action: Scale | SetRevision | Remove) -> None:
        self.workloads.apply(action, within_s=5.0)

    def to(self, version: str) -> Revision:
        now = self.store.load()
        assert now is not None
        return self.workloads.revise(self.store.revision(now.stable.revision), version)


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def test_what_was_asked_shows_at_once_as_not_yet_observed(world: World) -> None:
    world.apply(Scale(Arm.STABLE, 5))
    found = world.workloads.observe()
    assert found is not None
    assert (found.stable.replicas, found.stable.observed) == (5, False)
    world.saw()
    found = world.workloads.observe()
    assert found is not None
    assert found.stable.observed


def test_asking_twice_changes_nothing_more(world: World) -> None:
    v2 = world.to("v2")
    for action in (SetRevision(Arm.CANARY, v2, 2), Scale(Arm.CANARY, 3), Remove()):
        world.apply(action)
        once = world.layout.desired.read_bytes()
        world.apply(action)
        assert world.layout.desired.read_bytes() == once


def test_a_removed_canary_is_seen_until_the_supervisor_took_it_away(world: World) -> None:
    v2 = world.to("v2")
    world.apply(SetRevision(Arm.CANARY, v2, 1))
    world.saw(canary_pods=(Pod("c", "u", v2.hash, ready=True),))
    world.apply(Remove())
    found = world.workloads.observe()
    assert found is not None
    assert found.canary is not None
    assert (found.canary.replicas, found.canary.observed, found.canary.ready) == (0, False, 1)
    world.saw()
    found = world.workloads.observe()
    assert found is not None
    assert found.canary is None


def test_the_target_is_not_set_when_it_runs_something_else_than_expected(world: World) -> None:
    before = world.desired.stable.revision
    world.apply(SetRevision(Arm.STABLE, world.to("v2"), expected=before))
    with pytest.raises(ConflictError, match=f"not {before}"):
        world.apply(SetRevision(Arm.STABLE, world.to("v3"), expected=before))
    assert [one.version for one in world.workloads.history()] == ["v1", "v2"]


def test_setting_the_target_to_what_it_runs_is_harmless_whatever_was_expected(world: World) -> None:
    v2 = world.to("v2")
    world.apply(SetRevision(Arm.STABLE, v2, expected=world.desired.stable.revision))
    world.apply(SetRevision(Arm.STABLE, v2, expected=world.desired.stable.revision))
    assert [(one.version, one.number) for one in world.workloads.history()] == [("v1", 1), ("v2", 2)]


def test_going_back_gives_the_old_revision_a_new_number(world: World) -> None:
    v1 = world.store.revision(world.desired.stable.revision)
    world.apply(SetRevision(Arm.STABLE, world.to("v2")))
    world.apply(SetRevision(Arm.STABLE, v1))
    assert [(one.version, one.number) for one in world.workloads.history()] == [("v2", 2), ("v1", 3)]


def test_the_last_revisions_are_kept_and_those_in_use(world: World) -> None:
    old = world.to("canary")
    world.apply(SetRevision(Arm.CANARY, old, 1))
    for number in range(2, 30):
        world.apply(SetRevision(Arm.STABLE, world.to(f"v{number}")))
    world.saw()
    world.apply(SetRevision(Arm.STABLE, world.to("v30")))
    history = world.workloads.history()
    assert [one.version for one in history][-KEPT_REVISIONS:] == [f"v{k}" for k in range(21, 31)]
    assert len(history) <= KEPT_REVISIONS + 1
    assert world.store.revision(old.hash) == old


@pytest.mark.parametrize(
    ("prepare", "says"),
    [
        (lambda world: world.saw(at=NOW - 60), "nothing was heard of it for 60 s"),
        (lambda world: world.saw(stopping=True), "is not running"),
        (lambda world: world.layout.observed.unlink(), "it was never heard of"),
    ],
)
def test_without_a_supervisor_the_way_to_start_it_is_told(
    world: World, prepare: Callable[[World], None], says: str
) -> None:
    prepare(world)
    with pytest.raises(TransientError, match=says) as fault:
        world.workloads.observe()
    assert "canary local up -f FILE" in fault.value.remedy
    with pytest.raises(TransientError):
        world.apply(Scale(Arm.STABLE, 9))
    assert world.store.load() == world.desired


def test_a_service_never_started_does_not_exist(tmp_path: Path) -> None:
    service = LocalService("shop", ("x",), "v1", tmp_path, tmp_path / "state")
    assert LocalWorkloads(service).observe() is None
    assert not (tmp_path / "state").exists()


def test_what_makes_no_sense_is_refused(world: World) -> None:
    with pytest.raises(ConflictError, match="no canary to scale"):
        world.apply(Scale(Arm.CANARY, 1))
    with pytest.raises(InvalidError, match="never removed"):
        world.apply(Remove(Arm.STABLE))
    with pytest.raises(InvalidError, match="no baseline workload"):
        world.apply(Scale(Arm.BASELINE, 1))
    with pytest.raises(InvalidError, match="cannot scale to -1"):
        world.apply(Scale(Arm.STABLE, -1))
    with pytest.raises(TransientError, match="no time is left"):
        world.workloads.apply(Scale(Arm.STABLE, 9), within_s=0.0)
    with pytest.raises(InvalidError, match="hash of its template"):
        world.apply(SetRevision(Arm.STABLE, replace(world.to("v2"), version="v2", hash="0" * 10)))
    with pytest.raises(MissingError, match="no revision ffff"):
        world.store.revision("ffff")
    assert world.store.load() == world.desired


@pytest.mark.parametrize("version", ["", "-v1", "v 1", "v1\n", "{port}", "x" * 129, "../v1"])
def test_what_is_no_version_is_refused(world: World, version: str) -> None:
    with pytest.raises(InvalidError, match="is no version"):
        world.to(version)


def test_a_version_changes_nothing_but_the_version(world: World) -> None:
    before, after = world.store.revision(world.desired.stable.revision), world.to("v1.1.0+b7")
    assert after.template == {**before.template, "version": "v1.1.0+b7"}
    assert after.hash != before.hash
    assert world.to("v1").hash == before.hash


def test_a_folder_of_a_newer_canary_is_refused(world: World) -> None:
    (world.layout.root / "layout.json").write_text(json.dumps({"layout": 2}))
    with pytest.raises(InvalidError, match="has layout 2; this canary understands layouts up to 1"):
        world.workloads.observe()
    with pytest.raises(InvalidError, match="has layout 2"):
        world.apply(Scale(Arm.STABLE, 9))


def test_writers_at_the_same_time_lose_nothing(world: World) -> None:
    def ask(number: int) -> None:
        for k in range(5):
            world.apply(Scale(Arm.STABLE, 10 * number + k))

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(1, 5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    after = world.store.load()
    assert after is not None
    assert after.generation == world.desired.generation + 20


def test_on_a_full_disk_what_was_asked_before_stands(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(path: Path, data: bytes) -> None:
        raise files.fault_of(OSError(28, "No space left on device"), path, "write")

    monkeypatch.setattr("canary.local.store.write_atomic", full)
    with pytest.raises(TransientError, match="No space left on device") as fault:
        world.apply(Scale(Arm.STABLE, 9))
    assert "Make room" in fault.value.remedy
    assert world.store.load() == world.desired


def test_a_damaged_file_is_named(world: World) -> None:
    world.layout.desired.write_text("{")
    with pytest.raises(InvalidError, match=r"desired\.json is not as canary writes it"):
        world.workloads.observe()
    world.layout.observed.write_text("[]")
    with pytest.raises(InvalidError, match=r"observed\.json is not as canary writes it"):
        status.load(world.layout.observed)
