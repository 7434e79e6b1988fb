"""Back to a revision that was good, on a person's word, and proved."""

import time
from dataclasses import replace
from typing import TYPE_CHECKING

from canary.conduct import drive, follow, request, stable_of
from canary.config.settings import Settings
from canary.core.release import Outcome, Phase, Release, Request, RequestKind
from canary.core.revision import Revision
from canary.core.strategy import Capacity
from canary.errors import InvalidError, MissingError
from canary.ports import Recorded, Reporter

if TYPE_CHECKING:
    from canary.looking import Ports


def undo(ports: "Ports", settings: Settings, *, number: int | None, why: str, reporter: Reporter) -> Recorded:
    """Restore the last good revision, or revision `number`, and prove it.

    While a release runs: that release goes back to the revision it pinned. Otherwise the last settled
    release tells what was good before it.

    Raises:
        MissingError: there is nothing to undo, or no such revision.
    """
    found = ports.records.load(settings.target)
    if found is not None and not found.release.settled:
        if number is not None and number != found.release.stable.number:
            raise InvalidError(
                f"{found.release.version} is being released; undo goes back to "
                f"{found.release.stable.version}",
                remedy="Run `canary undo` first, then `canary undo --to-revision N`.",
            )
        wish = Request(RequestKind.UNDO, ports.actor, ports.clock.now(), why)
        saved = request(ports, settings, wish, reporter=reporter)
        return saved if saved.release.settled else follow(ports, settings.target, reporter)
    wanted = _wanted(ports, settings, found, stable_of(ports, settings), number)
    release = _way_back(ports, settings, found, wanted, why)
    ports.records.save(release, expected=found.version if found else None)
    return drive(ports, settings, reporter)


def _way_back(
    ports: "Ports", settings: Settings, found: Recorded | None, wanted: Revision, why: str
) -> Release:
    """A release that begins on its way back to the revision that is wanted."""
    world = ports.workloads.observe()
    if world is None:
        raise MissingError(f"{settings.target} is gone")
    now = ports.clock.now()
    # Nothing in the configuration may keep it from going back.
    capacity = Capacity.EXTRA if world.scaler else settings.strategy.capacity
    return Release(
        target=settings.target,
        id=f"{settings.target}-undo-{time.strftime('%Y%m%dT%H%M%S', time.gmtime(now))}",
        version=wanted.version,
        strategy=replace(settings.strategy, capacity=capacity),
        stable=wanted,
        canary=world.stable.revision,
        replicas=world.stable.replicas,
        since=now,
        phase=Phase.ROLLING_BACK,
        phase_since=now,
        step_since=now,
        outcome=Outcome.UNDONE,
        reason=f"undo by {ports.actor}" + (f": {why}" if why else ""),
        times={"detected": now, "decided": now},
        config_hash=settings.digest,
        ledger_head=found.release.ledger_head if found else "",
        ledger_length=found.release.ledger_length if found else 0,
        lease=settings.target,
        actor=ports.actor,
    )


def _wanted(
    ports: "Ports", settings: Settings, found: Recorded | None, stable: Revision, number: int | None
) -> Revision:
    """The revision to go back to."""
    kept = ports.workloads.history()
    if number is not None:
        match = [revision for revision in kept if revision.number == number]
        if not match:
            have = ", ".join(f"{revision.number} ({revision.version})" for revision in kept)
            raise MissingError(
                f"there is no revision {number} of {settings.target}", remedy=f"Kept are: {have}."
            )
        wanted = match[0]
    elif found is not None and found.release.phase is Phase.PROMOTED:
        wanted = found.release.stable
    else:
        last = (
            f"the last release went back to {stable.version} already" if found else "nothing was released yet"
        )
        raise MissingError(
            f"nothing to undo: {last}", remedy="Name a revision with --to-revision N; see `canary history`."
        )
    if wanted.hash == stable.hash:
        raise MissingError(
            f"nothing to undo: {settings.target} runs {stable.version} already",
            remedy="See `canary history` for other revisions.",
        )
    return wanted
