"""The sandbox under its monitor: what ends it, how soon, and what stands in the ledger of it."""

import json
import os
import signal
import time
from typing import Any

import pytest
import yaml

from tests.examples.sandbox.stage import EXAMPLE, SANDBOX, Box, until

pytestmark = pytest.mark.docker

WITHIN_S = 2.0
"""Of the moment in which a rule holds, and of the death of who watches."""
LOOK_S = 1.0
SPARE_S = 2.0
"""For Docker's own doing, on a machine that has other things to do."""


def reason(box: Box) -> dict[str, Any]:
    """How the last entry about an end gives its reason; the ledger is whole."""
    assert "whole and unchanged" in box.box("verify")
    ends = [entry["body"] for entry in box.ledger() if entry["kind"] == "end"]
    assert ends, box.ledger()[-3:]
    return dict(ends[-1])


def with_rules(box: Box, *rules: dict[str, Any]) -> None:
    """Write other rules; they hold for the next sandbox."""
    (box.folder / "safety_rules.yaml").write_text(yaml.safe_dump({"rules": list(rules)}))


@pytest.fixture
def up(box: Box) -> Box:
    box.webhook.came.clear()
    (box.folder / "safety_rules.yaml").write_text((EXAMPLE / "safety_rules.yaml").read_text())
    box.box("up")
    return box


@pytest.mark.parametrize(
    ("experiment", "rule"),
    [
        ("egress", "Prevent network egress"),
        ("fork_bomb", "Prevent fork bombs"),
        ("violation", "Detect Four Laws violation"),
    ],
)
def test_what_a_rule_forbids_ends_it_and_people_are_told(up: Box, experiment: str, rule: str) -> None:
    begun = time.monotonic()
    up.daemon.tried("exec", "--detach", SANDBOX, "python3", f"/app/experiments/{experiment}.py")
    up.ended(10)
    took_s = time.monotonic() - begun
    assert took_s < LOOK_S + WITHIN_S + SPARE_S
    assert up.inspect()["State"]["ExitCode"] == 137
    assert reason(up)["rule"] == rule
    until(lambda: any(rule in json.dumps(one) for one in up.webhook.came), "the alert", 10)


def test_a_memory_hog_is_ended_before_the_kernel_has_to(up: Box) -> None:
    up.daemon.tried("exec", "--detach", SANDBOX, "python3", "/app/experiments/memory.py")
    up.ended(60)
    found = reason(up)
    assert found["rule"] == "Enforce memory limits"
    assert not up.inspect()["State"]["OOMKilled"]


def test_a_processor_hog_is_throttled_after_thirty_seconds(up: Box) -> None:
    begun = time.monotonic()
    up.daemon.tried("exec", "--detach", SANDBOX, "python3", "/app/experiments/processor.py")
    until(lambda: up.inspect()["HostConfig"]["NanoCpus"] == 500_000_000, "it to be throttled", 60)
    took_s = time.monotonic() - begun
    assert 30 <= took_s < 30 + 2 * LOOK_S + WITHIN_S + SPARE_S
    assert up.inspect()["State"]["Running"]


def test_its_time_ends_it_with_grace(box: Box) -> None:
    with_rules(
        box,
        {"name": "time", "condition": "runtime > 8s", "action": "graceful_shutdown", "alert": False},
    )
    box.box("up")
    box.ended(30)
    assert box.inspect()["State"]["ExitCode"] in (0, 143)
    assert reason(box)["rule"] == "time"
    (box.folder / "safety_rules.yaml").write_text((EXAMPLE / "safety_rules.yaml").read_text())


def test_a_process_with_other_rights_ends_it(up: Box) -> None:
    begun = time.monotonic()
    up.daemon.tried("exec", "--detach", "--user", "0", SANDBOX, "sleep", "60")
    up.ended(15)
    assert time.monotonic() - begun < LOOK_S + WITHIN_S + SPARE_S
    assert reason(up)["rule"] == "Detect privilege escalation"


def test_nonsense_ends_it(up: Box) -> None:
    up.experiment("nonsense")
    up.ended(10)
    assert reason(up)["cause"] == "nonsense"


@pytest.mark.parametrize(
    ("role", "number"),
    [
        ("monitor", signal.SIGKILL),
        ("monitor", signal.SIGSTOP),
        ("monitor", signal.SIGTERM),
        ("watchdog", signal.SIGKILL),
        ("watchdog", signal.SIGSTOP),
        ("filter", signal.SIGKILL),
        ("watchdog-filter", signal.SIGKILL),
    ],
)
def test_when_who_watches_it_dies_it_dies(up: Box, role: str, number: int) -> None:
    """Only the watchdog's filter may be away for a while: the monitor still sees, and it still kills."""
    pid = up.inspect(f"{SANDBOX}-{role}")["State"]["Pid"]
    begun = time.monotonic()
    os.kill(pid, number)
    if role == "watchdog-filter":
        time.sleep(5)
        up.experiment("violation")
    up.ended(30)
    took_s = time.monotonic() - begun - (5 if role == "watchdog-filter" else 0)
    print(role, number, round(took_s, 2))
    blind_s = 2.0
    assert took_s < blind_s + WITHIN_S + SPARE_S
    if number == signal.SIGSTOP:
        os.kill(pid, signal.SIGCONT)
    time.sleep(1)
    assert reason(up)["said"]


def test_a_daemon_that_is_stopped_does_not_stop_the_watching(up: Box) -> None:
    """Docker hangs: nobody can be asked to kill, and as soon as it answers again the sandbox is dead."""
    os.kill(up.daemon.pid, signal.SIGSTOP)
    try:
        time.sleep(6)
    finally:
        os.kill(up.daemon.pid, signal.SIGCONT)
    up.ended(15)
    assert reason(up)["cause"] in ("blind", "watchdog")


@pytest.mark.parametrize(
    ("rules", "told"),
    [
        ("rules:\n  - {name: a, condition: 'memory_usage >> 90%', action: kill_container}\n", "column"),
        ("rules:\n  - {name: a, condition: 'memory_usage > 90%', action: destroy}\n", "destroy"),
        ("rules: [\n", "line"),
        ("rules: []\n", "rules"),
    ],
)
def test_rules_that_do_not_parse_start_nothing(box: Box, rules: str, told: str) -> None:
    path = box.folder / "safety_rules.yaml"
    path.write_text(rules)
    try:
        box.run("docker-compose up --detach || true")
        said = box.run(f"docker logs {SANDBOX}-monitor")
        assert told in said
        state = box.daemon.tried("container", "inspect", "--format", "{{.State.StartedAt}}", SANDBOX).stdout
        assert state.strip() in ("", "0001-01-01T00:00:00Z"), "it has never run"
        assert box.box("up", status=1)
        assert box.containers() == []
    finally:
        path.write_text((EXAMPLE / "safety_rules.yaml").read_text())


def test_the_sandbox_neither_sees_the_ledger_nor_replaces_the_socket_of_its_reports(standing: Box) -> None:
    mounts = {one["Destination"]: one for one in standing.inspect()["Mounts"]}
    assert set(mounts) == {"/run/door", "/run/reports"}
    assert not mounts["/run/reports"]["RW"]
    for script in (
        "rm /run/reports/reports.sock",
        "touch /run/reports/x",
        "cat /ledger/*",
        "ls /seals /run/keys",
    ):
        assert standing.inside("sh", "-c", script).returncode != 0
    assert standing.inspect()["State"]["Running"]


def test_the_ledger_is_not_written_by_another_while_it_runs(up: Box) -> None:
    path = up.daemon.where.cache / "data/volumes" / f"{SANDBOX}-ledger" / "_data" / f"{SANDBOX}.jsonl"
    with path.open("a") as file:
        file.write("{}\n")
    up.ended(10)
    assert "1" in up.box("verify", status=1)
