"""`audit export`, `audit keygen`: the ledger as it stands, and keys that seal it."""

from pathlib import Path
from typing import Annotated, Any

import typer

from canary.cli import options
from canary.cli.output import Output, emit, json_text, print_line, yaml_text
from canary.cli.session import opened
from canary.core.ledger import Entry, encode
from canary.errors import MissingError
from canary.seal.keys import Algorithm, generate
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


def keygen(
    path: Annotated[Path, typer.Argument(metavar="FILE", help="A new file for the key.")],
    algorithm: Annotated[
        Algorithm,
        typer.Option(
            "--algorithm",
            help="ed25519: its public half checks seals and cannot make them. hmac-sha256: needs no library.",
            show_choices=True,
        ),
    ] = Algorithm.ED25519,
    output: options.Out = Output.TEXT,
) -> None:
    """Make a key that seals the ledger, in a new file.

    Only its owner can read the file; none is ever written over. `ledger.seal.key_file` then names it.

    Exits 0, or 2 when something is there already, or it cannot be written.
    """
    key, public = generate(path, algorithm)
    document = {
        "file": str(path),
        "public": str(public) if public else None,
        "algorithm": key.algorithm,
        "key": key.id,
    }
    told = [f"{path}: {key.algorithm} key {key.id}, which makes seals: for drivers alone"]
    if public is not None:
        told.append(f"{public}: its public half, which is enough for `canary audit verify --key {public}`")
    else:
        told.append(f"`canary audit verify --key {path}` needs this same secret; an ed25519 key would not")
    emit(document, output, "\n".join(told))


def _document(entry: Entry) -> dict[str, Any]:
    return {
        name: getattr(entry, name) for name in ("number", "at", "kind", "actor", "body", "previous", "hash")
    }


def _line(entry: Entry) -> str:
    body = json_text(entry.body)
    return words.cut(f"{entry.number:>6} {words.stamp(entry.at)} {entry.kind:<9} {entry.actor}  {body}", 400)
