"""Copies in a file: appended, and only appended."""

import os
from pathlib import Path

import pytest

from canary.core.seal_check import Copy, against
from canary.core.seals import decode, encode, seal_of
from canary.errors import CanaryError, InvalidError, MissingError, TransientError
from canary.seal.copies import FileCopies
from tests.seal.ledgers import KEY, a_ledger

WHOLE = a_ledger(3)
SEALS = [seal_of(entry) for entry in WHOLE if entry.kind == "seal"]


def test_each_seal_is_a_line_and_the_lines_agree_with_the_ledger(tmp_path: Path) -> None:
    path = tmp_path / "web.seals"
    for seal in SEALS:
        FileCopies(path).deliver(seal)
    lines = path.read_text().splitlines()
    assert [decode(line) for line in lines] == SEALS
    found = [Copy(f"{path}:{n}", line) for n, line in enumerate(lines, 1)]
    assert against(WHOLE, found, [KEY], "web").seals == 3


def test_what_stands_there_is_never_touched(tmp_path: Path) -> None:
    path = tmp_path / "web.seals"
    path.write_text("something of somebody\n")
    FileCopies(path).deliver(SEALS[0])
    assert path.read_text() == f"something of somebody\n{encode(SEALS[0])}\n"


def test_a_line_that_a_crash_cut_off_does_not_spoil_the_next(tmp_path: Path) -> None:
    path = tmp_path / "web.seals"
    path.write_text(encode(SEALS[0])[:50])
    FileCopies(path).deliver(SEALS[0])
    found = [Copy(f"x:{n}", line) for n, line in enumerate(path.read_text().splitlines(), 1)]
    assert len(found) == 2
    assert against(WHOLE, found, [KEY], "web").faults == ()


def test_a_folder_that_is_not_there_is_not_made(tmp_path: Path) -> None:
    # A share that is not mounted must not be taken for an empty one.
    with pytest.raises(MissingError, match="there is no folder"):
        FileCopies(tmp_path / "share" / "web.seals").deliver(SEALS[0])
    assert list(tmp_path.iterdir()) == []


def test_what_is_no_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidError, match="is a folder"):
        FileCopies(tmp_path).deliver(SEALS[0])
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(CanaryError):
        FileCopies(tmp_path / "pipe").deliver(SEALS[0])


def test_a_full_disk_is_told() -> None:
    if not Path("/dev/full").exists():
        pytest.skip("there is no /dev/full")
    with pytest.raises(TransientError, match="No space left"):
        FileCopies(Path("/dev/full")).deliver(SEALS[0])
