"""Monitoring: alert rules that concern the target are loaded and healthy, and reach somebody."""

import re

from canary.preflight.facts import Alert, Alerts, Facts
from canary.preflight.finding import Parts, Unseen, bad, good


def monitoring(facts: Facts) -> Parts:
    """From the rule to a receiver that tells a person."""
    found = facts.alerts
    if found is None:
        yield bad(
            "no Prometheus is named: no alert rule can be shown",
            f"Name it in {facts.file}: `analysis.source.prometheus.url`, or `preflight.prometheus.url` when "
            "it serves the alerts alone.",
        )
        return
    if isinstance(found, Unseen):
        yield found.part
        return
    yield from _rules(facts, found)
    yield from _route(found)


def _rules(facts: Facts, found: Alerts) -> Parts:
    mine = [one for one in found.rules if concerns(one, facts.target, facts.namespace)]
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


def _route(found: Alerts) -> Parts:
    if not found.managers:
        yield bad(
            f"{found.server} has no active Alertmanager: what fires reaches nobody",
            "Set `alerting.alertmanagers` in its configuration.",
        )
        return
    if isinstance(found.receivers, Unseen):
        yield found.receivers.part
        return
    told = [f"{one.name} ({', '.join(one.notifiers)})" for one in found.receivers if one.notifiers]
    if told:
        yield good(f"alerts go to {', '.join(found.managers)}, and from there to {', '.join(told)}")
        return
    silent = ", ".join(one.name for one in found.receivers) or "no receiver"
    yield bad(
        f"the routes of Alertmanager lead to {silent}, which tells nobody",
        "Give a receiver on its route a notifier, such as `webhook_configs` or `pagerduty_configs`.",
    )
