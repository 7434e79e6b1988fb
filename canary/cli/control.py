"""`pause`, `resume`, `promote`, `abort`, `undo`: a person's wish, written into the record.

A live driver obeys within two seconds. When nobody drives, the command drives the release itself.
"""

from typing import Annotated

import typer

from canary.cli import options
from canary.cli.output import Output, emit
from canary.cli.session import conducted, opened, stands, viewing
from canary.cli.start import finish
from canary.core.release import Outcome, Request, RequestKind
from canary.ports import Recorded

WANTED = {
    RequestKind.ABORT: Outcome.ABORTED,
    RequestKind.PROMOTE: Outcome.PROMOTED,
    RequestKind.UNDO: Outcome.UNDONE,
}


def pause(
    where: options.Where = options.HERE,
    for_: Annotated[
        str | None,
        typer.Option("--for", help="How long, e.g. 4h; pause_max if not given.", show_default=False),
    ] = None,
    why: options.Why = "",
    plain: options.Plain = False,
    output: options.Out = Output.TEXT,
) -> None:
    """Hold the running release where it is. Evidence of harm still rolls it back.

    It ends with `canary resume`, or by itself after --for. Exits 0 when recorded, 2 when nothing runs.
    """
    _ask(RequestKind.PAUSE, where, why, plain, output, for_s=options.seconds(for_, "--for"))


def resume(
    where: options.Where = options.HERE,
    why: options.Why = "",
    plain: options.Plain = False,
    output: options.Out = Output.TEXT,
) -> None:
    """Go on with a paused release.

    Follow it with `canary watch`. Exits 0 when recorded, 2 when nothing runs.
    """
    _ask(RequestKind.RESUME, where, why, plain, output)


def promote(
    where: options.Where = options.HERE,
    why: options.Why = "",
    plain: options.Plain = False,
    output: options.Out = Output.TEXT,
) -> None:
    """Promote the running release now, without more evidence.

    Follow it with `canary watch`; `canary undo` takes it back. Exits 0 when recorded, 2 when nothing runs.
    """
    _ask(RequestKind.PROMOTE, where, why, plain, output)


def abort(
    where: options.Where = options.HERE,
    why: options.Why = "",
    plain: options.Plain = False,
    output: options.Out = Output.TEXT,
) -> None:
    """Send all traffic back to the stable version.

    Asking twice is harmless. Follow it with `canary watch`. Exits 0 when recorded, 2 when nothing runs.
    """
    _ask(RequestKind.ABORT, where, why, plain, output)


def undo(
    where: options.Where = options.HERE,
    to_revision: Annotated[
        int | None,
        typer.Option("--to-revision", help="A number from `canary history`.", show_default=False),
    ] = None,
    why: options.Why = "",
    plain: options.Plain = False,
    output: options.Out = Output.TEXT,
) -> None:
    """Bring the last good version back, and prove that it serves.

    While a release runs, it is rolled back. Exits 0 when restored, 1 when that could not be proved, 2 when
    there is nothing to undo.
    """
    from canary import wiring

    session = opened(where)
    with viewing(session, output, plain=plain) as view:
        found = conducted(
            session,
            lambda: wiring.undo(session.ports, session.settings, number=to_revision, why=why, reporter=view),
        )
        view.end(found.release)
    finish(session, found, output, plain=plain, wanted=Outcome.UNDONE)


def _ask(
    kind: RequestKind,
    where: options.Where,
    why: str,
    plain: bool,
    output: Output,
    *,
    for_s: float | None = None,
) -> None:
    from canary import wiring

    session = opened(where)
    wish = Request(kind, wiring.actor(), session.ports.clock.now(), why, for_s)
    with viewing(session, output, plain=plain) as view:
        found = conducted(
            session, lambda: wiring.request(session.ports, session.settings, wish, reporter=view)
        )
        if found.release.settled:
            view.end(found.release)
    if found.release.settled:
        finish(session, found, output, plain=plain, wanted=WANTED.get(kind, ""))
    _recorded(kind, found, session.how, output)


def _recorded(kind: RequestKind, found: Recorded, how: str, output: Output) -> None:
    release = found.release
    document = {
        "target": release.target,
        "version": release.version,
        "recorded": str(kind),
        "phase": str(release.phase),
        "exit_code": 0,
    }
    text = f"{kind} recorded: {release.target} {release.version}, {stands(release)}"
    emit(document, output, f"{text}. The driver obeys within two seconds; see `canary watch{how}`.")
