"""Backups, and what was drilled with them."""

from collections.abc import Sequence

from canary.preflight.facts import Facts, Host, Kind, Pods, Proof
from canary.preflight.finding import Part, Parts, Unseen, age, bad, good, idle

AHEAD_S = 300.0
"""Clocks may differ by this much; what lies further ahead is no evidence of anything."""
PERSISTENT = ("persistentVolumeClaim", "hostPath", "nfs", "iscsi", "rbd", "cephfs")
"""Volumes whose data outlives a pod."""


def backup(facts: Facts) -> Parts:
    """A good backup and a tried restore, both fresh enough."""
    if facts.asked.stateless:
        yield from _stateless(facts)
        return
    yield from _fresh(facts, Kind.BACKUP)
    yield from _fresh(facts, Kind.DRILL)


def recovery(facts: Facts) -> Parts:
    """The last drill kept the recovery time and point that are asked for."""
    if facts.asked.stateless:
        yield from _stateless(facts)
        return
    drill = _last(facts, Kind.DRILL)
    if drill is None:
        yield from _fresh(facts, Kind.DRILL)
        return
    yield from _fresh(facts, Kind.DRILL)
    asked = facts.asked
    goal_s = asked.rto_s if asked.rto_s is not None else drill.rto_target_s
    yield _kept("recovery time (RTO)", drill.source, drill.rto_s, goal_s, ("rto", "preflight.drill.rto"))
    point_s, source = drill.rpo_s, drill.source
    if point_s is None:
        point_s, source = _since_backup(facts, drill), "the age of the last backup"
    goal_s = asked.rpo_s if asked.rpo_s is not None else drill.rpo_target_s
    # How much may be lost is bounded by how old a backup may be.
    goal_s = asked.backup_s if goal_s is None else goal_s
    yield _kept("recovery point (RPO)", source, point_s, goal_s, ("rpo", "preflight.drill.rpo"))


def _stateless(facts: Facts) -> Parts:
    """It is said that there is nothing to restore: as far as volumes tell, it must be so."""
    place = facts.place
    volumes = place.template["spec"].get("volumes") or [] if isinstance(place, Pods) else []
    keeps = [
        f"volumes[{i}] {one.get('name')} ({kind})"
        for i, one in enumerate(volumes)
        for kind in PERSISTENT
        if kind in one
    ]
    if keeps:
        yield bad(
            f"said to keep no data ({facts.asked.stateless}), and mounts {', '.join(keeps)}",
            f"Take `preflight.stateless` out of {facts.file}, or the volumes out of the template.",
        )
        return
    seen = "as said; not looked at further" if isinstance(place, Host) else "no volume outlives its pods"
    yield idle(f"keeps no data: {facts.asked.stateless} ({seen})")


def _of(facts: Facts, kind: Kind) -> list[Proof]:
    return [one for one in facts.proofs if isinstance(one, Proof) and one.kind is kind]


def _last(facts: Facts, kind: Kind) -> Proof | None:
    """The last one that counts."""
    good_ones = [(one.at, one) for one in _of(facts, kind) if one.at is not None and not _fault(one, facts)]
    return max(good_ones, key=lambda pair: pair[0])[1] if good_ones else None


def _fault(proof: Proof, facts: Facts) -> str:
    if proof.fault or proof.at is None:
        return proof.fault or "has never gone well"
    return "lies in the future" if proof.at > facts.now + AHEAD_S else ""


def _fresh(facts: Facts, kind: Kind) -> Parts:
    """The last good one is not too old; what stopped or went wrong since is told."""
    proofs, last = _of(facts, kind), _last(facts, kind)
    fix = _how(facts, kind)
    for one in proofs:
        if one.stopped:
            yield bad(f"{one.source} {one.stopped}", fix)
    if last is None or last.at is None:
        yield from _none(facts, kind, proofs, fix)
        return
    limit_s = facts.asked.backup_s if kind is Kind.BACKUP else facts.asked.drill_s
    old_s = facts.now - last.at
    later = [one for one in proofs if one.at is not None and one.at > last.at and _fault(one, facts)]
    since = "".join(f"; since then {one.source}: {_fault(one, facts)}" for one in later)
    since += "".join(f"; not counted: {one.why}" for one in facts.proofs if isinstance(one, Unseen))
    told = f"last good {kind} {age(old_s)} ago: {last.source}{since}"
    yield good(told) if old_s <= limit_s else bad(f"{told}; it may be {age(limit_s)} old", fix)


def _none(facts: Facts, kind: Kind, proofs: Sequence[Proof], fix: str) -> Parts:
    unseen = [one for one in facts.proofs if isinstance(one, Unseen)]
    if unseen and not proofs:
        yield from (one.part for one in unseen)
        return
    faulty = "".join(f"; {one.source}: {_fault(one, facts)}" for one in proofs if not one.stopped)
    yield bad(f"no good {kind} was found{faulty}", fix)


def _how(facts: Facts, kind: Kind) -> str:
    files = f"write evidence files into `preflight.evidence` of {facts.file} (docs/preflight.md)"
    if isinstance(facts.place, Host):
        return f"Make a {kind} now, and regularly; {files}."
    return (
        f"Have a CronJob with the label canary/evidence={kind} and the annotation "
        f"canary/target={facts.target} that runs to its end, or {files}."
    )


def _since_backup(facts: Facts, drill: Proof) -> float | None:
    """How old the last backup was when the drill was over: what would have been lost."""
    at = drill.at
    before = [one.at for one in _of(facts, Kind.BACKUP) if one.at is not None and not _fault(one, facts)]
    if at is None or not before:
        return None
    # A CronJob only tells of its last run: one after the drill says how much would be lost now.
    earlier = [one for one in before if one <= at]
    return at - max(earlier) if earlier else max(0.0, facts.now - max(before))


def _kept(
    what: str, source: str, measured_s: float | None, goal_s: float | None, keys: tuple[str, str]
) -> Part:
    short, key = keys
    if measured_s is None:
        return Unseen(
            f"{source} does not tell the {what} that it measured",
            f"Have the drill write `{short}_s` into an evidence file (docs/preflight.md), "
            "or keep the Job of its last good run.",
        ).part
    if goal_s is None:
        return bad(
            f"{what} measured {age(measured_s)} by {source}, and nothing says what it must be",
            f"Set `{key}`, or `{short}_target_s` in the evidence.",
        )
    told = f"{what} {age(measured_s)} of at most {age(goal_s)}, measured by {source}"
    return good(told) if measured_s <= goal_s else bad(told, f"Make it quicker, or raise `{key}` if you may.")
