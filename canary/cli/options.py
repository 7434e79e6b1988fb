"""The options that commands share, each said once."""

from pathlib import Path
from typing import Annotated

import typer

from canary.cli.output import Output

File = Annotated[
    Path | None,
    typer.Option("-f", "--file", help="The configuration; ./canary.yaml if not given.", show_default=False),
]
Out = Annotated[Output, typer.Option("-o", "--output", help="How data is printed.", show_choices=True)]
Plain = Annotated[bool, typer.Option("--plain", help="Timestamped lines instead of the live view.")]
Target = Annotated[
    str | None,
    typer.Argument(
        metavar="TARGET", help="The target; the one in the configuration if not given.", show_default=False
    ),
]
Why = Annotated[str, typer.Option("--why", help="In your words; goes into the ledger.", show_default=False)]


def seconds(text: str | None, option: str) -> float | None:
    """A duration as in `canary.yaml`: `90s`, `15m`, `4h`.

    Raises:
        typer.BadParameter: it is not one.
    """
    if text is None:
        return None
    from canary.config.units import parse_duration

    try:
        return parse_duration(text)
    except ValueError as fault:
        raise typer.BadParameter(f"{option}: found {text!r}, {fault}") from fault
