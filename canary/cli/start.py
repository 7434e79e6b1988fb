"""`canary start`: release a version and wait for the verdict."""

import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from canary.cli import options
from canary.cli.output import Output, emit, json_text, print_line
from canary.cli.plan import print_plan
from canary.cli.preflight import Skip, demanded, reasons
from canary.cli.result import result_document, result_text
from canary.cli.session import Session, conducted, is_live, opened, viewing
from canary.core.strategy import Promote
from canary.errors import CanaryError, Exit, InvalidError
from canary.ports import Recorded

if TYPE_CHECKING:
    from canary.begin import StartOptions

Version = Annotated[str, typer.Argument(metavar="VERSION", help="What to release, as its tag.")]
Timeout = Annotated[
    str | None,
    typer.Option("--timeout", help="Instead of the file's deadline, e.g. 30m.", show_default=False),
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Say what would be done; change nothing.")]
Supersede = Annotated[
    bool, typer.Option("--supersede", help="Roll back another release that is running, then start.")
]
Leave = Annotated[
    bool, typer.Option("--leave", help="Without a conclusion, leave the canary serving (exit 4).")
]
SkipAnalysis = Annotated[
    bool, typer.Option("--skip-analysis", help="Do not compare: for when stable itself is sick.")
]
Reason = Annotated[
    str,
    typer.Option(
        "--reason", help="Why --skip-analysis, or --skip; goes into the ledger.", show_default=False
    ),
]
InCluster = Annotated[
    bool, typer.Option("--in-cluster", help="Kubernetes: drive it as a Job there, and follow that.")
]
Detach = Annotated[bool, typer.Option("--detach", help="With --in-cluster: do not follow it.")]
Release = Annotated[str, typer.Option("--release", help="Its id, as the Job was given it.")]
PromoteBy = Annotated[
    Promote | None,
    typer.Option(
        "--promote",
        help="external: end with the verdict, the target is never touched (GitOps).",
        show_default=False,
        show_choices=True,
    ),
]
Objects = Annotated[
    list[str] | None,
    typer.Option(
        "--config-object",
        metavar="KIND/NAME",
        help="Configuration of the version that is there, as the Job was given it.",
        show_default=False,
    ),
]
Strict = Annotated[
    bool, typer.Option("--strict", help="Refuse while a point of `canary preflight` does not hold.")
]
Checked = Annotated[
    list[str] | None,
    typer.Option(
        "--preflight",
        metavar="POINT=STATUS",
        help="What was checked before, as the Job was given it.",
        show_default=False,
    ),
]
Trace = Annotated[
    Path | None,
    typer.Option("--trace", help="Record the release here, for `canary replay`.", show_default=False),
]


@dataclass(frozen=True)
class Asked:
    """What was asked for a release as a Job, as on the command line."""

    in_cluster: bool
    detach: bool
    timeout: str | None
    plain: bool
    output: Output
    promote: Promote | None = None


def start(  # noqa: PLR0913 - a command's options are its arguments
    version: Version,
    where: options.Where = options.HERE,
    *,
    config: options.Config = None,
    timeout: Timeout = None,
    dry_run: DryRun = False,
    supersede: Supersede = False,
    leave: Leave = False,
    skip_analysis: SkipAnalysis = False,
    strict: Strict = False,
    skip: Skip = None,
    reason: Reason = "",
    promote: PromoteBy = None,
    trace: Trace = None,
    in_cluster: InCluster = False,
    detach: Detach = False,
    plain: options.Plain = False,
    output: options.Out = Output.TEXT,
) -> None:
    """Release VERSION; promote it or roll it back by evidence.

    The same version again follows the release that is running, or takes it over when nobody drives it.
    With --config the version and its configuration are one: the same version with another is another.
    With --strict, or `preflight: {strict: true}`, it depends on `canary preflight` (exit 2 with the points).

    Exits 0 promoted, 2 usage, 3 rolled back, 4 no conclusion in time, 5 aborted, 6 superseded, 7 never
    ready, 8 out of reach too long, 9 another release is running, 130 and 143 interrupted.
    """
    from canary import wiring

    timeout_s = options.seconds(timeout, "--timeout")
    session = _opened(where, promote, config)
    if dry_run:
        print_plan(session, version, output)
        return
    points = demanded(session, version, reasons(skip, reason), strict=strict, supersede=supersede)
    asked = wiring.StartOptions(
        timeout_s=timeout_s,
        supersede=supersede,
        leave=leave,
        skip_analysis=skip_analysis,
        reason=reason,
        trace=trace,
        config=session.config,
        preflight=points,
    )
    _begin(session, where, version, asked, Asked(in_cluster, detach, timeout, plain, output, promote))


def _begin(
    session: Session, where: options.Where, version: str, options_: "StartOptions", asked: Asked
) -> None:
    """As a Job, or in this process."""
    if asked.in_cluster or asked.detach:
        from canary.cli.in_cluster import follow_job

        follow_job(session, where, version, options_, asked)
        return
    _drive(session, version, options_, plain=asked.plain, output=asked.output)


def _opened(where: options.Where, promote: Promote | None, config: options.Config = None) -> Session:
    """The session of a command that starts a release; the rest as it was asked on the command line."""
    session = opened(where, config=config)
    if promote is None:
        return session
    if session.settings.kubernetes is None and promote is Promote.EXTERNAL:
        raise InvalidError(
            f"--promote external is for Kubernetes: {session.target} is a local service, with no other owner",
            remedy="Leave it out.",
        )
    strategy = replace(session.settings.strategy, promote=promote)
    return replace(session, settings=replace(session.settings, strategy=strategy))


def _drive(session: Session, version: str, asked: "StartOptions", *, plain: bool, output: Output) -> None:
    """Drive it in this process, or follow who does, and exit by contract."""
    from canary import wiring

    with viewing(session, output, plain=plain) as view:
        if not asked.skip_analysis and (warning := _warning(session)):
            view.note(f"warning: {warning}")
        if names := [guard.name for guard in session.settings.strategy.guards]:
            view.note(f"guards {', '.join(names)} act by themselves, outside of the false-rollback rate")
        found = conducted(
            session, lambda: wiring.start(session.ports, session.settings, version, asked, view)
        )
        view.end(found.release)
    finish(session, found, output, plain=plain)


def run(  # noqa: PLR0913 - a command's options are its arguments
    version: Version,
    release: Release,
    where: options.Where = options.HERE,
    *,
    timeout: Timeout = None,
    supersede: Supersede = False,
    leave: Leave = False,
    skip_analysis: SkipAnalysis = False,
    reason: Reason = "",
    promote: PromoteBy = None,
    config_object: Objects = None,
    preflight: Checked = None,
    output: options.Out = Output.TEXT,
) -> None:
    """Drive one release to its end; what the Job runs.

    `canary start --in-cluster` makes that Job. A pod that comes after one that was lost goes on with its
    release; one that comes after its end returns its code.

    Exits like `canary start`.
    """
    from canary import wiring

    session = _opened(where, promote)
    asked = wiring.StartOptions(
        timeout_s=options.seconds(timeout, "--timeout"),
        supersede=supersede,
        leave=leave,
        skip_analysis=skip_analysis,
        reason=reason,
        release=release,
        config=tuple(config_object or ()),
        preflight=dict(one.partition("=")[::2] for one in preflight or ()),
    )
    _drive(session, version, asked, plain=True, output=output)


def _warning(session: Session) -> str:
    """That promotion is not expected by the deadline at today's traffic; empty when it is, or not known."""
    from canary.cli import planning

    try:
        found = session.record()
        if found is not None and not found.release.settled:
            return ""
        return planning.warning(session)
    except CanaryError:
        # Whatever is wrong, `start` itself comes upon it next and tells it with its own exit code.
        return ""


def finish(session: Session, found: Recorded, output: Output, *, plain: bool, wanted: str = "") -> None:
    """Print the result and exit by contract.

    Args:
        session: of the command.
        found: the record in the end.
        output: how to print.
        plain: no live view was asked for.
        wanted: the outcome that was asked for: it is a success then, if it was proved.
    """
    from canary import wiring

    release = found.release
    code = int(wiring.exit_code(release))
    if wanted and release.outcome == wanted:
        code = int(Exit.OK if "restored" in release.times else Exit.FOUND)
    document = result_document(release, code)
    if output is Output.JSON:
        print_line(json_text(document))
    elif not (is_live(output, plain=plain) and sys.stdout.isatty() and output is Output.TEXT and release.id):
        emit(document, output, result_text(release))
    raise typer.Exit(code)
