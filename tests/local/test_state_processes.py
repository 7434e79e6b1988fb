"""Records, lease and ledger between real processes, and after `kill -9`."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from canary.clock import SystemClock
from canary.core.ledger import GENESIS, Entry, entry_hash
from canary.errors import InvalidError
from canary.local.lease import LocalLease
from canary.local.ledger_store import LocalLedger
from canary.local.records import LocalRecords
from tests.a_release import a_release

pytestmark = pytest.mark.e2e

COUNT = """
import sys
from pathlib import Path
from canary.errors import ConflictError
from canary.local.records import LocalRecords
records, done = LocalRecords(Path(sys.argv[1])), 0
while done < int(sys.argv[2]):
    found = records.load("web")
    window = found.release.window + 1
    try:
        records.save(found.release.with_(window=window), expected=found.version)
    except ConflictError:
        continue
    done += 1
"""

HOLD = """
import sys
from pathlib import Path
from canary.clock import SystemClock
from canary.local.lease import LocalLease
lease = LocalLease(Path(sys.argv[1]), "web", "ada", SystemClock())
term = lease.hold()
print(term.number if term else 0, flush=True)
if len(sys.argv) > 2:
    import os, subprocess
    child = subprocess.Popen(["sleep", "60"], close_fds=False)
    reading, writing = os.pipe()
    forked = os.fork()
    if not forked:
        os.write(writing, b"!")
        import time
        time.sleep(60)
        os._exit(0)
    os.read(reading, 1)
    print(child.pid, forked, flush=True)
sys.stdin.read()
"""


class Process:
    """A Python process that says one line, then lives until its input ends."""

    def __init__(self, code: str, *arguments: object) -> None:
        command = [sys.executable, "-c", code, *map(str, arguments)]
        self.inner = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def line(self) -> str:
        assert self.inner.stdout is not None
        return self.inner.stdout.readline().strip()

    def kill(self) -> None:
        self.inner.kill()
        self.inner.wait()
        for pipe in (self.inner.stdin, self.inner.stdout):
            assert pipe is not None
            pipe.close()


@pytest.fixture
def processes() -> Iterator[list[Process]]:
    started: list[Process] = []
    yield started
    for one in started:
        one.kill()


@pytest.fixture
def lease(tmp_path: Path) -> Iterator[LocalLease]:
    with SystemClock() as clock:
        mine = LocalLease(tmp_path, "web", "bob", clock)
        yield mine
        mine.release()


def test_no_save_of_several_processes_at_once_is_lost(tmp_path: Path, processes: list[Process]) -> None:
    records = LocalRecords(tmp_path)
    records.save(a_release(), expected=None)
    processes += [Process(COUNT, tmp_path, 25) for _ in range(4)]

    assert [one.inner.wait(60) for one in processes] == [0, 0, 0, 0]

    found = records.load("web")
    assert found is not None
    assert found.release.window == 100
    assert found.version.startswith("101-")


@pytest.mark.parametrize("after_s", [0.0, 0.003, 0.01, 0.02, 0.04])
def test_a_writer_killed_at_any_moment_leaves_a_whole_record(
    tmp_path: Path, processes: list[Process], after_s: float
) -> None:
    records = LocalRecords(tmp_path)
    first = records.save(a_release(), expected=None)
    processes.append(writer := Process(COUNT, tmp_path, 1_000_000))
    while (begun := records.load("web")) == first:
        continue
    SystemClock().wait(after_s)
    writer.kill()

    found = records.load("web")
    assert begun is not None
    assert found is not None
    assert found.version.startswith(f"{found.release.window + 1}-")
    assert records.save(a_release(reason="goes on"), expected=found.version)


def test_a_killed_holder_frees_the_lease_at_once(
    tmp_path: Path, processes: list[Process], lease: LocalLease
) -> None:
    processes.append(holder := Process(HOLD, tmp_path))
    assert holder.line() == "1"
    assert lease.hold() is None
    seen = lease.holder()
    assert seen is not None
    assert seen.alive

    holder.kill()

    term = lease.hold()
    assert term is not None
    assert term.number == 2
    assert term.idle_since is not None


def test_children_of_a_killed_holder_do_not_keep_its_lease(
    tmp_path: Path, processes: list[Process], lease: LocalLease
) -> None:
    processes.append(holder := Process(HOLD, tmp_path, "with children"))
    assert holder.line() == "1"
    children = [int(one) for one in holder.line().split()]

    try:
        holder.kill()
        assert lease.hold() is not None
        for child in children:
            os.kill(child, 0)
    finally:
        for child in children:
            os.kill(child, signal.SIGKILL)


def test_a_holder_that_is_stopped_keeps_the_lease(
    tmp_path: Path, processes: list[Process], lease: LocalLease
) -> None:
    processes.append(holder := Process(HOLD, tmp_path))
    assert holder.line() == "1"

    os.kill(holder.inner.pid, signal.SIGSTOP)
    try:
        assert lease.hold() is None
    finally:
        os.kill(holder.inner.pid, signal.SIGCONT)


def test_of_many_that_ask_at_once_one_gets_the_lease(tmp_path: Path, processes: list[Process]) -> None:
    processes += [Process(HOLD, tmp_path) for _ in range(5)]

    assert sorted(one.line() for one in processes) == ["0", "0", "0", "0", "1"]


def test_a_lease_whose_folder_was_removed_is_lost(tmp_path: Path) -> None:
    clock = SystemClock()
    ada, bob = (LocalLease(tmp_path, "web", actor, clock) for actor in ("ada", "bob"))
    first = ada.hold()
    assert first is not None
    for file in (tmp_path / "leases").iterdir():
        file.unlink()

    assert bob.hold() is not None
    assert ada.hold() is None
    assert ada.confirm(first) == 0.0
    bob.release()


def test_a_record_that_was_damaged_is_refused_with_its_place(tmp_path: Path) -> None:
    records = LocalRecords(tmp_path)
    saved = records.save(a_release(), expected=None)
    path = tmp_path / "records" / "web.json"
    path.write_bytes(path.read_bytes().replace(b'"replicas":4', b'"replicas":5'))

    with pytest.raises(InvalidError, match=r"records/web\.json"):
        records.load("web")
    with pytest.raises(InvalidError):
        records.save(a_release(), expected=saved.version)


def test_a_record_that_was_written_by_a_newer_canary_is_refused_with_its_place(tmp_path: Path) -> None:
    records = LocalRecords(tmp_path)
    records.save(a_release(schema=2), expected=None)

    with pytest.raises(InvalidError, match=r"records/web\.json.*schema 2"):
        records.load("web")


def an_entry(number: int, previous: str) -> Entry:
    digest = entry_hash(number, 1.5, "look", "ada", {}, previous)
    return Entry(number, 1.5, "look", "ada", {}, previous, digest)


def test_a_torn_ledger_goes_on_after_its_last_whole_entry(tmp_path: Path) -> None:
    ledger = LocalLedger(tmp_path)
    first = an_entry(1, GENESIS)
    second = an_entry(2, first.hash)
    ledger.append("web", [first, second])
    path = tmp_path / "ledger" / "web.jsonl"
    path.write_bytes(path.read_bytes()[:-20])
    assert ledger.read("web") == (first,)

    ledger.append("web", [first, second])

    assert ledger.read("web") == (first, second)


@pytest.mark.parametrize(
    ("line", "word"),
    [
        ("{}", "fields"),
        ("nonsense", "Expecting value"),
        (json.dumps({**vars(an_entry(2, "x")), "number": 7}), "number 7, wanted 2"),
    ],
)
def test_a_line_that_is_no_entry_is_named(tmp_path: Path, line: str, word: str) -> None:
    ledger = LocalLedger(tmp_path)
    ledger.append("web", [an_entry(1, GENESIS)])
    with (tmp_path / "ledger" / "web.jsonl").open("a") as file:
        file.write(line + "\n")

    with pytest.raises(InvalidError, match=rf"web\.jsonl:2: .*{word}"):
        ledger.read("web")
