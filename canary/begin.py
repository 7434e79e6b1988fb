"""How a release begins: what was asked for, and the first record, before anything is touched."""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from canary import fit
from canary.config.settings import Settings
from canary.core.bookkeeping import with_pods
from canary.core.observation import World
from canary.core.release import Outcome, Phase, Release
from canary.core.revision import Revision
from canary.core.strategy import Strategy
from canary.errors import ConflictError, InvalidError, MissingError
from canary.patience import sit_out
from canary.ports import Recorded

if TYPE_CHECKING:
    from canary.looking import Ports


@dataclass(frozen=True)
class StartOptions:
    """How a release is to be started.

    Attributes:
        timeout_s: instead of the file's deadline. supersede: another release in the way is rolled back.
        leave: at the deadline without a conclusion, leave the canary serving and go (exit 4).
        skip_analysis: for when the stable itself is sick; `reason` is then required and goes into the ledger.
        trace: write the release there as a recording.
        release: its id, given by who will look for it; a settled release of this id is not begun again.
        preflight: what was checked before, point -> status; goes into the ledger.
        config: content-hashed objects that the new version is to refer to, `configmap/NAME-HASH`.
    """

    timeout_s: float | None = None
    supersede: bool = False
    leave: bool = False
    skip_analysis: bool = False
    reason: str = ""
    trace: Path | None = None
    release: str = ""
    config: tuple[str, ...] = ()
    preflight: Mapping[str, str] = field(default_factory=dict)


def check(settings: Settings, options: StartOptions) -> None:
    """See that the options make sense; raises InvalidError."""
    if options.skip_analysis and not options.reason:
        raise InvalidError(
            "--skip-analysis needs a --reason: it goes into the ledger",
            remedy='For instance --skip-analysis --reason "stable is down, this is the fix".',
        )
    if options.timeout_s is not None and options.timeout_s <= 0:
        raise InvalidError(f"--timeout: found {options.timeout_s:g} s, wanted more than 0")


def already(settings: Settings, stable: Revision, ports: "Ports") -> Release:
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


def create(
    ports: "Ports",
    settings: Settings,
    found: Recorded | None,
    revisions: tuple[Revision, Revision],
    options: StartOptions,
) -> Recorded:
    """Write the new record, with the stable pinned in it, before anything is touched.

    Args:
        revisions: the stable's and the canary's.

    Raises:
        ConflictError: somebody else started one in the same moment.
    """
    stable, canary = revisions
    _prepare(ports, options)
    world = ports.workloads.observe()
    if world is None:
        raise MissingError(f"{settings.target} is gone")
    now = ports.clock.now()
    release = Release(
        target=settings.target,
        id=options.release or release_id(settings.target, canary.version, now),
        version=canary.version,
        strategy=_strategy(ports, settings, options, world),
        stable=stable,
        canary=canary,
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
        preflight=dict(options.preflight),
        reason=f"analysis skipped: {options.reason}" if options.skip_analysis else "",
    )
    # The stable's pods are known from the first: a source that goes by names has to find their past.
    return ports.records.save(with_pods(release, world), expected=found.version if found else None)


def _prepare(ports: "Ports", options: StartOptions) -> None:
    """Have the configuration there. In a term, as whoever takes unused configuration away does it in one.

    Raises:
        ConflictError: another driver is at work, or the term ended meanwhile.
    """
    if not options.config:
        ports.workloads.prepare()
        return
    # Whatever is wrong is told before there is a lease; what is there already is taken.
    ports.workloads.prepare(options.config)
    term = ports.lease.hold()
    if term is not None and term.late_until > ports.clock.monotonic():
        # A driver that died may have been about to take unused configuration away.
        sit_out(ports.clock, term.late_until - ports.clock.monotonic())
        term = ports.lease.hold()
    if term is None:
        raise ConflictError("the lease is held by another driver")
    ports.workloads.prepare(options.config)
    if ports.lease.confirm(term) <= 0:
        raise ConflictError("the lease term ended before the configuration was there")


def _strategy(ports: "Ports", settings: Settings, options: StartOptions, world: World) -> Strategy:
    """The file's strategy with what the target and the command line add; equal steps are merged.

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
    if not options.skip_analysis:
        return strategy
    # Guards are no analysis: whoever wants none leaves them out of the file.
    return replace(strategy, metrics=(), uncompared=strategy.metrics if strategy.guards else ())
