"""Whom an alert may reach, by what is known of its labels."""

from dataclasses import replace

import pytest

from canary.preflight.checks import findings
from canary.preflight.facts import Matcher, Receiver, Route
from canary.preflight.finding import Point, Status
from canary.preflight.routes import reached
from tests.preflight.seen import ALERT, ALERTS, facts

ROOT, PAGER, QUIET = Receiver("root", ("email",)), Receiver("pager", ("pagerduty",)), Receiver("quiet", ())


def by(label: str, value: str, kind: str = "=") -> tuple[Matcher, ...]:
    return (Matcher(label, kind, value),)


def names(route: Route, **labels: str) -> list[str]:
    return [one.name for one in reached(route, labels)]


def test_without_routes_an_alert_comes_to_the_root() -> None:
    assert names(Route(ROOT), severity="page") == ["root"]


def test_the_first_route_that_fits_takes_it() -> None:
    route = Route(ROOT, routes=(Route(PAGER, by("severity", "page")), Route(QUIET, by("team", "shop"))))
    assert names(route, severity="page", team="shop") == ["pager"]
    assert names(route, severity="info", team="shop") == ["quiet"]
    assert names(route, severity="info", team="other") == ["root"]


def test_a_route_that_goes_on_shows_it_to_the_next_and_the_root_does_not_get_it() -> None:
    route = Route(
        ROOT, routes=(Route(PAGER, by("severity", "page"), goes_on=True), Route(QUIET, by("team", "shop")))
    )
    assert names(route, severity="page", team="shop") == ["pager", "quiet"]
    assert names(route, severity="page", team="other") == ["pager"]


def test_a_label_that_is_not_known_may_lead_either_way() -> None:
    route = Route(ROOT, routes=(Route(PAGER, by("pod", "web-1")),))
    assert names(route, severity="page") == ["pager", "root"]
    assert names(route, pod="{{ $labels.pod }}") == ["pager", "root"]


def test_routes_below_routes_are_walked_as_well() -> None:
    inner = Route(PAGER, by("team", "shop"), routes=(Route(QUIET, by("severity", "info")),))
    route = Route(ROOT, routes=(inner,))
    assert names(route, team="shop", severity="info") == ["quiet"]
    assert names(route, team="shop", severity="page") == ["pager"]


@pytest.mark.parametrize(
    ("kind", "value", "fits"),
    [
        ("=", "page", True),
        ("=", "pag", False),
        ("!=", "page", False),
        ("!=", "info", True),
        ("=~", "page|info", True),
        ("=~", "pag", False),
        ("!~", "pa.*", False),
        ("!~", "in.*", True),
    ],
)
def test_each_kind_of_matcher_asks_for_the_whole_value(kind: str, value: str, fits: bool) -> None:
    route = Route(ROOT, routes=(Route(PAGER, by("severity", value, kind)),))
    assert names(route, severity="page") == (["pager"] if fits else ["root"])


def test_an_expression_that_cannot_be_read_here_may_fit_or_not() -> None:
    route = Route(ROOT, routes=(Route(PAGER, by("severity", "(?P<x", "=~")),))
    assert names(route, severity="page") == ["pager", "root"]


@pytest.mark.parametrize(("severity", "status"), [("page", Status.PASS), ("info", Status.FAIL)])
def test_an_alert_that_surely_comes_to_a_silent_receiver_fails_the_monitoring(
    severity: str, status: Status
) -> None:
    route = Route(ROOT, routes=(Route(QUIET, by("severity", "info")),))
    rule = replace(ALERT, labels={"severity": severity})
    found = findings(facts(alerts=replace(ALERTS, rules=(rule,), route=route)), [Point.MONITORING])[0]
    assert found.status is status
    if status is Status.FAIL:
        assert found.evidence[0] == "alert WebErrors is routed to quiet, which tells nobody"


def test_the_namespace_and_the_name_of_an_alert_are_known() -> None:
    route = Route(QUIET, routes=(Route(PAGER, (*by("namespace", "shop"), *by("alertname", "WebErrors"))),))
    found = findings(facts(alerts=replace(ALERTS, route=route)), [Point.MONITORING])[0]
    assert found.status is Status.PASS
