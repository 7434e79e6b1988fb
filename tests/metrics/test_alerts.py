"""Alert rules and receivers, from servers on loopback that answer as the real ones do."""

import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest

from canary.config.plain import values
from canary.config.settings import HttpServer
from canary.metrics.alerts import look
from canary.preflight.facts import Alert, Alerts, Matcher, Receiver, Route
from canary.preflight.finding import Unseen
from tests.metrics.alerting import Servers
from tests.metrics.loopback import loopback

ON_CALL = Receiver("on-call", ("pagerduty", "webhook"))


@pytest.fixture
def servers() -> Iterator[Servers]:
    with loopback() as server:
        yield Servers(server)


def test_rules_that_alert_are_read_with_their_health(servers: Servers) -> None:
    assert servers.seen().rules == (
        Alert("WebErrors", 'up{app="web"} == 0', {"severity": "page"}),
        Alert("Bad", "x / y", healthy=False, error="many-to-many matching"),
        Alert("New", "x", evaluated=False),
    )
    assert servers.server.asked[0].params == {"type": "alert"}


def test_routes_are_told_with_their_receivers_and_how_those_tell(servers: Servers) -> None:
    found = servers.seen()
    assert found.managers == (servers.server.url,)
    assert found.route == Route(
        ON_CALL,
        routes=(
            Route(Receiver("archive", ()), (Matcher("severity", "=", "info"),)),
            Route(ON_CALL, goes_on=True),
        ),
    )


@pytest.mark.parametrize(
    ("written", "matchers"),
    [
        ("match: {severity: page, team: shop}", [("severity", "=", "page"), ("team", "=", "shop")]),
        ("match_re: {severity: page|ticket}", [("severity", "=~", "page|ticket")]),
        (
            """matchers: ['severity="page"', team!=shop]""",
            [("severity", "=", "page"), ("team", "!=", "shop")],
        ),
        (
            """matchers: ['{severity=~"page|x", team!~"a.*"}']""",
            [("severity", "=~", "page|x"), ("team", "!~", "a.*")],
        ),
        ("""matchers: ['a = "say \\"x, y\\""']""", [("a", "=", 'say "x, y"')]),
        ("matchers: []", []),
    ],
)
def test_matchers_are_read_in_every_way_that_they_are_written(
    servers: Servers, written: str, matchers: list[tuple[str, str, str]]
) -> None:
    servers.config = f"route: {{receiver: a, routes: [{{{written}}}]}}\nreceivers: [{{name: a}}]"
    found = servers.seen().route
    assert isinstance(found, Route)
    assert [(one.label, one.kind, one.value) for one in found.routes[0].matchers] == matchers
    assert found.routes[0].receiver == Receiver("a", ())


def test_without_an_alertmanager_nobody_is_asked_and_nobody_is_told(servers: Servers) -> None:
    servers.managers = []
    assert (servers.seen().managers, servers.seen().route) == ((), None)
    assert all(one.path != "/api/v2/status" for one in servers.server.asked)


def test_an_alertmanager_that_cannot_be_reached_from_here_is_unseen_unless_its_address_is_given(
    servers: Servers,
) -> None:
    servers.managers = ["http://127.0.0.1:9/api/v2/alerts"]
    found = servers.seen().route
    assert isinstance(found, Unseen)
    assert "http://127.0.0.1:9" in found.why
    assert "preflight.alertmanager.url" in found.fix
    given = servers.look(HttpServer(servers.server.url))
    assert isinstance(given, Alerts)
    assert not isinstance(given.route, Unseen)


@pytest.mark.parametrize("path", ["/api/v1/rules", "/api/v1/alertmanagers"])
@pytest.mark.parametrize("status", [401, 404, 503])
def test_a_refusal_is_unseen_and_told(servers: Servers, path: str, status: int) -> None:
    servers.statuses[path] = status
    found = servers.look()
    assert isinstance(found, Unseen)
    assert f"it answered {status} to {path}" in found.why


@pytest.mark.parametrize(
    "body",
    [b"", b"<html>", b"[]", b'{"data": 3}', b'{"data": {"groups": [{"rules": [{"type": "alerting"}]}]}}'],
)
def test_an_answer_that_is_none_is_unseen(servers: Servers, body: bytes) -> None:
    servers.bodies["/api/v1/rules"] = body
    assert isinstance(servers.look(), Unseen)


@pytest.mark.parametrize("config", ["route: [", "receivers: []", "just words"])
def test_a_configuration_that_cannot_be_read_is_unseen(servers: Servers, config: str) -> None:
    servers.config = config
    assert isinstance(servers.seen().route, Unseen)


def test_the_token_is_read_from_its_file_and_sent_to_the_server_it_is_for(
    servers: Servers, tmp_path: Path
) -> None:
    token = tmp_path / "token"
    token.write_text("t0ken\n")
    found = look(HttpServer(servers.server.url, token_file=token), None, values)
    assert isinstance(found, Alerts)
    sent = {one.path: one.headers.get("Authorization") for one in servers.server.asked}
    assert sent["/api/v1/rules"] == "Bearer t0ken"
    assert sent["/api/v2/status"] is None


@pytest.mark.parametrize("missing", ["token_file", "ca_file"])
def test_a_file_that_is_not_there_is_unseen_and_named(servers: Servers, tmp_path: Path, missing: str) -> None:
    path = tmp_path / "none"
    found = look(HttpServer(servers.server.url, **{missing: path}), None, values)  # type: ignore[arg-type]
    assert isinstance(found, Unseen)
    assert "a file it needs cannot be read" in found.why


def test_a_file_of_certificates_that_holds_none_is_unseen(servers: Servers, tmp_path: Path) -> None:
    path = tmp_path / "ca.pem"
    path.write_text("no certificate")
    assert issubclass(ssl.SSLError, OSError)
    assert isinstance(look(HttpServer(servers.server.url, ca_file=path), None, values), Unseen)
