"""Each rule, with a real container that breaks it: stopped in time, and the reason in the ledger."""

import json

import pytest

from tests.safety.box import NAME, RULES, WITHIN_S, Box, audited

pytestmark = pytest.mark.docker

FEW, WHOLE, HALF = "--cpus=0.06", 60_000_000, 30_000_000
"""So little CPU that it gets it on a busy machine, too."""
BROKEN = {
    "connect": ("egress", "tcp to 192.0.2.1:80"),
    "datagram": ("egress", "udp to 192.0.2.1:53"),
    "report": ("laws", "it was told to do harm"),
    "fork": ("processes", "processes "),
    "setuid": ("privileges", "runs a setuid file"),
}
"""What the workload does: the rule that it breaks, and what is said of it."""


@pytest.mark.parametrize("what", BROKEN)
def test_what_breaks_a_rule_is_dead_within_two_seconds_and_the_reason_in_the_ledger(
    box: Box, what: str
) -> None:
    monitor = box.watched()
    # So many processes would fill the memory first.
    box.start(what, "--memory=1g", "--memory-swap=1g")
    took_s = box.died_at() - box.acted_at()
    ran = box.ended(monitor)
    rule, told = BROKEN[what]
    assert ran.code == 3, ran
    assert took_s < WITHIN_S, ran.out
    (fired,) = [one for one in box.told("guard") if one["state"] == "fired"]
    assert (fired["rule"], fired["action"], fired["alert"]) == (rule, "kill_container", rule != "processes")
    assert told in fired["figures"]
    kinds = [one.kind for one in box.whole()]
    assert kinds.index("decision") < kinds.index("end")
    end = box.told("end")[-1]
    assert (end["cause"], end["rule"]) == ("rule", rule)
    assert audited(box).code == 0


def test_memory_that_grows_is_stopped_at_its_rule(box: Box) -> None:
    monitor = box.watched()
    box.start("memory")
    box.died_at()
    assert box.ended(monitor).code == 3
    (fired,) = box.told("guard")
    assert fired["rule"] == "memory"
    assert fired["figures"].startswith("memory_usage 9") or "killed for lack of it" in fired["figures"]


def test_memory_that_is_full_before_anyone_looks_is_the_rules_doing_too(box: Box) -> None:
    monitor = box.watched()
    box.start("memory_at_once")
    ran = box.ended(monitor)
    assert ran.code == 3, ran
    assert box.told("guard")[0]["figures"].startswith(("memory_usage 100%", "memory_usage 9"))


def test_a_cpu_hog_is_throttled_after_thirty_seconds_and_let_go_when_it_rests(box: Box) -> None:
    monitor = box.watched()
    box.start("cpu", FEW)
    hogs_at = box.acted_at()
    box.until(lambda: bool(box.told("guard")), "the rule", 60)
    (fired,) = box.told("guard")
    assert (fired["rule"], fired["for_s"] >= 30) == ("cpu", True)
    fired_at = next(one.at for one in box.entries() if one.kind == "guard")
    # A full second is the least that shows it, and its limit comes in pieces: within three looks it is known.
    assert 30 <= fired_at - hogs_at < 30 + 3 + WITHIN_S
    box.until(lambda: box.look()["HostConfig"]["NanoCpus"] == HALF, "its CPU to be halved")
    assert box.runs()
    monitor.terminate()
    assert box.ended(monitor).code == 143
    assert not box.runs()


def test_a_hog_that_rests_gets_its_cpu_back(box: Box) -> None:
    box.watched(rules=RULES.replace("for 30s", "for 3s"))
    box.start("cpu_for_a_while", FEW)
    box.until(lambda: box.look()["HostConfig"]["NanoCpus"] == HALF, "its CPU to be halved")
    box.until(lambda: box.look()["HostConfig"]["NanoCpus"] == WHOLE, "its CPU back")
    assert [one["state"] for one in box.told("guard")] == ["fired", "cleared"]
    assert [one["action"] for one in box.told("action")] == ["throttle", "restore"]


def test_a_container_without_a_limit_is_throttled_and_freed_all_the_same(box: Box) -> None:
    rules = 'rules:\n  - {name: cpu, condition: "cpu_cores > 0.05 for 2s", action: throttle}\n'
    box.watched(rules=rules)
    box.start("cpu_for_a_while", hardened=False)
    box.until(lambda: box.look()["HostConfig"]["CpuQuota"] == 50_000, "its CPU to be halved")
    box.until(lambda: box.look()["HostConfig"]["CpuQuota"] == -1, "its CPU back")


def test_at_its_time_it_is_asked_to_stop_and_killed_when_it_does_not(box: Box) -> None:
    monitor = box.watched("--grace", "2s", rules=RULES.replace("3600s", "4s"))
    box.start("idle")
    took_s = box.ended(monitor)
    assert took_s.code == 3, took_s
    stop, kill = box.told("decision")
    assert (stop["decision"], stop["rule"], kill["decision"]) == ("stop", "time", "kill")
    assert "not stopped within 2s" in kill["reason"]
    started = next(one.at for one in box.entries() if one.kind == "start" and "id" in one.body)
    fired = next(one.at for one in box.entries() if one.kind == "guard")
    assert 3 < fired - started < 4 + WITHIN_S
    assert box.told("end")[-1]["took_s"] < 2 + WITHIN_S


def test_one_that_stops_when_asked_is_not_killed(box: Box) -> None:
    monitor = box.watched("--grace", "20s", rules=RULES.replace("3600s", "3s"))
    box.start("idle", "--init")
    assert box.ended(monitor).code == 3
    assert [one["decision"] for one in box.told("decision")] == ["stop"]
    assert box.told("end")[-1]["exit_code"] == 143


def test_speaking_to_the_host_is_leaving(box: Box) -> None:
    monitor = box.watched()
    (config,) = json.loads(box.daemon.docker("network", "inspect", "sandbox"))[0]["IPAM"]["Config"]
    gateway = config.get("Gateway") or config["Subnet"].replace("0/24", "1")
    box.start(f"host 1.5 {gateway}")
    assert box.ended(monitor).code == 3
    assert f"tcp to {gateway}:22" in box.told("guard")[0]["figures"]


def test_an_attempt_without_any_network_counts(box: Box) -> None:
    monitor = box.watched()
    box.start("nowhere", network="none")
    assert box.ended(monitor).code == 3
    assert box.told("guard")[0]["figures"] == "network_connections 1 (1 without a route)"


def test_who_sends_and_ends_at_once_is_found_out(box: Box) -> None:
    monitor = box.watched()
    box.start("datagram_and_end")
    assert box.ended(monitor).code == 3
    assert "udp to 192.0.2.1:53" in box.told("guard")[0]["figures"]


@pytest.mark.parametrize("what", ["connect", "datagram"])
def test_without_any_capability_it_finds_whoever_speaks_to_the_way_out(box: Box, what: str) -> None:
    box.before = ("setpriv", "--bounding-set=-all", "--inh-caps=-all", "--no-new-privs")
    monitor = box.watched()
    box.start(what)
    took_s = box.died_at() - box.acted_at()
    assert box.ended(monitor).code == 3
    assert took_s < WITHIN_S
    assert "the way out" in box.told("guard")[0]["figures"]
    (warning,) = box.told("start")[-1]["warnings"]
    assert "SYS_ADMIN, SYS_PTRACE and NET_RAW" in warning


def test_without_any_capability_published_ports_and_a_way_out_are_refused(box: Box) -> None:
    box.before = ("setpriv", "--bounding-set=-all", "--inh-caps=-all", "--no-new-privs")
    monitor = box.watched()
    box.start("idle", "--publish=127.0.0.1:18000:8000", network="bridge")
    assert box.ended(monitor).code == 8
    assert "published ports" in box.told("end")[-1]["reason"]
    assert not box.runs()


def test_becoming_root_is_found_in_a_container_that_allows_it(box: Box) -> None:
    monitor = box.watched()
    box.start("setuid", "--user=33", "--memory=128m", hardened=False)
    took_s = box.died_at() - box.acted_at()
    assert box.ended(monitor).code == 3
    assert took_s < WITHIN_S
    assert "uid 0, wanted 33" in box.told("guard")[0]["figures"]


def test_a_root_shell_from_outside_is_more_than_it_was_started_with(box: Box) -> None:
    monitor = box.watched()
    box.start("idle")
    box.until(lambda: bool(box.told("look")), "a look")
    box.daemon.docker("exec", "--detach", "--user", "0", NAME, "sleep", "100")
    assert box.ended(monitor).code == 3
    assert "uid 0, wanted 33" in box.told("guard")[0]["figures"]


def test_ordinary_work_is_let_be_and_its_own_end_is_exit_0(box: Box) -> None:
    monitor = box.watched()
    box.start("work")
    for _ in range(8):
        # A runtime begins each of these with the rights of the host.
        box.daemon.docker("exec", NAME, "true")
    box.until(lambda: len(box.told("look")) > 5 and box.told("look")[-1]["figures"]["runtime"] > 12, "work")
    assert box.runs(), box.told("guard")
    box.daemon.docker("kill", "--signal", "INT", NAME)
    ran = box.ended(monitor)
    assert (ran.code, box.told("end")[-1]["cause"]) == (0, "itself"), ran
    assert box.told("guard") == []
