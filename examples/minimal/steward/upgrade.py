"""Upgrades, the last step of one, and the ways back: code by canary, data by backups.

A release may need the database changed. That is done in two halves, so that at every moment all that runs can
read it: before the upgrade only as far as the release that runs still reads (expand), and by `finish`, once
nobody wants to go back (contract). Only after `finish` the way back needs the data from before.
"""

import tempfile
import time
from pathlib import Path

from steward import backup, database, evidence, install, service
from steward.backup import Backup, Why
from steward.install import Schemas, can_read
from steward.place import Place
from steward.problem import ProblemError
from steward.say import say

TAKEN_BACK = frozenset({3, 4, 5, 7})
"""Exit codes of `canary start` after which the release that ran before runs again, and nothing else."""


def upgrade(place: Place, version: str, *, restore_data: bool = False) -> int:
    """Release a version: backup, migrate, `canary start`, and its verdict as the exit code.

    Args:
        restore_data: when it is rolled back, bring the data back too. Else they stay: what users have stored
            meanwhile is kept, and the release before reads it.

    Raises:
        ProblemError: it cannot be begun; nothing was touched.
    """
    found = service.stands(place)
    old = found.stable
    if found.canary not in (None, version):
        raise ProblemError(
            f"{found.canary} is being released", remedy="Wait for the verdict, or `canary abort`.", code=9
        )
    if old == version:
        say(f"{version} runs already")
        return 0
    install.release(place, version)
    known = install.reads(place, version)
    schema = database.content(place.database).schema
    to = _expanded(known, old, version, schema)
    kept = backup.make(place, Why(old, before=version, back_to=old))
    say(f"backup {kept.archive.name}: {kept.content.users} users, schema {schema:04d}")
    if to != schema:
        _migrate(place, version, to)
        say(f"schema {schema:04d} -> {to:04d}, which {old} reads too")
    code = service.canary(place, "start", version)
    if code == 0:
        backup.make(place, Why(version))
        if known[version][1] > to:
            say(f"when nobody wants to go back to {old} any more: `python -m steward finish`")
    elif code in TAKEN_BACK and restore_data:
        put_back(place, kept, old)
    elif code in TAKEN_BACK:
        say(f"{old} runs on, with the data as they are")
    else:
        say(f"canary ended with {code}: look with `canary status`; the data are as they are")
    return code


def finish(place: Place) -> int:
    """Take the last step of the schema that the running release reads; the way back then needs the backup.

    Raises:
        ProblemError: a release is under way, or nothing runs.
    """
    stable = _settled(place)
    last = install.reads(place, stable)[stable][1]
    schema = database.content(place.database).schema
    if schema >= last:
        say(f"schema {schema:04d} is the last that {stable} reads; nothing to do")
        return 0
    before = _kept_before(place, stable)
    why = Why(stable, before=stable, back_to=before.back_to if before else None)
    kept = backup.make(place, why)
    say(f"backup {kept.archive.name}: {kept.content.users} users, schema {schema:04d}")
    _migrate(place, stable, last)
    backup.make(place, Why(stable))
    say(f"schema {schema:04d} -> {last:04d}; the way back needs {kept.archive.name} from now on")
    return 0


def rollback(place: Place, *, restore_data: bool = False, archive: Path | None = None) -> int:
    """Go back to the release before: code by `canary undo`; data when asked for, or when it cannot read them.

    What is there is backed up first: users who came since are not in the older data, but they are not lost.

    Args:
        archive: the backup to go back to; None: the newest from before the running release.

    Raises:
        ProblemError: there is nothing to go back to; nothing was touched.
    """
    now = _settled(place)
    kept = backup.opened(archive) if archive else backup.newest(place, before=now)
    old = _before(kept, now)
    install.release(place, old)
    known = install.reads(place, now)
    schema = database.content(place.database).schema
    demanded = not can_read(known, old, schema)
    if (demanded or restore_data) and not can_read(known, old, kept.content.schema):
        raise ProblemError(
            f"{old} cannot read schema {kept.content.schema:04d} of {kept.archive}",
            remedy="Name another backup with --backup.",
            code=2,
        )
    if demanded:
        say(f"{old} cannot read schema {schema:04d}: the data go back to {kept.archive.name}")
        if not can_read(known, now, kept.content.schema):
            say(f"{now} cannot read those: no requests are answered until {old} runs")
        put_back(place, kept, now)
    code = _undo(place, old)
    if code != 0:
        say(f"{old} could not be brought back (exit code {code}): `canary status`, then the same again")
        return code
    if restore_data and not demanded:
        put_back(place, kept, old)
    backup.make(place, Why(old))
    return 0


def put_back(place: Place, kept: Backup, serving: str | None) -> None:
    """Bring the data of a backup back, while the service runs, after a backup of what is there.

    Args:
        serving: the release that runs; None: nothing does, or it is not known.

    Raises:
        ProblemError: one of the two is damaged; what is there is as it was.
    """
    safety = backup.make(place, Why(serving)) if place.database.exists() else None
    with tempfile.TemporaryDirectory(prefix="restore-") as name:
        backup.opened(kept.archive, Path(name))
        database.write_back(Path(name) / backup.DATABASE, place.database)
    found = database.content(place.database)
    if found.schema != kept.content.schema:
        raise ProblemError(
            f"{place.database} has schema {found.schema:04d}", remedy="Is somebody migrating it?"
        )
    age_s = time.time() - kept.at
    say(f"the data are those of {evidence.stamp(kept.at)}, {age_s:.0f} s ago, schema {found.schema:04d}")
    if safety is not None:
        say(f"what was there, {safety.content.users} users, is kept in {safety.archive.name}")
    else:
        say("there was no database: if something runs that had it open, start that again")


def _settled(place: Place) -> str:
    """The release that runs, and nothing beside it.

    Raises:
        ProblemError: nothing runs, or a release is being tried.
    """
    found = service.stands(place)
    if found.canary is not None:
        raise ProblemError(
            f"{found.canary} is being released",
            remedy="Wait for the verdict (`canary watch`), or end it: `canary abort`.",
            code=2,
        )
    return found.stable


def _before(kept: Backup, now: str) -> str:
    old = kept.back_to or kept.serving
    if old is None or old == now:
        raise ProblemError(
            f"{kept.archive} does not say what ran before {now}", remedy="Name another with --backup.", code=2
        )
    return old


def _expanded(known: dict[str, Schemas], old: str, version: str, schema: int) -> int:
    """The schema on which both releases can work.

    Raises:
        ProblemError: there is none.
    """
    first, last = known[version]
    to = max(schema, first)
    if to > last:
        raise ProblemError(
            f"the database has schema {schema:04d}; {version} reads {first:04d} to {last:04d}",
            remedy="To go back to an older release: `python -m steward rollback`.",
            code=2,
        )
    if not can_read(known, old, to):
        raise ProblemError(
            f"{version} needs schema {to:04d}, which {old}, that runs, cannot read",
            remedy="Go through a release that reads both: " + ", ".join(known),
            code=2,
        )
    return to


def _migrate(place: Place, version: str, to: int) -> None:
    runner = place.releases / version / "project-ai"
    install.run(
        ["env", f"DATABASE_URL=sqlite:///{place.database}", str(runner), "--migrate", "--to", str(to)]
    )


def _undo(place: Place, old: str) -> int:
    number = service.revision(place, old)
    if number is not None:
        return service.canary(place, "undo", "--to-revision", str(number))
    # A server that was recovered has no revisions of before.
    return service.canary(place, "start", old, "--skip-analysis", "--reason", "rollback by the steward")


def _kept_before(place: Place, version: str) -> Backup | None:
    try:
        return backup.newest(place, before=version)
    except ProblemError:
        return None
