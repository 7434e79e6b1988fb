"""Evidence files: what they prove, and what is said of those that prove nothing."""

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from canary.config.evidence import read
from canary.preflight.facts import Kind, Proof
from canary.preflight.finding import Unseen


def write(folder: Path, name: str, **changes: Any) -> None:
    usual: dict[str, Any] = {"kind": "backup", "at": "2026-01-02T03:04:05Z", "ok": True}
    if changes.get("kind", "backup") == "backup" and "file" not in changes:
        (folder / f"{name}.db").write_bytes(name.encode())
        usual |= {"file": f"{name}.db", "sha256": hashlib.sha256(name.encode()).hexdigest()}
    (folder / f"{name}.json").write_text(json.dumps({**usual, **changes}))


def proofs(folder: Path) -> list[Proof]:
    return [one for one in read(folder) if isinstance(one, Proof)]


def unseen(folder: Path) -> list[str]:
    return [one.why.removeprefix(f"{folder}/") for one in read(folder) if isinstance(one, Unseen)]


def test_a_backup_whose_file_is_as_it_was_written_counts(tmp_path: Path) -> None:
    write(tmp_path, "a", note="nightly")
    assert proofs(tmp_path) == [Proof(Kind.BACKUP, f"{tmp_path}/a.json", 1767323045.0)]


def test_what_is_not_known_may_be_null(tmp_path: Path) -> None:
    write(tmp_path, "a", rto_s=None, rpo_s=None, rto_target_s=None, rpo_target_s=None, note=None)
    assert [one.fault for one in proofs(tmp_path)] == [""]
    write(tmp_path, "d", kind="restore-drill", file=None, sha256=None, rto_s=3)
    assert [(one.fault, one.rto_s) for one in proofs(tmp_path) if one.kind is Kind.DRILL] == [("", 3.0)]


def test_a_drill_tells_what_it_measured(tmp_path: Path) -> None:
    write(tmp_path, "d", kind="restore-drill", rto_s=12.5, rpo_s=3600, rto_target_s=300, rpo_target_s=86400)
    assert proofs(tmp_path) == [
        Proof(
            Kind.DRILL,
            f"{tmp_path}/d.json",
            1767323045.0,
            rto_s=12.5,
            rpo_s=3600.0,
            rto_target_s=300.0,
            rpo_target_s=86400.0,
        )
    ]


@pytest.mark.parametrize(
    "at", ["2026-01-02T03:04:05+00:00", "2026-01-02T04:04:05+01:00", "2026-01-02T03:04:05.0Z"]
)
def test_a_time_may_be_in_any_zone_that_it_names(tmp_path: Path, at: str) -> None:
    write(tmp_path, "a", at=at)
    assert [one.at for one in proofs(tmp_path)] == [1767323045.0]


def test_a_backup_that_was_changed_or_is_gone_or_went_wrong_proves_nothing(tmp_path: Path) -> None:
    write(tmp_path, "changed")
    (tmp_path / "changed.db").write_bytes(b"other")
    write(tmp_path, "gone")
    (tmp_path / "gone.db").unlink()
    write(tmp_path, "wrong", ok=False, note="disk full")
    write(tmp_path, "vague", file=None, sha256=None)
    faults = {Path(one.source).stem: one.fault for one in proofs(tmp_path)}

    assert faults["changed"].startswith(f"its file {tmp_path}/changed.db was changed: sha256 ")
    assert faults["gone"] == f"its file {tmp_path}/gone.db cannot be read: No such file or directory"
    assert faults["wrong"] == "did not go well (disk full)"
    assert faults["vague"] == "does not name the backup's `file` and its `sha256`"


def test_files_of_backups_before_the_last_good_one_need_not_be_there_any_more(tmp_path: Path) -> None:
    write(tmp_path, "old", at="2026-01-01T00:00:00Z")
    (tmp_path / "old.db").unlink()
    write(tmp_path, "new", at="2026-01-02T00:00:00Z")
    write(tmp_path, "newest", at="2026-01-03T00:00:00Z")
    (tmp_path / "newest.db").unlink()

    assert [(Path(one.source).stem, bool(one.fault)) for one in proofs(tmp_path)] == [
        ("newest", True),
        ("new", False),
    ]


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"at": "yesterday"}, "at: found 'yesterday', wanted a time such as 2026-01-02T03:04:05Z"),
        ({"at": "2026-01-02T03:04:05"}, "at: found '2026-01-02T03:04:05', which has no zone"),
        ({"ok": "yes"}, "ok: Input should be a valid boolean"),
        ({"kind": "snapshot"}, "kind: Input should be 'backup' or 'restore-drill'"),
        ({"rto": 3}, "rto: Extra inputs are not permitted"),
        ({"rto_s": -1}, "rto_s: Input should be greater than or equal to 0"),
        ({"sha256": "abc"}, "sha256: String should match pattern"),
    ],
)
def test_a_document_that_says_something_else_is_told_with_the_place(
    tmp_path: Path, changes: dict[str, Any], why: str
) -> None:
    write(tmp_path, "a", **changes)
    assert [one.startswith(f"a.json: {why}") for one in unseen(tmp_path)] == [True], unseen(tmp_path)
    assert proofs(tmp_path) == []


@pytest.mark.parametrize("text", ["", "{", "[]", "\xff"])
def test_what_is_no_document_at_all_is_told_and_hinders_no_other(tmp_path: Path, text: str) -> None:
    (tmp_path / "bad.json").write_bytes(text.encode("latin-1"))
    (tmp_path / "readme.txt").write_text("not looked at")
    write(tmp_path, "good")
    assert len(unseen(tmp_path)) == 1
    assert unseen(tmp_path)[0].startswith("bad.json: ")
    assert [Path(one.source).stem for one in proofs(tmp_path)] == ["good"]


def test_a_document_larger_than_any_is_not_read(tmp_path: Path) -> None:
    (tmp_path / "large.json").write_text(" " * 70_000)
    assert unseen(tmp_path) == ["large.json is larger than 65536 bytes"]


def test_a_folder_that_is_not_there_is_told(tmp_path: Path) -> None:
    assert read(tmp_path / "none") == (
        Unseen(
            f"the folder {tmp_path}/none cannot be read: No such file or directory",
            "Make it readable, or name another as `preflight.evidence`.",
        ),
    )
