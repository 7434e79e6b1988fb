"""What every `ports.Records` keeps to: in memory, on disk, and in ConfigMaps."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from canary.core.release import Phase
from canary.errors import ConflictError, InvalidError
from canary.local.records import LocalRecords
from canary.ports import Records
from tests.a_release import a_release
from tests.fakes import FakeRecords
from tests.kube.shelves import Shelves


@pytest.fixture(params=["fake", "local", pytest.param("kube", marks=pytest.mark.control_plane)])
def records(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Records]:
    if request.param == "kube":
        shelves = Shelves(request.getfixturevalue("place"))
        yield shelves
        shelves.close()
    else:
        yield FakeRecords() if request.param == "fake" else LocalRecords(tmp_path / "state")


def test_a_target_that_was_never_released_has_no_record(records: Records) -> None:
    assert records.load("web") is None


def test_what_is_saved_is_loaded_again_with_the_version_that_the_save_returned(records: Records) -> None:
    saved = records.save(a_release(), expected=None)

    assert records.load("web") == saved
    assert saved.release == a_release()


def test_a_record_that_exists_is_not_made_anew(records: Records) -> None:
    records.save(a_release(), expected=None)

    with pytest.raises(ConflictError):
        records.save(a_release(version="v3"), expected=None)

    found = records.load("web")
    assert found is not None
    assert found.release.version == "v2"


def test_a_record_that_does_not_exist_is_not_replaced(records: Records) -> None:
    with pytest.raises(ConflictError):
        records.save(a_release(), expected="1")

    assert records.load("web") is None


def test_a_save_over_what_somebody_else_wrote_since_is_a_conflict_and_changes_nothing(
    records: Records,
) -> None:
    first = records.save(a_release(), expected=None)
    theirs = records.save(a_release(reason="theirs"), expected=first.version)

    with pytest.raises(ConflictError):
        records.save(a_release(reason="ours"), expected=first.version)

    assert records.load("web") == theirs


def test_the_same_content_written_again_has_another_version(records: Records) -> None:
    first = records.save(a_release(), expected=None)
    second = records.save(a_release(reason="x"), expected=first.version)
    third = records.save(a_release(), expected=second.version)

    assert len({first.version, second.version, third.version}) == 3


def test_targets_do_not_know_of_each_other(records: Records) -> None:
    other = "api" if isinstance(records, Shelves) else "../web"
    records.save(a_release("web"), expected=None)
    records.save(a_release(other), expected=None)
    moved = a_release("web").moved(Phase.PROGRESSING, at=1.0)
    found = records.load("web")
    assert found is not None
    records.save(moved, expected=found.version)

    theirs = records.load(other)
    assert theirs is not None
    assert theirs.release == a_release(other)


def test_a_release_that_does_not_fit_is_refused_before_anything_is_written(records: Records) -> None:
    with pytest.raises(InvalidError, match="262144"):
        records.save(a_release(reason="x" * 300_000), expected=None)

    assert records.load("web") is None
