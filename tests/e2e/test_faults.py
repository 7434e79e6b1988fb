"""What goes wrong around a release: replicas die, metrics or traffic stay away, the supervisor is killed."""

import time
from pathlib import Path
from typing import Any

import pytest

from canary.core.observation import Arm
from canary.core.release import Outcome, Phase, Stage
from tests.e2e.place import Driver, Place, gone, kill, serving, until

pytestmark = pytest.mark.e2e

SLOWLY: dict[str, Any] = {"hold": {"min": "5s", "max": "10m"}}
"""Long enough in each step for something to happen there."""


def holding(here: Place, version: str, step: int = 0) -> Driver:
    """A driver whose release holds that step."""
    driver = here.begin("start", version)

    def there() -> bool:
        assert driver.process.poll() is None, driver.text()
        found = here.release()
        return found is not None and (found.step, found.stage) == (step, Stage.HOLDING)

    until(there, f"step {step + 1} is held: {driver.text()}")
    return driver


def stays(here: Place, driver: Driver, reason: str, seconds: float) -> None:
    """It says the reason, and holds its step for so long while the reason lasts."""
    driver.says(reason)
    step, since = here.recorded().step, time.monotonic()
    while time.monotonic() - since < seconds:
        found = here.recorded()
        assert (found.phase, found.step) == (Phase.PROGRESSING, step), driver.text()
        time.sleep(0.1)


def test_a_replica_of_the_canary_that_dies_once_is_waited_for_and_the_release_goes_on(tmp_path: Path) -> None:
    with serving(tmp_path, **SLOWLY) as here:
        here.rested()
        driver = holding(here, "v2")
        (victim,) = here.canaries()
        kill(here.pid_of(victim))
        driver.says("canary 0/1 ready")
        until(lambda: any(pod.ready and pod.restarts == 1 for pod in here.canaries()), "it is started again")
        ended = driver.ended()
        assert ended.code == 0, ended.text
        assert ended.err.index("canary 0/1 ready") < ended.err.rindex("canary 1/1 ready")
        assert here.stable() == ("v2", 2, 2)
        assert set(here.books().failures) <= {"reset", "short", "refused"}, here.books().examples


def test_metrics_that_go_away_hold_the_release_and_it_goes_on_when_they_come_back(tmp_path: Path) -> None:
    with serving(tmp_path, **SLOWLY) as here:
        here.rested()
        driver = holding(here, "v2")
        here.outage.touch()
        stays(here, driver, "no scrape", 8.0)
        here.outage.unlink()
        ended = driver.ended()
        assert ended.code == 0, ended.text
        assert here.stable() == ("v2", 2, 2)
        assert here.failed() == 0
        assert here.verified() == ""


def test_a_service_with_health_checks_alone_is_held_and_promoted_only_when_traffic_comes(
    tmp_path: Path,
) -> None:
    with serving(tmp_path, rps=0.0) as here:
        here.rested()
        driver = holding(here, "v2")
        stays(here, driver, "no traffic", 5.0)
        assert here.recorded().step == 0
        here.load(60.0)
        ended = driver.ended()
        assert ended.code == 0, ended.text
        assert here.stable() == ("v2", 2, 2)
        assert here.failed() == 0


def test_a_service_without_traffic_ends_without_a_conclusion_and_is_never_promoted(tmp_path: Path) -> None:
    with serving(tmp_path, rps=0.0) as here:
        ended = here.run("start", "v2", "--timeout", "6s", "-o", "json")
        assert (ended.code, ended.document["verdict"]) == (4, "inconclusive"), ended.text
        assert "no conclusion by the deadline" in ended.document["reason"]
        assert (here.stable(), here.canaries()) == (("v1", 2, 2), ())


def test_a_version_that_is_bad_only_under_the_load_of_the_last_step_is_not_promoted(tmp_path: Path) -> None:
    local = {"replicas": 3}
    with serving(tmp_path, "v2=load:60", rps=160.0, local=local, steps=[25, 50], **SLOWLY) as here:
        here.rested()
        ended = here.run("start", "v2")
        found = here.recorded()
        assert ended.code == 3, ended.text
        assert (found.outcome, found.step) == (Outcome.REGRESSION, 1), found.reason
        assert (here.stable(), here.canaries()) == (("v1", 3, 3), ())
        assert here.failed() == 0


def test_a_supervisor_that_is_killed_and_started_again_does_not_end_the_release(tmp_path: Path) -> None:
    with serving(tmp_path, **SLOWLY) as here:
        here.rested()
        driver = holding(here, "v2")
        before = {pod.uid: here.pid_of(pod) for pods in here.seen().pods.values() for pod in pods}
        assert here.supervisor is not None
        here.supervisor.kill()
        driver.says("held, nothing is changed, trying again")
        assert not any(gone(pid) for pid in before.values())
        here.up()
        after = {pod.uid: here.pid_of(pod) for pods in here.seen().pods.values() for pod in pods}
        assert before == after
        ended = driver.ended()
        assert ended.code == 0, ended.text
        assert "in reach again" in ended.err
        assert (here.stable(), here.canaries()) == (("v2", 2, 2), ())
        assert here.verified() == ""


def test_a_version_that_never_becomes_ready_is_undone_within_seconds(tmp_path: Path) -> None:
    with serving(tmp_path, "v2=never-ready", local={"ready": "10s"}) as here:
        ended = here.run("start", "v2", "-o", "json")
        document = ended.document
        assert (ended.code, document["outcome"]) == (7, "never_ready"), ended.text
        assert "503" in document["reason"]
        times = document["times"]
        assert times["restored"] - document["started"] < 10 + 20, times
        assert (here.stable(), here.canaries()) == (("v1", 2, 2), ())
        assert here.failed() == 0


def test_a_version_that_keeps_crashing_after_it_was_ready_is_rolled_back(tmp_path: Path) -> None:
    with serving(tmp_path, "v2=crash:3", **SLOWLY) as here:
        ended = here.run("start", "v2")
        assert ended.code == 3, ended.text
        assert here.recorded().outcome is Outcome.CRASHED
        assert (here.stable(), here.canaries()) == (("v1", 2, 2), ())
        assert all(pod.restarts == 0 for pod in here.seen().pods[Arm.STABLE])
