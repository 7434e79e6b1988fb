"""`preflight`: whether the ten points hold, and what a release that depends on them is told."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from canary.cli import options
from canary.cli.output import Output, emit
from canary.cli.session import Session, opened
from canary.errors import Exit, InvalidError
from canary.preflight.checks import stopping
from canary.preflight.finding import Finding, Point, Status

Only = Annotated[
    list[Point] | None,
    typer.Option("--only", metavar="POINT", help="Check this point alone; may be repeated."),
]
Skip = Annotated[
    list[Point] | None,
    typer.Option("--skip", metavar="POINT", help="A point that does not count; may be repeated."),
]
Reason = Annotated[str, typer.Option("--reason", help="Why --skip.", show_default=False)]

WORDS = {
    Status.PASS: "pass",
    Status.FAIL: "FAIL",
    Status.UNKNOWN: "UNKNOWN",
    Status.NOT_APPLICABLE: "n/a",
}
INDENT = " " * 22


Container = Annotated[
    str,
    typer.Option(
        "--container", metavar="NAME", help="A Docker container for risky code.", show_default=False
    ),
]
Docker = Annotated[
    str,
    typer.Option("--docker", metavar="ADDRESS", help="With --container: unix:///PATH or tcp://HOST:PORT."),
]
Ledger = Annotated[
    Path | None,
    typer.Option("--ledger", metavar="DIR", help="With --container: of `guard run`.", show_default=False),
]
Key = Annotated[
    list[Path] | None,
    typer.Option("--key", metavar="FILE", help="With --ledger: checks its seals.", show_default=False),
]
Seals = Annotated[
    list[Path] | None,
    typer.Option("--seals", metavar="FILE", help="With --ledger: copies of its seals.", show_default=False),
]
Prometheus = Annotated[
    str,
    typer.Option("--prometheus", metavar="URL", help="With --container: has its alerts.", show_default=False),
]


def preflight(  # noqa: PLR0913 - a command's options are its arguments
    target: options.Target = None,
    where: options.Where = options.HERE,
    *,
    container: Container = "",
    docker: Docker = "unix:///var/run/docker.sock",
    ledger: Ledger = None,
    key: Key = None,
    seals: Seals = None,
    prometheus: Prometheus = "",
    only: Only = None,
    skip: Skip = None,
    reason: Reason = "",
    output: options.Out = Output.TEXT,
) -> None:
    """Check the ten points that must hold before a release.

    Each is looked at where it holds, in the cluster or on this machine, and told with what was seen and how
    to mend it. What cannot be shown counts as a failure. Nothing is changed. The points: backup, monitoring,
    hardening, upgrade, recovery, access, secrets, network, limits, audit. `canary start --strict` depends
    on them. With --container they are asked of a sandbox, which has no configuration and no releases.

    Exits 0 when all hold, 1 when one does not or cannot be shown, 2 usage, 8 out of reach.
    """
    skipped = reasons(skip, reason)
    if container:
        from canary import wiring_guard

        asked = wiring_guard.BoxOptions(
            container, docker, ledger, tuple(key or ()), tuple(seals or ()), prometheus
        )
        return _told(container, wiring_guard.preflight(asked, only or (), skipped), output)
    if ledger or key or seals or prometheus:
        raise typer.BadParameter("--ledger, --key, --seals and --prometheus go with --container")
    session = opened(where, target)
    from canary import wiring

    found = wiring.preflight(session.settings, session.ports, only=only or (), skipped=skipped)
    _told(session.target, found, output)


def _told(target: str, found: Sequence[Finding], output: Output) -> None:
    code = Exit.FOUND if stopping(found) else Exit.OK
    emit(document(target, found, code), output, text(target, found))
    if code is not Exit.OK:
        raise typer.Exit(code)


def reasons(skip: Sequence[Point] | None, reason: str) -> Mapping[Point, str]:
    """Points that do not count, with why.

    Raises:
        InvalidError: no reason is given.
    """
    if skip and not reason.strip():
        raise InvalidError(
            "--skip needs a --reason: whoever reads of the release must know why",
            remedy='For instance --skip network --reason "the host firewall does it".',
        )
    return {point: reason.strip() for point in skip or ()}


def demanded(
    session: Session, version: str, skipped: Mapping[Point, str], *, strict: bool, supersede: bool
) -> Mapping[str, str]:
    """What a release that depends on the points records of them; nothing when it does not.

    A release that is under way was checked when it began: who joins it is not asked again.

    Raises:
        InvalidError: a point does not hold, or points are skipped of which nothing depends.
    """
    if not (strict or session.settings.preflight.strict):
        if skipped:
            raise InvalidError(
                "--skip goes with --strict: nothing is checked without",
                remedy="Leave it out, or set `preflight: {strict: true}`.",
            )
        return {}
    found = session.record()
    running = found is not None and not found.release.settled
    if found is not None and running and (found.release.version == version or not supersede):
        return {}
    from canary import wiring

    points = wiring.preflight(session.settings, session.ports, skipped=skipped, starting=running)
    if stops := stopping(points):
        raise InvalidError(
            f"{version} was not started, and nothing was touched: of {len(points)} points that must hold for "
            f"{session.target}, {len(stops)} do not",
            faults=[f"{one.point} ({_word(one)}): {one.evidence[0]}" for one in stops],
            remedy=f"`canary preflight{session.how}` tells how to mend them; "
            "`--skip POINT --reason TEXT` goes into the ledger.",
        )
    return {str(one.point): one.word for one in points}


def document(target: str, found: Sequence[Finding], code: Exit) -> dict[str, Any]:
    """The findings for programs."""
    return {
        "target": target,
        "points": [
            {
                "id": str(one.point),
                "title": one.title,
                "status": str(one.status),
                "skipped": one.skipped or None,
                "evidence": list(one.evidence),
                "fix": list(one.fixes),
            }
            for one in found
        ],
        "stopping": [str(one.point) for one in stopping(found)],
        "exit_code": int(code),
    }


def text(target: str, found: Sequence[Finding]) -> str:
    """The findings for people: the points in a table, with what was seen below each."""
    lines = []
    for one in found:
        lines.append(f"{_word(one):<10}{one.point:<12}{one.title}")
        lines += [f"{INDENT}{told}" for told in one.evidence]
        if one.stops:
            lines += [f"{INDENT}-> {fix}" for fix in one.fixes]
        if one.skipped:
            lines.append(f"{INDENT}skipped: {one.skipped}")
    stops = stopping(found)
    unknown = sum(one.status is Status.UNKNOWN for one in stops)
    told = f"{target}: {len(found) - len(stops)} of {len(found)} points hold"
    if stops:
        told += f"; not: {', '.join(str(one.point) for one in stops)}"
    if unknown:
        told += f" ({unknown} cannot be shown, which counts as a failure)"
    return "\n".join([*lines, "", told])


def _word(finding: Finding) -> str:
    return "skipped" if finding.skipped and finding.status is not Status.PASS else WORDS[finding.status]
