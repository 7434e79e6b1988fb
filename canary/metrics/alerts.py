"""Alert rules that a Prometheus has loaded, and whom its Alertmanager tells. Asked over HTTP, once each."""

import ssl
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import httpx

from canary.preflight.facts import Alert, Alerts, Receiver
from canary.preflight.finding import Unseen

SENT_TO = "/api/v2/alerts"
"""What Prometheus adds to the address of an Alertmanager."""
Parse = Callable[[str], Any]
"""Text of YAML -> its values. Raises ValueError."""


class Server(Protocol):
    """Where a server is and how it is spoken to. Secrets are files."""

    @property
    def url(self) -> str:
        """Its address, with the path prefix if it has one."""

    @property
    def token_file(self) -> Path | None:
        """Bearer token."""

    @property
    def ca_file(self) -> Path | None:
        """Certificates to trust instead of the system's."""

    @property
    def timeout_s(self) -> float:
        """For one answer, seconds."""


class _NoAnswerError(Exception):
    """The server did not say what was asked for."""


def look(prometheus: Server, alertmanager: Server | None, parse: Parse) -> Alerts | Unseen:
    """All alerting rules, the active Alertmanagers, and the receivers that their routes lead to.

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
    return Alerts(prometheus.url, rules, managers, _receivers(alertmanager, managers, prometheus, parse))


def _receivers(
    given: Server | None, managers: Sequence[str], prometheus: Server, parse: Parse
) -> tuple[Receiver, ...] | Unseen:
    if given is None and not managers:
        return ()
    url = given.url if given is not None else managers[0]
    try:
        status = _json(given, url, "/api/v2/status", prometheus.timeout_s)
        return tuple(_routed(parse(str(status["config"]["original"]))))
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


def _routed(config: Mapping[str, Any]) -> Iterator[Receiver]:
    """The receivers that routes lead to, the root's first."""
    known = {str(one["name"]): one for one in config.get("receivers") or []}
    for name in dict.fromkeys(_names(config["route"])):
        found = known.get(name, {})
        notifiers = (
            key.removesuffix("_configs") for key, ways in found.items() if key.endswith("_configs") and ways
        )
        yield Receiver(name, tuple(sorted(notifiers)))


def _names(route: Mapping[str, Any]) -> Iterator[str]:
    if "receiver" in route:
        yield str(route["receiver"])
    for one in route.get("routes") or []:
        yield from _names(one)
