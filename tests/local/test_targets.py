"""A Prometheus is told where the replicas are: written on a change, whole, and never in the way."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from canary.local.targets import Place, Targets
from tests.local.running import a_service, up, wait_for

ONE = Place("shop-1a2b-xyz", "stable", "v1", 4001)


def test_each_replica_is_told_with_its_own_address_and_what_it_is(tmp_path: Path) -> None:
    path = tmp_path / "sd" / "shop.json"
    Targets(a_service(tmp_path, targets=path), print).write([ONE, replace(ONE, pod="new", port=0)])
    assert json.loads(path.read_text()) == [
        {
            "targets": ["127.0.0.1:4001"],
            "labels": {
                "__metrics_path__": "/metrics",
                "arm": "stable",
                "pod": "shop-1a2b-xyz",
                "target": "shop",
                "version": "v1",
            },
        }
    ]


def test_it_is_written_only_when_something_has_changed(tmp_path: Path) -> None:
    path = tmp_path / "shop.json"
    targets = Targets(a_service(tmp_path, targets=path), print)
    targets.write([ONE])
    first = path.stat().st_ino
    targets.write([ONE])
    assert path.stat().st_ino == first
    targets.write([replace(ONE, port=4002)])
    assert json.loads(path.read_text())[0]["targets"] == ["127.0.0.1:4002"]


def test_without_the_key_nothing_is_written(tmp_path: Path) -> None:
    Targets(a_service(tmp_path), print).write([ONE])
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_cannot_be_written_is_said_once_and_written_when_it_can_be(tmp_path: Path) -> None:
    said: list[str] = []
    (tmp_path / "sd").write_text("in the way")
    targets = Targets(a_service(tmp_path, targets=tmp_path / "sd" / "shop.json"), said.append)
    for _ in range(3):
        targets.write([ONE])
    assert len(said) == 1
    assert "Prometheus is not told" in said[0]
    (tmp_path / "sd").unlink()
    targets.write([ONE])
    assert (tmp_path / "sd" / "shop.json").exists()


@pytest.mark.e2e
def test_a_supervisor_keeps_it_true_and_empties_it_at_its_end(tmp_path: Path) -> None:
    path = tmp_path / "shop.json"
    with up(a_service(tmp_path, targets=path)) as running:
        running.settled()
        found = wait_for(
            lambda: told if len(told := json.loads(path.read_text())) == 2 else None, "both are told"
        )
        assert {one["labels"]["pod"] for one in found} == {pod.name for pod in running.pods()}
        assert {one["labels"]["version"] for one in found} == {"v1"}
        running.end()
        assert json.loads(path.read_text()) == []
