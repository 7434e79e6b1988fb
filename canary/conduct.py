"""What people and pipelines ask for, carried out over the ports: start, follow, ask, undo.

Everything heavy (the loop and with it the analysis) is imported late, so that commands which only read
the record stay quick.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from canary import fit
from canary.config.settings import Settings
from canary.core.bookkeeping import with_pods
from canary.core.observation import World
from canary.core.release import Outcome, Phase, Release, Request, RequestKind
from canary.core.revision import Revision
from canary.core.strategy import Strategy
from canary.errors import BusyError, ConflictError, Exit, InvalidError, MissingError, TransientError
from canary.patience import told
from canary.ports import Recorded, Reporter

if TYPE_CHECKING:
    from canary.loop import Ports

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
}


@dataclass(frozen=True)
class StartOptions:
    """How a release is to be started.

    Attributes:
        timeout_s: instead of the file's deadline. supersede: another release in the way is rolled back.
        leave: at the deadline without a conclusion, leave the canary serving and go (exit 4).
        skip_analysis: for when the stable itself is sick; `reason` is then required and goes into the ledger.
        trace: write the release there as a recording.
        release: its id, given by who will look for it; a settled release of this id is not begun again.
    """

    timeout_s: float | None = None
    supersede: bool = False
    leave: bool = False
    skip_analysis: bool = False
    reason: str = ""
    trace: Path | None = None
    release: str = ""


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
        The settled record (or the left one). For the version that is running already: a settled
        release that was never recorded, with the reason "already running".

    Raises:
        BusyError: another version is being released. MissingError: no such target.
    """
    _check(settings, options)
    while True:
        found = ports.records.load(settings.target)
        if found is not None and found.release.settled and found.release.id == (options.release or None):
            return found
        if found is not None and not found.release.settled:
            if found.release.version == version:
                return _join(ports, settings, found, options, reporter)
            _clear_the_way(ports, settings, found, version, options, reporter)
            continue
        stable = stable_of(ports, settings)
        if stable.version == version:
            reporter.note(f"{version} is already running on {settings.target}; nothing to do")
            return Recorded(_already(settings, stable, ports), "")
        try:
            _create(ports, settings, found, stable, version, options)
        except ConflictError:
            continue
        return drive(ports, settings, reporter, trace=options.trace)


def _check(settings: Settings, options: StartOptions) -> None:
    if options.skip_analysis and not options.reason:
        raise InvalidError(
            "--skip-analysis needs a --reason: it goes into the ledger",
            remedy='For instance --skip-analysis --reason "stable is down, this is the fix".',
        )
    if options.timeout_s is not None and options.timeout_s <= 0:
        raise InvalidError(f"--timeout: found {options.timeout_s:g} s, wanted more than 0")


def stable_of(ports: "Ports", settings: Settings) -> Revision:
    """What the target runs now: the revision that is pinned."""
    world = ports.workloads.observe()
    if world is None:
        raise MissingError(
            f"there is no {settings.target} to release to",
            remedy=settings.if_missing,
        )
    return world.stable.revision


def _already(settings: Settings, stable: Revision, ports: "Ports") -> Release:
    """A settled release that says so, never recorded."""
    now = ports.clock.now()
    return Release(
        target=settings.target,
        id="",
        version=stable.version,
        strategy=settings.strategy,
        stable=stable,
        canary=stable,
        replicas=0,
        since=now,
        phase=Phase.PROMOTED,
        outcome=Outcome.PROMOTED,
        reason="already running",
    )


def release_id(target: str, version: str, at: float) -> str:
    """Says target, version and start (`at`: unix seconds)."""
    return f"{target}-{version}-{time.strftime('%Y%m%dT%H%M%S', time.gmtime(at))}"


def _create(
    ports: "Ports",
    settings: Settings,
    found: Recorded | None,
    stable: Revision,
    version: str,
    options: StartOptions,
) -> Recorded:
    """Write the new record, with the stable pinned in it, before anything is touched.

    Raises:
        ConflictError: somebody else started one in the same moment.
    """
    world = ports.workloads.observe()
    if world is None:
        raise MissingError(f"{settings.target} is gone")
    now = ports.clock.now()
    release = Release(
        target=settings.target,
        id=options.release or release_id(settings.target, version, now),
        version=version,
        strategy=_strategy(ports, settings, options, world),
        stable=stable,
        canary=ports.workloads.revise(stable, version),
        replicas=world.stable.replicas,
        window=0 if ports.metrics.keeps_history else 1,
        since=now,
        phase_since=now,
        step_since=now,
        config_hash=settings.digest,
        ledger_head=found.release.ledger_head if found else "",
        ledger_length=found.release.ledger_length if found else 0,
        lease=settings.target,
        actor=ports.actor,
        leave=options.leave,
        reason=f"analysis skipped: {options.reason}" if options.skip_analysis else "",
    )
    # The stable's pods are known from the first: a source that goes by names has to find their past.
    return ports.records.save(with_pods(release, world), expected=found.version if found else None)


def _strategy(ports: "Ports", settings: Settings, options: StartOptions, world: World) -> Strategy:
    """The file's strategy with what the command line changes, and steps that come to the same merged.

    Raises:
        InvalidError: this target cannot have it, or there is no room for its pods.
    """
    strategy = fit.fitted(settings, world)
    planned = fit.steps(strategy, world)
    if why := ports.workloads.no_room(fit.most_pods(strategy, world) - len(world.stable.pods)):
        raise InvalidError(
            f"{settings.target}: there is no room for a canary: {why}; nothing was touched",
            remedy="Raise the quota, free some of it, or lower the target's surge.",
        )
    probed = strategy.probe_rate + world.probe_rate
    strategy = replace(strategy, steps=tuple(step.weight for step in planned), probe_rate=probed)
    if options.timeout_s is not None:
        strategy = replace(strategy, deadline_s=options.timeout_s)
    return replace(strategy, metrics=()) if options.skip_analysis else strategy


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
    if not options.supersede:
        raise BusyError(
            f"{other.version} is being released to {settings.target} ({other.phase}); "
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
    if _somebody_drives(ports) is None:
        reporter.note(f"nobody drives the release of {saved.release.version}; this process does so now")
        return drive(ports, settings, reporter)
    return saved


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
    from canary import loop

    memory = loop.Memory(taken_over=True, read=True)
    idle = False
    while True:
        if (signal := ports.clock.interrupted) is not None:
            raise loop.InterruptedDriveError(signal, None)
        try:
            ticked = loop.look(ports, target, memory)
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
        ports.clock.wait(loop.poll_s(ticked.recorded.release))
