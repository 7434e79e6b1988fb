"""A drill fails when it must: other users, too late, too old. What answers is a real process."""

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from steward import backup, drill
from steward.backup import Backup, Why
from steward.place import Place
from tests.examples.app.stage import environment, listening
from tests.examples.minimal.stage import a_place
from tests.examples.minimal.test_backup import with_users

pytestmark = pytest.mark.e2e


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Place]:
    """A server with three users and a backup of them; what a drill serves is the database `drilled.db`."""
    found = a_place(tmp_path)
    with_users(found, 3)
    made = backup.make(found, Why("v1.0.0"))
    backup.opened(made.archive, tmp_path / "opened")
    drilled = tmp_path / "opened" / backup.DATABASE
    with listening(environment(f"sqlite:///{drilled}")) as (_, port):

        @contextmanager
        def served(_place: Place, _kept: Backup, _folder: Path) -> Iterator[int]:
            yield port

        monkeypatch.setattr(drill, "_served", served)
        yield found


def written(place: Place) -> dict[str, object]:
    (path,) = place.evidence.glob("restore-drill-*.json")
    found: dict[str, object] = json.loads(path.read_text())
    return found


def test_the_same_users_in_time_are_a_success(place: Place) -> None:
    assert drill.drill(place) == 0
    assert written(place)["ok"] is True


@pytest.mark.parametrize(
    "change",
    [
        "DELETE FROM users WHERE id = 2",
        "UPDATE users SET name = 'somebody else' WHERE id = 3",
        "INSERT INTO users (name, created) VALUES ('one too many', 1.0)",
    ],
)
def test_other_users_are_a_failure(place: Place, tmp_path: Path, change: str) -> None:
    with closing(sqlite3.connect(tmp_path / "opened" / backup.DATABASE)) as opened, opened:
        opened.execute(change)
    assert drill.drill(place) == 1
    found = written(place)
    assert (found["ok"], "the users are not the same" in str(found["note"])) == (False, True)


def test_too_late_is_a_failure_and_so_is_a_backup_that_is_too_old(place: Place) -> None:
    assert drill.drill(replace(place, rto_s=-1.0, rpo_s=0.001)) == 1
    note = str(written(place)["note"])
    assert "promised -1 s; the backup was" in note
    assert "recovered in" in note
