"""Backups of the server: of one moment, opened before they count, and never the last good one is lost."""

import io
import json
import sqlite3
import tarfile
import threading
import time
from contextlib import closing
from pathlib import Path

import pytest

from project_ai.database import connect
from project_ai.schema import migrate
from project_ai.settings import database_url
from steward import backup, database, evidence
from steward.backup import Why
from steward.place import Place
from steward.problem import ProblemError
from tests.examples.minimal.stage import a_place

DAY_S = 86400.0
NOW = 1_800_000_000.0


def with_users(place: Place, count: int, schema: int = 1) -> None:
    """The service's own database, with so many users."""
    engine = connect(database_url({"DATABASE_URL": f"sqlite:///{place.database}"}), make=True)
    migrate(engine, schema)
    engine.dispose()
    with closing(sqlite3.connect(place.database)) as opened, opened:
        rows = [(f"user {number}", 1000.0 + number) for number in range(count)]
        opened.executemany("INSERT INTO users (name, created) VALUES (?, ?)", rows)


def documents(place: Place) -> list[dict[str, object]]:
    return [{key: one[key] for key in one if key != "path"} for one in evidence.read(place)]


@pytest.fixture
def place(tmp_path: Path) -> Place:
    found = a_place(tmp_path)
    with_users(found, 3)
    return found


def test_a_backup_holds_the_data_and_the_configuration_and_says_what_it_is(
    place: Place, tmp_path: Path
) -> None:
    made = backup.make(place, Why("v1.0.0", before="v1.1.0", back_to="v1.0.0"), at=NOW)

    found = backup.opened(made.archive, tmp_path / "opened")

    assert (found.content.users, found.content.schema) == (3, 1)
    assert (found.serving, found.before, found.back_to) == ("v1.0.0", "v1.1.0", "v1.0.0")
    assert (tmp_path / "opened/configuration/canary.yaml").read_text() == place.config.read_text()
    assert {path.name for path in (tmp_path / "opened").iterdir()} == {
        "manifest.json", "project_ai.db", "configuration"
    }  # fmt: skip
    assert made.archive.stat().st_mode & 0o777 == 0o600


def test_its_evidence_is_as_preflight_reads_it(place: Place) -> None:
    first = backup.make(place, Why("v1.0.0"), at=NOW)
    backup.make(place, Why("v1.0.0"), at=NOW + 3600)
    older, newer = documents(place)
    assert older == {
        "kind": "backup",
        "at": "2027-01-15T08:00:00Z",
        "ok": True,
        "rpo_target_s": 86400.0,
        "file": f"../backups/{first.archive.name}",
        "sha256": backup.sha256(first.archive),
        "note": "3 users, schema 0001, release v1.0.0",
    }
    assert newer["rpo_s"] == 3600.0


def test_a_copy_is_of_one_moment_though_others_write(place: Place) -> None:
    """Two rows are always written together: a copy with one of them would be of two moments."""
    over, written = threading.Event(), []

    def write() -> None:
        with closing(sqlite3.connect(place.database, timeout=30)) as opened:
            while not over.is_set():
                with opened:
                    opened.executemany("INSERT INTO users (name, created) VALUES (?, 1.0)", [("a",), ("b",)])
                written.append(1)

    writer = threading.Thread(target=write)
    writer.start()
    try:
        counts = []
        for number in range(6):
            while len(written) < 20 * number:
                time.sleep(0.001)
            counts.append(backup.make(place, Why(), at=NOW + number).content.users)
    finally:
        over.set()
        writer.join()
    assert [(count - 3) % 2 for count in counts] == [0] * 6
    assert counts == sorted(set(counts))


def test_what_is_only_in_the_log_beside_the_database_is_in_the_backup(place: Place) -> None:
    with closing(sqlite3.connect(place.database)) as opened:
        with opened:
            opened.execute("INSERT INTO users (name, created) VALUES ('late', 1.0)")
        assert Path(f"{place.database}-wal").stat().st_size > 0
        assert backup.make(place, Why()).content.users == 4


def test_a_backup_that_was_changed_is_found_out(place: Place, tmp_path: Path) -> None:
    made = backup.make(place, Why("v1.0.0"))
    data = bytearray(made.archive.read_bytes())
    data[len(data) // 2] ^= 0xFF
    made.archive.write_bytes(data)
    with pytest.raises(ProblemError):
        backup.opened(made.archive)
    with pytest.raises(ProblemError, match="no good backup"):
        backup.newest(place)


def test_a_backup_whose_database_was_exchanged_is_found_out(place: Place, tmp_path: Path) -> None:
    made = backup.make(place, Why("v1.0.0"))
    backup.opened(made.archive, tmp_path / "opened")
    with closing(sqlite3.connect(tmp_path / "opened/project_ai.db")) as opened, opened:
        opened.execute("DELETE FROM users WHERE id = 2")
    other = place.backups / "project-ai-20990101T000000Z.tar.gz"
    with tarfile.open(other, "w:gz") as archive:
        for path in (tmp_path / "opened").iterdir():
            archive.add(path, path.name)
    with pytest.raises(ProblemError, match=r"changed since: project_ai\.db"):
        backup.opened(other)
    assert backup.newest(place).archive == made.archive


@pytest.mark.parametrize("content", [b"", b"not an archive", b"\x1f\x8b"])
def test_what_is_no_backup_is_said_so(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "x.tar.gz").write_bytes(content)
    with pytest.raises(ProblemError, match="no whole backup"):
        backup.opened(tmp_path / "x.tar.gz")


@pytest.mark.parametrize(
    "odd",
    [
        {"name": "../outside"},
        {"name": "/tmp/canary-test-outside"},
        {"name": "link", "type": tarfile.SYMTYPE, "linkname": "/etc/passwd"},
        {"name": "pipe", "type": tarfile.FIFOTYPE},
    ],
    ids=["above", "elsewhere", "link", "pipe"],
)
def test_what_would_lie_elsewhere_or_is_no_plain_file_is_not_taken_out(
    place: Place, tmp_path: Path, odd: dict[str, object]
) -> None:
    made, changed = backup.make(place, Why("v1.0.0")), tmp_path / "odd.tar.gz"
    with tarfile.open(made.archive) as before, tarfile.open(changed, "w:gz") as after:
        member = tarfile.TarInfo()
        for name, value in odd.items():
            setattr(member, name, value)
        after.addfile(member, io.BytesIO())
        for one in before:
            after.addfile(one, before.extractfile(one))
    with pytest.raises(ProblemError, match="is no plain file below the folder"):
        backup.opened(changed, tmp_path / "into")
    assert not (tmp_path / "outside").exists()


def test_old_backups_go_when_a_new_one_is_good_and_so_do_their_documents(place: Place) -> None:
    made = [backup.make(place, Why(), at=NOW + day * DAY_S) for day in range(3)]
    own = place.backups / "project-ai-before-the-move.tar.gz"
    own.touch()
    last = backup.make(place, Why(), at=NOW + 9 * DAY_S - 1)
    assert backup.all_of(place.backups) == [made[2].archive, last.archive, own]
    assert [one["at"] for one in documents(place)] == ["2027-01-17T08:00:00Z", "2027-01-24T07:59:59Z"]


def test_when_a_backup_goes_wrong_nothing_is_taken_away_and_it_is_written_down(place: Place) -> None:
    good = backup.make(place, Why(), at=NOW)
    place.database.write_bytes(b"this is no database, and it is longer than a header of SQLite is" * 20)
    for number in (1, 2):
        with pytest.raises(ProblemError):
            backup.make(place, Why(), at=NOW + 30 * DAY_S + number)
    assert backup.all_of(place.backups) == [good.archive]
    assert [one["ok"] for one in documents(place)] == [True, False, False]
    assert "project_ai_backup_last_ok 0" in (place.evidence / evidence.PAGE).read_text()
    assert backup.newest(place).archive == good.archive


def test_a_damaged_database_is_not_backed_up_as_if_it_were_whole(place: Place) -> None:
    with closing(sqlite3.connect(place.database)) as opened:
        with opened:
            opened.executemany("INSERT INTO users (name, created) VALUES (?, 1.0)", [("x" * 150,)] * 2000)
        opened.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    with place.database.open("r+b") as file:
        file.seek(8 * 4096 + 100)
        file.write(b"\xff" * 2000)
    with pytest.raises(ProblemError, match=r"damaged|malformed"):
        backup.make(place, Why())
    assert [one["ok"] for one in documents(place)] == [False]


def test_each_copy_is_whole_and_one_that_cannot_be_made_fails_the_backup(tmp_path: Path) -> None:
    copies = tmp_path / "elsewhere"
    copies.mkdir()
    place = a_place(tmp_path, copies=(copies,))
    with_users(place, 2)
    made = backup.make(place, Why(), at=NOW)
    assert backup.opened(copies / made.archive.name).content == made.content
    copies.rename(tmp_path / "unmounted")
    with pytest.raises(ProblemError, match="cannot be copied") as failed:
        backup.make(place, Why(), at=NOW + 1)
    assert "mounted" in failed.value.remedy
    assert not copies.exists()
    assert [one["ok"] for one in documents(place)] == [True, False]


def test_backups_of_one_second_stand_in_their_order(place: Place) -> None:
    made = [backup.make(place, Why(f"v{number}"), at=NOW) for number in range(3)]
    assert backup.all_of(place.backups) == [one.archive for one in made]
    assert backup.newest(place).serving == "v2"


def test_data_are_put_back_under_those_who_have_them_open(place: Place, tmp_path: Path) -> None:
    made = backup.make(place, Why("v1.0.0"))
    with closing(sqlite3.connect(place.database, isolation_level=None)) as reader:
        with closing(sqlite3.connect(place.database)) as writer, writer:
            writer.execute("ALTER TABLE users DROP COLUMN plan")
            writer.execute("DELETE FROM users")
        assert reader.execute("SELECT count(*) FROM users").fetchone() == (0,)
        backup.opened(made.archive, tmp_path / "opened")
        database.write_back(tmp_path / "opened/project_ai.db", place.database)
        assert reader.execute("SELECT count(plan) FROM users").fetchone() == (3,)
        assert reader.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    assert database.content(place.database) == made.content


def test_prometheus_is_told_when_the_last_good_ones_were(place: Place) -> None:
    backup.make(place, Why(), at=NOW)
    evidence.write(place, "restore-drill", NOW + 60, {"ok": True, "rto_s": 41.5})
    evidence.write(place, "restore-drill", NOW + 90, {"ok": False, "note": "no"})
    page = (place.evidence / evidence.PAGE).read_text().splitlines()
    assert [line for line in page if not line.startswith("#")] == [
        "project_ai_backup_last_ok 1",
        "project_ai_backup_last_success_timestamp_seconds 1800000000",
        "project_ai_restore_drill_last_ok 0",
        "project_ai_restore_drill_last_success_timestamp_seconds 1800000060",
        "project_ai_restore_drill_rto_seconds 41.5",
    ]


def test_a_document_of_somebody_else_is_no_evidence(place: Place) -> None:
    backup.make(place, Why())
    (place.evidence / "other.json").write_text(json.dumps(["kind"]))
    (place.evidence / "half.json").write_text("{")
    assert len(evidence.read(place)) == 1
