"""Files that survive: whole or untouched, on a full disk too."""

import errno
import os
import shutil
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from canary.core.ledger import chain
from canary.errors import CanaryError, DeniedError, InvalidError, MissingError, TransientError
from canary.local import files
from canary.local.files import append_durable, ensure_directory, fault_of, locked, read_lines, write_atomic
from canary.local.ledger_store import LocalLedger
from canary.local.records import LocalRecords
from tests.a_release import a_release


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A real file system of 64 KiB."""
    place = tmp_path / "small"
    place.mkdir()
    mount = shutil.which("mount")
    made = mount and os.geteuid() == 0 and sys.platform == "linux"
    if (
        not made
        or subprocess.run(
            ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(place)], check=False, capture_output=True
        ).returncode
    ):
        pytest.skip("needs the right to mount a small tmpfs; the same faults are planted elsewhere")
    yield place
    subprocess.run(["umount", str(place)], check=True)


def refuse(monkeypatch: pytest.MonkeyPatch, call: str, number: int) -> None:
    def refused(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, call, refused)


def names(folder: Path) -> list[str]:
    return sorted(one.name for one in folder.iterdir())


def test_a_file_is_replaced_whole(tmp_path: Path) -> None:
    write_atomic(tmp_path / "a", b"old")
    write_atomic(tmp_path / "a", b"new and longer")

    assert (tmp_path / "a").read_bytes() == b"new and longer"
    assert names(tmp_path) == ["a"]


def test_a_full_disk_leaves_what_was_there_and_nothing_beside_it(small_disk: Path) -> None:
    write_atomic(small_disk / "a", b"old")

    with pytest.raises(TransientError, match="No space left") as caught:
        write_atomic(small_disk / "a", b"x" * 200_000)

    assert "Make room" in caught.value.remedy
    assert (small_disk / "a").read_bytes() == b"old"
    assert names(small_disk) == ["a"]


def test_an_append_that_does_not_fit_is_taken_back_whole(small_disk: Path) -> None:
    append_durable(small_disk / "a", b"one\n")

    with pytest.raises(TransientError, match="No space left"):
        append_durable(small_disk / "a", b"x" * 200_000 + b"\n")

    assert (small_disk / "a").read_bytes() == b"one\n"


def test_a_full_disk_loses_no_record_and_no_ledger_entry(small_disk: Path) -> None:
    records, ledger = LocalRecords(small_disk), LocalLedger(small_disk)
    saved = records.save(a_release(), expected=None)
    entry = chain(None, 1.0, "start", "ada", {})
    ledger.append("web", [entry])
    (small_disk / "filler").write_bytes(b"x" * (os.statvfs(small_disk).f_bavail * 4096))

    with pytest.raises(TransientError, match="No space left"):
        records.save(a_release(reason="x" * 9000), expected=saved.version)
    with pytest.raises(TransientError, match="No space left"):
        ledger.append("web", [chain(entry, 2.0, "look", "ada", {"said": "x" * 9000})])

    assert records.load("web") == saved
    assert ledger.read("web") == (entry,)
    (small_disk / "filler").unlink()
    assert records.save(a_release(reason="now"), expected=saved.version).release.reason == "now"


def test_content_is_on_the_disk_before_its_name_and_its_name_before_the_call_returns(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done: list[str] = []
    fsync, replace = os.fsync, os.replace

    def noted_fsync(descriptor: int) -> None:
        kind = "folder" if stat.S_ISDIR(os.fstat(descriptor).st_mode) else "content"
        done.append(kind)
        fsync(descriptor)

    def noted_replace(source: Path, target: Path) -> None:
        done.append("name")
        replace(source, target)

    monkeypatch.setattr(os, "fsync", noted_fsync)
    monkeypatch.setattr(os, "replace", noted_replace)
    write_atomic(tmp_path / "a", b"x")
    append_durable(tmp_path / "b", b"x\n")

    kept = ["content"] if sys.platform == "linux" else []
    assert done == [*kept, "name", "folder", *kept, "folder"]


@pytest.mark.parametrize("call", ["fsync", "replace"])
@pytest.mark.parametrize(
    ("number", "kind"),
    [(errno.ENOSPC, TransientError), (errno.EROFS, DeniedError), (errno.EIO, TransientError)],
)
def test_a_write_that_fails_on_the_way_leaves_what_was_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str, number: int, kind: type[CanaryError]
) -> None:
    write_atomic(tmp_path / "a", b"old")
    with monkeypatch.context() as patched:
        refuse(patched, call, number)
        with pytest.raises(kind, match=os.strerror(number)):
            write_atomic(tmp_path / "a", b"new")

    assert (tmp_path / "a").read_bytes() == b"old"
    assert names(tmp_path) == ["a"]


def test_an_append_that_fails_on_the_way_is_taken_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    append_durable(tmp_path / "a", b"one\n")
    with monkeypatch.context() as patched:
        refuse(patched, "fsync", errno.ENOSPC)
        with pytest.raises(TransientError):
            append_durable(tmp_path / "a", b"two\n")

    assert read_lines(tmp_path / "a") == [b"one"]


@pytest.mark.parametrize(
    ("number", "kind", "word"),
    [
        (errno.ENOSPC, TransientError, "Make room"),
        (errno.EDQUOT, TransientError, "Make room"),
        (errno.EIO, TransientError, "disk"),
        (errno.EROFS, DeniedError, "another `state` folder"),
        (errno.EACCES, DeniedError, "Let this user write"),
        (errno.ENOENT, MissingError, "Make the folder"),
        (errno.EISDIR, InvalidError, "Something else stands"),
    ],
)
def test_what_the_system_refuses_is_said_with_place_and_remedy(
    number: int, kind: type[CanaryError], word: str
) -> None:
    fault = fault_of(OSError(number, "x"), Path("/state/web.json"), "write")

    assert type(fault) is kind
    assert "/state/web.json" in fault.message
    assert os.strerror(number) in fault.message
    assert word in fault.remedy


def test_a_folder_that_is_not_there_is_said_and_not_made(tmp_path: Path) -> None:
    with pytest.raises(MissingError, match="no/such"):
        write_atomic(tmp_path / "no/such/file", b"x")
    with pytest.raises(MissingError):
        append_durable(tmp_path / "no/such/file", b"x\n")


def test_a_folder_in_place_of_the_file_is_said(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()

    with pytest.raises(InvalidError):
        write_atomic(tmp_path / "a", b"x")
    with pytest.raises(InvalidError):
        read_lines(tmp_path / "a")


def test_a_new_folder_is_for_this_user_alone(tmp_path: Path) -> None:
    ensure_directory(tmp_path / "state" / "records")

    assert (tmp_path / "state" / "records").stat().st_mode & 0o077 == 0


def test_a_file_in_place_of_the_folder_is_said(tmp_path: Path) -> None:
    (tmp_path / "state").write_bytes(b"")

    with pytest.raises(CanaryError, match="state"):
        ensure_directory(tmp_path / "state")


def test_a_torn_last_line_is_left_out_and_cut_off_by_the_next_append(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"one\ntwo\nthr")
    assert read_lines(tmp_path / "a") == [b"one", b"two"]

    append_durable(tmp_path / "a", b"three\n")

    assert (tmp_path / "a").read_bytes() == b"one\ntwo\nthree\n"


def test_a_torn_line_longer_than_a_block_is_cut_off_whole(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"one\n" + b"x" * 10_000)

    append_durable(tmp_path / "a", b"two\n")

    assert read_lines(tmp_path / "a") == [b"one", b"two"]


def test_a_file_that_is_one_torn_line_is_emptied_first(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"\0" * 5000)

    append_durable(tmp_path / "a", b"one\n")

    assert (tmp_path / "a").read_bytes() == b"one\n"


def test_half_a_line_is_not_appended(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="whole lines"):
        append_durable(tmp_path / "a", b"one")

    assert read_lines(tmp_path / "a") == []


def test_a_lock_that_is_kept_too_long_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "LOCK_PATIENCE_S", 0.05)

    with (
        locked(tmp_path / "lock"),
        pytest.raises(TransientError, match="locked by another"),
        locked(tmp_path / "lock"),
    ):
        pass
    with locked(tmp_path / "lock"):
        pass
