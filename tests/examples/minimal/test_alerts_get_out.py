"""Alerts get out: a real Alertmanager with the example's routes calls who is to be called."""

import http.client
import json
import shutil
import subprocess
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import yaml

from tests import tools
from tests.examples.minimal.stage import MINIMAL
from tests.examples.monitored import inside
from tests.local.demo_process import free_port

pytestmark = pytest.mark.e2e

PATIENCE_S = 60.0
Call = tuple[str, str, list[str]]
"""Who was called, the token that came with it, and which alerts."""


@pytest.fixture
def called() -> Iterator[tuple[int, list[Call]]]:
    """Somebody to call: a port, and what was heard there."""
    heard: list[Call] = []

    class Ear(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            names = [one["labels"]["alertname"] for one in body["alerts"]]
            heard.append((self.path, str(self.headers["Authorization"]), names))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Nothing: it would be in the way."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Ear) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server.server_port, heard
        server.shutdown()
        thread.join()


def configured(folder: Path, port: int) -> Path:
    """The example's file, with addresses that are here, and less patience."""
    found = yaml.safe_load((MINIMAL / "monitoring" / "alertmanager.yml").read_text())
    for receiver in found["receivers"]:
        (hook,) = receiver["webhook_configs"]
        token = folder / f"{receiver['name']}-token"
        token.write_text(f"token of {receiver['name']}")
        hook["url"] = f"http://127.0.0.1:{port}/{receiver['name']}"
        hook["http_config"]["authorization"]["credentials_file"] = str(token)
    for route in (found["route"], *found["route"]["routes"]):
        route["group_wait"] = "1s"
    path = folder / "alertmanager.yml"
    path.write_text(yaml.safe_dump(found))
    return path


def raised(port: int, *alerts: dict[str, str]) -> bool:
    """Tell Alertmanager of alerts, as Prometheus does; whether it has heard."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        body = json.dumps([{"labels": {**one, "service": "project-ai"}} for one in alerts])
        connection.request("POST", "/api/v2/alerts", body, {"Content-Type": "application/json"})
        return connection.getresponse().status == 200
    except OSError:
        return False
    finally:
        connection.close()


def test_each_alert_reaches_those_it_is_for(tmp_path: Path, called: tuple[int, list[Call]]) -> None:
    tools.provide("prometheus-alertmanager")
    if shutil.which("prometheus-alertmanager") is None:
        pytest.skip("prometheus-alertmanager is missing, and there is no apt to fetch it")
    ear, heard = called
    config, port = configured(tmp_path, ear), free_port()
    assert subprocess.run(["amtool", "check-config", str(config)], check=False).returncode == 0
    words = [f"--config.file={config}", f"--storage.path={tmp_path}", "--cluster.listen-address="]
    listen = f"--web.listen-address=127.0.0.1:{port}"
    with (tmp_path / "log").open("wb") as log:
        manager = subprocess.Popen(
            [*inside(), "prometheus-alertmanager", *words, listen], stdout=log, stderr=log
        )
    try:
        end = time.monotonic() + PATIENCE_S
        alerts = (
            {"alertname": "ProjectAIErrors", "severity": "page"},
            {"alertname": "ProjectAIBackupFailed", "severity": "ticket"},
            {"alertname": "Watchdog", "severity": "none"},
        )
        while not raised(port, *alerts):
            assert time.monotonic() < end, (tmp_path / "log").read_text()
            time.sleep(0.1)
        while len(heard) < 3:
            assert time.monotonic() < end, heard
            time.sleep(0.1)
    finally:
        manager.terminate()
        manager.wait()
    assert sorted(heard) == [
        ("/heartbeat", "Bearer token of heartbeat", ["Watchdog"]),
        ("/on-call", "Bearer token of on-call", ["ProjectAIErrors"]),
        ("/tickets", "Bearer token of tickets", ["ProjectAIBackupFailed"]),
    ]
