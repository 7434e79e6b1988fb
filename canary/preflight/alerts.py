"""Monitoring: alert rules that concern the target are loaded and healthy, and reach somebody."""

import re
from collections.abc import Mapping, Sequence

from canary.preflight.facts import Alert, Alerts, Box, Facts
from canary.preflight.finding import Parts, Unseen, bad, good
from canary.preflight.routes import reached


def monitoring(facts: Facts) -> Parts:
    """From the rule to a receiver that tells a person."""
    found = facts.alerts
    if found is None:
        yield bad("no Prometheus is named: no alert rule can be shown", _where_to_name_it(facts))
        return
    if isinstance(found, Unseen):
        yield found.part
        return
    mine = [one for one in found.rules if concerns(one, facts.target, facts.namespace)]
    yield from _rules(facts, found, mine)
    yield from _route(found, [_labels(one, facts.namespace) for one in mine])


def _where_to_name_it(facts: Facts) -> str:
    if isinstance(facts.place, Box):
        return "Name it: --prometheus URL."
    return (
        f"Name it in {facts.file}: `analysis.source.prometheus.url`, or `preflight.prometheus.url` when "
        "it serves the alerts alone."
    )


def _labels(rule: Alert, namespace: str) -> Mapping[str, str]:
    """The labels that its alerts have, as far as they are known."""
    known = {"namespace": namespace} if namespace else {}
    return {**known, **rule.labels, "alertname": rule.name}


def _rules(facts: Facts, found: Alerts, mine: Sequence[Alert]) -> Parts:
    if not mine:
        yield bad(
            f"none of the {len(found.rules)} alert rules that {found.server} has loaded mentions "
            f"{facts.target}{f' or namespace {facts.namespace}' if facts.namespace else ''}",
            f"Load alert rules whose expression or labels name {facts.target}.",
        )
        return
    for one in mine:
        if one.error or not one.healthy:
            yield bad(
                f"alert {one.name} fails: {one.error or 'not healthy'}", f"Correct the rule {one.name}."
            )
        elif not one.evaluated:
            yield Unseen(
                f"alert {one.name} was not evaluated yet", "Wait for its first evaluation, and ask again."
            ).part
    sound = [one.name for one in mine if one.healthy and one.evaluated and not one.error]
    if sound:
        yield good(f"{len(sound)} alert rules on it are healthy: {', '.join(sorted(set(sound))[:8])}")


def concerns(rule: Alert, target: str, namespace: str) -> bool:
    """Whether a rule is about a target: its expression or a label has its name in it, or its namespace.

    A name counts as a whole word, also as the beginning of a pattern for its pods (`web-.*`).
    """
    name = rf"(?<![\w-]){re.escape(target)}(?:(?![\w-])|-(?=[.\[(\\]))"
    texts = [rule.expression, *rule.labels.values()]
    if any(re.search(name, text) for text in texts):
        return True
    quoted = rf"""namespace\s*=~?\s*["'`]{re.escape(namespace)}["'`]"""
    inside = bool(re.search(quoted, rule.expression)) or rule.labels.get("namespace") == namespace
    return bool(namespace) and inside


def _route(found: Alerts, alerts: Sequence[Mapping[str, str]]) -> Parts:
    if not found.managers or found.route is None:
        yield bad(
            f"{found.server} has no active Alertmanager: what fires reaches nobody",
            "Set `alerting.alertmanagers` in its configuration.",
        )
        return
    if isinstance(found.route, Unseen):
        yield found.route.part
        return
    told: dict[str, None] = {}
    for labels in alerts:
        receivers = reached(found.route, labels)
        if speaking := [f"{one.name} ({', '.join(one.notifiers)})" for one in receivers if one.notifiers]:
            told |= dict.fromkeys(speaking)
            continue
        silent = ", ".join(one.name for one in receivers)
        yield bad(
            f"alert {labels['alertname']} is routed to {silent}, which tells nobody",
            "Route it to a receiver with a notifier, such as `webhook_configs` or `pagerduty_configs`.",
        )
    if told:
        yield good(f"alerts go to {', '.join(found.managers)}, and from there to {', '.join(told)}")
