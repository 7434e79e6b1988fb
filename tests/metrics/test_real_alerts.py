"""A real Prometheus, what it says of its alert rules and where it sends what fires."""

import json
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from canary.config.plain import values
from canary.config.settings import HttpServer
from canary.metrics.alerts import look
from canary.preflight.alerts import concerns
from canary.preflight.facts import Alerts, Receiver, Route
from canary.preflight.finding import Unseen
from tests.local.demo_process import free_port
from tests.metrics.alerting import CONFIG
from tests.metrics.loopback import loopback
from tests.metrics.test_real_prometheus import binary

pytestmark = pytest.mark.e2e

BOTH = '{__name__=~"up|scrape_duration_seconds"}'
RULES = {
    "groups": [
        {
            "name": "shop",
            "interval": "200ms",
            "rules": [
                {"alert": "Down", "expr": 'up{job="shop"} == 0', "labels": {"severity": "page"}},
                {"alert": "Wrong", "expr": f"{BOTH} * on() {BOTH} > 0", "labels": {"service": "shop"}},
                {"record": "shop:up", "expr": "up"},
            ],
        },
        {"name": "later", "interval": "1d", "rules": [{"alert": "Later", "expr": "up > 9"}]},
    ]
}


@contextmanager
def prometheus(folder: Path, alertmanager: str) -> Iterator[HttpServer]:
    """Scrapes itself; its rules and its Alertmanager are those above."""
    port = free_port()
    (folder / "rules.yml").write_text(json.dumps(RULES))
    config = {
        "global": {"scrape_interval": "200ms"},
        "rule_files": ["rules.yml"],
        "alerting": {"alertmanagers": [{"static_configs": [{"targets": [alertmanager]}]}]},
        "scrape_configs": [{"job_name": "shop", "static_configs": [{"targets": [f"127.0.0.1:{port}"]}]}],
    }
    (folder / "prometheus.yml").write_text(json.dumps(config))
    command = [
        binary(),
        f"--config.file={folder / 'prometheus.yml'}",
        f"--storage.tsdb.path={folder / 'data'}",
        f"--web.listen-address=127.0.0.1:{port}",
    ]
    with (folder / "log").open("wb") as log, subprocess.Popen(command, stdout=log, stderr=log) as process:
        try:
            yield HttpServer(f"http://127.0.0.1:{port}", timeout_s=5.0)
        finally:
            process.terminate()
            process.wait(20)


def settled(server: HttpServer) -> Alerts:
    """What it says once the rules that are evaluated often have been."""
    until = time.monotonic() + 60.0
    found: Alerts | Unseen | None = None
    while time.monotonic() < until:
        found = look(server, None, values)
        if isinstance(found, Alerts) and found.managers:
            rules = {one.name: one for one in found.rules}
            if rules["Down"].evaluated and rules["Wrong"].error:
                return found
        time.sleep(0.1)
    raise AssertionError(f"not within 60 s: {found}")


def test_a_real_prometheus_says_which_rules_are_healthy_and_whom_it_tells(tmp_path: Path) -> None:
    with loopback() as alertmanager:
        alertmanager.answer = lambda _: (200, {}, json.dumps({"config": {"original": CONFIG}}).encode())
        with prometheus(tmp_path, alertmanager.url.removeprefix("http://")) as server:
            found = settled(server)
            rules = {one.name: one for one in found.rules}

            assert set(rules) == {"Down", "Wrong", "Later"}
            assert (rules["Down"].healthy, rules["Down"].labels) == (True, {"severity": "page"})
            assert (rules["Wrong"].healthy, "many-to-many" in rules["Wrong"].error) == (False, True)
            assert not rules["Later"].evaluated
            assert {name for name, one in rules.items() if concerns(one, "shop", "")} == {"Down", "Wrong"}
            assert found.managers == (alertmanager.url,)
            assert isinstance(found.route, Route)
            assert found.route.receiver == Receiver("on-call", ("pagerduty", "webhook"))

        gone = look(server, None, values)
        assert isinstance(gone, Unseen)
        assert "Connection refused" in gone.why
