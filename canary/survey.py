"""What the checks before a release are decided on: the record, the ledger, and all around the target."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from canary.config.settings import Settings, sealing
from canary.core.ledger import Entry, verify
from canary.core.revision import Revision
from canary.core.seal_check import Checked, against, within
from canary.core.seals import SEAL
from canary.errors import CanaryError, DeniedError, InvalidError, MissingError
from canary.ports import Recorded, Surroundings
from canary.preflight.facts import Alerts, Facts, History, Host, Kept, Ledger, Proof
from canary.preflight.finding import Unseen
from canary.preflight.names import floating_images
from canary.seal.copies import copies_in

if TYPE_CHECKING:
    from canary.looking import Ports


def surveyed(
    settings: Settings,
    ports: "Ports",
    around: Surroundings,
    alerts: Callable[[], Alerts | Unseen | None],
    evidence: Callable[[], Sequence[Proof | Unseen]],
    *,
    starting: bool = False,
) -> Facts:
    """Everything that the points are decided on, as it is now.

    Args:
        alerts: reads them from a Prometheus; None from it: none is named. evidence: reads the files.
        starting: a release is about to be started in the place of one that is under way.

    Raises:
        MissingError: there is no such target. TransientError: the runtime is out of reach.
    """
    history = _history(settings, ports, around, starting=starting)
    place = around.place()
    return Facts(
        target=settings.target,
        namespace="" if isinstance(place, Host) else place.namespace,
        file=str(settings.path),
        now=ports.clock.now(),
        asked=settings.preflight.asked,
        proofs=(*around.proofs(), *evidence()),
        alerts=alerts(),
        history=history,
        ledger=_ledger(settings, ports),
        place=place,
    )


def _history(settings: Settings, ports: "Ports", around: Surroundings, *, starting: bool) -> History:
    world = ports.workloads.observe()
    if world is None:
        raise MissingError(f"there is no {settings.target} to look at", remedy=settings.if_missing)
    runs = world.stable.revision
    kept = ports.workloads.history()
    number = max((one.number or 0 for one in kept if one.hash == runs.hash), default=0)
    others = [one for one in kept if one.hash != runs.hash]
    fault, unsettled = "", ""
    try:
        found = ports.records.load(settings.target)
    except InvalidError as why:
        found, fault = None, "; ".join((why.message, *why.faults))
    if found is not None and not found.release.settled and not starting:
        unsettled = f"{found.release.version} is {found.release.phase.value.replace('_', ' ')}"
    return History(
        runs=_kept(runs, number or None),
        others=tuple(_kept(one, one.number) for one in reversed(others)),
        limit=around.kept(),
        fault=fault,
        unsettled=unsettled,
    )


def _kept(revision: Revision, number: int | None) -> Kept:
    floating = floating_images(revision.template)
    if "spec" not in revision.template and revision.version == "latest":
        floating = ("latest",)
    return Kept(number, revision.version, floating)


def _ledger(settings: Settings, ports: "Ports") -> Ledger | Unseen:
    # First the record: a driver may write on meanwhile, and then there are more entries, never less.
    found = _recorded(settings, ports)
    lacking = next(iter(sealing(settings)), "")
    try:
        entries = ports.ledger.read(settings.target)
    except InvalidError as fault:
        return Ledger(0, fault=fault.message, unsealed=lacking)
    except DeniedError as fault:
        return Unseen(fault.message, fault.remedy)
    head, length = (found.release.ledger_head, found.release.ledger_length) if found else ("", None)
    wrong = verify(entries, head=head, length=length)
    seals = Checked()
    if not (wrong or lacking):
        lacking, seals = _seals(settings, ports, entries)
        wrong = next(iter(seals.faults), None)
    return Ledger(
        len(entries),
        last=entries[-1].at if entries else None,
        fault="" if wrong is None else str(wrong),
        unsealed=lacking,
        seals=seals.seals,
    )


def _seals(settings: Settings, ports: "Ports", entries: Sequence[Entry]) -> tuple[str, Checked]:
    """Why none can be made, in words, or else what those in the ledger and in files of copies come to.

    A ledger without any was written before they were asked for: the next release is the first to be sealed.
    Copies of its seals would say otherwise.
    """
    if ports.seals is None or settings.seal is None:
        return "", Checked()
    try:
        key = ports.seals.key
        copies = [copy for path in settings.seal.files if path.exists() for copy in copies_in(path)]
    except (CanaryError, OSError, UnicodeDecodeError) as fault:
        return f"the seals of the ledger cannot be made or compared: {fault}", Checked()
    outside = against(entries, copies, [key], settings.target)
    inside = Checked()
    if any(entry.kind == SEAL for entry in entries):
        inside = within(entries, [key], settings.target)
    return "", replace(inside, faults=(*inside.faults, *outside.faults))


def _recorded(settings: Settings, ports: "Ports") -> Recorded | None:
    try:
        return ports.records.load(settings.target)
    except InvalidError:
        # Told as a fault of the record already.
        return None
