"""The command tree, and the one place where faults become words and exit codes.

Walk through: `main` parses, the command asks one port, `CanaryError` -> message, remedy and exit code.
"""

import os
import sys
import tempfile
import traceback
from collections.abc import Callable, Sequence
from types import TracebackType

import typer
from typer.main import get_command

from canary import __version__
from canary.cli import (
    audit,
    control,
    guard,
    inspect,
    kubernetes,
    local,
    options,
    output,
    plan,
    preflight,
    replay,
    start,
    verify,
)
from canary.cli.output import Output, emit
from canary.errors import CanaryError, Exit

HELP = """Progressive delivery that decides by itself: step by step, by evidence, and back when in doubt.

A new version gets a part of the traffic, is compared with the stable one, and is promoted or rolled back.
"""

Command = tuple[Callable[..., None], str, tuple[str, ...]]


def version(output_: options.Out = Output.TEXT) -> None:
    """Print the version of canary. Exits 0."""
    emit({"version": __version__}, output_, __version__)


COMMANDS: tuple[Command, ...] = (
    (plan.init, "init", ("canary init", "canary init -f shop/canary.yaml --force")),
    (
        plan.plan,
        "plan",
        ("canary plan", "canary plan v1.1.0 -o json", "canary plan v1.1.0 --config settings.yaml"),
    ),
    (
        preflight.preflight,
        "preflight",
        (
            "canary preflight",
            "canary preflight --only network -o json",
            'canary preflight --skip monitoring --reason "another team watches it"',
        ),
    ),
    (
        start.start,
        "start",
        (
            "canary start v1.1.0",
            "canary start v1.1.0 --timeout 30m -o json",
            "canary start v1.1.0 --in-cluster",
            "canary start v1.1.0 --strict",
            "canary start v1.1.0 --config settings.yaml --config password.yaml",
            'canary start v1.1.1 --skip-analysis --reason "stable is down, this is the fix"',
        ),
    ),
    (
        start.run,
        "run",
        ("canary run v1.1.0 --release web-v1.1.0-20260102T030405 -f /etc/canary/canary.yaml",),
    ),
    (inspect.status, "status", ("canary status", "canary status shop -o json")),
    (inspect.watch, "watch", ("canary watch", "canary watch --plain")),
    (control.pause, "pause", ("canary pause", 'canary pause --for 4h --why "looking at the graphs"')),
    (control.resume, "resume", ("canary resume",)),
    (control.promote, "promote", ('canary promote --why "checked by hand"',)),
    (control.abort, "abort", ('canary abort --why "customers complain"',)),
    (control.undo, "undo", ("canary undo", "canary undo --to-revision 3")),
    (inspect.history, "history", ("canary history", "canary history -o yaml")),
    (replay.replay, "replay", ("canary replay release.jsonl", "canary replay *.jsonl --looks -o json")),
    (kubernetes.cleanup, "cleanup", ("canary cleanup", "canary cleanup -n shop --yes")),
    (
        kubernetes.rbac,
        "rbac",
        (
            "canary rbac --for driver | kubectl apply -f -",
            "canary rbac --for driver --with configmap --with secret",
            "canary rbac --for preflight",
        ),
    ),
    (local.demo, "demo", ("canary demo", "canary demo --fault latency")),
    (plan.schema, "schema", ("canary schema > canary.schema.json",)),
    (version, "version", ("canary version", "canary version -o json")),
)

GROUPS: tuple[tuple[str, str, tuple[Command, ...]], ...] = (
    (
        "audit",
        "Export the ledger, and verify that it is whole and unchanged.",
        (
            (audit.export, "export", ("canary audit export > ledger.jsonl",)),
            (
                verify.verify,
                "verify",
                (
                    "canary audit verify ledger.jsonl",
                    "canary audit verify --ledger /var/lib/canary/guard",
                    "canary audit verify --key seal.key.pub --seals /mnt/audit/shop.seals",
                ),
            ),
            (audit.keygen, "keygen", ("canary audit keygen seal.key",)),
        ),
    ),
    (
        "guard",
        "Watch a risky container, and end it when a rule says so.",
        (
            (
                guard.run,
                "run",
                (
                    "canary guard run --rules safety_rules.yaml --check",
                    "canary guard run --rules safety_rules.yaml --container sandbox \\\n"
                    "    --ledger /var/lib/canary/guard --reports /run/canary-reports/socket",
                ),
            ),
            (
                guard.watchdog,
                "watchdog",
                ("canary guard watchdog --container sandbox --socket /run/canary/watchdog.sock",),
            ),
        ),
    ),
    (
        "local",
        "Run a service on this machine, to release to.",
        ((local.up, "up", ("canary local up", "canary local up -f shop/canary.yaml")),),
    ),
)


def build() -> typer.Typer:
    """The command tree, with an example in the help of each command."""
    app = _group(HELP, add_completion=True)
    for command in COMMANDS:
        _add(app, command)
    for name, told, commands in GROUPS:
        group = _group(told)
        for command in commands:
            _add(group, command)
        app.add_typer(group, name=name)
    return app


def _group(told: str, *, add_completion: bool = False) -> typer.Typer:
    return typer.Typer(
        help=told,
        add_completion=add_completion,
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    )


def _add(app: typer.Typer, command: Command) -> None:
    function, name, examples = command
    shown = "\n".join(f"  {example}" for example in examples)
    app.command(name, epilog=f"\b\nExamples:\n{shown}")(options.located(function))


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command.

    Returns:
        Its exit code. Faults told to the user never leave as exceptions; a fault of the program does, and
        `told_briefly` tells it.
    """
    given = list(sys.argv[1:] if arguments is None else arguments)
    try:
        code = get_command(build()).main(args=given or ["--help"], prog_name="canary", standalone_mode=False)
    except CanaryError as fault:
        return _tell(fault, given)
    except typer.TyperException as fault:
        return _tell(_usage(fault), given)
    except (typer.Abort, KeyboardInterrupt):
        output.say("interrupted")
        return Exit.INTERRUPTED
    except BrokenPipeError:
        _drop_stdout()
        return Exit.OK
    return int(code or 0)


def _usage(fault: typer.TyperException) -> CanaryError:
    """A fault of the command line as one of ours."""
    path = getattr(getattr(fault, "ctx", None), "command_path", "canary")
    told = CanaryError(fault.format_message(), remedy=f"See `{path} --help`.")
    told.exit = Exit.USAGE
    return told


def _tell(fault: CanaryError, given: Sequence[str]) -> int:
    try:
        if output.asked_output(given) is Output.JSON:
            output.print_line(output.json_text(output.fault_document(fault)))
        output.say_fault(fault)
    except BrokenPipeError:
        _drop_stdout()
    return int(fault.exit)


def _drop_stdout() -> None:
    """Whoever read our output has gone away: what is still buffered goes nowhere, quietly."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def told_briefly(
    kind: type[BaseException], fault: BaseException, trace: TracebackType | None
) -> None:  # pragma: no cover - runs in the dying interpreter; tested from outside
    """Tell a fault of the program in one line, and where its details are; for `sys.excepthook`."""
    details = "".join(traceback.format_exception(kind, fault, trace))
    if os.environ.get("CANARY_DEBUG") == "1":
        output.say(details)
        return
    try:
        with tempfile.NamedTemporaryFile("w", prefix="canary-", suffix=".log", delete=False) as log:
            log.write(f"canary {__version__}\n{' '.join(sys.argv)}\n\n{details}")
        place = f"details: {log.name}"
    except OSError:
        place = "the details could not be written; set CANARY_DEBUG=1 to see them"
    told = CanaryError(
        f"internal fault: {kind.__name__}: {fault}; {place}",
        remedy="This is a fault in canary; please report it with the details. CANARY_DEBUG=1 shows them.",
    )
    _tell(told, sys.argv[1:])
