"""`audit verify`: the chain, the seals in it, and copies of seals that lie elsewhere."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import typer

from canary.cli import options
from canary.cli.output import Output, emit
from canary.cli.session import Session, opened
from canary.core.ledger import Entry, Fault, decode
from canary.core.ledger import verify as verified
from canary.core.seal_check import SEALED_KINDS, Checked, Copy, against, target_of, within
from canary.core.seals import SEAL, SealKey
from canary.errors import CanaryError, Exit, InvalidError, MissingError
from canary.seal.copies import copies_in, numbered

SHOWN = 20
"""So many faults are told one by one."""
ANYBODY = "whoever can write the ledger could have written all of it anew"

Key = Annotated[
    list[Path] | None,
    typer.Option(
        "--key",
        metavar="FILE",
        help="Of the key that seals it; the public half will do. May be repeated, for keys used in turn.",
        show_default=False,
    ),
]
Seals = Annotated[
    list[str] | None,
    typer.Option(
        "--seals",
        metavar="FILE",
        help="Copies of seals that lie elsewhere, as JSON lines; - is standard input. May be repeated.",
        show_default=False,
    ),
]
Events = Annotated[
    bool, typer.Option("--events", help="Kubernetes: compare with the seals among the events, too.")
]
Monitored = Annotated[
    Path | None,
    typer.Option(
        "--ledger",
        metavar="DIR",
        help="The ledger of a `canary guard run`: the folder that it was given.",
        show_default=False,
    ),
]


@dataclass
class Verdict:
    """What has been found so far. `name`: of the ledger, for people."""

    name: str
    entries: tuple[Entry, ...] = ()
    length: int = 0
    keys: tuple[SealKey, ...] = ()
    faults: list[str] = field(default_factory=list)
    first: int | None = None
    said: list[str] = field(default_factory=list)
    inside: Checked = field(default_factory=Checked)
    outside: Checked = field(default_factory=Checked)

    def fail(self, faults: Sequence[Fault | str]) -> None:
        """Add what is wrong."""
        for one in faults:
            self.faults.append(str(one))
            if self.first is None and isinstance(one, Fault):
                self.first = one.number or None

    @property
    def code(self) -> Exit:
        """What the command exits with."""
        return Exit.FOUND if self.faults else Exit.OK


def verify(  # noqa: PLR0913 - a command's options are its arguments
    ledger: Annotated[
        Path | None,
        typer.Argument(
            metavar="[FILE]",
            help="What `canary audit export` printed; left out: the ledger where it is kept.",
            show_default=False,
        ),
    ] = None,
    where: options.Where = options.HERE,
    *,
    monitored: Monitored = None,
    key: Key = None,
    seals: Seals = None,
    events: Events = False,
    output: options.Out = Output.TEXT,
) -> None:
    """Check that a ledger is whole and unchanged.

    Every entry carries the hash of the one before it; with -f, or without FILE, its end is compared with the
    record. That nobody wrote all of it anew can only be told from its seals, with --key (or the key that the
    configuration names), and from copies of them that lie elsewhere, with --seals and --events.

    Exits 0 when it is, 1 when it is not (each bad place is named), 2 when something cannot be read.
    """
    if monitored is not None:
        ledger = _monitored(ledger, monitored)
    asked = ledger is None or events or where != options.HERE
    session = opened(where) if asked else None
    verdict = Verdict(
        str(ledger) if ledger is not None else f"the ledger of {session.target if session else ''}"
    )
    # First the copies, then the record, then the ledger: each may be ahead of those that are read before it.
    copies = [copy for one in seals or () for copy in _copies(one)] + _events(session, events)
    found = session.record() if session is not None else None
    lines = _lines(ledger) if ledger is not None else _kept(session)
    head, length = (found.release.ledger_head, found.release.ledger_length) if found else ("", None)
    verdict.length = len(lines)
    _chain(verdict, lines, head, length)
    verdict.keys = _keys(verdict, key or (), session)
    if verdict.entries:
        _sealed(verdict, copies, session.target if session is not None else "")
    elif copies:
        verdict.said.append("seals and their copies were not compared: the chain itself is broken")
    _tell(verdict, output, compared=bool(copies), events=events)
    if verdict.faults:
        raise typer.Exit(verdict.code)


def _monitored(ledger: Path | None, folder: Path) -> Path:
    """The one ledger that a monitor has written into a folder."""
    if ledger is not None:
        raise InvalidError(f"both {ledger} and --ledger {folder} were named", remedy="Name one of them.")
    found = sorted(folder.glob("*.jsonl"))
    if len(found) != 1:
        held = ", ".join(str(one) for one in found) or "none"
        raise MissingError(
            f"wanted one ledger in {folder}, found {held}", remedy="Name one: `canary audit verify FILE`."
        )
    return found[0]


def _chain(verdict: Verdict, lines: Sequence[str], head: str, length: int | None) -> None:
    if not lines:
        verdict.fail(["it holds no entries"])
    elif (fault := verified(lines)) is not None:
        verdict.fail([fault])
    else:
        verdict.entries = tuple(decode(line) for line in lines)
        if (fault := verified(verdict.entries, head=head, length=length)) is not None:
            verdict.fail([fault])


def _sealed(verdict: Verdict, copies: Sequence[Copy], target: str) -> None:
    """The seals in the ledger and, where there are any, the copies."""
    entries, keys = verdict.entries, verdict.keys
    verdict.inside = within(entries, keys, target)
    verdict.fail(verdict.inside.faults)
    if not copies:
        return
    target = target or target_of(entries, copies)
    if not target:
        raise InvalidError(
            "it cannot be told whose ledger this is: it has no seals, and the copies are of several targets",
            remedy="Name the target's configuration with -f.",
        )
    verdict.outside = against(entries, copies, keys, target)
    verdict.fail(verdict.outside.faults)


def _keys(verdict: Verdict, given: Sequence[Path], session: Session | None) -> tuple[SealKey, ...]:
    """The keys to check with: those given, or the one that the configuration names."""
    from canary.seal.keys import checking_key

    if given:
        return tuple(checking_key(path) for path in given)
    configured = session.settings.seal if session is not None else None
    if configured is None:
        return ()
    try:
        return (checking_key(configured.key_file),)
    except CanaryError as fault:
        verdict.said.append(f"the configured key was not used: {fault.message}")
        return ()


def _tell(verdict: Verdict, output: Output, *, compared: bool, events: bool) -> None:
    inside, outside = verdict.inside, verdict.outside
    document = {
        "file": verdict.name,
        "entries": verdict.length,
        "good": not verdict.faults,
        "fault": verdict.faults[0] if verdict.faults else None,
        "entry": verdict.first,
        "faults": verdict.faults,
        "checked": "seals" if verdict.keys else "chain",
        "keys": [one.id for one in verdict.keys],
        "seals": inside.seals,
        "sealed_until": inside.until if verdict.keys else 0,
        "copies": outside.seals,
        "notes": verdict.said,
        "exit_code": int(verdict.code),
    }
    texts = verdict.faults[:SHOWN]
    if (more := len(verdict.faults) - SHOWN) > 0:
        texts = [*texts, f"and {more} more"]
    if not verdict.faults:
        texts = [f"{verdict.length} entries, whole and unchanged"]
    texts += _about_seals(verdict) if verdict.entries else []
    if verdict.entries and (compared or events):
        texts.append(_about_copies(verdict))
    texts += verdict.said
    emit(document, output, "\n".join(f"{verdict.name}: {one}" for one in texts))


def _about_seals(verdict: Verdict) -> list[str]:
    inside = verdict.inside
    if not verdict.keys:
        lead = f"its {inside.seals} seals were not checked" if inside.seals else "it has no seals"
        return [f"only the chain was checked, {lead}: without --key FILE {ANYBODY}"]
    if not inside.seals:
        return []
    told = f"{inside.seals} good seals, the last one is entry {inside.until}"
    after = verdict.length - inside.until
    texts = [f"{told}; {after} after it not sealed yet" if after else told]
    first = next(entry.number for entry in verdict.entries if entry.kind == SEAL)
    before = [entry for entry in verdict.entries[: first - 1] if entry.kind in SEALED_KINDS]
    if len(before) > 1:
        texts.append(
            f"entries 1 to {before[-2].number} were written before it was sealed: that they have not changed "
            "is known from then on"
        )
    return texts


def _about_copies(verdict: Verdict) -> str:
    outside = verdict.outside
    unchecked = "" if verdict.keys else ", their signatures were not checked"
    others = f"; {outside.passed_over} of other targets were passed over" if outside.passed_over else ""
    return f"{outside.seals} copies of seals agree with it{unchecked}{others}"


def _copies(name: str) -> list[Copy]:
    """The lines of a file of copies that hold something."""
    try:
        if name == "-":
            return numbered("standard input", sys.stdin.read())
        return copies_in(Path(name))
    except (OSError, UnicodeDecodeError) as fault:
        raise MissingError(
            f"{name} cannot be read: {fault}", remedy="Name the file that `ledger.seal.to` copies to."
        ) from fault


def _events(session: Session | None, asked: bool) -> list[Copy]:
    if not asked or session is None:
        return []
    from canary import wiring

    return wiring.event_copies(session.settings)


def _kept(session: Session | None) -> list[str]:
    lines = list(session.ports.ledger.lines(session.target)) if session is not None else []
    if session is not None and not lines and session.record() is None:
        raise MissingError(
            f"there is no ledger of {session.target}", remedy="It begins with the first `canary start`."
        )
    return lines


def _lines(path: Path) -> list[str]:
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as fault:
        raise MissingError(
            f"{path} cannot be read: {fault}", remedy="Make one with `canary audit export > FILE`."
        ) from fault
    # Only a line feed ends an entry: other line separators may stand inside a text.
    return text.removesuffix("\n").split("\n") if text else []
