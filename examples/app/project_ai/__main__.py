"""Project-AI's service: serve, make and change the database, look at users, make load, switch faults."""

import argparse
import http.client
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from sqlalchemy.exc import SQLAlchemyError
from werkzeug.exceptions import BadRequest

from project_ai import faults, load, serving, settings
from project_ai.database import MOST, Users, connect
from project_ai.metrics import Metrics
from project_ai.problem import ProblemError, reason
from project_ai.releases import RELEASES, Release, release
from project_ai.schema import migrate, parse_schema, revision, schema_of, steps
from project_ai.web import State, parse_user

FIRST = "v1.0.0"


def parser() -> argparse.ArgumentParser:
    """The command line."""
    made = argparse.ArgumentParser(prog="python -m project_ai", description=__doc__)
    made.add_argument(
        "--release",
        default=os.environ.get("RELEASE") or FIRST,
        help=f"which release it is: {', '.join(RELEASES)}; default: RELEASE, or {FIRST}",
    )
    _add_address(made)
    made.add_argument(
        "--admin-port", type=int, help="port on 127.0.0.1 where faults are switched; default: none"
    )
    made.add_argument(
        "--fault",
        default=os.environ.get("FAULTS", ""),
        help="faults for exercises, such as errors=0.02,latency=0.5; see project_ai/faults.py",
    )
    does = made.add_mutually_exclusive_group()
    does.add_argument("--init", action="store_true", help="make the database, ready for the release")
    does.add_argument(
        "--migrate", action="store_true", help="bring the database to the schema the release needs"
    )
    does.add_argument(
        "--schema", action="store_true", help="say which schema the database has, and who reads it"
    )
    does.add_argument("--releases", action="store_true", help="say which schemas each release reads")
    made.add_argument("--to", metavar="SCHEMA", help="with --migrate: to this schema, or head")
    commands = made.add_subparsers(dest="command", metavar="COMMAND")
    user = commands.add_parser("user", help="look at users, or add one").add_subparsers(
        dest="action", required=True
    )
    user.add_parser("list", help="all users, one line of JSON each")
    adds = user.add_parser("add", help="add a user")
    adds.add_argument("name")
    adds.add_argument("--email")
    load.add_options(commands.add_parser("load", help="make load, as made-up users do"))
    switch = commands.add_parser("fault", help="switch faults of a process that runs with --admin-port")
    switch.add_argument("faults", help="such as errors=0.02; errors=0 switches it off; `none` all")
    switch.add_argument("--at", type=int, required=True, metavar="PORT", help="its --admin-port")
    return made


def _add_address(made: argparse.ArgumentParser) -> None:
    made.add_argument("--host", default="127.0.0.1", help="address to listen on; 0.0.0.0 in a container")
    made.add_argument("--port", type=int, default=8000, help="port to listen on")
    made.add_argument("--unix", type=Path, metavar="PATH", help="listen on this socket, and on no port")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; the exit status: 0, 2 for wrong usage or settings, 1 when the database said no."""
    made = parser()
    given = made.parse_args(arguments)
    if given.to and not given.migrate:
        made.error("--to goes with --migrate")
    try:
        return load.run(given) if given.command == "load" else _run(given)
    except ProblemError as fault:
        sys.stderr.write(f"project_ai: {fault}\n{fault.remedy}\n")
        return fault.code
    except BadRequest as fault:
        sys.stderr.write(f"project_ai: {fault.description}\n")
        return 2
    except SQLAlchemyError as fault:
        sys.stderr.write(
            f"project_ai: the database does not answer: {reason(fault)}\n"
            "Look at DATABASE_URL; a new database is made with `python -m project_ai --init`.\n"
        )
        return 1


def _run(given: argparse.Namespace) -> int:
    chosen = release(given.release)
    if given.command == "fault":
        return _switch(given)
    if given.init or given.migrate:
        return _migrate(chosen, parse_schema(given.to) if given.to else None, make=given.init)
    if given.releases:
        told = {name: {"reads": list(one.reads)} for name, one in RELEASES.items()}
        sys.stdout.write(json.dumps(told) + "\n")
        return 0
    if given.schema:
        return _tell_schema()
    if given.command == "user":
        return _user(given)
    return _serve(given)


def _serve(given: argparse.Namespace) -> int:
    chosen = release(given.release)
    serving.log_to_stderr()
    for name in settings.keys_in_environment():
        sys.stderr.write(
            f"project_ai: {name} is not read; put the key into a file and name it in {name}_FILE\n"
        )
    engine = connect(settings.database_url(), connections=serving.THREADS)
    state = State(chosen, Users(engine, chosen), Metrics(chosen.name))
    state.faults.switch(faults.parse(given.fault))
    address = serving.Address(given.host, given.port, given.unix)
    return serving.serve(state, address, admin_port=given.admin_port)


def _migrate(chosen: Release, to: int | None, *, make: bool) -> int:
    engine = connect(settings.database_url(), make=make, answer_s=0)
    if to is None:
        with engine.begin() as connection:
            found = schema_of(connection)
        # No further than the release needs: an older one may still serve beside it.
        to = found if chosen.can_read(found) else chosen.reads[0]
    before, after = migrate(engine, to)
    done = (
        f"brought from schema {revision(before)} to {revision(after)}" if before != after else "left as it is"
    )
    sys.stdout.write(f"the database is {done}; it has schema {revision(after)}\n")
    return 0


def _tell_schema() -> int:
    with connect(settings.database_url()).begin() as connection:
        found = schema_of(connection)
    readers = [one.name for one in RELEASES.values() if one.can_read(found)]
    told = {"schema": found, "step": steps().get(found, ""), "read_by": readers}
    sys.stdout.write(json.dumps(told) + "\n")
    return 0


def _user(given: argparse.Namespace) -> int:
    engine = connect(settings.database_url())
    with engine.begin() as connection:
        schema = schema_of(connection)
    # Which release serves does not matter here: all columns that are there are shown.
    newest = next((one for one in reversed(RELEASES.values()) if one.can_read(schema)), None)
    if newest is None:
        raise ProblemError(
            "the database has no schema yet", remedy="Make it: python -m project_ai --init", code=1
        )
    users = Users(engine, newest)
    if given.action == "add":
        body = json.dumps({"name": given.name, "email": given.email}).encode()
        sys.stdout.write(json.dumps(users.add(*parse_user(body, emails=newest.keeps_email))) + "\n")
        return 0
    after = 0
    while found := users.list(after=after, most=MOST):
        sys.stdout.writelines(json.dumps(one) + "\n" for one in found)
        after = found[-1]["id"]
    return 0


def _switch(given: argparse.Namespace) -> int:
    none = given.faults == "none"
    body = None if none else json.dumps(faults.parse(given.faults))
    connection = http.client.HTTPConnection("127.0.0.1", given.at, timeout=10)
    try:
        connection.request("DELETE" if none else "PUT", "/faults", body)
        sys.stdout.write(connection.getresponse().read().decode())
    except (OSError, http.client.HTTPException) as fault:
        raise ProblemError(
            f"nobody switches faults on 127.0.0.1:{given.at}: {fault}", remedy="Start it with --admin-port."
        ) from None
    finally:
        connection.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
