"""`canary audit keygen`, and `canary audit verify` on ledgers that somebody has been at."""

import io
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from canary.config.settings import SealSettings
from canary.core.ledger import Entry, chain, encode
from canary.core.ledger import decode as entry_of
from canary.seal.copies import FileCopies
from canary.seal.keeper import Keeper
from canary.seal.keys import Algorithm, generate, signing_key
from tests.cli.world import Cli, a_world
from tests.seal.ledgers import a_ledger, chained_anew


@dataclass
class Audited:
    """A world whose one release was sealed, its ledger exported, and copies of its seals kept."""

    cli: Cli
    folder: Path
    ledger: Path
    seals: Path
    key: Path
    said: Callable[[], Any]

    @property
    def entries(self) -> list[Entry]:
        return [entry_of(line) for line in self.ledger.read_text().splitlines()]

    def write(self, entries: Sequence[Entry]) -> None:
        self.ledger.write_text("".join(encode(one) + "\n" for one in entries))

    def verify(self, *more: str) -> tuple[int, str]:
        """With the public half, against the copies."""
        arguments = ("--key", f"{self.key}.pub", "--seals", str(self.seals), *more)
        code = self.cli.run("audit", "verify", str(self.ledger), *arguments)
        return code, self.said().out


@pytest.fixture
def audited(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Audited:
    cli = a_world(monkeypatch, tmp_path)
    key, seals = tmp_path / "seal.key", tmp_path / "web.seals"
    assert cli.run("audit", "keygen", str(key)) == 0
    cli.settings = replace(cli.settings, seal=SealSettings(key, (seals,)))
    monkeypatch.setattr("canary.wiring.settings", lambda *_, **__: cli.settings)
    keeper = Keeper(key, [FileCopies(seals)])
    plain = cli.ports
    monkeypatch.setattr(cli, "ports", lambda actor: replace(plain(actor), seals=keeper))
    assert cli.run("start", "v3") == 3
    capsys.readouterr()
    assert cli.run("audit", "export") == 0
    ledger = tmp_path / "ledger.jsonl"
    ledger.write_text(capsys.readouterr().out)
    return Audited(cli, tmp_path, ledger, seals, key, capsys.readouterr)


def test_a_sealed_ledger_is_good_with_the_public_half_and_its_copies(audited: Audited) -> None:
    code, said = audited.verify()
    n, sealed = len(audited.entries), sum(one.kind == "seal" for one in audited.entries)
    name = str(audited.ledger)
    assert (code, said.splitlines()) == (
        0,
        [
            f"{name}: {n} entries, whole and unchanged",
            f"{name}: {sealed} good seals, the last one is entry {n}",
            f"{name}: {sealed} copies of seals agree with it",
        ],
    )


def test_without_a_key_it_says_what_was_not_checked(audited: Audited) -> None:
    assert audited.cli.run("audit", "verify", str(audited.ledger)) == 0
    assert "only the chain was checked" in audited.said().out
    assert audited.cli.run("audit", "verify", str(audited.ledger), "-o", "json") == 0
    assert json.loads(audited.said().out)["checked"] == "chain"


def test_the_ledger_where_it_is_kept_is_checked_with_the_configured_key(audited: Audited) -> None:
    assert audited.cli.run("audit", "verify", "-o", "json") == 0
    document = json.loads(audited.said().out)
    assert document["file"] == "the ledger of web"
    assert document["checked"] == "seals"
    assert document["sealed_until"] == len(audited.entries)
    audited.key.chmod(0o644)
    assert audited.cli.run("audit", "verify") == 0
    said = audited.said().out
    assert "the configured key was not used: the key file" in said
    assert "only the chain was checked" in said


def test_the_place_of_each_attack_is_told_with_exit_1(audited: Audited) -> None:
    whole = audited.entries
    n = len(whole)
    third = replace(whole[2], actor="eve@host")
    foreign = chain(whole[1], whole[1].at, "look", "eve@host", {})
    forged = [replace(one, body={**one.body, "reason": "fine"}) for one in whole]
    unsealed = chained_anew([one for one in whole if one.kind != "seal"])
    table: dict[str, tuple[list[Entry], str]] = {
        "change": ([*whole[:2], third, *whole[3:]], "entry 3 is changed: its content"),
        "drop": ([*whole[:2], *whole[3:]], "entry 3 is missing: number 3 is missing before number 4"),
        "insert": ([*whole[:2], foreign, *whole[2:]], "entry 4 is inserted"),
        "reorder": ([*whole[:2], whole[3], whole[2], *whole[4:]], "entry 3 is reordered"),
        "truncate": (whole[:-2], f"entry {n - 1} is truncated: {audited.seals}:"),
        "rewrite, old seals": (chained_anew(forged), "is wrongly sealed"),
        "rewrite, no seals": (unsealed, "entry 1 is not sealed"),
    }
    for name, (entries, told) in table.items():
        audited.write(entries)
        code, said = audited.verify()
        assert code == 1, name
        assert told in said, (name, said)


def test_a_rewrite_under_another_key_or_the_stolen_one_is_told_by_the_copies(audited: Audited) -> None:
    other = audited.folder / "other.key"
    generate(other, Algorithm.ED25519)
    for path, told in ((other, "sealed with another key"), (audited.key, "the chain was written anew")):
        audited.write(a_ledger(40, signing_key(path)))
        code, said = audited.verify()
        assert code == 1
        assert told in said
        if path == other:
            assert said.splitlines()[20].startswith(f"{audited.ledger}: and ")


def test_copies_may_come_from_standard_input(audited: Audited, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(audited.seals.read_text()))
    assert audited.cli.run("audit", "verify", str(audited.ledger), "--seals", "-") == 0
    said = audited.said().out
    assert "copies of seals agree with it, their signatures were not checked" in said
    monkeypatch.setattr("sys.stdin", io.StringIO("rubbish\n"))
    assert audited.cli.run("audit", "verify", str(audited.ledger), "--seals", "-") == 1
    assert "a copy is unreadable: standard input:1: it is no JSON" in audited.said().out


def test_what_was_written_before_it_was_sealed_is_said(audited: Audited) -> None:
    from tests.seal.ledgers import with_entry, with_seal

    entries = a_ledger(3, None)
    audited.write(with_seal(with_entry(entries, "decision"), signing_key(audited.key)))
    assert audited.cli.run("audit", "verify", str(audited.ledger), "--key", str(audited.key)) == 0
    assert "entries 1 to 6 were written before it was sealed" in audited.said().out


def test_the_kept_ledger_is_found_changed_or_gone(audited: Audited) -> None:
    kept = audited.cli.ledger.entries["web"]
    audited.cli.ledger.entries["web"] = kept[:-1]
    assert audited.cli.run("audit", "verify") == 1
    assert f"entry {len(kept)} is truncated" in audited.said().out
    audited.cli.ledger.entries["web"] = []
    assert audited.cli.run("audit", "verify") == 1
    assert "it holds no entries" in audited.said().out


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (("--seals", "none"), "none cannot be read"),
        (("--key", "none"), "there is no key file none"),
        (("--events",), "--events is for a Deployment"),
    ],
)
def test_what_cannot_be_read_exits_2(audited: Audited, arguments: tuple[str, ...], why: str) -> None:
    assert audited.cli.run("audit", "verify", str(audited.ledger), *arguments) == 2
    assert why in audited.said().err


def test_a_ledger_that_never_was_exits_2(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cli = a_world(monkeypatch, tmp_path)
    assert cli.run("audit", "verify") == 2
    assert "there is no ledger of web" in capsys.readouterr().err


def test_a_key_is_told_and_not_made_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    cli = a_world(monkeypatch, tmp_path)
    path = tmp_path / "a.key"
    assert cli.run("audit", "keygen", str(path), "--algorithm", "hmac-sha256", "-o", "json") == 0
    told = json.loads(capsys.readouterr().out)
    assert told == {
        "file": str(path),
        "public": None,
        "algorithm": "hmac-sha256",
        "key": signing_key(path).id,
    }
    before = path.read_bytes()
    assert cli.run("audit", "keygen", str(path)) == 2
    assert "is there already; nothing was written" in capsys.readouterr().err
    assert path.read_bytes() == before
