"""The units for systemd and the rules for Prometheus: read by their own tools."""

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from tests import tools
from tests.examples.minimal.stage import MINIMAL

SYSTEMD = MINIMAL / "systemd"
MONITORING = MINIMAL / "monitoring"
UNITS = sorted(SYSTEMD.glob("*.service"))
README = (MINIMAL / "README.md").read_text()


def analyzed(*words: str) -> "subprocess.CompletedProcess[str]":
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd-analyze is missing")
    return subprocess.run(["systemd-analyze", *words], capture_output=True, text=True, check=False)


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.stem)
def test_the_exposure_of_a_unit_is_what_the_readme_says(unit: Path) -> None:
    done = analyzed("security", "--offline=true", "--no-pager", str(unit))
    found = re.search(r"Overall exposure level for \S+: ([\d.]+)", done.stdout)
    assert found is not None, done.stderr
    (said,) = re.findall(rf"^\| `{unit.stem}(?:\.service)?` \|.*\| ([\d.]+) \|$", README, re.MULTILINE)
    assert found[1] == said
    assert float(said) < 2.0


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.stem)
def test_a_unit_has_no_fault_but_that_this_machine_is_not_the_server(unit: Path) -> None:
    done = analyzed("verify", "--recursive-errors=no", str(unit))
    # Nothing is installed in /srv/project-ai here.
    rest = [
        line for line in done.stderr.splitlines() if line and "is not executable: No such file" not in line
    ]
    assert rest == []


@pytest.mark.parametrize("timer", sorted(SYSTEMD.glob("*.timer")), ids=lambda timer: timer.stem)
def test_a_timer_has_its_service_and_a_time_that_is_understood(timer: Path) -> None:
    assert timer.with_suffix(".service").exists()
    (when,) = re.findall(r"^OnCalendar=(.*)$", timer.read_text(), re.MULTILINE)
    assert analyzed("calendar", when).returncode == 0


def test_the_service_may_write_where_it_must_and_nowhere_else() -> None:
    (folders,) = re.findall(
        r"^ReadWritePaths=(.*)$", (SYSTEMD / "project-ai.service").read_text(), re.MULTILINE
    )
    assert {Path(one).name for one in folders.split()} == {".canary", "data", "monitoring"}


def test_folders_that_units_may_write_to_are_made_before_as_the_readme_says() -> None:
    (made,) = re.findall(r"^install -d .* (/srv/\S+)/\{(.*)\}$", README, re.MULTILINE)
    there = {f"{made[0]}/{name}" for name in made[1].split(",")}
    for unit in UNITS:
        (folders,) = re.findall(r"^ReadWritePaths=(.*)$", unit.read_text(), re.MULTILINE)
        tracked = {f"{made[0]}/monitoring"}
        assert set(folders.split()) <= there | tracked


def promtool(*words: str) -> "subprocess.CompletedProcess[str]":
    tools.provide_prometheus()
    if shutil.which("promtool") is None:
        pytest.skip("promtool is missing, and there is no apt to fetch it")
    return subprocess.run(
        ["promtool", *words], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
    )


@pytest.mark.e2e
def test_the_configuration_and_the_rules_are_what_prometheus_takes() -> None:
    for words in (("check", "rules", "alerts.yml"), ("check", "config", "--syntax-only", "prometheus.yml")):
        done = promtool(*words[:-1], str(MONITORING / words[-1]))
        assert done.returncode == 0, done.stdout


@pytest.mark.e2e
def test_each_alert_fires_when_it_must_and_is_silent_on_a_good_day() -> None:
    done = promtool("test", "rules", str(MONITORING / "alerts_test.yml"))
    assert done.returncode == 0, done.stdout


def alerts() -> list[dict[str, object]]:
    found = yaml.safe_load((MONITORING / "alerts.yml").read_text())
    return [rule for group in found["groups"] for rule in group["rules"]]


def test_every_alert_has_a_test_and_says_what_to_do() -> None:
    tested = (MONITORING / "alerts_test.yml").read_text()
    good_day, _, bad_day = tested.partition("a bad day")
    for alert in alerts():
        name = str(alert["alert"])
        assert f"alertname: {name}" in good_day
        assert name in bad_day
        if name != "Watchdog":
            annotations = alert["annotations"]
            assert isinstance(annotations, dict)
            assert set(annotations) == {"summary", "action"}


@pytest.mark.e2e
def test_the_tests_of_the_rules_fail_for_each_alert_that_never_fires(tmp_path: Path) -> None:
    tested = yaml.safe_load((MONITORING / "alerts_test.yml").read_text())
    tested["tests"] = [one for one in tested["tests"] if one["name"] == "a bad day"]
    names = [str(one["alert"]) for one in alerts() if one["alert"] != "Watchdog"]
    for name in names:
        found = yaml.safe_load((MONITORING / "alerts.yml").read_text())
        for group in found["groups"]:
            for rule in group["rules"]:
                if rule["alert"] == name:
                    rule["expr"] = "vector(1) < 0"
        (tmp_path / f"{name}.yml").write_text(json.dumps(found))
        (tmp_path / f"{name}-test.yml").write_text(json.dumps(tested | {"rule_files": [f"{name}.yml"]}))
    done = promtool("test", "rules", *(str(tmp_path / f"{name}-test.yml") for name in names))
    said = re.split(r"Unit Testing: ", done.stdout)[1:]
    assert len(names) == 10
    assert [
        name for name, its in zip(names, said, strict=True) if f"{name}-test" in its and "FAILED" in its
    ] == names


def test_every_alert_has_somebody_to_go_to_and_no_secret_is_in_the_file() -> None:
    found = yaml.safe_load((MONITORING / "alertmanager.yml").read_text())
    receivers = {one["name"]: one for one in found["receivers"]}
    routes = [found["route"], *found["route"]["routes"]]
    assert {one["receiver"] for one in routes} == set(receivers)
    for receiver in receivers.values():
        (hook,) = receiver["webhook_configs"]
        assert list(hook["http_config"]["authorization"]) == ["credentials_file"]
    matchers = [one for route in found["route"]["routes"] for one in route["matchers"]]
    assert matchers == ['alertname="Watchdog"', 'severity="page"']
    assert {alert["labels"]["severity"] for alert in alerts()} == {"page", "ticket", "none"}  # type: ignore[index]


def test_what_is_written_for_prometheus_is_what_the_rules_ask_for() -> None:
    from steward.evidence import page

    at = "2026-01-01T00:00:00Z"
    told = page([{"kind": kind, "at": at, "ok": True, "rto_s": 1.0} for kind in ("backup", "restore-drill")])
    asked = set(re.findall(r"project_ai_(?:backup|restore)\w+", (MONITORING / "alerts.yml").read_text()))
    assert asked
    assert {name for name in asked if name not in told} == set()
