"""The keys that seal the ledger: what they resolve to, and what is wrong with them."""

from dataclasses import replace
from pathlib import Path

import pytest

from canary.config.load import load
from canary.config.settings import HttpServer, Settings, sealing
from canary.errors import InvalidError
from tests.config.test_schema import valid

LOCAL = 'target: {local: shop}\nlocal: {command: [x, "{port}", "{version}"], version: v1, state: state}\n'
CLUSTER = "target: {namespace: shop, deployment: web}\n"
HOOK = "webhook: {url: 'https://audit/x', token_file: t, ca_file: /c, timeout: 1s}"


def loaded(folder: Path, text: str) -> Settings:
    path = folder / "canary.yaml"
    path.write_text(text)
    assert valid(text)
    return load(path)


def fault(folder: Path, text: str) -> str:
    path = folder / "canary.yaml"
    path.write_text(text)
    with pytest.raises(InvalidError) as told:
        load(path)
    (found,) = told.value.faults
    return found.removeprefix(f"{path}:")


def test_without_the_key_the_ledger_is_not_sealed(tmp_path: Path) -> None:
    settings = loaded(tmp_path, LOCAL)
    assert settings.seal is None
    assert sealing(settings) == ("the ledger is not sealed",)
    assert loaded(tmp_path, LOCAL + "ledger: {}\n").seal is None


def test_files_are_seen_from_the_folder_of_the_configuration(tmp_path: Path) -> None:
    to = f"to: [{{file: ../out/web.seals}}, {{file: /mnt/a}}, {{{HOOK}}}]"
    settings = loaded(tmp_path, f"{LOCAL}ledger: {{seal: {{key_file: seal.key, {to}}}}}\n")
    assert settings.seal is not None
    assert settings.seal.key_file == tmp_path / "seal.key"
    assert settings.seal.files == (tmp_path / "../out/web.seals", Path("/mnt/a"))
    assert settings.seal.webhooks == (HttpServer("https://audit/x", tmp_path / "t", Path("/c"), 1.0),)
    assert not settings.seal.events
    assert sealing(settings) == ()


def test_seals_that_go_nowhere_are_told_to_who_asks(tmp_path: Path) -> None:
    settings = loaded(tmp_path, LOCAL + "ledger: {seal: {key_file: seal.key}}\n")
    assert sealing(settings) == ("no copy of the seals goes anywhere else: set `ledger.seal.to`",)


def test_events_and_a_secret_are_for_a_deployment(tmp_path: Path) -> None:
    seal = "ledger: {seal: {key_file: /etc/canary-seal/seal.key, to: [{events: true}]}}\n"
    settings = loaded(tmp_path, CLUSTER + seal + "controller: {seal_secret: web-seal}\n")
    assert settings.seal is not None
    assert settings.seal.events
    assert settings.controller.seal_secret == "web-seal"
    assert sealing(settings) == ()
    assert sealing(replace(settings, seal=replace(settings.seal, events=False))) != ()
    assert "to[0].events: is for Kubernetes" in fault(tmp_path, LOCAL + seal)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("ledger: {seal: {key_fil: a}}", "3: ledger.seal.key_fil"),
        ("ledger: {seal: {}}", "3: ledger.seal.key_file: is missing, wanted: File with the key"),
        ("ledger: {seals: 1}", "3: ledger.seals: is not a known key; did you mean `seal`?"),
        (
            "ledger: {seal: {key_file: a, to: [{}]}}",
            "3: ledger.seal.to[0]: found none of them, wanted one of",
        ),
        (
            "ledger: {seal: {key_file: a, to: [{file: b, events: true}]}}",
            "3: ledger.seal.to[0]: found `file` and `events`, wanted one of",
        ),
        ("ledger: {seal: {key_file: a, to: b}}", "3: ledger.seal.to: found b, wanted a list"),
        (
            "ledger: {seal: {key_file: a, to: [{webhook: {url: x}}]}}",
            "3: ledger.seal.to[0].webhook.url: found x, wanted a URL",
        ),
        (
            "ledger: {seal: {key_file: a, to: [{events: false}]}}",
            "3: ledger.seal.to[0].events: found false, wanted one of true",
        ),
        (
            "ledger: {seal: {key_file: a, to: [{file: state/../state/b}]}}",
            "3: ledger.seal.to[0].file: found state/../state/b, which lies in `local.state` beside",
        ),
    ],
)
def test_a_fault_is_told_with_its_place(tmp_path: Path, text: str, told: str) -> None:
    if "key_fil:" in text:
        (tmp_path / "canary.yaml").write_text(f"{LOCAL}{text}\n")
        with pytest.raises(InvalidError) as found:
            load(tmp_path / "canary.yaml")
        assert any("did you mean `key_file`?" in one and told in one for one in found.value.faults)
        return
    assert told in fault(tmp_path, f"{LOCAL}{text}\n")


@pytest.mark.parametrize(
    "path", ["seal.key", "/seal.key", "/etc/seal.key", "/etc/canary/seal.key", "/tmp/a/b"]
)
def test_a_key_from_a_secret_lies_in_a_folder_of_its_own(tmp_path: Path, path: str) -> None:
    text = f"{CLUSTER}ledger: {{seal: {{key_file: {path}}}}}\ncontroller: {{seal_secret: web-seal}}\n"
    assert f"2: ledger.seal.key_file: found {path}, wanted a file in a" in fault(tmp_path, text)


def test_a_secret_without_a_key_file_is_of_no_use(tmp_path: Path) -> None:
    assert "controller.seal_secret: is of no use without" in fault(
        tmp_path, f"{CLUSTER}controller: {{seal_secret: web-seal}}\n"
    )
