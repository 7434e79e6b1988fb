"""Guards over a real service: one that leaks is taken back, one is paused and resumed, one is told of."""

import json
from pathlib import Path
from typing import Any

import pytest

from canary.core.release import Outcome
from tests.e2e.place import Place, serving, until

pytestmark = pytest.mark.e2e

SLOWLY: dict[str, Any] = {"hold": {"min": "5s", "max": "10m"}, "local": {"limits": {"memory": "250MiB"}}}
MEMORY = {"name": "memory", "condition": "memory_usage > 90% for 1s", "action": "abort", "alert": True}


def turns(here: Place) -> list[tuple[str, str]]:
    """Guards that fired or cleared, by the ledger."""
    entries = [entry for entry in here.entries() if entry.kind == "guard"]
    return [(entry.body["guard"], entry.body["state"]) for entry in entries]


def test_a_version_that_leaks_memory_is_taken_back_by_its_guard(tmp_path: Path) -> None:
    with serving(tmp_path, "v2=leak:60", guards=[MEMORY], **SLOWLY) as here:
        here.rested()
        ended = here.run("start", "v2", "--plain")
        assert ended.code == 3, ended.text
        assert here.recorded().outcome is Outcome.GUARD
        assert "ALERT: guard memory fired (abort and alert): memory_usage " in ended.err
        assert "because guard memory: memory_usage > 90% for 1s, true for " in ended.out
        assert turns(here) == [("memory", "fired")]
        assert here.stable() == ("v1", 2, 2)
        assert here.failed() == 0
        assert here.verified() == ""


def test_a_guard_pauses_a_release_and_a_person_resumes_it(tmp_path: Path) -> None:
    # Any Python takes more than that: it fires at the first scrape, and does not clear.
    large = {"name": "large", "condition": "memory_bytes > 5MiB", "action": "pause"}
    with serving(tmp_path, guards=[large], **SLOWLY) as here:
        here.rested()
        driver = here.begin("start", "v2")
        driver.says("paused by guard large: memory_bytes > 5MiB, true for ")

        def paused() -> bool:
            found = here.recorded().pause
            return found is not None and found.guard == "large"

        until(paused, driver.text())
        status = json.loads(here.run("status", "-o", "json").out)
        assert [one["firing"] for one in status["state"]["guards"]] == [True]
        assert here.run("resume").code == 0
        ended = driver.ended()
        assert ended.code == 0, ended.text
        assert here.recorded().outcome is Outcome.PROMOTED
        assert turns(here) == [("large", "fired")]


def test_an_alert_is_told_and_the_version_is_promoted(tmp_path: Path) -> None:
    slow = {"name": "slow", "condition": "runtime > 2s and restarts == 0", "action": "alert"}
    with serving(tmp_path, guards=[slow, MEMORY], **SLOWLY) as here:
        here.rested()
        ended = here.run("start", "v2", "--plain")
        assert ended.code == 0, ended.text
        assert "guards slow, memory act by themselves, outside of the false-rollback rate" in ended.err
        assert "ALERT: guard slow fired (alert): runtime " in ended.err
        assert turns(here) == [("slow", "fired")]
