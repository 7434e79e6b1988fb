"""The plan of a release as a document and as text."""

from collections.abc import Mapping, Sequence
from typing import Any

from canary import fit
from canary.cli.forecast import forecast
from canary.cli.session import Session
from canary.core.observation import World
from canary.core.strategy import Capacity, Promote, Strategy
from canary.core.weights import PlannedStep, limits
from canary.errors import MissingError
from canary.view import words

OUTSIDE = "these act by themselves: no false-rollback rate is promised for them"
"""What a person should know of guards."""
NOTICE_S = 2.0
"""A verdict is acted on within this time."""


def plan_document(session: Session, version: str | None) -> dict[str, Any]:
    """What a release would do, with the world as it is now.

    Raises:
        MissingError: there is no target.
    """
    world = _found(session)
    runs = world.stable.revision
    asked = version if version is not None else runs.version
    revision = session.ports.workloads.revise(runs, asked, session.config)
    strategy = fit.fitted(session.settings, world)
    size = world.stable.replicas
    steps = fit.steps(strategy, world)
    most = fit.most_pods(strategy, world)
    return {
        "target": session.target,
        "version": version,
        "runs": runs.version,
        "already_running": version is not None and revision.hash == runs.hash,
        "replicas": size,
        "surge": world.surge,
        "unavailable": world.unavailable,
        "capacity": str(strategy.capacity),
        "most_pods": most,
        "no_room": session.ports.workloads.no_room(most - len(world.stable.pods)),
        "others": _others(world, steps),
        "steps": [_step(step) for step in steps],
        "hold_min_s": strategy.hold_min_s,
        "hold_max_s": strategy.hold_max_s,
        "deadline_s": strategy.deadline_s,
        "on_inconclusive": str(strategy.on_inconclusive),
        "bake_s": strategy.bake_s,
        "false_rollback_rate": strategy.false_rollback_rate,
        "false_promotion_rate": strategy.false_promotion_rate,
        "metrics": _metrics(strategy),
        "guards": _guards(strategy),
        "forecast": forecast(session, world, steps[-1].share),
        "promote": str(strategy.promote),
        "rollback": _rollback(session, world, steps, strategy),
        "config": _config(session, runs.template, revision.template),
        "touches": _touches(session, world, strategy),
    }


def _found(session: Session) -> World:
    world = session.ports.workloads.observe()
    if world is None:
        raise MissingError(
            f"there is no {session.target} to release to",
            remedy=session.settings.if_missing,
        )
    return world


def warning(session: Session) -> str:
    """That promotion is not expected by the deadline at today's traffic; empty when it is, or not known."""
    world = session.ports.workloads.observe()
    if world is None:
        return ""
    share = fit.steps(fit.fitted(session.settings, world), world)[-1].share
    return str(forecast(session, world, share)["warning"])


def _others(world: World, steps: Sequence[PlannedStep]) -> list[str]:
    """What others ask of the target, and what that means for the release."""
    size, more = world.stable.replicas, steps[-1].pair.canary
    found = [
        f"{budget.name} asks for {budget.demand(size)} ready pods of {size}: kept" for budget in world.budgets
    ]
    if world.scaler:
        found.append(
            f"{world.scaler}, sets the replicas: canary pods come on top. It counts them as the target's: "
            f"with {more} of them it may ask for up to {size + more} pods where it asks for {size} now"
        )
    return found


def _step(step: PlannedStep) -> dict[str, Any]:
    return {
        "weight": step.weight,
        "merged": list(step.merged),
        "canary": step.pair.canary,
        "stable": step.pair.stable,
        "share": step.share,
        "note": step.note,
    }


def _metrics(strategy: Strategy) -> list[dict[str, Any]]:
    return [
        {
            "name": metric.name,
            "kind": str(metric.kind),
            "tolerance": metric.tolerance,
            "margin_ratio": metric.margin.ratio,
            "margin_abs": metric.margin.abs,
        }
        for metric in strategy.metrics
    ]


def _guards(strategy: Strategy) -> list[dict[str, Any]]:
    return [
        {
            "name": guard.name,
            "condition": guard.condition,
            "action": str(guard.action),
            "alert": guard.alert,
            "told": str(guard),
        }
        for guard in strategy.guards
    ]


def _rollback(
    session: Session, world: World, steps: Sequence[PlannedStep], strategy: Strategy
) -> dict[str, Any]:
    """From the last step, where most canary replicas serve, back to none."""
    size = world.stable.replicas
    room = limits(size, *world.room(size), strategy.capacity, world.demand(size))
    pair = steps[-1].pair
    at_once = min(pair.canary, max(0, pair.total - room.floor))
    service = session.settings.local
    return {
        "canary": pair.canary,
        "at_once": at_once,
        "within_s": NOTICE_S,
        "after_stable_ready": pair.canary - at_once,
        "ready_within_s": service.ready_s if service else strategy.ready_deadline_s,
    }


def _config(session: Session, before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, Any]:
    """The objects that would be made, and the references that would be others."""
    if not session.config:
        return {"objects": [], "references": []}
    from canary.kube.configs import changes

    return {
        "objects": list(session.config),
        "references": [
            {"place": old.place, "from": str(old.to), "to": str(new.to)}
            for old, new in changes(before, after)
        ],
    }


def _touches(session: Session, world: World, strategy: Strategy) -> list[str]:
    target = session.target
    found = [
        *(f"{one}: made, unless it is there, and never changed" for one in session.config),
        f"the record and the lease of {target}, and its ledger",
        f"a canary workload of {target}: made, scaled, taken away in the end",
    ]
    if strategy.capacity is Capacity.REPLACE:
        found.append(f"{target}: the number of its replicas ({world.stable.replicas} again in the end)")
    if strategy.promote is Promote.EXTERNAL:
        return [*found, f"{target} itself is never touched: a good version is for others to put there"]
    return [*found, f"{target}: its template, only when promoted"]


def plan_text(document: Mapping[str, Any]) -> str:
    """The plan for people, at most 100 columns wide but for the notes."""
    version = document["version"] or "a new version"
    lines = [
        f"{document['target']}: {version} over {document['runs']}, {document['replicas']} replicas"
        f" (surge {document['surge']}, unavailable {document['unavailable']})"
    ]
    if document["already_running"]:
        lines.append(f"{version} is already running: `canary start` would do nothing")
    lines += ["", f"{'step':<6}{'asked':>8}{'canary':>8}{'stable':>8}{'share':>9}"]
    for number, step in enumerate(document["steps"], 1):
        share = words.percent(step["share"])
        asked = words.weight(step["weight"])
        lines.append(f"{number:<6}{asked:>8}{step['canary']:>8}{step['stable']:>8}{share:>9}")
        lines += [f"      {note}" for note in step["note"].split("; ") if note]
    if document["no_room"]:
        lines += ["", f"no room:   {document['no_room']}"]
    if document["others"]:
        lines += ["", *(f"others:    {told}" for told in document["others"])]
    changed = [f"{one['place']}: {one['from']} -> {one['to']}" for one in document["config"]["references"]]
    lines += ["", *_rules(document), "", "touches:", *_listed(document["touches"])]
    return "\n".join([*lines, "refers to:", *_listed(changed)] if changed else lines)


def _rules(document: Mapping[str, Any]) -> list[str]:
    back = document["rollback"]
    rest = back["after_stable_ready"]
    later = (
        f", {rest} more within {NOTICE_S:g}s of a stable replica being ready "
        f"(at most {words.duration(back['ready_within_s'])} each)"
        if rest
        else ""
    )
    bake = words.duration(document["bake_s"]) if document["bake_s"] else "none"
    return [
        f"each step: at least {words.duration(document['hold_min_s'])}; "
        f"amber pauses after {words.duration(document['hold_max_s'])}",
        f"deadline:  {words.duration(document['deadline_s'])}, then {document['on_inconclusive']}; "
        f"bake: {bake}",
        f"rollback:  from the last step {back['at_once']} of {back['canary']} canary replicas "
        f"are out of traffic within {back['within_s']:g}s of the verdict{later}",
        f"promises:  at most {words.percent(document['false_rollback_rate'])} of good versions rolled back, "
        f"at most {words.percent(document['false_promotion_rate'])} of those beyond the margin promoted",
        *_metric_lines(document),
        *_guard_lines(document),
        *_forecast_lines(document["forecast"]),
    ]


def _metric_lines(document: Mapping[str, Any]) -> list[str]:
    return [
        f"compares:  {metric['name']}: tolerates {words.percent(metric['tolerance'])} more, must rule out "
        f"x{words.ratio(metric['margin_ratio'])} or {100 * metric['margin_abs']:g}pp more, the larger"
        for metric in document["metrics"]
    ] or ["compares:  nothing: no metric is configured"]


def _guard_lines(document: Mapping[str, Any]) -> list[str]:
    lines = [f"guards:    {guard['name']}: {guard['told']}" for guard in document["guards"]]
    return [*lines, f"           {OUTSIDE}"] if lines else []


def _forecast_lines(found: Mapping[str, Any]) -> list[str]:
    if found["requests_per_s"] is None:
        return [f"traffic:   not known: {found['note']}"]
    lines = [f"traffic:   {words.rate(found['requests_per_s'])} requests/s in the last minutes"]
    for metric in found["metrics"]:
        needs = metric["requests"]
        if needs is None:
            lines.append(f"needs:     {metric['name']}: not known, {metric['note']}")
            continue
        lines.append(
            f"needs:     {metric['name']}: about {words.count(needs)} requests in the last step, "
            f"{words.duration(metric['seconds'])} at this traffic (base {words.percent(metric['base'])})"
        )
    if found["warning"]:
        lines.append(f"warning:   {found['warning']}")
    return lines


def _listed(items: Sequence[str]) -> list[str]:
    return [f"  {item}" for item in items]
