"""What goes wrong with the monitor, its watchdog, its ledger or Docker: the sandbox dies of it."""

import http.server
import json
import os
import signal
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from tests.command import ROOT, begun
from tests.safety.box import NAME, RULES, WITHIN_S, Box, audited

pytestmark = pytest.mark.docker
BLIND_S = 2.0
CANARY = (sys.executable, "-m", "canary")
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT)}


def watched(box: Box, *options: str) -> "subprocess.Popen[str]":
    """An idle sandbox that has been looked at."""
    monitor = box.watched(*options)
    box.start("idle")
    box.until(lambda: bool(box.told("look")), "a look")
    return monitor


def dead_within(box: Box, since: float, bound_s: float) -> None:
    died = box.died_at()
    assert died - since < bound_s, [one.body.get("said") for one in box.entries()]


def last_said(box: Box) -> str:
    return str(box.told("end")[-1]["reason"])


def test_the_sandbox_dies_with_its_monitor(box: Box) -> None:
    monitor = watched(box)
    killed = time.time()
    monitor.kill()
    dead_within(box, killed, WITHIN_S)
    box.until(lambda: bool(box.told("end")), "the watchdog's entry")
    (decision,) = box.told("decision")
    assert (decision["by"], decision["reason"]) == ("watchdog", "the monitor has died")
    assert [one.kind for one in box.whole()][-3:] == ["decision", "effect", "end"]
    assert audited(box).code == 0


def test_the_sandbox_dies_of_a_monitor_that_is_stopped_and_that_never_writes_again(box: Box) -> None:
    monitor = watched(box)
    stopped = time.time()
    monitor.send_signal(signal.SIGSTOP)
    dead_within(box, stopped, BLIND_S + WITHIN_S)
    assert monitor.wait(20) == -signal.SIGKILL
    assert "silent for" in last_said(box)
    assert box.whole()[-1].kind == "end"


def test_the_sandbox_dies_with_the_watchdog(box: Box) -> None:
    monitor = watched(box)
    killed = time.time()
    os.kill(box.watchdog_of(monitor), signal.SIGKILL)
    dead_within(box, killed, WITHIN_S)
    assert box.ended(monitor).code == 8
    assert last_said(box) == "the watchdog has died"


def test_the_sandbox_dies_of_a_watchdog_that_is_stopped(box: Box) -> None:
    monitor = watched(box)
    watchdog = box.watchdog_of(monitor)
    os.kill(watchdog, signal.SIGSTOP)
    try:
        dead_within(box, time.time(), BLIND_S + WITHIN_S)
        # It would hold the monitor's output open.
        os.kill(watchdog, signal.SIGKILL)
        assert box.ended(monitor).code == 8
        assert "watchdog not seen for" in last_said(box)
    finally:
        with suppress(ProcessLookupError):
            os.kill(watchdog, signal.SIGKILL)


def test_nonsense_is_recorded_and_ends_it(box: Box) -> None:
    monitor = box.watched()
    box.start("nonsense")
    took_s = box.died_at() - box.acted_at()
    assert box.ended(monitor).code == 3
    assert took_s < WITHIN_S
    assert "nonsense on the report socket" in last_said(box)
    box.whole()


def test_a_report_socket_that_is_taken_away_ends_it(box: Box) -> None:
    monitor = watched(box)
    (box.reports / "socket").unlink()
    dead_within(box, time.time(), WITHIN_S)
    assert box.ended(monitor).code == 3
    assert "was removed or replaced" in last_said(box)


@contextmanager
def small_disk(folder: Path) -> Iterator[None]:
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=128k", "tmpfs", str(folder)], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def test_a_disk_that_fills_up_ends_it_and_what_was_written_is_whole(box: Box) -> None:
    with small_disk(box.ledger):
        monitor = watched(box)
        with (box.ledger / "filler").open("wb", buffering=0) as filler:
            filled = time.time()
            try:
                while True:
                    filler.write(b"x" * 4096)
            except OSError:
                pass
        dead_within(box, filled, BLIND_S + WITHIN_S)
        (box.ledger / "filler").unlink()
        ran = box.ended(monitor)
        assert ran.code == 8, ran
        assert "ledger not seen for" in last_said(box)
        assert audited(box).code == 0


def test_a_ledger_that_is_changed_ends_it_and_the_change_is_located(box: Box) -> None:
    monitor = watched(box)
    path = box.ledger / f"{NAME}.jsonl"
    text = path.read_text()
    changed = time.time()
    path.write_text(text.replace('"watched":"sandbox"', '"watched":"sandbux"', 1))
    dead_within(box, changed, WITHIN_S)
    ran = box.ended(monitor)
    assert ran.code == 8, ran
    assert "not to be relied upon" in ran.text
    found = audited(box)
    assert found.code == 1
    assert "entry 1 is changed" in found.out


def test_a_line_that_another_adds_ends_it(box: Box) -> None:
    monitor = watched(box)
    with (box.ledger / f"{NAME}.jsonl").open("a") as file:
        file.write("{}\n")
    dead_within(box, time.time(), WITHIN_S)
    assert box.ended(monitor).code == 8


def test_a_sandbox_is_killed_without_docker_when_that_does_not_answer(box: Box) -> None:
    monitor = watched(box)
    pid = box.look()["State"]["Pid"]
    stopped = time.monotonic()
    os.kill(box.daemon.pid, signal.SIGSTOP)
    try:
        box.until(lambda: not alive(pid), "its end without Docker")
        assert time.monotonic() - stopped < BLIND_S + 1.0 + WITHIN_S
    finally:
        os.kill(box.daemon.pid, signal.SIGCONT)
    assert box.ended(monitor).code == 8
    assert "docker not seen for" in last_said(box)
    assert any(one["said"] == "SIGKILL sent directly" for one in box.told("effect"))


def alive(pid: int) -> bool:
    try:
        return "Z" not in Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_monitor_that_is_asked_to_end_leaves_nothing_unwatched(
    box: Box, number: signal.Signals, code: int
) -> None:
    monitor = watched(box)
    monitor.send_signal(number)
    assert box.ended(monitor).code == code
    assert not box.runs()
    assert number.name in last_said(box)


def test_a_container_that_does_not_come_is_waited_for_no_longer_than_asked(box: Box) -> None:
    ran = box.ended(box.watched("--wait", "1s"))
    assert ran.code == 8
    assert "no container sandbox has come within 1s" in ran.out
    assert [one.kind for one in box.whole()] == ["start", "end"]


def test_a_monitor_that_is_asked_to_end_before_a_container_came_ends(box: Box) -> None:
    monitor = box.watched()
    monitor.terminate()
    assert box.ended(monitor, 15).code == 143
    assert box.told("decision") == []


def test_one_that_was_ended_before_is_not_taken_for_the_one_to_come(box: Box) -> None:
    box.start("end 0")
    box.until(lambda: not box.runs(), "its end")
    monitor = box.watched()
    time.sleep(1)
    assert monitor.poll() is None
    box.daemon.docker("rm", NAME)
    box.start("end")
    assert box.ended(monitor).code == 0
    end = box.told("end")[-1]
    assert (end["cause"], end["exit_code"]) == ("itself", 7)


def test_one_that_is_renamed_is_killed_all_the_same(box: Box) -> None:
    monitor = watched(box)
    box.daemon.docker("rename", NAME, "other")
    assert box.ended(monitor).code == 8
    assert not box.look("other")["State"]["Running"]


REFUSED = {
    "--restart=always": "restart policy",
    "--privileged": "privileged",
    "--cap-add=SYS_ADMIN": "SYS_ADMIN",
    "--pid=host": "process numbers of the host",
    "--volume=/run:/host:ro": "/run of the host",
}


@pytest.mark.parametrize("option", REFUSED)
def test_what_is_no_sandbox_is_killed_and_refused(box: Box, option: str) -> None:
    monitor = box.watched()
    box.start("idle", option, hardened=option != "--cap-add=SYS_ADMIN")
    ran = box.ended(monitor)
    assert ran.code == 2, ran
    assert REFUSED[option] in last_said(box)
    assert not box.runs()


def test_a_rule_over_a_limit_that_is_not_there_is_refused(box: Box) -> None:
    monitor = box.watched()
    box.start("idle", hardened=False)
    assert box.ended(monitor).code == 2
    assert "no memory limit" in last_said(box)


def test_the_sockets_of_docker_and_the_ledger_are_kept_from_it(box: Box) -> None:
    for place in (box.ledger, box.daemon.where.socket):
        monitor = box.watched()
        box.start("idle", f"--volume={place}:/there")
        assert box.ended(monitor).code == 2
        box.daemon.docker("rm", "--force", NAME)


def test_a_watchdog_of_its_own_is_joined(box: Box, tmp_path: Path) -> None:
    path = tmp_path / "watchdog"
    command = ("guard", "watchdog", "--container", NAME, "--docker", box.daemon.host, "--socket", str(path))
    watchdog = begun(tmp_path, {}, *command, "--ledger", str(box.ledger))
    try:
        box.until(path.exists, "the watchdog's socket")
        monitor = watched(box, "--watchdog", str(path))
        monitor.kill()
        dead_within(box, time.time(), WITHIN_S)
        assert watchdog.wait(20) == 8
        assert box.told("end")[-1]["by"] == "watchdog"
    finally:
        watchdog.kill()
        watchdog.communicate()


def test_the_next_session_goes_on_in_the_same_ledger_under_the_same_key(box: Box, tmp_path: Path) -> None:
    key, copies = tmp_path / "seal.key", tmp_path / "copies"
    subprocess.run([*CANARY, "audit", "keygen", str(key)], check=True, env=ENVIRONMENT, capture_output=True)
    for code in (3, 137):
        monitor = box.watched("--seal-key", str(key), "--seal-to", str(copies))
        box.start("report" if code == 3 else "idle")
        if code == 137:
            box.until(lambda: len(box.told("start")) == 4, "the second session")
            time.sleep(1.5)
            monitor.kill()
            box.died_at()
            box.until(lambda: len(box.told("end")) == 2, "the watchdog's entry")
        else:
            assert box.ended(monitor).code == code
        box.daemon.docker("rm", "--force", NAME)
    ran = audited(box, "--key", f"{key}.pub", "--seals", str(copies))
    assert ran.code == 0, ran
    assert "copies of seals agree" in ran.out


def test_rules_that_do_not_parse_start_nothing(box: Box) -> None:
    monitor = box.guard(rules=RULES.replace("memory_usage > 90%", "memroy_usage > 90%"))
    ran = box.ended(monitor)
    assert ran.code == 2
    assert "safety_rules.yaml:4: rules[2].condition: column 1: memroy_usage" in ran.text
    assert not list(box.ledger.iterdir())


class Hook:
    """A webhook: what came, as JSON."""

    def __init__(self) -> None:
        came = self.came = list[dict[str, object]]()

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                came.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
                self.send_response(204)
                self.end_headers()

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its name in the base class
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def file(self, folder: Path) -> str:
        path = folder / "alert-url"
        path.write_text(f"http://127.0.0.1:{self.server.server_address[1]}/hook\n")
        return str(path)


@pytest.fixture
def hook() -> Iterator[Hook]:
    found = Hook()
    yield found
    found.server.shutdown()
    found.server.server_close()


def test_people_are_told_that_a_rule_fired_and_that_it_is_over(box: Box, hook: Hook, tmp_path: Path) -> None:
    monitor = box.watched("--alert-url-file", hook.file(tmp_path))
    box.start("datagram")
    assert box.ended(monitor).code == 3
    fired, end = hook.came
    assert (fired["kind"], fired["rule"], fired["container"]) == ("guard", "egress", NAME)
    assert (end["kind"], end["cause"], end["exit_code"]) == ("end", "rule", 137)


def test_people_are_told_when_the_monitor_has_died(box: Box, hook: Hook, tmp_path: Path) -> None:
    monitor = watched(box, "--alert-url-file", hook.file(tmp_path))
    monitor.kill()
    box.until(lambda: len(hook.came) == 2, "the watchdog's alerts")
    assert [(one["kind"], one["by"]) for one in hook.came] == [("decision", "watchdog"), ("end", "watchdog")]


def test_lines_and_metrics_tell_what_happens(box: Box) -> None:
    monitor = box.watched("-o", "json", "--listen", "127.0.0.1:19464")

    def page(path: str) -> str:
        with urllib.request.urlopen(f"http://127.0.0.1:19464{path}", timeout=5) as answer:
            return str(answer.read().decode())

    assert page("/healthz") == "waiting for sandbox\n"
    box.start("report 4")
    box.until(lambda: 'canary_guard_figure{name="processes"} 1.0' in page("/metrics"), "the figures")
    text = page("/metrics")
    assert "canary_guard_watching 1.0" in text
    assert "canary_guard_watchdog_alive 1.0" in text
    assert 'canary_guard_rule_firing{rule="laws"} 0.0' in text
    assert page("/healthz") == "watching sandbox\n"
    ran = box.ended(monitor)
    lines = [json.loads(line) for line in ran.out.splitlines()]
    assert [one["kind"] for one in lines if one["kind"] in ("decision", "end")] == ["decision", "end"]
    assert lines[-1]["cause"] == "rule"
