"""`audit export`, `audit verify`: the ledger of every look, decision, action and request."""

from pathlib import Path
from typing import Annotated, Any

import typer

from canary.cli import options
from canary.cli.output import Output, emit, json_text, print_line, yaml_text
from canary.cli.session import opened
from canary.core.ledger import Entry, encode
from canary.core.ledger import verify as verified
from canary.errors import Exit, MissingError
from canary.view import words


def export(
    target: options.Target = None, where: options.Where = options.HERE, output: options.Out = Output.JSON
) -> None:
    """Print the ledger as JSON lines, oldest entry first.

    The file that it makes is what `canary audit verify` checks. Exits 0, 2 when there is no ledger.
    """
    session = opened(where, target)
    entries = session.ports.ledger.read(session.target)
    if not entries:
        raise MissingError(
            f"there is no ledger of {session.target}", remedy="It begins with the first `canary start`."
        )
    for entry in entries:
        if output is Output.JSON:
            print_line(encode(entry))
        elif output is Output.YAML:
            print_line("---\n" + yaml_text(_document(entry)).rstrip("\n"))
        else:
            print_line(_line(entry))


def verify(
    ledger: Annotated[Path, typer.Argument(metavar="FILE", help="What `canary audit export` printed.")],
    file: Annotated[
        Path | None,
        typer.Option(
            "-f", "--file", help="Check its end against this target's record, too.", show_default=False
        ),
    ] = None,
    output: options.Out = Output.TEXT,
) -> None:
    """Check that a ledger is whole and unchanged.

    Every entry carries the hash of the one before it. That nothing is missing at its end can only be told
    with -f, from the record.

    Exits 0 when it is, 1 when it is not (the first bad entry is named), 2 when FILE cannot be read.
    """
    lines = _lines(ledger)
    found = opened(options.Where(file)).record() if file is not None else None
    head, length = (found.release.ledger_head, found.release.ledger_length) if found else ("", None)
    fault = verified(lines, head=head, length=length) if lines else "it holds no entries"
    document = {
        "file": str(ledger),
        "entries": len(lines),
        "good": fault is None,
        "fault": None if fault is None else str(fault),
        "entry": getattr(fault, "number", None),
        "exit_code": int(Exit.OK if fault is None else Exit.FOUND),
    }
    told = f"{len(lines)} entries, whole and unchanged" if fault is None else str(fault)
    emit(document, output, f"{ledger}: {told}")
    if fault is not None:
        raise typer.Exit(Exit.FOUND)


def _lines(path: Path) -> list[str]:
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as fault:
        raise MissingError(
            f"{path} cannot be read: {fault}", remedy="Make one with `canary audit export > FILE`."
        ) from fault
    # Only a line feed ends an entry: other line separators may stand inside a text.
    return text.removesuffix("\n").split("\n") if text else []


def _document(entry: Entry) -> dict[str, Any]:
    return {
        name: getattr(entry, name) for name in ("number", "at", "kind", "actor", "body", "previous", "hash")
    }


def _line(entry: Entry) -> str:
    body = json_text(entry.body)
    return words.cut(f"{entry.number:>6} {words.stamp(entry.at)} {entry.kind:<9} {entry.actor}  {body}", 400)
