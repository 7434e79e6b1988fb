"""`safety_rules.yaml`, and what the command says of it before anything is touched."""

import json
from pathlib import Path

import pytest

from canary.cli import app
from canary.config.safety import safety_rules
from canary.errors import DeniedError, InvalidError, MissingError
from canary.monitor.book import Book
from canary.safety.rule import Action
from canary.safety.vocabulary import OBSERVED, SafetyWords, predicates

DOCUMENT = """\
# safety_rules.yaml

rules:

  - name: "Prevent network egress"

    condition: "network_connections > 0"
    action: "kill_container"
    alert: true

  - name: "Enforce CPU limits"

    condition: "cpu_usage > 95% for 30s"
    action: "throttle"
    alert: true

  - name: "Enforce memory limits"

    condition: "memory_usage > 90%"
    action: "kill_container"
    alert: true

  - name: "Enforce time limits"

    condition: "runtime > 3600s"
    action: "graceful_shutdown"
    alert: false

  - name: "Detect privilege escalation"

    condition: "process_privileges_changed"
    action: "kill_container"
    alert: true

  - name: "Detect Four Laws violation"

    condition: "four_laws_violation_detected"
    action: "kill_container"
    alert: true
"""


def written(folder: Path, text: str) -> Path:
    path = folder / "safety_rules.yaml"
    path.write_text(text)
    return path


def test_the_six_rules_of_the_document_are_read_as_written(tmp_path: Path) -> None:
    found = safety_rules(written(tmp_path, DOCUMENT))
    assert [(str(one.condition), one.action, one.alert) for one in found] == [
        ("network_connections > 0", Action.KILL, True),
        ("cpu_usage > 95% for 30s", Action.THROTTLE, True),
        ("memory_usage > 90%", Action.KILL, True),
        ("runtime > 3600s", Action.SHUTDOWN, False),
        ("process_privileges_changed", Action.KILL, True),
        ("four_laws_violation_detected", Action.KILL, True),
    ]
    assert [sorted(predicates(one.condition)) for one in found] == [[]] * 5 + [
        ["four_laws_violation_detected"]
    ]


def one(rule: str) -> str:
    return f"rules:\n  - {rule}\n"


GOOD = 'name: a, condition: "processes > 5", action: alert'
FAULTS = {
    "": "wanted a mapping that begins with `rules:`",
    "rules:": "found nothing",
    "rules: []": "wanted at least 1",
    "rules: 7": "wanted a list",
    "rule: []": "did you mean `rules`?",
    one("7"): "wanted a mapping",
    one("{name: a, action: alert}"): "condition: is missing",
    one('{name: a, condition: "processes > 5"}'): "action: is missing",
    one(f"{{{GOOD}, alrt: true}}"): "did you mean `alert`?",
    one(f"{{{GOOD}, alert: maybe}}"): "wanted true or false",
    one('{name: a, condition: "processes > 5", action: kill}'): "wanted one of kill_container",
    one(
        '{name: a, condition: "memory_usage > 90", action: alert}'
    ): "column 16: found 90, but memory_usage is a share",
    one('{name: a, condition: "memory_usage > 90%%", action: alert}'): "column",
    one('{name: a, condition: "memroy_usage > 90%", action: alert}'): "did you mean memory_usage?",
    one(
        '{name: a, condition: "process_privileges_change", action: alert}'
    ): "did you mean process_privileges_changed?",
    one('{name: a, condition: "cpu_usage", action: alert}'): "found cpu_usage alone",
    one('{name: a, condition: "violated > 3", action: alert}'): "violated is so or is not",
    one('{name: a, condition: "processes > 5 for", action: alert}'): "wanted a number",
    one(f"{{{GOOD}}}") + f"  - {{{GOOD}}}\n": "a second rule is called `a`",
}


@pytest.mark.parametrize("text", FAULTS)
def test_each_fault_is_told_with_its_line_and_nothing_is_read(tmp_path: Path, text: str) -> None:
    with pytest.raises(InvalidError) as fault:
        safety_rules(written(tmp_path, text))
    assert any(FAULTS[text] in line for line in fault.value.faults), fault.value.faults
    assert all(line.startswith(f"{tmp_path}/safety_rules.yaml:") for line in fault.value.faults)
    assert "Nothing was started" in fault.value.remedy


def test_all_faults_are_told_at_once(tmp_path: Path) -> None:
    text = (
        one('{name: a, condition: "memroy_usage > 90%", action: kill}')
        + '  - {condition: "x >", action: alert}\n'
    )
    with pytest.raises(InvalidError) as fault:
        safety_rules(written(tmp_path, text))
    assert [line.split(": ")[1] for line in fault.value.faults] == [
        "rules[0].action",
        "rules[0].condition",
        "rules[1].condition",
        "rules[1].name",
    ]


def test_a_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(MissingError):
        safety_rules(tmp_path / "none")
    with pytest.raises((DeniedError, InvalidError)):
        safety_rules(tmp_path)


def test_any_other_bare_name_is_a_predicate_and_what_nearly_is_a_figure_is_not() -> None:
    words = SafetyWords()
    assert words["four_laws_violation_detected"].kind == "a fact"
    assert set(words) == set(OBSERVED)
    for wrong in ("cpu_usag", "proceses", "network_connection", "Upper", "with-dash", "x" * 65):
        assert wrong not in words
        assert words.get(wrong) is None


def test_the_rules_are_said_in_words_and_nothing_else_is_done(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = written(tmp_path, DOCUMENT)
    assert app.main(["guard", "run", "--rules", str(path), "--check"]) == 0
    said = capsys.readouterr().out
    assert "Enforce CPU limits: when cpu_usage > 95% for 30s, its CPU is halved until the rule clears" in said
    assert "four_laws_violation_detected: the workload reported it" in said
    assert app.main(["guard", "run", "--rules", str(path), "--check", "-o", "json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert [rule["reported"] for rule in found["rules"]] == [[]] * 5 + [["four_laws_violation_detected"]]


WRONG = {
    (): "name the container",
    ("--container", "box"): "without --reports nobody hears it",
    ("--container", "box", "--reports", "r", "--blind-after", "0s"): "--blind-after",
    ("--container", "box", "--reports", "r", "--blind-after", "soon"): "--blind-after",
    ("--container", "box", "--reports", "r", "--grace", "3"): "--grace",
    ("--container", "box", "--reports", "r", "--listen", "9464"): "--listen",
    ("--container", "box", "--reports", "r", "--docker", "here"): "--docker",
    ("--container", "box", "--reports", "r", "--seal-to", "x"): "--seal-to without --seal-key",
    ("--container", "box", "--reports", "r", "--seal-key", "x"): "--seal-key without --ledger",
    ("--container", "box", "--reports", "r", "--alert-url-file", "none"): "there is no file none",
}


@pytest.mark.parametrize("options", WRONG)
def test_wrong_options_are_exit_2_before_anything_is_touched(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    options: tuple[str, ...],
) -> None:
    monkeypatch.chdir(tmp_path)
    path = written(tmp_path, DOCUMENT)
    assert app.main(["guard", "run", "--rules", str(path), *options]) == 2
    assert WRONG[options] in capsys.readouterr().err
    assert [one.name for one in tmp_path.iterdir()] == ["safety_rules.yaml"]


def test_the_ledger_of_a_monitor_is_found_in_its_folder(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert app.main(["audit", "verify", "--ledger", str(tmp_path)]) == 2
    book = Book(tmp_path, "box", "somebody")
    book.put("start", {}, 1.0)
    assert book.settle(5)
    assert app.main(["audit", "verify", "--ledger", str(tmp_path)]) == 0
    assert "1 entries, whole and unchanged" in capsys.readouterr().out
    assert app.main(["audit", "verify", "x.jsonl", "--ledger", str(tmp_path)]) == 2
    (tmp_path / "other.jsonl").write_text("")
    assert app.main(["audit", "verify", "--ledger", str(tmp_path)]) == 2
    assert "other.jsonl" in capsys.readouterr().err
