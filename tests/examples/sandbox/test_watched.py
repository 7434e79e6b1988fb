"""The sandbox under its monitor: what ends it, how soon, and what stands in the ledger of it."""

import json
import os
import re
import signal
import time
from functools import partial
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
    """The last entry about an end, when all who write have ended; the ledger is whole."""
    for role in ("monitor", "watchdog"):
        until(partial(has_ended, box, role), f"the {role} to end", 20)
    assert "whole and unchanged" in box.box("verify")
    ends = [entry["body"] for entry in box.ledger() if entry["kind"] == "end"]
    assert ends, box.ledger()[-3:]
    return dict(ends[-1])


def has_ended(box: Box, role: str) -> bool:
    return not box.inspect(f"{SANDBOX}-{role}")["State"]["Running"]


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


def test_a_processor_hog_is_throttled_after_thirty_seconds(box: Box) -> None:
    """With an eighth of a core: on a machine that is busy it would not get a whole one."""
    path = box.folder / "docker-compose.yml"
    whole = path.read_text()
    path.write_text(whole.replace("cpus: 1.0", "cpus: 0.125"))
    try:
        box.box("up")
    finally:
        path.write_text(whole)
    until(lambda: usage(box) < 0.5, "it to have come to rest", 60)
    begun = time.monotonic()
    box.daemon.tried("exec", "--detach", SANDBOX, "python3", "/app/experiments/processor.py")
    until(lambda: box.inspect()["HostConfig"]["NanoCpus"] == 62_500_000, "it to be throttled", 90)
    took_s = time.monotonic() - begun
    assert 30 <= took_s < 30 + 5 * LOOK_S + WITHIN_S + SPARE_S
    assert box.inspect()["State"]["Running"]


def usage(box: Box) -> float:
    """Of the processor, as the monitor shows it."""
    page = box.run("curl --silent http://127.0.0.1:9464/metrics")
    found = re.search(r'^canary_guard_figure{name="cpu_usage"} (\S+)$', page, re.MULTILINE)
    return float(found[1]) if found else 1.0


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
        ("rules: [\n", "safety_rules.yaml"),
        ("rules: []\n", "rules"),
    ],
)
def test_rules_that_do_not_parse_start_nothing(box: Box, rules: str, told: str) -> None:
    path = box.folder / "safety_rules.yaml"
    path.write_text(rules)
    try:
        since = time.time()
        said = box.box("up", status=2)
        assert told in said
        # Whoever does without it gets no further: the monitor ends, and the sandbox waits for it.
        box.run("timeout 45 docker-compose up --detach || true")
        assert told in box.run(f"docker logs {SANDBOX}-monitor")
        events = ("--since", f"{since:.0f}", "--until", f"{time.time():.0f}", "--filter", "event=start")
        begun = box.daemon.docker("events", *events, "--format", "{{.Actor.Attributes.name}}").split()
        assert f"{SANDBOX}-monitor" in begun
        assert SANDBOX not in begun
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
