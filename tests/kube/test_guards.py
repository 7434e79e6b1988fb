"""Guards on a real API server: one takes a version back, one pauses it, one outlives its driver."""

import json
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from canary.core.ledger import Entry, verify
from canary.core.release import Outcome
from canary.core.release import Stage as Doing
from canary.kube.records import KubeLedger, Shelf
from canary.kube.session import Json
from tests.guarding import MIB
from tests.kube.live import Place, wait_for
from tests.kube.scripted import Traffic
from tests.kube.stage import Floor, Stage, a_stage

pytestmark = pytest.mark.control_plane

RESIDENT = "process_resident_memory_bytes"
LIMITED: Json = {
    "metadata": {"labels": {"app": "web"}},
    "spec": {
        "containers": [{"name": "app", "image": "shop/web:v1", "resources": {"limits": {"memory": "100Mi"}}}],
    },
}
SLOWLY: Json = {"steps": [25], "hold": {"min": "60s", "max": "10m"}, "deadline": "15m"}


@contextmanager
def guarded(place: Place, folder: Path, version: Traffic, **changes: Any) -> Iterator[Stage]:
    """A web whose v2 is like this; its requests are as good as those of v1."""
    with a_stage(place, folder, {"v2": version}, template=LIMITED) as stage:
        stage.configure(**changes)
        yield stage


def turns(stage: Stage) -> list[Entry]:
    """Guards that fired or cleared, by the ledger, which is whole."""
    shelf = Shelf(stage.session, "web")
    try:
        entries = KubeLedger(shelf).read("web")
    finally:
        shelf.close()
    assert verify(entries) is None
    return [entry for entry in entries if entry.kind == "guard"]


def leaking(age_s: float) -> Mapping[str, float]:
    return {RESIDENT: MIB * min(40.0 + 10 * age_s, 99.0)}


def test_a_version_that_leaks_is_taken_back_by_its_guard(place: Place, tmp_path: Path) -> None:
    memory = {"name": "memory", "condition": "memory_usage > 90% for 2s", "action": "abort", "alert": True}
    with guarded(place, tmp_path, Traffic(shows=leaking), guards=[memory], **SLOWLY) as stage:
        with Floor(stage.session) as floor:
            ran = stage.run("start", "v2")

        assert ran.code == 3, ran.text
        release = stage.recorded()
        assert release is not None
        assert release.outcome is Outcome.GUARD
        assert release.reason.startswith("guard memory: memory_usage > 90% for 2s, true for ")
        assert "ALERT: guard memory fired (abort and alert): memory_usage " in ran.text
        (turn,) = turns(stage)
        high = [at for at, resident in stage.prometheus.shown("v2", RESIDENT) if resident > 90 * MIB]
        assert turn.body["since"] == pytest.approx(high[0], abs=0.001)
        assert (stage.image(), stage.is_whole(), floor.fewest) == ("shop/web:v1", True, 4)


def test_a_guard_pauses_a_release_until_a_person_resumes_it(place: Place, tmp_path: Path) -> None:
    queue = [90.0]
    busy = Traffic(shows=lambda age_s: {"shop_queue": queue[0]})
    rule = {"name": "queue", "condition": "queue > 50 for 2s", "action": "pause"}
    asked = {"guards": [rule], "gauges": {"queue": "shop_queue"}, "deadline": "15m"}
    with guarded(place, tmp_path, busy, **asked) as stage:
        driver = stage.begin("start", "v2")

        def paused() -> bool:
            found = stage.recorded()
            return found is not None and found.pause is not None and found.pause.guard == "queue"

        wait_for(paused, "the guard pauses it")
        queue[0] = 3.0

        def cleared() -> bool:
            (guard,) = json.loads(stage.run("status", "-o", "json").out)["state"]["guards"]
            return not guard["firing"]

        wait_for(cleared, "the guard clears")
        # Longer than the step is held, with evidence enough: nobody goes on but a person.
        time.sleep(5.0)
        release = stage.recorded()
        assert release is not None
        assert (release.step, release.stage, paused()) == (0, Doing.HOLDING, True)
        assert stage.run("resume").code == 0

        ran = stage.ended(driver)
        assert ran.code == 0, ran.text
        assert "paused by guard queue: queue > 50 for 2s, true for " in ran.text
        assert [(turn.body["guard"], turn.body["state"]) for turn in turns(stage)] == [
            ("queue", "fired"),
            ("queue", "cleared"),
        ]
        assert (stage.image(), stage.is_whole()) == ("shop/web:v2", True)


def test_a_guard_fires_at_the_same_scrape_when_its_driver_is_killed_meanwhile(
    place: Place, tmp_path: Path
) -> None:
    memory = {"name": "memory", "condition": "memory_usage > 90% for 15s", "action": "abort"}
    full = Traffic(shows=lambda age_s: {RESIDENT: 95 * MIB})
    with guarded(place, tmp_path, full, guards=[memory], **SLOWLY) as stage:
        driver = stage.begin("start", "v2")

        def high() -> list[float]:
            return [at for at, _ in stage.prometheus.shown("v2", RESIDENT)]

        wait_for(lambda: len(high()) > 1 and high()[-1] - high()[0] >= 4, "its memory is high for a while")
        driver.kill()
        driver.communicate()
        assert turns(stage) == []
        killed = time.time()

        ran = stage.run("start", "v2")

        assert ran.code == 3, ran.text
        release = stage.recorded()
        assert release is not None
        assert release.outcome is Outcome.GUARD
        (turn,) = turns(stage)
        due = next(at for at in high() if at - high()[0] >= 15)
        assert turn.body["since"] == pytest.approx(high()[0], abs=0.001)
        assert turn.at == pytest.approx(due, abs=0.001)
        assert high()[0] < killed < due
        assert (stage.image(), stage.is_whole()) == ("shop/web:v1", True)
