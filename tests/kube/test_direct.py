"""Releases without a Prometheus: the real command scrapes the pods' own pages. Pods are simulated."""

import json
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from canary.core.release import Phase, Release
from canary.kube.session import Json
from tests.kube.live import Place, wait_for
from tests.kube.scripted import Traffic
from tests.kube.served_pods import ServedPods, served
from tests.kube.stage import Stage, a_stage

pytestmark = pytest.mark.control_plane

BAD = Traffic(errors=0.03)
DIRECT: Json = {"interval": "1s", "warm_up": {"min": "1s", "max": "5s"}}


def configure(stage: Stage, *, pods: Json | None, **changes: Any) -> None:
    source = {} if pods is None else {"source": {"pods": {"scrape": "1s", **pods}}}
    stage.configure(**changes)
    document = json.loads(stage.file.read_text())
    document["analysis"] = {**DIRECT, **source}
    if pods is None:
        document["analysis"]["interval"] = "15s"
    stage.file.write_text(json.dumps(document))


@pytest.fixture
def stage(place: Place, tmp_path: Path) -> Iterator[Stage]:
    with a_stage(place, tmp_path, {}) as found:
        yield found


@pytest.fixture
def pages(stage: Stage) -> Iterator[ServedPods]:
    # No EndpointSlice takes the addresses that these pods are given.
    stage.session.delete(stage.session.path("v1", "services", "web"))
    with served(stage.session, {"bad": BAD}) as found:
        configure(stage, pods={"port": found.port})
        yield found


def test_a_good_version_is_promoted_by_what_its_own_pods_say(stage: Stage, pages: ServedPods) -> None:
    ran = stage.run("start", "v2")

    assert ran.code == 0, ran.text
    assert stage.image() == "shop/web:v2"
    assert stage.is_whole()
    assert "warning" not in ran.text
    release = stage.recorded()
    assert release is not None
    assert release.window == 1
    assert release.strategy.probe_rate == 1.0


def test_a_worse_version_is_rolled_back_by_what_its_own_pods_say(stage: Stage, pages: ServedPods) -> None:
    ran = stage.run("start", "bad")

    assert ran.code == 3, ran.text
    assert stage.image() == "shop/web:v1"
    assert stage.is_whole()


def holding(stage: Stage) -> Release | None:
    found = stage.recorded()
    holds = found is not None and found.phase is Phase.PROGRESSING and bool(found.steps_at)
    return found if holds else None


def test_a_driver_that_is_killed_is_followed_by_one_that_begins_a_window_and_ends_the_release(
    stage: Stage, pages: ServedPods
) -> None:
    configure(stage, pods={"port": pages.port}, hold={"min": "6s", "max": "60s"})
    killed = stage.begin("start", "v2")
    wait_for(lambda: holding(stage), "the first step is held")
    killed.send_signal(signal.SIGKILL)
    killed.communicate()

    status = stage.run("status")
    asked = dict(pages.scraped)
    assert "not known here: the driver alone scrapes the pods" in status.text + status.out
    assert stage.run("status", "-o", "json").out.count('"evidence": null') == 1
    assert pages.scraped == asked

    ran = stage.run("start", "v2")
    assert ran.code == 0, ran.text
    release = stage.recorded()
    assert release is not None
    assert release.window == 2


def test_pods_out_of_reach_are_said_at_once_and_hold_the_release(stage: Stage) -> None:
    configure(stage, pods={"port": 8080}, deadline="15s", hold={"min": "2s", "max": "10s"})
    plan = stage.run("plan", "v2")
    assert plan.code == 0
    assert "no pod could be scraped from here (4 tried)" in plan.out
    assert "--in-cluster" in plan.out

    ran = stage.run("start", "v2")

    assert ran.code == 4, ran.text
    assert "warning: the metrics source does not answer: no pod could be scraped from here" in ran.text
    assert "no scrape: the metrics source does not answer" in ran.text
    assert stage.image() == "shop/web:v1"
    assert stage.is_whole()


def test_a_port_that_cannot_be_told_is_refused_before_anything_is_touched(stage: Stage) -> None:
    configure(stage, pods=None)
    for command in ("start", "plan"):
        ran = stage.run(command, "v2")
        assert ran.code == 2, ran.text
        assert (
            "it is not known at which port the pods show their metrics: the container app has no port"
            in ran.text
        )
        assert "analysis: {source: {pods: {port: ...}}}" in ran.text
    assert stage.recorded() is None
    assert stage.deployment("web-canary") is None
