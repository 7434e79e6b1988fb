"""`python -m steward`: look after one server."""

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from steward import backup, drill, install, service, upgrade
from steward.backup import Why
from steward.install import can_read
from steward.place import Place, read
from steward.problem import ProblemError
from steward.say import say


def parser() -> argparse.ArgumentParser:
    """The command line."""
    made = argparse.ArgumentParser(prog="python -m steward", description=__doc__)
    made.add_argument(
        "--at", type=Path, default=Path(), metavar="FOLDER", help="of server.toml; default: here"
    )
    commands = made.add_subparsers(dest="command", required=True, metavar="COMMAND")

    def command(name: str, what: str) -> argparse.ArgumentParser:
        return commands.add_parser(name, help=what, description=what)

    command("install", "install a release beside the others").add_argument("version")
    command("backup", "back up data and configuration, look whether it is good, take old ones away")
    command("verify", "look whether a backup is whole").add_argument("backup", type=Path)
    command("restore", "bring the data of a backup back, while the service runs").add_argument(
        "backup", type=Path
    )
    command("recover", "bring a server back where there is none").add_argument("backup", type=Path)
    tried = command("drill", "recover in an empty folder, compare, measure; touches nothing that runs")
    tried.add_argument("--backup", type=Path, help="default: the newest that is good")
    up = command("upgrade", "backup, migrate, release; exits as `canary start` does")
    up.add_argument("version")
    back = command("rollback", "back to the release before; data too when it cannot read them")
    back.add_argument("--backup", type=Path, help="default: the newest from before the running release")
    for one in (up, back):
        one.add_argument("--restore-data", action="store_true", help="bring the data of before back, too")
    command("finish", "the last step of the schema; from then on the way back needs the backup")
    return made


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; the exit status. 2: nothing was touched; 1: it has failed."""
    os.umask(0o077)
    given = parser().parse_args(arguments)
    try:
        return _run(read(given.at), given)
    except ProblemError as fault:
        say(f"steward: {fault}\n{fault.remedy}")
        return fault.code


def _run(place: Place, given: argparse.Namespace) -> int:
    """What changes nothing that runs, or else the one command that does."""
    if given.command == "backup":
        return _backup(place)
    if given.command == "verify":
        return _verify(given.backup)
    if given.command == "drill":
        return drill.drill(place, given.backup)
    with place.alone():
        return _changed(place, given)


def _changed(place: Place, given: argparse.Namespace) -> int:
    if given.command == "install":
        say(f"{given.version} is in {install.release(place, given.version)}")
        return 0
    if given.command == "restore":
        return _restore(place, given.backup)
    if given.command == "recover":
        return _recover(place, given.backup)
    if given.command == "upgrade":
        return upgrade.upgrade(place, given.version, restore_data=given.restore_data)
    if given.command == "rollback":
        return upgrade.rollback(place, restore_data=given.restore_data, archive=given.backup)
    return upgrade.finish(place)


def _backup(place: Place) -> int:
    found = service.standing(place)
    made = backup.make(place, Why(found.stable if found else _ran(place)))
    say(f"{made.archive}: {made.told}")
    return 0


def _ran(place: Place) -> str | None:
    """What ran when it was last backed up."""
    try:
        return backup.newest(place).serving
    except ProblemError:
        return None


def _verify(archive: Path) -> int:
    found = backup.opened(archive)
    say(f"{archive} is whole: {found.told}")
    return 0


def _restore(place: Place, archive: Path) -> int:
    kept = backup.opened(archive)
    found = service.standing(place)
    if found is not None and not can_read(
        install.reads(place, found.stable), found.stable, kept.content.schema
    ):
        raise ProblemError(
            f"{found.stable}, which runs, cannot read schema {kept.content.schema:04d} of {archive}",
            remedy="Go back with its release: `python -m steward rollback --backup FILE`.",
            code=2,
        )
    upgrade.put_back(place, kept, found.stable if found else kept.serving)
    return 0


def _recover(place: Place, archive: Path) -> int:
    kept = drill.recover(place, archive)
    say(f"{kept.serving} with {kept.content.users} users is there. Start it: canary local up")
    return 0


if __name__ == "__main__":
    sys.exit(main())
