"""Whom an alert reaches: the routes of an Alertmanager, walked as it does."""

import re
from collections.abc import Mapping

from canary.preflight.facts import Matcher, Receiver, Route


def reached(route: Route, labels: Mapping[str, str]) -> tuple[Receiver, ...]:
    """The receivers that an alert with these labels may reach, below a route that it has come to.

    A label that is not among them may have any value: series bring labels that a rule does not tell.
    """
    found: list[Receiver] = []
    caught = False
    for child in route.routes:
        fits = _fits(child, labels)
        if fits is False:
            continue
        found += reached(child, labels)
        caught = caught or fits is True
        if fits and not child.goes_on:
            break
    if not caught:
        found.append(route.receiver)
    return tuple(dict.fromkeys(found))


def _fits(route: Route, labels: Mapping[str, str]) -> bool | None:
    """Whether an alert matches; None when it depends on labels that are not known."""
    each = [_holds(one, labels.get(one.label)) for one in route.matchers]
    return False if False in each else None if None in each else True


def _holds(matcher: Matcher, value: str | None) -> bool | None:
    if value is None or "{{" in value:
        return None
    if matcher.kind in ("=", "!="):
        return (value == matcher.value) is (matcher.kind == "=")
    try:
        found = re.fullmatch(matcher.value, value) is not None
    except re.error:
        # The server's expressions are of another kind: what ours cannot read is not known.
        return None
    return found is (matcher.kind == "=~")
