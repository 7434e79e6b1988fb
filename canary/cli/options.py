"""The options that commands share, each said once."""

import functools
import inspect
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from canary.cli.output import Output

File = Annotated[
    Path | None,
    typer.Option("-f", "--file", help="The configuration; ./canary.yaml if not given.", show_default=False),
]
Namespace = Annotated[
    str | None,
    typer.Option(
        "-n", "--namespace", help="Kubernetes: instead of the file's namespace.", show_default=False
    ),
]
Context = Annotated[
    str | None,
    typer.Option("--context", help="Kubernetes: of the kubeconfig, not the current one.", show_default=False),
]
Out = Annotated[Output, typer.Option("-o", "--output", help="How data is printed.", show_choices=True)]
Plain = Annotated[bool, typer.Option("--plain", help="Timestamped lines instead of the live view.")]
Target = Annotated[
    str | None,
    typer.Argument(
        metavar="TARGET", help="The target; the one in the configuration if not given.", show_default=False
    ),
]
Config = Annotated[
    list[Path] | None,
    typer.Option(
        "--config",
        metavar="FILE",
        help="Kubernetes: ConfigMaps and Secrets to release with it, as YAML; may be repeated.",
        show_default=False,
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


@dataclass(frozen=True)
class Where:
    """Which target a command is about. A command that takes it has the options `-f`, `-n` and `--context`."""

    file: Path | None = None
    namespace: str | None = None
    context: str | None = None

    @property
    def how(self) -> str:
        """The options that lead here again."""
        given = (("-f", self.file), ("-n", self.namespace), ("--context", self.context))
        return "".join(f" {option} {value}" for option, value in given if value is not None)


HERE = Where()
"""Nothing given: ./canary.yaml, and what it and the kubeconfig name."""

_PLACES = {"file": File, "namespace": Namespace, "context": Context}


def located(function: Callable[..., None]) -> Callable[..., None]:
    """The command with its parameter `where`, if it has one, as three options."""
    signature = inspect.signature(function)
    if "where" not in signature.parameters:
        return function
    shown: list[inspect.Parameter] = []
    for parameter in signature.parameters.values():
        if parameter.name == "where":
            shown += [
                inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=kind)
                for name, kind in _PLACES.items()
            ]
        else:
            shown.append(parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY))

    @functools.wraps(function)
    def command(**given: Any) -> None:  # noqa: ANN401 - whatever the command takes
        function(where=Where(**{name: given.pop(name) for name in _PLACES}), **given)

    command.__signature__ = signature.replace(parameters=shown)  # type: ignore[attr-defined]
    command.__annotations__ = {one.name: one.annotation for one in shown} | {"return": None}
    return command
