"""`guard run`, `guard watchdog`: watch a container of risky code, and end it when a rule says so."""

from pathlib import Path
from typing import Annotated

import typer

from canary.cli import options
from canary.cli.output import Output, emit, print_line, say
from canary.errors import Exit

SOCKET = "unix:///var/run/docker.sock"

Rules = Annotated[
    Path, typer.Option("--rules", metavar="FILE", help="Such as safety_rules.yaml.", show_default=False)
]
Container = Annotated[
    str, typer.Option("--container", metavar="NAME", help="Name of the container.", show_default=False)
]
Docker = Annotated[
    str, typer.Option("--docker", metavar="ADDRESS", help="unix:///PATH or tcp://HOST:PORT; may be a filter.")
]
Reports = Annotated[
    Path | None,
    typer.Option(
        "--reports", metavar="PATH", help="Socket, made here, for the workload's reports.", show_default=False
    ),
]
Ledger = Annotated[
    Path | None,
    typer.Option(
        "--ledger",
        metavar="DIR",
        help="Folder of the ledger, out of the sandbox's reach.",
        show_default=False,
    ),
]
AlertUrl = Annotated[
    Path | None,
    typer.Option(
        "--alert-url-file",
        metavar="FILE",
        help="Holds the address that alerts are posted to.",
        show_default=False,
    ),
]
Listen = Annotated[
    str | None,
    typer.Option(
        "--listen", metavar="HOST:PORT", help="Where /metrics and /healthz are served.", show_default=False
    ),
]
Wait = Annotated[
    str | None,
    typer.Option(
        "--wait",
        metavar="DURATION",
        help="For the container to come; for ever if not given.",
        show_default=False,
    ),
]
BlindAfter = Annotated[
    str,
    typer.Option("--blind-after", metavar="DURATION", help="What is not seen or recorded so long is killed."),
]
Grace = Annotated[
    str, typer.Option("--grace", metavar="DURATION", help="Of graceful_shutdown, before the kill.")
]
Watchdog = Annotated[
    Path | None,
    typer.Option(
        "--watchdog",
        metavar="SOCKET",
        help="Of a `canary guard watchdog` that runs; one is started if not given.",
        show_default=False,
    ),
]
SealKey = Annotated[
    Path | None,
    typer.Option(
        "--seal-key", metavar="FILE", help="Seals the ledger; see `canary audit keygen`.", show_default=False
    ),
]
SealTo = Annotated[
    list[Path] | None,
    typer.Option(
        "--seal-to", metavar="FILE", help="Copies of the seals go there. May be repeated.", show_default=False
    ),
]
Check = Annotated[bool, typer.Option("--check", help="Say the rules in words, and end.")]
Socket = Annotated[
    Path | None,
    typer.Option(
        "--socket",
        metavar="PATH",
        help="Made here; `guard run --watchdog PATH` joins it.",
        show_default=False,
    ),
]
Heart = Annotated[int | None, typer.Option("--heart", hidden=True)]


def run(  # noqa: PLR0913 - a command's options are its arguments
    rules: Rules,
    *,
    container: Container = "",
    docker: Docker = SOCKET,
    reports: Reports = None,
    ledger: Ledger = None,
    alert_url_file: AlertUrl = None,
    listen: Listen = None,
    wait: Wait = None,
    blind_after: BlindAfter = "2s",
    grace: Grace = "10s",
    watchdog: Watchdog = None,
    seal_key: SealKey = None,
    seal_to: SealTo = None,
    check: Check = False,
    output: options.Out = Output.TEXT,
) -> None:
    """Watch a container of risky code, and end it when a rule says so.

    Started before the container, by a process that it cannot reach. Looks once a second, from outside.
    What it cannot see, or cannot record, it kills; when it dies itself, its watchdog kills.

    Exits 0 when the container ended by itself, 3 when a rule ended it, 2 when rules, options or the
    container are refused, 8 when it could not be seen or recorded, 130 or 143 when interrupted; in each
    case nothing runs any more. 1 is an internal fault.
    """
    from canary import wiring_guard

    found = wiring_guard.safety_rules(rules)
    if check:
        return emit(wiring_guard.rules_document(found), output, wiring_guard.rules_in_words(found))
    asked = wiring_guard.GuardOptions(
        found,
        _named(container),
        docker,
        ledger,
        reports,
        alert_url_file,
        listen=_address(listen),
        watchdog=watchdog,
        seal_key=seal_key,
        seal_to=tuple(seal_to or ()),
        wait_s=options.seconds(wait, "--wait"),
        blind_after_s=_above_zero(blind_after, "--blind-after"),
        grace_s=_above_zero(grace, "--grace"),
        json=output is not Output.TEXT,
    )
    raise typer.Exit(wiring_guard.guard(asked, _line if output is Output.YAML else print_line, say))


def watchdog(  # noqa: PLR0913 - a command's options are its arguments
    *,
    container: Container = "",
    docker: Docker = SOCKET,
    ledger: Ledger = None,
    seal_key: SealKey = None,
    seal_to: SealTo = None,
    alert_url_file: AlertUrl = None,
    blind_after: BlindAfter = "2s",
    socket: Socket = None,
    heart: Heart = None,
) -> None:
    """Kill a container when its monitor dies or falls silent.

    `canary guard run` starts one by itself. With --socket it runs on its own, such as a service beside the
    monitor: it waits for one monitor, and ends with it.

    Exits 0 when the monitor said goodbye, 8 when it died and the container was killed, 2 on wrong usage.
    """
    from canary import wiring_guard

    end = heart if heart is not None else socket
    if end is None:
        raise typer.BadParameter("name a --socket PATH for the monitor to join")
    asked = wiring_guard.WatchdogOptions(
        container=_named(container),
        docker=docker,
        ledger=ledger,
        seals=wiring_guard.guard_seals(seal_key, tuple(seal_to or ())),
        silent_after_s=_above_zero(blind_after, "--blind-after"),
        end=end,
        alert_url_file=alert_url_file,
    )
    raise typer.Exit(Exit.OK if wiring_guard.watchdog(asked, say) else Exit.UNREACHABLE)


def _line(text: str) -> None:
    """A line of JSON as a document of YAML, which it is, too."""
    print_line(f"--- {text}")


def _named(container: str) -> str:
    if not container:
        raise typer.BadParameter("name the container with --container NAME")
    return container


def _address(text: str | None) -> tuple[str, int] | None:
    if text is None:
        return None
    from canary.config.units import parse_address

    try:
        return parse_address(text)
    except ValueError as fault:
        raise typer.BadParameter(f"--listen: found {text!r}, {fault}") from fault


def _above_zero(text: str, option: str) -> float:
    found = options.seconds(text, option) or 0.0
    if found <= 0:
        raise typer.BadParameter(f"{option}: found {text!r}, wanted a duration above 0s")
    return found
