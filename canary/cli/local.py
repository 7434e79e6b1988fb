"""`local up` and `demo`: the embedded runtime."""

from pathlib import Path
from typing import Annotated

import typer

from canary.cli import options
from canary.cli.output import Output
from canary.errors import InvalidError

HEADROOM_S = 300.0
"""Scrapes are kept this much longer than the longest release needs, seconds."""


def up(file: options.File = None, output: options.Out = Output.TEXT) -> None:
    """Keep a local service running, behind one address, until Ctrl-C.

    What it keeps on disk lets it go on where it was, whatever happened.

    Exits 0 when stopped, 2 when the configuration is wrong, a port is in use or the service does not start.
    """
    from canary import wiring
    from canary.local import supervisor

    settings = wiring.settings(file)
    if settings.local is None:
        raise InvalidError(
            f"{settings.path}: there is no local service to run; target.deployment names a Deployment",
            remedy="Set `target: {local: NAME}` and a `local:` section; see `canary init`.",
        )
    strategy = settings.strategy
    # A driver that takes over at the last moment of the longest release still reads all of its evidence.
    longest = strategy.history_s + strategy.deadline_s + strategy.pause_max_s
    supervisor.run(settings.local, keep_s=max(supervisor.KEEP_S, longest + HEADROOM_S))


def demo(
    fault: Annotated[
        str | None,
        typer.Option(help="One release with this fault: errors, latency, crash or none.", show_default=False),
    ] = None,
    seed: Annotated[
        int | None, typer.Option(help="Of the load and of the service.", show_default=False)
    ] = None,
    keep: Annotated[
        bool | None,
        typer.Option(
            "--keep/--no-keep", help="Leave service and load running in the end.", show_default=False
        ),
    ] = None,
    directory: Annotated[
        Path | None, typer.Option(help="Where it plays; ./canary-demo if not given.", show_default=False)
    ] = None,
    plain: options.Plain = False,
) -> None:
    """Release a bad and a good version of a real service.

    Real processes, real traffic, about a minute and a half. Exits 0 when all went as it should, else 1.
    """
    from canary.local.demo.demo import DemoOptions, run

    raise typer.Exit(run(DemoOptions(fault=fault, seed=seed, keep=keep, directory=directory, plain=plain)))
