"""The ledger of a monitor: written beside the watching, and watched itself."""

import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from canary.core.ledger import Entry, decode, verify
from canary.core.seal_check import within
from canary.errors import InvalidError, TransientError
from canary.local.files import append_durable
from canary.monitor.book import Book
from canary.seal.keeper import Keeper
from canary.seal.keys import Algorithm, generate


def lines(book: Book) -> list[Entry]:
    return [decode(line) for line in book.path.read_text().splitlines()]


@pytest.fixture
def book(tmp_path: Path) -> Book:
    found = Book(tmp_path, "box", "somebody@here")
    found.open()
    found.session = "abc"
    for number in range(3):
        found.put("look", {"n": number}, 100.0 + number)
    assert found.settle(5)
    return found


def test_what_is_put_is_written_in_order_and_in_one_chain(book: Book) -> None:
    found = lines(book)
    assert [(one.kind, one.body["n"], one.body["container"], one.at) for one in found] == [
        ("look", 0, "abc", 100.0),
        ("look", 1, "abc", 101.0),
        ("look", 2, "abc", 102.0),
    ]
    assert verify(found) is None
    assert book.last == found[-1]
    assert (book.tampered(), book.waiting_since(), book.fault) == ("", None, "")


def test_the_next_one_goes_on_where_the_last_one_ended(book: Book, tmp_path: Path) -> None:
    opened_late = Book(tmp_path, "box", "the watchdog")
    opened_late.put("end", {}, 200.0)
    assert opened_late.settle(5)
    assert [one.number for one in lines(book)] == [1, 2, 3, 4]
    assert verify(lines(book)) is None


def same_size(path: Path) -> None:
    path.write_text(path.read_text().replace('"n":0', '"n":7'))


def in_place(path: Path) -> None:
    """The same bytes, and the times set back."""
    before = path.stat()
    with path.open("r+b") as file:
        file.write(file.read(1) and b"{")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def replaced(path: Path) -> None:
    text = path.read_text()
    path.unlink()
    path.write_text(text)


CHANGES: dict[str, Callable[[Path], object]] = {
    "changed": same_size,
    "touched": in_place,
    "added to": lambda path: path.write_text(path.read_text() + "{}\n"),
    "cut": lambda path: path.write_text(path.read_text().split("\n")[0] + "\n"),
    "replaced": replaced,
    "removed": Path.unlink,
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=list(CHANGES))
def test_whatever_another_does_to_it_is_seen(book: Book, change: Callable[[Path], object]) -> None:
    time.sleep(0.02)
    change(book.path)
    assert str(book.path) in book.tampered()


def test_another_that_writes_while_it_writes_is_seen(book: Book, tmp_path: Path) -> None:
    other = Book(tmp_path, "box", "another")
    other.put("look", {}, 150.0)
    assert other.settle(5)
    book.put("look", {}, 151.0)
    assert not book.settle(0.5)
    assert book.tampered()
    assert verify(lines(book)) is None


def test_a_disk_that_refuses_is_told_and_tried_again(book: Book, monkeypatch: pytest.MonkeyPatch) -> None:
    full = True

    def refuse(path: Path, data: bytes) -> None:
        if full:
            raise TransientError("no space left")
        append_durable(path, data)

    monkeypatch.setattr("canary.monitor.book.append_durable", refuse)
    put = time.monotonic()
    book.put("decision", {}, 200.0)
    assert not book.settle(0.3)
    waiting = book.waiting_since()
    assert waiting is not None
    assert put <= waiting <= time.monotonic()
    assert (book.fault, book.tampered()) == ("no space left", "")
    full = False
    assert book.settle(5)
    assert book.fault == ""
    assert [one.kind for one in lines(book)] == ["look"] * 3 + ["decision"]


def test_a_disk_that_hangs_holds_up_nobody(book: Book, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("canary.monitor.book.append_durable", lambda *_: time.sleep(2))
    begun = time.monotonic()
    book.put("decision", {}, 200.0)
    book.put("look", {}, 201.0)
    assert book.tampered() == ""
    assert not book.settle(0.1)
    assert time.monotonic() - begun < 1


def test_a_long_one_is_not_read_again_for_each_entry(book: Book, monkeypatch: pytest.MonkeyPatch) -> None:
    def read(_: Path) -> list[bytes]:
        raise AssertionError("it was read")

    monkeypatch.setattr("canary.local.ledger_store.read_lines", read)
    for number in range(5):
        book.put("look", {"n": number}, 200.0 + number)
        assert book.settle(5), book.fault
    assert (len(lines(book)), verify(lines(book)), book.tampered()) == (8, None, "")


def test_one_that_is_not_whole_is_not_gone_on_with(book: Book, tmp_path: Path) -> None:
    same_size(book.path)
    with pytest.raises(InvalidError, match="entry 1 is changed"):
        Book(tmp_path, "box", "somebody").open()


def test_a_full_disk_is_known_before_anything_has_to_be_told(
    book: Book, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert book.full() == ""
    real = os.statvfs(book.path.parent)
    fields = list(real)
    fields[4] = 1  # blocks that are free to us
    monkeypatch.setattr(os, "statvfs", lambda _: os.statvfs_result(fields))
    assert "bytes are free" in book.full()


def test_what_matters_is_sealed_and_its_copies_go_out(tmp_path: Path) -> None:
    key = tmp_path / "seal.key"
    generate(key, Algorithm.HMAC)
    keeper = Keeper(key, [])
    book = Book(tmp_path, "box", "somebody", keeper)
    book.open()
    book.session = "abc"
    for kind in ("start", "look", "decision", "end"):
        book.put(kind, {}, 100.0)
    assert book.settle(5)
    found = lines(book)
    assert [one.kind for one in found] == ["start", "seal", "look", "decision", "seal", "end", "seal"]
    checked = within(found, [keeper.key], "box")
    assert (checked.faults, checked.seals) == ((), 3)
