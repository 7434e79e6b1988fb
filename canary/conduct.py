"""What people and pipelines ask for, carried out over the ports: start, follow, ask, undo.

Everything heavy (the loop and with it the analysis) is imported late, so that commands which only read
the record stay quick.
"""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from canary import sealing
from canary.begin import StartOptions, already, check, create
from canary.config.settings import Settings
from canary.core.release import Outcome, Release, Request, RequestKind
from canary.core.revision import Revision
from canary.errors import (
    BusyError,
    CanaryError,
    ConflictError,
    Exit,
    MissingError,
    TransientError,
)
from canary.patience import OUT_OF_REACH_S, Patience, told
from canary.ports import Recorded, Reporter

if TYPE_CHECKING:
    from canary.looking import Ports

EXITS = {
    Outcome.PROMOTED: Exit.OK,
    Outcome.REGRESSION: Exit.ROLLED_BACK,
    Outcome.CRASHED: Exit.ROLLED_BACK,
    Outcome.BAKE_FAILED: Exit.ROLLED_BACK,
    Outcome.NO_CONCLUSION: Exit.NO_CONCLUSION,
    Outcome.ABORTED: Exit.ABORTED,
    Outcome.UNDONE: Exit.ABORTED,
    Outcome.SUPERSEDED: Exit.SUPERSEDED,
    Outcome.NEVER_READY: Exit.NEVER_READY,
    Outcome.OTHER_IMAGE: Exit.ROLLED_BACK,
    Outcome.GUARD: Exit.ROLLED_BACK,
}


HEARD_S = 0.25
SILENT = 8
"""How often it is looked whether a driver has heard a wish; after how many times it is said that none has."""


def exit_code(release: Release) -> Exit:
    """The exit code of a release as it stands; an unsettled one is one that was left."""
    if not release.settled:
        return Exit.NO_CONCLUSION
    return EXITS[release.outcome] if release.outcome else Exit.FOUND


def start(
    ports: "Ports", settings: Settings, version: str, options: StartOptions, reporter: Reporter
) -> Recorded:
    """Create the release of `version`, or follow or take over the one that is there, to its end.

    Returns:
        The settled record (or the left one). For the revision that is running already: a settled
        release that was never recorded, with the reason "already running".

    Raises:
        BusyError: another version is being released, or this one with another configuration.
        MissingError: no such target.
        CanaryError: the ledger is to be sealed, and there is no key to do it with.
        TransientError: others were quicker for too long.
    """
    check(settings, options)
    sealing.check(ports.seals)
    patience = Patience(ports.clock, OUT_OF_REACH_S)
    while True:
        _heed(ports)
        since = ports.clock.monotonic()
        found = ports.records.load(settings.target)
        if found is not None and found.release.settled and found.release.id == (options.release or None):
            return found
        if found is not None and not found.release.settled:
            if _is_same(ports, found.release, version, options):
                return _join(ports, settings, found, options, reporter)
            _clear_the_way(ports, settings, found, version, options, reporter)
            # What was waited for was carried out: the time it took is nobody's silence.
            patience = Patience(ports.clock, OUT_OF_REACH_S)
            continue
        stable = stable_of(ports, settings)
        canary = ports.workloads.revise(stable, version, options.config)
        if canary.hash == stable.hash:
            reporter.note(f"{version} is already running on {settings.target}; nothing to do")
            return Recorded(already(settings, stable, ports), "")
        try:
            create(ports, settings, found, (stable, canary), options)
        except ConflictError as fault:
            patience.overtaken(fault, since, reporter)
            continue
        except CanaryError:
            with suppress(CanaryError):
                ports.lease.release()
            raise
        return drive(ports, settings, reporter, trace=options.trace)


def _heed(ports: "Ports") -> None:
    """Raises InterruptedDriveError: a signal asks to stop, and nothing was begun."""
    if (signal := ports.clock.interrupted) is not None:
        from canary import loop

        raise loop.InterruptedDriveError(signal, None)


def _is_same(ports: "Ports", running: Release, version: str, options: StartOptions) -> bool:
    """Whether what is asked for is what is being released; who names no configuration asks for none other."""
    if running.version != version or not options.config:
        return running.version == version
    return ports.workloads.revise(running.stable, version, options.config).hash == running.canary.hash


def stable_of(ports: "Ports", settings: Settings) -> Revision:
    """What the target runs now: the revision that is pinned."""
    world = ports.workloads.observe()
    if world is None:
        raise MissingError(
            f"there is no {settings.target} to release to",
            remedy=settings.if_missing,
        )
    return world.stable.revision


def _join(
    ports: "Ports", settings: Settings, found: Recorded, options: StartOptions, reporter: Reporter
) -> Recorded:
    """The same version is being released: follow whoever drives it, or take over."""
    if _somebody_drives(ports) is None:
        reporter.note(f"nobody drives the release of {found.release.version}; taking over")
        if (pause := found.release.pause) is not None:
            reporter.note(f"it is paused by {pause.by}: {pause.reason}; `canary resume` goes on with it")
    return drive(ports, settings, reporter, trace=options.trace)


def _somebody_drives(ports: "Ports") -> str | None:
    """Who holds the lease, after trying to take it; the lease is ours when None."""
    if ports.lease.hold() is not None:
        return None
    holder = ports.lease.holder()
    return holder.name if holder else "somebody"


def _clear_the_way(
    ports: "Ports",
    settings: Settings,
    found: Recorded,
    version: str,
    options: StartOptions,
    reporter: Reporter,
) -> None:
    """Another version is being released: refuse, or roll it back first."""
    other = found.release
    differs = " with another configuration" if other.version == version else ""
    if not options.supersede:
        raise BusyError(
            f"{other.version} is being released to {settings.target}{differs} ({other.phase}); "
            f"{version} was not started",
            remedy="Wait for it (`canary watch`), end it (`canary abort`), or start with --supersede.",
        )
    reporter.note(f"superseding {other.version}: it is rolled back first")
    wish = Request(RequestKind.SUPERSEDE, ports.actor, ports.clock.now(), f"by {version}")
    request(ports, settings, wish, reporter=reporter)
    follow(ports, settings.target, reporter, take_over=lambda: drive(ports, settings, reporter))


def drive(ports: "Ports", settings: Settings, reporter: Reporter, *, trace: Path | None = None) -> Recorded:
    """Take the lease and drive the release that is recorded to its end; follow if another was quicker."""
    from canary import loop

    if (holder := told(ports.clock, lambda: _somebody_drives(ports))) is not None:
        reporter.note(f"{holder} drives this release; following")
        return follow(ports, settings.target, reporter, take_over=lambda: drive(ports, settings, reporter))

    # A release that has begun is brought to its end, sealed or not.
    ports = replace(ports, seals=sealing.usable(ports.seals, ports.ledger, settings.target, reporter))
    if trace is None:
        return loop.run(ports, settings.target, reporter)
    from canary.record import strategy_document
    from canary.trace_writer import TraceWriter

    with TraceWriter(trace, strategy_document) as writer:
        return loop.run(ports, settings.target, reporter, watch=writer.tick)


def request(ports: "Ports", settings: Settings, wish: Request, *, reporter: Reporter) -> Recorded:
    """Write a person's wish into the record; drive the release when nobody does.

    Returns:
        The record with the wish in it, or the settled record when this process had to drive.

    Raises:
        MissingError: no release is running.
    """
    saved = _wish(ports, settings.target, wish)
    if not _is_heard(ports, saved, reporter):
        reporter.note(f"nobody drives the release of {saved.release.version}; this process does so now")
        return drive(ports, settings, reporter)
    return saved


def _is_heard(ports: "Ports", saved: Recorded, reporter: Reporter) -> bool:
    """Whether somebody drives: has written since the wish was, or renews the lease. It is ours when not.

    Who died may hold it to the end of its term.
    """
    renewed_s, silent = float("-inf"), 0
    while _somebody_drives(ports) is not None:
        found, holder = ports.records.load(saved.release.target), ports.lease.holder()
        if found is None or found.version != saved.version or ports.clock.interrupted is not None:
            return True
        if holder is not None and holder.renewed_s < renewed_s:
            return True
        renewed_s, silent = holder.renewed_s if holder else renewed_s, silent + 1
        if holder is not None and silent == SILENT:
            reporter.note(f"{holder.name} has not heard it yet; waiting for it, or for its lease to run out")
        ports.clock.wait(HEARD_S)
    found = ports.records.load(saved.release.target)
    if over := found is None or found.release.settled:
        # Its driver was quicker than we were to ask for it.
        ports.lease.release()
    return over


def _wish(ports: "Ports", target: str, wish: Request) -> Recorded:
    """Add the wish to the record, whoever else writes to it meanwhile."""
    while True:
        found = ports.records.load(target)
        if found is None or found.release.settled:
            raise MissingError(f"no release of {target} is running", remedy=f"See `canary status {target}`.")
        asked = found.release.with_(requests=(*found.release.requests, wish))
        try:
            return ports.records.save(asked, expected=found.version)
        except ConflictError:
            ports.clock.wait(0.02)


def follow(
    ports: "Ports",
    target: str,
    reporter: Reporter,
    *,
    take_over: Callable[[], Recorded] | None = None,
) -> Recorded:
    """Watch a release that somebody else drives, to its end; changes nothing.

    Args:
        take_over: called when nobody drives any more; None: go on watching.
    """
    from canary import looking, loop

    memory = looking.Memory(taken_over=True, read=True)
    idle = False
    while True:
        if (signal := ports.clock.interrupted) is not None:
            raise loop.InterruptedDriveError(signal, None)
        try:
            ticked = looking.look(ports, target, memory)
            holder = None if ticked.recorded.release.settled else ports.lease.holder()
        except TransientError as fault:
            reporter.note(fault.message)
            ports.clock.wait(1.0)
            continue
        memory = ticked.memory
        reporter.tick(ticked.recorded, ticked.seen, ticked.assessed, ticked.decision)
        if ticked.recorded.release.settled:
            return ticked.recorded
        if holder is None or not holder.alive:
            if take_over is not None:
                reporter.note("the driver is gone; taking over")
                return take_over()
            if not idle:
                reporter.note("nobody drives this release; `canary start` with the same version takes over")
            idle = True
        ports.clock.wait(looking.poll_s(ticked.recorded.release))
