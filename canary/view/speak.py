"""When a log should speak: what changed since it spoke last. Pure."""

from canary.core.actions import Act, Decision, Wait
from canary.core.release import Phase
from canary.view import words
from canary.view.screen import holding
from canary.view.snapshot import GuardRow, MetricRow, Snapshot


def changes(last: Snapshot | None, now: Snapshot) -> list[str]:
    """What is new since the last tick, one line each; empty when nothing is."""
    told: list[str] = []
    if last is None:
        told.append(f"{now.target}: {now.version} over {now.stable_version}, {_where(now)}")
    elif _where(last) != _where(now):
        told.append(_where(now))
    if last is None or _arms(last) != _arms(now):
        told.append(_arms(now))
    told += _troubles(last, now)
    told += _guards(last, now)
    if now.pause and (last is None or last.pause != now.pause):
        told.append(f"paused {now.pause}; ends in {words.duration(now.pause_left_s)}")
    if last is not None and last.pause and not now.pause and not now.ending:
        told.append("no longer paused")
    if now.hold and not now.pause and (last is None or last.hold != now.hold):
        told.append(f"waiting: {holding(now)}")
    return [line for line in told if line]


def progress(now: Snapshot) -> str:
    """The figures of this moment in one line; empty where there are none."""
    if not now.metrics or now.phase is not Phase.PROGRESSING:
        return ""
    safety = ""
    if now.deciding:
        least = min(row.safety for row in now.metrics)
        safety = f", for {words.evidence(least)} of {words.evidence(now.safety_limit)}"
    return (
        f"look {now.looks}: share {words.percent(now.share)} of {words.weight(now.asked)}; "
        + "; ".join(_metric(row) for row in now.metrics)
        + f"; against {words.evidence(now.harm)} of {words.evidence(now.harm_limit)}{safety}"
    )


def deed(now: Snapshot, decision: Decision) -> str:
    """What this tick does, when nothing else will tell: the next tick's state tells of a move to it."""
    if isinstance(decision, Wait):
        # Why a release does not even begin; later waits have their kind, or show in the figures.
        return f"waiting: {now.doing}" if now.phase is Phase.PENDING else ""
    if isinstance(decision, Act):
        return now.doing
    after = decision.release
    same_state = (after.phase, after.step) == (now.phase, now.step)
    same_stage = after.stage == now.stage or not now.stage
    return now.doing if same_state and same_stage and bool(after.pause) == bool(now.pause) else ""


def _where(snap: Snapshot) -> str:
    if snap.ending:
        return ""
    if snap.phase is not Phase.PROGRESSING:
        reason = f": {snap.reason}" if snap.reason else ""
        return f"{snap.phase.value.replace('_', ' ')}{reason}"
    return f"step {snap.step + 1}/{len(snap.steps)}, {words.weight(snap.asked)} asked, {snap.stage}"


def _arms(snap: Snapshot) -> str:
    return ", ".join(
        f"{row.name} {row.ready}/{row.asked} ready"
        + (f" ({row.released} on {snap.version})" if row.name == "stable" and row.released else "")
        for row in snap.arms
    )


def _troubles(last: Snapshot | None, now: Snapshot) -> list[str]:
    before = {row.trouble for row in last.arms} if last else set()
    return [f"trouble: {row.trouble}" for row in now.arms if row.trouble and row.trouble not in before]


def _guards(last: Snapshot | None, now: Snapshot) -> list[str]:
    """Guards that fired, cleared, or cannot be told; an alert says that it is one."""
    before = {row.name: row for row in last.guards} if last else {}
    told = []
    for row in now.guards:
        was = before.get(row.name, GuardRow(row.name, row.condition, row.action, row.alert))
        if row.firing and not was.firing:
            alert = "ALERT: " if row.alert else ""
            told.append(f"{alert}guard {row.name} fired ({row.action}): {row.told}, which is {row.condition}")
        if was.firing and not row.firing and now.guards:
            told.append(f"guard {row.name} has cleared")
        if row.unseen and row.unseen != was.unseen:
            told.append(f"guard {row.name} cannot be told: {row.unseen}")
    return told


def _metric(row: MetricRow) -> str:
    if row.warming:
        return f"{row.name} warming up"
    return (
        f"{row.name} {words.percent(row.canary_rate)} against {words.percent(row.stable_rate)}"
        f" ({words.ratio(row.low)} to {words.ratio(row.high)} times)"
    )
