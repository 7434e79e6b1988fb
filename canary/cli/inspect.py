"""`status`, `watch`, `history`: read only."""

import shutil
import sys
from collections.abc import Sequence
from typing import Any

from canary.cli import options
from canary.cli.output import Output, emit
from canary.cli.result import result_text, verdict
from canary.cli.session import Session, conducted, opened, viewing
from canary.cli.start import finish
from canary.core.ledger import Entry
from canary.core.observation import Workload, World
from canary.core.release import Release
from canary.core.revision import Revision
from canary.errors import MissingError
from canary.view import bars, words
from canary.view.screen import screen
from canary.view.snapshot import Snapshot, take


def status(
    target: options.Target = None, where: options.Where = options.HERE, output: options.Out = Output.TEXT
) -> None:
    """Show where the release stands, with the numbers behind it.

    Exits 0, also when no release is recorded; 2 when the configuration is wrong.
    """
    session = opened(where, target)
    found = session.record()
    world = session.ports.workloads.observe()
    document: dict[str, Any] = {
        "target": session.target,
        "driver": _driver(session),
        "workloads": _workloads(world),
        "release": _release(found.release) if found else None,
        "evidence": None,
    }
    if found is None:
        emit(document, output, f"{_runs(session, world)}\nno release of it is recorded{_hint(session)}")
        return
    if found.release.settled:
        lines = (_runs(session, world), *_config_text(document["workloads"]), result_text(found.release))
        emit(document, output, "\n".join(lines))
        return
    from canary.view.jsonl import state_body

    snap, evidence = _looked(session)
    document["evidence"] = evidence
    document["state"] = state_body(snap)
    lines = (_screen(snap), *_config_text(document["workloads"]), _driven(document["driver"]))
    emit(document, output, "\n".join(lines))


def watch(
    target: options.Target = None,
    where: options.Where = options.HERE,
    plain: options.Plain = False,
    output: options.Out = Output.TEXT,
) -> None:
    """Follow the running release to its end; change nothing.

    Exits like `canary start`: with the release's own code. Ctrl-C ends the watching, not the release.
    """
    from canary import wiring

    session = opened(where, target)
    if session.record() is None:
        raise MissingError(
            f"no release of {session.target} is recorded", remedy="Start one with `canary start VERSION`."
        )
    with viewing(session, output, plain=plain) as view:
        found = conducted(session, lambda: wiring.follow(session.ports, session.target, view))
        view.end(found.release)
    finish(session, found, output, plain=plain)


def history(
    target: options.Target = None, where: options.Where = options.HERE, output: options.Out = Output.TEXT
) -> None:
    """List the kept revisions and the past releases.

    A revision's number is what `canary undo --to-revision` takes. Configuration that was released with one
    (`canary start --config`) is named: going back to it brings that back. Exits 0.
    """
    session = opened(where, target)
    world = session.ports.workloads.observe()
    running = world.stable.revision.hash if world else ""
    revisions = [_revision(revision, running) for revision in session.ports.workloads.history()]
    releases = _past(session.ports.ledger.read(session.target))
    found = session.record()
    if found is not None and not found.release.settled:
        releases.append({**_release(found.release), "ended": None})
    document = {"target": session.target, "revisions": revisions, "releases": releases}
    emit(document, output, _history_text(document))


def _looked(session: Session) -> tuple[Snapshot, dict[str, Any] | None]:
    """The release as a follower sees it in one look; no evidence where only the driver has any."""
    from canary import looking
    from canary.core.journal import evidence_body

    seen = looking.look(session.ports, session.target, looking.Memory(taken_over=True, read=True))
    snap = take(seen.recorded.release, seen.seen, seen.assessed, seen.decision)
    if seen.assessed.elsewhere:
        return snap, None
    return snap, {"looks": snap.looks, **evidence_body(seen.assessed.evidence)}


def _screen(snap: Snapshot) -> str:
    width = shutil.get_terminal_size((100, 24)).columns
    lines = screen(snap, width, bars.glyphs_for(sys.stdout.encoding))
    return "\n".join("".join(text for text, _ in line).rstrip() for line in lines)


def _driver(session: Session) -> dict[str, Any] | None:
    holder = session.ports.lease.holder()
    if holder is None:
        return None
    return {"name": holder.name, "renewed_s": holder.renewed_s, "alive": holder.alive}


def _driven(driver: dict[str, Any] | None) -> str:
    if driver is None or not driver["alive"]:
        return "driver     nobody; `canary start` with the same version takes over"
    return f"driver     {driver['name']}"


def _workloads(world: World | None) -> dict[str, Any]:
    if world is None:
        return {}
    arms = {"stable": world.stable, "canary": world.canary}
    return {name: _workload(workload) for name, workload in arms.items() if workload is not None}


def _workload(workload: Workload) -> dict[str, Any]:
    return {
        "version": workload.revision.version,
        "hash": workload.revision.hash,
        "config": _config(workload.revision),
        "replicas": workload.replicas,
        "ready": workload.ready,
    }


def _config(revision: Revision) -> list[str]:
    """The configuration that it refers to by a name with a hash, as `configmap/NAME-HASH`."""
    from canary.kube.configs import hashed

    return sorted(str(one) for one in hashed(revision.template))


def _config_text(workloads: dict[str, Any]) -> list[str]:
    """Whose configuration is which; nothing when none was released with a version."""
    if not any(one["config"] for one in workloads.values()):
        return []
    told = (f"{name} {', '.join(one['config']) or 'none of a version'}" for name, one in workloads.items())
    return [f"config     {'; '.join(told)}"]


def _runs(session: Session, world: World | None) -> str:
    if world is None:
        return f"{session.target} is not there. {session.settings.if_missing}"
    stable = world.stable
    return f"{session.target} runs {stable.revision.version}, {stable.ready}/{stable.replicas} replicas ready"


def _hint(session: Session) -> str:
    return f"; start one with `canary start VERSION{session.how}`"


def _release(release: Release) -> dict[str, Any]:
    return {
        "release": release.id,
        "version": release.version,
        "config": _config(release.canary),
        "over": release.stable.version,
        "over_config": _config(release.stable),
        "phase": str(release.phase),
        "stage": str(release.stage),
        "step": release.step + 1,
        "steps": list(release.strategy.steps),
        "verdict": verdict(release),
        "outcome": str(release.outcome) if release.outcome else None,
        "reason": release.reason,
        "started": release.since,
        "deadline": release.since + release.strategy.deadline_s,
        "times": dict(release.times),
        "pause": _pause(release),
        "requests": [{"request": str(wish.kind), "by": wish.by, "at": wish.at} for wish in release.requests],
        "actor": release.actor,
    }


def _pause(release: Release) -> dict[str, Any] | None:
    pause = release.pause
    if pause is None:
        return None
    return {"by": pause.by, "since": pause.since, "until": pause.until, "reason": pause.reason}


def _revision(revision: Revision, running: str) -> dict[str, Any]:
    return {
        "revision": revision.number,
        "version": revision.version,
        "hash": revision.hash,
        "config": _config(revision),
        "running": revision.hash == running,
    }


def _past(entries: Sequence[Entry]) -> list[dict[str, Any]]:
    """The releases that the ledger tells the end of, oldest first."""
    return [
        {
            "release": entry.body.get("release"),
            "version": entry.body.get("version"),
            "outcome": entry.body.get("outcome"),
            "reason": entry.body.get("reason"),
            "ended": entry.at,
            "actor": entry.actor,
        }
        for entry in entries
        if entry.kind == "end"
    ]


def _history_text(document: dict[str, Any]) -> str:
    configured = any(row["config"] for row in document["revisions"])
    lines = [f"{'revision':<10}{'version':<16}{'hash':<12}{'':<9}{'config' if configured else ''}".rstrip()]
    for row in document["revisions"]:
        mark = "running" if row["running"] else ""
        number = "-" if row["revision"] is None else row["revision"]
        config = ", ".join(row["config"])
        lines.append(f"{number:<10}{row['version']:<16}{row['hash']:<12}{mark:<9}{config}".rstrip())
    if not document["revisions"]:
        lines.append("none is kept yet")
    lines += ["", f"{'ended':<22}{'version':<16}{'outcome':<16}reason"]
    for row in document["releases"]:
        ended = words.stamp(row["ended"]) if row["ended"] else "still running"
        outcome = row["outcome"] or row.get("phase") or "-"
        lines.append(f"{ended:<22}{row['version'] or '-':<16}{outcome:<16}{row['reason'] or ''}".rstrip())
    if not document["releases"]:
        lines.append("nothing was released yet")
    return "\n".join(lines)
