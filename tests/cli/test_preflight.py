"""`canary preflight`, and releases that depend on it."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from canary import survey, wiring
from canary.config.settings import PreflightSettings, SealSettings, Settings
from canary.core.ledger import Entry
from canary.core.release import Phase
from canary.core.seals import SEAL
from canary.errors import TransientError
from canary.preflight.facts import Host, Proof
from canary.preflight.finding import Point, Unseen
from canary.seal.copies import FileCopies
from canary.seal.keeper import Keeper
from tests.cli.world import Cli, a_world
from tests.preflight.seen import ALERTS, BACKUP, DRILL, a_replica, host
from tests.seal.ledgers import chained_anew


class Around:
    """Implements `ports.Surroundings`: what a test says there is. `fault`: is raised instead."""

    def __init__(self, now: float) -> None:
        self.now = now
        self.host = host()
        self.fault: Exception | None = None
        self.looked = 0

    def kept(self) -> None:
        pass

    def place(self) -> Host:
        self.looked += 1
        if self.fault is not None:
            raise self.fault
        return self.host

    def proofs(self) -> tuple[Proof | Unseen, ...]:
        return (replace(BACKUP, at=self.now - 60.0), replace(DRILL, at=self.now - 60.0))


@pytest.fixture
def cli(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Cli:
    return a_world(monkeypatch, tmp_path)


@pytest.fixture
def around(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> Around:
    """Everything holds."""
    found = Around(cli.clock.now())
    monkeypatch.setattr(wiring, "_surroundings", lambda _: found)
    monkeypatch.setattr(wiring, "_alerts", lambda _: ALERTS_OF_WEB)
    monkeypatch.setattr(survey, "sealing", lambda _: ())
    return found


ALERTS_OF_WEB = replace(ALERTS, rules=(replace(ALERTS.rules[0], labels={"service": "web"}),))


def stricter(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = replace(cli.settings, preflight=PreflightSettings(strict=True))

    def read(_: Path | None, **__: object) -> Settings:
        return settings

    monkeypatch.setattr(wiring, "settings", read)


def asked(cli: Cli, capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, Mapping[str, Any]]:
    capsys.readouterr()
    code = cli.run("preflight", "-o", "json", *arguments)
    found: Mapping[str, Any] = json.loads(capsys.readouterr().out)
    return code, found


def root(around: Around) -> None:
    around.host = host(replicas=(a_replica(root=True, user="root"),))


def under_way(cli: Cli) -> None:
    """A release of v2 that has not ended."""
    cli.run("start", "v2")
    found = cli.records.load("web")
    assert found is not None
    cli.records.save(replace(found.release, phase=Phase.PROGRESSING, outcome=None), expected=found.version)


@pytest.mark.usefixtures("around")
def test_where_all_holds_it_exits_0_and_tells_what_was_seen(
    cli: Cli, capsys: pytest.CaptureFixture[str]
) -> None:
    code, found = asked(cli, capsys)
    assert code == 0
    assert [one["id"] for one in found["points"]] == [str(one) for one in Point]
    assert {one["status"] for one in found["points"]} == {"pass"}
    assert found["points"][0]["evidence"][0] == "last good backup 60s ago: CronJob backup"
    assert cli.run("preflight") == 0
    assert capsys.readouterr().out.endswith("web: 10 of 10 points hold\n")
    assert cli.records.saved == []
    assert cli.cluster.touched == []


def test_a_failing_point_exits_1_and_says_how_to_mend_it(
    cli: Cli, around: Around, capsys: pytest.CaptureFixture[str]
) -> None:
    root(around)
    code, found = asked(cli, capsys)
    assert (code, found["stopping"], found["exit_code"]) == (1, ["hardening"], 1)
    said = found["points"][2]
    assert said["evidence"][0] == "replica web-1 (process 7) runs as root"
    assert said["fix"] == ["Set `User=` in its unit, or start it as another user."]

    assert cli.run("preflight") == 1
    shown = capsys.readouterr().out
    assert "FAIL      hardening   Hardened against what breaks out\n" in shown
    assert "-> Set `User=` in its unit, or start it as another user.\n" in shown
    assert shown.endswith("web: 9 of 10 points hold; not: hardening\n")


def test_what_cannot_be_shown_exits_1_and_is_said_to_count_as_a_failure(
    cli: Cli, around: Around, capsys: pytest.CaptureFixture[str]
) -> None:
    around.host = host(unit=None)
    assert cli.run("preflight") == 1
    shown = capsys.readouterr().out
    assert "UNKNOWN   hardening" in shown
    assert shown.endswith("(1 cannot be shown, which counts as a failure)\n")


def test_only_looks_at_the_points_that_are_named(
    cli: Cli, around: Around, capsys: pytest.CaptureFixture[str]
) -> None:
    root(around)
    code, found = asked(cli, capsys, "--only", "network", "--only", "audit")
    assert code == 0
    assert [one["id"] for one in found["points"]] == ["network", "audit"]


def test_a_skipped_point_needs_a_reason_and_is_told_with_it(
    cli: Cli, around: Around, capsys: pytest.CaptureFixture[str]
) -> None:
    root(around)
    assert cli.run("preflight", "--skip", "hardening") == 2
    assert "--skip needs a --reason" in capsys.readouterr().err
    code, found = asked(cli, capsys, "--skip", "hardening", "--reason", "a demo")
    assert code == 0
    assert found["points"][2]["skipped"] == "a demo"
    assert found["points"][2]["status"] == "fail"
    assert cli.run("preflight", "--skip", "hardening", "--reason", "a demo") == 0
    assert "skipped: a demo" in capsys.readouterr().out


@pytest.mark.parametrize(
    "arguments", [("--only", "nonsense"), ("--skip", "nonsense", "--reason", "x"), ("other",)]
)
@pytest.mark.usefixtures("around")
def test_what_does_not_exist_is_a_fault_of_usage(cli: Cli, arguments: tuple[str, ...]) -> None:
    assert cli.run("preflight", *arguments) == 2


def test_out_of_reach_exits_8(cli: Cli, around: Around, capsys: pytest.CaptureFixture[str]) -> None:
    around.fault = TransientError("the API server at x does not answer")
    assert cli.run("preflight") == 8
    assert "does not answer" in capsys.readouterr().err


def test_a_release_that_is_under_way_fails_the_upgrade(
    cli: Cli, around: Around, capsys: pytest.CaptureFixture[str]
) -> None:
    under_way(cli)
    code, found = asked(cli, capsys, "--only", "upgrade")
    assert code == 1
    assert "a release has not ended: v2 is progressing" in found["points"][0]["evidence"]
    assert around.looked


# ── releases that depend on it


@pytest.mark.usefixtures("around")
def test_a_strict_start_goes_on_where_all_holds_and_records_what_was_checked(cli: Cli) -> None:
    assert cli.run("start", "v2", "--strict") == 0
    started = next(one for one in cli.ledger.read("web") if one.kind == "start")
    assert started.body["preflight"] == {str(one): "pass" for one in Point}


@pytest.mark.usefixtures("around")
def test_a_start_that_is_not_strict_checks_nothing_and_records_nothing(cli: Cli) -> None:
    assert cli.run("start", "v2") == 0
    started = next(one for one in cli.ledger.read("web") if one.kind == "start")
    assert "preflight" not in started.body


@pytest.mark.parametrize("by", ["option", "file"])
def test_a_strict_start_is_refused_before_anything_is_touched_with_the_points(
    cli: Cli, around: Around, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], by: str
) -> None:
    root(around)
    if by == "file":
        stricter(cli, monkeypatch)
    assert cli.run("start", "v2", *(["--strict"] if by == "option" else [])) == 2
    said = capsys.readouterr().err
    assert "v2 was not started, and nothing was touched" in said
    assert "hardening (FAIL): replica web-1 (process 7) runs as root" in said
    assert "`canary preflight` tells how to mend them" in said
    assert cli.records.saved == []
    assert cli.cluster.touched == []


def test_a_point_skipped_at_the_start_is_in_the_ledger_with_its_reason(cli: Cli, around: Around) -> None:
    root(around)
    assert cli.run("start", "v2", "--strict", "--skip", "hardening", "--reason", "a demo") == 0
    started = next(one for one in cli.ledger.read("web") if one.kind == "start")
    assert started.body["preflight"]["hardening"] == "skipped (fail): a demo"
    assert started.body["preflight"]["network"] == "pass"


@pytest.mark.usefixtures("around")
def test_to_skip_without_strict_is_a_fault_of_usage(cli: Cli, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run("start", "v2", "--skip", "audit", "--reason", "x") == 2
    assert "--skip goes with --strict" in capsys.readouterr().err


def test_who_joins_a_release_that_is_under_way_is_not_asked_again(cli: Cli, around: Around) -> None:
    under_way(cli)
    root(around)
    around.looked = 0
    cli.run("start", "v2", "--strict")
    assert around.looked == 0


@pytest.mark.usefixtures("around")
def test_the_job_is_given_what_was_checked(cli: Cli) -> None:
    from canary.begin import StartOptions
    from canary.cli.in_cluster import _arguments
    from canary.cli.output import Output
    from canary.cli.start import Asked

    options = StartOptions(preflight={"audit": "pass", "network": "skipped (fail): a demo"}, reason="a demo")
    given = _arguments(options, Asked(True, False, None, False, Output.TEXT))
    assert given == (
        "--preflight", "audit=pass", "--preflight", "network=skipped (fail): a demo", "--reason", "a demo",
    )  # fmt: skip
    assert cli.run("run", "v2", "--release", "r1", *given) == 0
    started = next(one for one in cli.ledger.read("web") if one.kind == "start")
    assert started.body["preflight"] == {"audit": "pass", "network": "skipped (fail): a demo"}


def audit_point(cli: Cli, capsys: pytest.CaptureFixture[str]) -> tuple[str, str]:
    """Its status, and all that is said of it."""
    (point,) = asked(cli, capsys, "--only", "audit")[1]["points"]
    return point["status"], " ".join(point["evidence"])


def seals_to(cli: Cli, monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    """From now on the ledger is sealed, and copies go to a file in this folder."""
    key, seals = folder / "seal.key", folder / "web.seals"
    assert cli.run("audit", "keygen", str(key)) == 0
    settings = replace(cli.settings, seal=SealSettings(key, (seals,)))
    monkeypatch.setattr(wiring, "settings", lambda *_, **__: settings)
    keeper, plain = Keeper(key, [FileCopies(seals)]), cli.ports
    monkeypatch.setattr(cli, "ports", lambda actor: replace(plain(actor), seals=keeper))


def write_anew(cli: Cli, entries: Sequence[Entry]) -> None:
    """What anybody can do who can write: a chain without a fault, and a record that names its end."""
    chain = chained_anew(entries)
    cli.ledger.entries["web"] = chain
    recorded = cli.records.load("web")
    assert recorded is not None
    end = recorded.release.with_(ledger_head=chain[-1].hash, ledger_length=len(chain))
    cli.records.save(end, expected=recorded.version)


def test_the_audit_point_wants_a_ledger_that_is_sealed(
    cli: Cli, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(wiring, "_surroundings", lambda _: Around(cli.clock.now()))
    status, said = audit_point(cli, capsys)
    assert (status, "the ledger is not sealed" in said) == ("fail", True)

    seals_to(cli, monkeypatch, tmp_path)
    capsys.readouterr()
    status, said = audit_point(cli, capsys)
    assert (status, "the next release is sealed" in said) == ("pass", True)

    assert cli.run("start", "v3") == 3
    capsys.readouterr()
    status, said = audit_point(cli, capsys)
    assert (status, "good seals" in said) == ("pass", True)


FORGERIES = {
    "with seals that nobody could make": "wrongly sealed",
    "without any": "the chain was written anew",
}


@pytest.mark.parametrize(("how", "told"), FORGERIES.items(), ids=list(FORGERIES))
def test_the_audit_point_sees_a_chain_that_was_written_anew(
    cli: Cli,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    how: str,
    told: str,
) -> None:
    monkeypatch.setattr(wiring, "_surroundings", lambda _: Around(cli.clock.now()))
    seals_to(cli, monkeypatch, tmp_path)
    assert cli.run("start", "v3") == 3
    forged = [
        replace(one, body={**one.body, "signature": "00" * 32}) if one.kind == SEAL else one
        for one in cli.ledger.entries["web"]
    ]
    write_anew(cli, [one for one in forged if one.kind != SEAL or how != "without any"])
    capsys.readouterr()
    status, said = audit_point(cli, capsys)
    assert (status, told in said) == ("fail", True), said


def test_options_of_a_container_go_with_a_container(cli: Cli, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run("preflight", "--ledger", "ledger") == 2
    assert "go with --container" in capsys.readouterr().err


def test_a_container_that_cannot_be_asked_about_is_out_of_reach(
    cli: Cli, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.run("preflight", "--container", "box", "--docker", "tcp://127.0.0.1:1") == 8
    assert "Docker does not answer" in capsys.readouterr().err
