"""Alert rules that a Prometheus has loaded, and whom its Alertmanager tells. Asked over HTTP, once each."""

import re
import ssl
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import httpx

from canary.metrics.server import Server
from canary.preflight.facts import Alert, Alerts, Matcher, Receiver, Route
from canary.preflight.finding import Unseen

SENT_TO = "/api/v2/alerts"
"""What Prometheus adds to the address of an Alertmanager."""
_MATCHER = re.compile(r"""("[^"]*"|[\w.:-]+)\s*(=~|!~|!=|=)\s*("(?:[^"\\]|\\.)*"|[^,\s]*)""")
"""A label, what is asked of it, and the value, in quotes or bare; several in one text have commas between."""
Parse = Callable[[str], Any]
"""Text of YAML -> its values. Raises ValueError."""


class _NoAnswerError(Exception):
    """The server did not say what was asked for."""


def look(prometheus: Server, alertmanager: Server | None, parse: Parse) -> Alerts | Unseen:
    """All alerting rules, the active Alertmanagers, and the routes of one of them.

    Args:
        alertmanager: None: the first that Prometheus names, at the address by which that knows it.
        parse: see `Parse`.
    """
    try:
        rules = tuple(_rules(_data(prometheus, "/api/v1/rules", type="alert")))
        named = _data(prometheus, "/api/v1/alertmanagers").get("activeAlertmanagers") or []
        managers = tuple(str(one["url"]).removesuffix(SENT_TO) for one in named)
    except (_NoAnswerError, KeyError, TypeError, ValueError, AttributeError) as fault:
        told = fault if isinstance(fault, _NoAnswerError) else f"its answer cannot be read ({fault!r})"
        return Unseen(
            f"Prometheus at {prometheus.url}: {told}",
            "See that it runs and can be reached from here, or name it in `preflight.prometheus`.",
        )
    return Alerts(prometheus.url, rules, managers, _asked_route(alertmanager, managers, prometheus, parse))


def _asked_route(
    given: Server | None, managers: Sequence[str], prometheus: Server, parse: Parse
) -> Route | Unseen | None:
    if given is None and not managers:
        return None
    url = given.url if given is not None else managers[0]
    try:
        status = _json(given, url, "/api/v2/status", prometheus.timeout_s)
        return _routes(parse(str(status["config"]["original"])))
    except (_NoAnswerError, KeyError, TypeError, ValueError, AttributeError) as fault:
        told = fault if isinstance(fault, _NoAnswerError) else f"its answer cannot be read ({fault!r})"
        return Unseen(
            f"whom Alertmanager at {url} tells: {told}",
            "Name an address that can be reached from here as `preflight.alertmanager.url`.",
        )


def _data(server: Server, path: str, **query: str) -> Mapping[str, Any]:
    found = _json(server, server.url, path, server.timeout_s, **query)
    data: Mapping[str, Any] = found["data"]
    return data


def _json(server: Server | None, url: str, path: str, timeout_s: float, **query: str) -> Any:  # noqa: ANN401
    """One GET. `server`: how it is spoken to; None: without credentials."""
    try:
        headers = {}
        if server is not None and server.token_file is not None:
            headers["Authorization"] = f"Bearer {server.token_file.read_text(encoding='utf-8').strip()}"
        ca_file = server.ca_file if server is not None else None
        trusted = True if ca_file is None else ssl.create_default_context(cafile=str(ca_file))
        limit_s = server.timeout_s if server is not None else timeout_s
        answer = httpx.get(
            f"{url.rstrip('/')}{path}", params=query, headers=headers, verify=trusted, timeout=limit_s
        )
    except (httpx.HTTPError, httpx.InvalidURL) as fault:
        raise _NoAnswerError(str(fault) or type(fault).__name__) from fault
    except OSError as fault:
        raise _NoAnswerError(f"a file it needs cannot be read: {fault}") from fault
    if answer.status_code != httpx.codes.OK:
        raise _NoAnswerError(f"it answered {answer.status_code} to {path}")
    return answer.json()


def _rules(data: Mapping[str, Any]) -> Iterator[Alert]:
    for group in data.get("groups") or []:
        for one in group.get("rules") or []:
            if one.get("type") == "alerting":
                health = one.get("health")
                yield Alert(
                    str(one["name"]),
                    str(one["query"]),
                    {str(key): str(value) for key, value in (one.get("labels") or {}).items()},
                    healthy=health != "err",
                    evaluated=health in ("ok", "err"),
                    error=str(one.get("lastError") or ""),
                )


def _routes(config: Mapping[str, Any]) -> Route:
    """The routes of a configuration, each with its receiver."""
    known = {str(one["name"]): one for one in config.get("receivers") or []}

    def receiver(name: str) -> Receiver:
        found = known.get(name, {})
        ways = (
            key.removesuffix("_configs") for key, given in found.items() if key.endswith("_configs") and given
        )
        return Receiver(name, tuple(sorted(ways)))

    def route(found: Mapping[str, Any], above: str) -> Route:
        # Left out, it is that of the route above.
        name = str(found.get("receiver") or above)
        below = tuple(route(one, name) for one in found.get("routes") or [])
        return Route(receiver(name), tuple(_matchers(found)), bool(found.get("continue")), below)

    return route(config["route"], "")


def _matchers(route: Mapping[str, Any]) -> Iterator[Matcher]:
    for key, kind in (("match", "="), ("match_re", "=~")):
        for label, value in (route.get(key) or {}).items():
            yield Matcher(str(label), kind, str(value))
    for text in route.get("matchers") or []:
        for found in _MATCHER.finditer(str(text).strip().removeprefix("{").removesuffix("}")):
            quoted = found[3].startswith('"')
            value = found[3][1:-1].replace('\\"', '"').replace("\\\\", "\\") if quoted else found[3]
            yield Matcher(found[1].strip('"'), found[2], value)
