"""A Prometheus with alert rules and an Alertmanager, at one address on loopback, as a test wants them."""

import json
from typing import Any

from canary.config.plain import values
from canary.config.settings import HttpServer
from canary.metrics.alerts import look
from canary.preflight.facts import Alerts
from canary.preflight.finding import Unseen
from tests.metrics.loopback import Asked, Loopback

CONFIG = """
global: {resolve_timeout: 5m}
route:
  receiver: on-call
  routes:
    - {receiver: archive, matchers: ['severity="info"']}
    - {receiver: on-call, continue: true}
receivers:
  - name: on-call
    webhook_configs: [{url: <secret>}]
    pagerduty_configs: [{service_key: <secret>}]
  - name: archive
  - name: unused
    email_configs: [{to: nobody@example.com}]
"""
RULES: Any = {
    "groups": [
        {
            "name": "web",
            "rules": [
                {
                    "type": "alerting",
                    "name": "WebErrors",
                    "query": 'up{app="web"} == 0',
                    "labels": {"severity": "page"},
                    "health": "ok",
                },
                {
                    "type": "alerting",
                    "name": "Bad",
                    "query": "x / y",
                    "health": "err",
                    "lastError": "many-to-many matching",
                },
                {"type": "alerting", "name": "New", "query": "x", "health": "unknown"},
                {"type": "recording", "name": "web:errors", "query": "x", "health": "ok"},
            ],
        }
    ]
}


class Servers:
    """Prometheus and Alertmanager at one address. `statuses`: path -> an HTTP status instead."""

    def __init__(self, server: Loopback) -> None:
        self.server = server
        self.config = CONFIG
        self.managers = [f"{server.url}/api/v2/alerts"]
        self.statuses: dict[str, int] = {}
        self.bodies: dict[str, bytes] = {}
        server.answer = self.answer

    def answer(self, asked: Asked) -> tuple[int, dict[str, str], bytes]:
        data = {
            "/api/v1/rules": {"data": RULES},
            "/api/v1/alertmanagers": {
                "data": {"activeAlertmanagers": [{"url": one} for one in self.managers]}
            },
            "/api/v2/status": {"config": {"original": self.config}},
        }[asked.path]
        body = self.bodies.get(asked.path, json.dumps(data).encode())
        return self.statuses.get(asked.path, 200), {}, body

    def look(self, alertmanager: HttpServer | None = None) -> Alerts | Unseen:
        return look(HttpServer(self.server.url, timeout_s=5.0), alertmanager, values)

    def seen(self) -> Alerts:
        found = self.look()
        assert isinstance(found, Alerts), found
        return found
