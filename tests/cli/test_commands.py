import json
from pathlib import Path

import pytest

from tests.cli.world import Cli, a_world
from tests.guarding import guard, guarded_by


@pytest.fixture
def cli(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Cli:
    monkeypatch.setenv("COLUMNS", "100")
    return a_world(monkeypatch, tmp_path)


def out(capsys: pytest.CaptureFixture[str]) -> str:
    return capsys.readouterr().out


def test_a_good_version_is_promoted_with_exit_0(cli: Cli, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run("start", "v2") == 0
    said = capsys.readouterr()
    assert said.out.startswith("PROMOTED: web v2, now running v2\nbecause ")
    assert "step 1/2, 25 % asked, holding" in said.err


def test_a_bad_version_is_rolled_back_with_exit_3(cli: Cli, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run("start", "v3") == 3
    assert out(capsys).startswith("ROLLED BACK, worse than stable: web v3, now running v1\n")


def test_a_version_that_does_not_start_exits_7(cli: Cli, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run("start", "v4") == 7
    assert "never ready" in out(capsys)


def test_json_lines_end_with_the_result(cli: Cli, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run("start", "v3", "-o", "json") == 3
    said = capsys.readouterr()
    lines = [json.loads(line) for line in said.out.splitlines()]
    assert {line["kind"] for line in lines} >= {"state", "look", "decision", "result"}
    assert lines[-1].items() >= {"verdict": "rollback", "exit_code": 3, "version": "v3"}.items()
    assert lines[-1]["reason"].startswith("v3 is worse than tolerated")
    assert {"detected", "decided"} <= set(lines[-1]["times"])
    assert said.err == ""


def test_a_version_that_runs_already_is_a_success(cli: Cli, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run("start", "v1") == 0
    assert out(capsys) == "web v1: already running\n"


def test_a_dry_run_tells_the_plan_and_touches_nothing(cli: Cli, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run("start", "v2", "--dry-run") == 0
    assert "web: v2 over v1, 4 replicas" in out(capsys)
    assert cli.cluster.touched == []
    assert cli.records.saved == []


def test_the_plan_tells_steps_shares_and_the_time_to_zero(
    cli: Cli, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.run("plan", "v2", "-o", "json") == 0
    plan = json.loads(out(capsys))
    pairs = [(step["weight"], step["canary"], step["stable"], step["share"]) for step in plan["steps"]]
    assert pairs == [(25, 1, 3, 0.25), (50, 2, 2, 0.5)]
    assert plan["rollback"].items() >= {"canary": 2, "at_once": 0, "after_stable_ready": 2}.items()
    assert plan["forecast"]["requests_per_s"] == pytest.approx(400, rel=0.02)
    errors = plan["forecast"]["metrics"][0]
    assert errors["base"] == pytest.approx(0.003, rel=0.05)
    assert errors["seconds"] == pytest.approx(4658 / 400, rel=0.1)


def test_the_plan_tells_guards_in_words_and_that_no_rate_is_promised_for_them(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = guard("memory_bytes > 90MiB for 30s", name="memory", alert=True)
    cli = a_world(monkeypatch, tmp_path, **guarded_by(asked))
    assert cli.run("plan") == 0
    told = out(capsys)
    assert "guards:    memory: abort and alert when memory_bytes > 90MiB for 30s\n" in told
    assert "no false-rollback rate is promised for them" in told
    assert cli.run("plan", "-o", "json") == 0
    assert json.loads(out(capsys))["guards"][0]["action"] == "abort"
    assert cli.run("start", "v2", "--plain") == 0
    assert "guards memory act by themselves" in capsys.readouterr().err


def test_a_guard_over_a_limit_that_is_not_there_is_told_before_anything_is_touched(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cli = a_world(monkeypatch, tmp_path, **guarded_by(guard("cpu_usage > 95%", name="cpu")))
    for command in (("plan",), ("start", "v2")):
        assert cli.run(*command) == 2
        assert "guard cpu: cpu_usage is a part of the cpu limit" in capsys.readouterr().err
    assert cli.records.saved == []


def test_a_plan_without_a_target_says_how_to_start_it(
    cli: Cli, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(cli.cluster, "observe", lambda: None)
    assert cli.run("plan") == 2
    assert "canary local up" in capsys.readouterr().err


def test_a_deadline_too_short_for_the_traffic_is_warned_of(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cli = a_world(monkeypatch, tmp_path, deadline_s=5)
    assert cli.run("plan") == 0
    assert "is not expected to be seen safe by the deadline (5s)" in out(capsys)


def test_status_without_a_release_tells_what_runs(cli: Cli, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run("status") == 0
    assert out(capsys).startswith("web runs v1, 4/4 replicas ready\nno release of it is recorded")


def test_an_interrupted_start_says_what_is_left_and_how_to_go_on(
    cli: Cli, capsys: pytest.CaptureFixture[str]
) -> None:
    cli.clock.at(8, lambda: cli.clock.interrupt(2))
    assert cli.run("start", "v2") == 130
    said = capsys.readouterr().err
    assert "v2 of web is left at step 1/2" in said
    assert "Go on with `canary start v2`" in said
    assert "`canary abort`" in said


def test_a_terminated_start_exits_143_and_says_so_in_json(
    cli: Cli, capsys: pytest.CaptureFixture[str]
) -> None:
    cli.clock.at(8, lambda: cli.clock.interrupt(15))
    assert cli.run("start", "v2", "-o", "json") == 143
    last = json.loads(out(capsys).splitlines()[-1])
    assert last["exit_code"] == 143
    assert "is left at step 1/2" in last["error"]


@pytest.fixture
def left(cli: Cli, capsys: pytest.CaptureFixture[str]) -> Cli:
    """A release of v2 in its first step that nobody drives."""
    cli.clock.at(8, lambda: cli.clock.interrupt(2))
    assert cli.run("start", "v2") == 130
    capsys.readouterr()
    return cli


def test_start_again_takes_over_and_ends_as_it_would_have(
    left: Cli, capsys: pytest.CaptureFixture[str]
) -> None:
    left.clock.advance(30)
    assert left.run("start", "v2") == 0
    said = capsys.readouterr()
    assert "taking over" in said.err
    assert said.out.startswith("PROMOTED: web v2")


def test_another_version_is_refused_with_exit_9(left: Cli, capsys: pytest.CaptureFixture[str]) -> None:
    assert left.run("start", "v3", "-o", "json") == 9
    said = json.loads(out(capsys).splitlines()[-1])
    assert said["exit_code"] == 9
    assert "v2 is being released to web" in said["error"]
    assert "--supersede" in said["remedy"]


def test_status_of_a_running_release_shows_the_screen_and_the_evidence(
    left: Cli, capsys: pytest.CaptureFixture[str]
) -> None:
    assert left.run("status") == 0
    text = out(capsys)
    assert text.startswith("web v2 over v1")
    assert "nobody; `canary start` with the same version takes over" in text
    assert left.run("status", "-o", "json") == 0
    document = json.loads(out(capsys))
    assert document["release"]["phase"] == "progressing"
    assert document["evidence"]["metrics"]["errors"]["canary_all"] > 0
    assert document["workloads"]["canary"]["version"] == "v2"


def test_abort_drives_when_nobody_does_and_succeeds(left: Cli, capsys: pytest.CaptureFixture[str]) -> None:
    left.clock.advance(30)
    assert left.run("abort", "--why", "customers complain") == 0
    said = capsys.readouterr()
    assert "nobody drives" in said.err
    assert said.out.startswith(
        "ABORTED: web v2, now running v1\nbecause abort by ann@laptop: customers complain"
    )


def test_a_wish_without_a_release_says_so_with_exit_2(cli: Cli, capsys: pytest.CaptureFixture[str]) -> None:
    for command in ("pause", "resume", "promote", "abort"):
        assert cli.run(command) == 2
        assert "no release of web is running" in capsys.readouterr().err


def test_a_wish_is_recorded_for_the_live_driver(left: Cli, capsys: pytest.CaptureFixture[str]) -> None:
    driver = left.ports("bob@host").lease
    left.clock.advance(30)
    assert driver.hold() is not None
    terms: list[object] = []
    left.clock.every(3.0, lambda: terms.append(driver.hold()))
    assert left.run("pause", "--for", "4h", "--why", "graphs") == 0
    assert out(capsys).startswith("pause recorded: web v2, at step 1/2")
    (wish,) = left.records.saved[-1].requests
    assert (wish.kind, wish.for_s, wish.why, wish.by) == ("pause", 14400, "graphs", "ann@laptop")


def test_a_duration_without_a_unit_is_refused_with_exit_2(
    cli: Cli, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.run("pause", "--for", "4") == 2
    assert "--for: found '4', wanted a duration" in capsys.readouterr().err


def test_watch_follows_to_the_end_with_the_release_s_own_code(
    cli: Cli, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.run("start", "v3") == 3
    capsys.readouterr()
    assert cli.run("watch") == 3
    assert out(capsys).startswith("ROLLED BACK")


def test_watch_without_a_release_exits_2(cli: Cli, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run("watch") == 2
    assert "no release of web is recorded" in capsys.readouterr().err


def test_undo_brings_the_last_good_version_back(cli: Cli, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run("start", "v2") == 0
    capsys.readouterr()
    assert cli.run("undo", "--why", "wrong colour") == 0
    assert out(capsys).startswith("UNDONE: web ")
    world = cli.cluster.observe()
    assert world is not None
    assert world.stable.revision.version == "v1"


def test_nothing_to_undo_is_a_loud_failure(cli: Cli, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run("undo") == 2
    assert "nothing to undo" in capsys.readouterr().err


def test_history_lists_revisions_and_past_releases(cli: Cli, capsys: pytest.CaptureFixture[str]) -> None:
    cli.run("start", "v3")
    cli.run("start", "v2")
    capsys.readouterr()
    assert cli.run("history", "-o", "json") == 0
    document = json.loads(out(capsys))
    ended = [(row["version"], row["outcome"]) for row in document["releases"]]
    assert ended == [("v3", "regression"), ("v2", "promoted")]
    assert [row["version"] for row in document["revisions"] if row["running"]] == ["v2"]


def test_another_target_than_the_file_s_is_refused(cli: Cli, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run("status", "shop") == 2
    assert "is about web, not shop" in capsys.readouterr().err


def test_a_missing_file_is_told_with_its_remedy(cli: Cli, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run("plan", "-f", "missing.yaml") == 2
    assert capsys.readouterr().err == (
        "error: missing.yaml: there is no such file\nWrite one with `canary init`.\n"
    )


def test_a_ledger_that_was_exported_verifies_and_a_changed_one_does_not(
    cli: Cli, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cli.run("start", "v3")
    capsys.readouterr()
    assert cli.run("audit", "export") == 0
    lines = out(capsys).splitlines(keepends=True)
    ledger = tmp_path / "ledger.jsonl"
    ledger.write_text("".join(lines))
    assert cli.run("audit", "verify", str(ledger)) == 0
    assert f"{len(lines)} entries, whole and unchanged" in out(capsys)
    ledger.write_text("".join([*lines[:2], lines[2].replace("ann@laptop", "bob@laptop"), *lines[3:]]))
    assert cli.run("audit", "verify", str(ledger), "-o", "json") == 1
    told = json.loads(out(capsys))
    assert (told["good"], told["exit_code"], told["entry"]) == (False, 1, 3)
    assert told["fault"].startswith("entry 3 is changed: ")


def test_a_ledger_that_was_cut_is_told_from_the_record(
    cli: Cli, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cli.run("start", "v3")
    capsys.readouterr()
    cli.run("audit", "export")
    ledger = tmp_path / "ledger.jsonl"
    ledger.write_text("".join(out(capsys).splitlines(keepends=True)[:-1]))
    assert cli.run("audit", "verify", str(ledger)) == 0
    assert cli.run("audit", "verify", str(ledger), "-f", "canary.yaml") == 1
    ledger.write_text("")
    assert cli.run("audit", "verify", str(ledger)) == 1
    assert "it holds no entries" in out(capsys)


def test_a_ledger_that_cannot_be_read_exits_2(cli: Cli, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run("audit", "verify", "no-such-file") == 2
    assert cli.run("audit", "export") == 2
    assert "there is no ledger of web" in capsys.readouterr().err


def test_a_recorded_release_replays_to_the_same_verdict(
    cli: Cli, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    trace = tmp_path / "trace.jsonl"
    assert cli.run("start", "v3", "--trace", str(trace)) == 3
    capsys.readouterr()
    assert cli.run("replay", str(trace), str(tmp_path / "none.jsonl"), "-o", "json") == 2
    said = capsys.readouterr()
    first, second = (json.loads(line) for line in said.out.splitlines())
    assert set(first) == {"file", "verdict", "t", "reason", "false_rollback_rate"}
    assert (first["verdict"], first["file"]) == ("rollback", str(trace))
    assert second["exit_code"] == 2


def test_replayed_looks_are_printed_one_a_line(
    cli: Cli, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    trace = tmp_path / "trace.jsonl"
    cli.run("start", "v3", "--trace", str(trace))
    capsys.readouterr()
    assert cli.run("replay", str(trace), "--looks", "-o", "json") == 0
    *looks, result = (json.loads(line) for line in out(capsys).splitlines())
    assert [look["look"] for look in looks] == list(range(1, len(looks) + 1))
    assert looks[-1]["harm_peak"] >= looks[-1]["harm_limit"] == 100
    assert looks[-1]["t"] == result["t"]


def test_start_warns_before_it_begins_when_the_deadline_is_too_short(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cli = a_world(monkeypatch, tmp_path, deadline_s=8)
    assert cli.run("start", "v2") == 4
    first = capsys.readouterr().err.splitlines()[0]
    assert "warning: at this traffic" in first
    assert "set `deadline` above" in first
