"""`init`, `plan`, `schema`: change nothing that runs."""

from pathlib import Path
from typing import Annotated

import typer

from canary.cli import options
from canary.cli.output import Output, emit, print_line, say
from canary.cli.planning import plan_document, plan_text
from canary.cli.session import Session, opened
from canary.errors import BusyError, InvalidError


def init(
    file: options.File = None,
    force: Annotated[bool, typer.Option("--force", help="Overwrite a file that is there.")] = False,
    output: options.Out = Output.TEXT,
) -> None:
    """Write a commented canary.yaml to begin with.

    Then edit it and run `canary plan`. Exits 0 when written, 2 when there is a file already.
    """
    from canary.config.template import init_template

    path = file or Path("canary.yaml")
    try:
        with path.open("w" if force else "x", encoding="utf-8") as stream:
            stream.write(init_template())
    except FileExistsError as fault:
        raise InvalidError(
            f"{path} is there already; nothing was written",
            remedy="Name another with -f, or overwrite it with --force.",
        ) from fault
    except OSError as fault:
        raise InvalidError(
            f"{path} cannot be written: {fault.strerror}", remedy="Name another place with -f."
        ) from fault
    document = {"written": str(path), "exit_code": 0}
    how = f" -f {file}" if file else ""
    emit(document, output, f"wrote {path}; edit it, then `canary local up{how}` and `canary plan{how}`")


def plan(
    version: Annotated[
        str | None, typer.Argument(metavar="VERSION", help="What would be released.", show_default=False)
    ] = None,
    where: options.Where = options.HERE,
    config: options.Config = None,
    output: options.Out = Output.TEXT,
) -> None:
    """Show what a release would do; change nothing.

    The steps with their replicas and real shares, what promotion needs, how long a rollback takes; with
    --config the objects that would be made, and the references to them.

    Exits 0, or 2 when the configuration is wrong or there is no such target.
    """
    print_plan(opened(where, config=config), version, output)


def print_plan(session: Session, version: str | None, output: Output) -> None:
    """The plan, as `plan` and `start --dry-run` print it.

    Raises:
        BusyError: another release is in the way of this version.
    """
    document = plan_document(session, version)
    found = session.record()
    if found is not None and not found.release.settled and version not in {None, found.release.version}:
        raise BusyError(
            f"{found.release.version} is being released to {session.target}; {version} would not be started",
            remedy="Wait for it (`canary watch`), end it (`canary abort`), or start with --supersede.",
        )
    emit(document, output, plan_text(document))
    if version is not None and output is Output.TEXT:
        say(f"Nothing was changed. Start it with `canary start {version}{session.how}{_given(session)}`.")


def _given(session: Session) -> str:
    """The configuration of the version as options."""
    files = dict.fromkeys(one.place.rpartition(": document ")[0] for one in session.given)
    return "".join(f" --config {file}" for file in files)


def schema(output: options.Out = Output.JSON) -> None:
    """Print the JSON schema of canary.yaml, for editors. Exits 0."""
    from canary.cli.output import json_text
    from canary.config.load import schema_document

    document = schema_document()
    if output is Output.YAML:
        emit(document, output, "")
    else:
        print_line(json_text(document, indent=2))
