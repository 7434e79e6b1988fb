"""What upgrades and the ways back do with the data: real databases and backups, canary played."""

import sqlite3
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from project_ai.database import connect
from project_ai.releases import RELEASES
from project_ai.schema import migrate
from project_ai.settings import database_url
from steward import backup, database, install, service, upgrade
from steward.backup import Why
from steward.place import Place
from steward.problem import ProblemError
from steward.service import Standing
from tests.examples.minimal.stage import a_place
from tests.examples.minimal.test_backup import with_users


@dataclass
class Played:
    """A release that runs, and a canary that ends as told. `seen`: command, schema, users each time."""

    place: Place
    stable: str = "v1.0.0"
    canary: str | None = None
    code: int = 0
    seen: list[tuple[str, int, int]] = field(default_factory=list)

    def stands(self, _place: Place) -> Standing:
        return Standing(self.stable, self.canary)

    def run(self, _place: Place, *words: str) -> int:
        found = database.content(self.place.database)
        self.seen.append((" ".join(words), found.schema, found.users))
        user_comes(self.place)
        if self.code == 0:
            self.stable = words[1] if words[0] == "start" else "v1.1.1"
        return self.code


def user_comes(place: Place) -> None:
    with closing(sqlite3.connect(place.database)) as opened, opened:
        opened.execute("INSERT INTO users (name, created) VALUES ('newcomer', 1.0)")


def stepped(place: Place, _version: str, to: int) -> None:
    engine = connect(database_url({"DATABASE_URL": f"sqlite:///{place.database}"}))
    migrate(engine, to)
    engine.dispose()


Begin = Callable[[str, int], Played]


@pytest.fixture
def begin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Begin:
    """A server that runs a release on a schema, with three users."""

    def made(release: str, schema: int) -> Played:
        found = Played(a_place(tmp_path), release)
        with_users(found.place, 3, schema)
        monkeypatch.setattr(service, "stands", found.stands)
        monkeypatch.setattr(service, "canary", found.run)
        monkeypatch.setattr(service, "revision", lambda _place, _version: 7)
        monkeypatch.setattr(install, "release", lambda _place, _version: tmp_path)
        monkeypatch.setattr(install, "reads", lambda *_: {name: one.reads for name, one in RELEASES.items()})
        monkeypatch.setattr(upgrade, "_migrate", stepped)
        return found

    return made


def kept(place: Place) -> list[tuple[str | None, str | None, int, int]]:
    """Each backup: before what, back to what, schema, users."""
    found = [backup.opened(archive) for archive in backup.all_of(place.backups)]
    return [(one.before, one.back_to, one.content.schema, one.content.users) for one in found]


def holds(place: Place) -> tuple[int, int]:
    found = database.content(place.database)
    return found.schema, found.users


def test_a_promoted_upgrade_has_a_backup_of_before_and_one_of_after(begin: Begin) -> None:
    played = begin("v1.0.0", 1)
    assert upgrade.upgrade(played.place, "v1.1.1") == 0
    assert played.seen == [("start v1.1.1", 2, 3)]
    assert kept(played.place) == [("v1.1.1", "v1.0.0", 1, 3), (None, None, 2, 4)]


@pytest.mark.parametrize("code", [3, 4, 5, 7])
def test_a_rolled_back_upgrade_leaves_what_users_stored_meanwhile(begin: Begin, code: int) -> None:
    played = begin("v1.0.0", 1)
    played.code = code
    assert upgrade.upgrade(played.place, "v1.1.0") == code
    assert holds(played.place) == (2, 4)


def test_it_brings_the_data_back_when_asked_and_what_was_there_is_kept(begin: Begin) -> None:
    played = begin("v1.0.0", 1)
    played.code = 3
    assert upgrade.upgrade(played.place, "v1.1.0", restore_data=True) == 3
    assert holds(played.place) == (1, 3)
    assert kept(played.place)[-1] == (None, None, 2, 4)


@pytest.mark.parametrize("code", [6, 8, 130])
def test_when_it_is_not_known_what_runs_the_data_are_left_alone_though_asked_for(
    begin: Begin, code: int
) -> None:
    played = begin("v1.0.0", 1)
    played.code = code
    assert upgrade.upgrade(played.place, "v1.1.0", restore_data=True) == code
    assert holds(played.place) == (2, 4)


def test_the_version_that_runs_is_not_released_again(begin: Begin) -> None:
    played = begin("v1.0.0", 1)
    assert upgrade.upgrade(played.place, "v1.0.0") == 0
    assert (played.seen, played.place.backups.exists()) == ([], False)


@pytest.mark.parametrize(
    "command", [lambda place: upgrade.upgrade(place, "v1.1.1"), upgrade.finish, upgrade.rollback]
)
def test_while_another_release_is_tried_nothing_is_touched(
    begin: Begin, command: Callable[[Place], int]
) -> None:
    played = begin("v1.0.0", 1)
    played.canary = "v1.1.0"
    with pytest.raises(ProblemError, match=r"v1\.1\.0 is being released"):
        command(played.place)
    assert (played.seen, holds(played.place), played.place.backups.exists()) == ([], (1, 3), False)


def after_finish(begin: Begin) -> Played:
    """v1.2.0 has replaced v1.1.1 and taken its last step; users have come all the while."""
    played = begin("v1.1.1", 2)
    upgrade.upgrade(played.place, "v1.2.0")
    user_comes(played.place)
    upgrade.finish(played.place)
    user_comes(played.place)
    return played


def test_the_last_step_is_taken_after_a_backup_that_leads_back(begin: Begin) -> None:
    played = after_finish(begin)
    assert holds(played.place) == (3, 6)
    assert kept(played.place)[-2:] == [("v1.2.0", "v1.1.1", 2, 5), (None, None, 3, 5)]
    assert upgrade.finish(played.place) == 0
    assert holds(played.place) == (3, 6)


def test_data_go_back_before_the_code_that_cannot_read_the_newer_ones(begin: Begin) -> None:
    played = after_finish(begin)
    played.seen.clear()
    assert upgrade.rollback(played.place) == 0
    assert played.seen == [("undo --to-revision 7", 2, 5)]
    assert (played.stable, holds(played.place)) == ("v1.1.1", (2, 6))
    assert (None, None, 3, 6) in kept(played.place)


def test_data_that_the_older_release_reads_stay_unless_asked_for(begin: Begin) -> None:
    played = begin("v1.1.1", 2)
    upgrade.upgrade(played.place, "v1.2.0")
    played.seen.clear()
    assert upgrade.rollback(played.place) == 0
    assert played.seen == [("undo --to-revision 7", 2, 4)]
    assert holds(played.place) == (2, 5)


def test_data_that_are_asked_for_go_back_after_the_code(begin: Begin) -> None:
    played = begin("v1.1.1", 2)
    upgrade.upgrade(played.place, "v1.2.0")
    played.seen.clear()
    assert upgrade.rollback(played.place, restore_data=True) == 0
    assert played.seen == [("undo --to-revision 7", 2, 4)]
    assert holds(played.place) == (2, 3)
    assert (None, None, 2, 5) in kept(played.place)


def test_a_way_back_that_fails_can_be_gone_again(begin: Begin) -> None:
    played = after_finish(begin)
    played.code = 1
    assert upgrade.rollback(played.place) == 1
    played.code = 0
    assert upgrade.rollback(played.place) == 0
    assert (played.stable, holds(played.place)) == ("v1.1.1", (2, 7))


def test_without_a_backup_that_leads_back_nothing_is_touched(begin: Begin) -> None:
    played = begin("v1.2.0", 3)
    with pytest.raises(ProblemError, match=r"no backup from before v1\.2\.0"):
        upgrade.rollback(played.place)
    assert (played.seen, holds(played.place)) == ([], (3, 3))


def test_a_backup_that_the_older_release_cannot_read_is_refused(begin: Begin) -> None:
    played = after_finish(begin)
    newer = backup.make(played.place, Why("v1.2.0", before="v1.2.0", back_to="v1.1.1"))
    played.seen.clear()
    with pytest.raises(ProblemError, match=r"v1\.1\.1 cannot read schema 0003"):
        upgrade.rollback(played.place, archive=newer.archive)
    assert (played.seen, holds(played.place)) == ([], (3, 6))


def test_a_recovered_server_that_knows_no_revisions_starts_the_older_release(
    begin: Begin, monkeypatch: pytest.MonkeyPatch
) -> None:
    played = begin("v1.1.1", 2)
    upgrade.upgrade(played.place, "v1.2.0")
    monkeypatch.setattr(service, "revision", lambda _place, _version: None)
    played.seen.clear()
    upgrade.rollback(played.place)
    words: Sequence[str] = played.seen[0][0].split()
    assert words[:3] == ["start", "v1.1.1", "--skip-analysis"]
