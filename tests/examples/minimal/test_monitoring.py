"""What `canary preflight` says of the single server's own rules and routes, in servers that are real."""

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml

from steward.install import RUNNER
from tests.command import ROOT
from tests.examples.minimal.stage import MINIMAL
from tests.examples.monitored import Monitored, copied, monitored
from tests.local.demo_process import free_port

pytestmark = pytest.mark.e2e

APP = ROOT / "examples" / "app"
RULES = MINIMAL / "monitoring" / "alerts.yml"


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Monitored]:
    """It serves, and is scraped; its packages are those of the tests."""
    folder = copied(MINIMAL, tmp_path)
    release = folder / "releases" / "v1.0.0"
    (release / "python" / "bin").mkdir(parents=True)
    shutil.copytree(APP / "project_ai", release / "project_ai")
    for file, text in (
        (release / "project-ai", RUNNER.format(version="v1.0.0")),
        (release / "python" / "bin" / "python", f'#!/bin/sh\nexec {sys.executable} "$@"\n'),
    ):
        file.write_text(text)
        file.chmod(0o755)
    subprocess.run([str(release / "project-ai"), "--init"], cwd=folder, check=True)
    front = f"127.0.0.1:{free_port()}"

    def change(prometheus: dict[str, Any]) -> None:
        for job in prometheus["scrape_configs"]:
            job["scrape_interval"] = "1s"
            for one in job.get("static_configs", []):
                one["targets"] = [front if at == "127.0.0.1:8000" else at for at in one["targets"]]

    with monitored(folder, {}, change) as found:
        configuration = yaml.safe_load(found.file.read_text())
        configuration["local"] |= {"listen": front, "drain": "1s"}
        configuration["preflight"]["prometheus"]["url"] = found.urls[0]
        found.file.write_text(yaml.safe_dump(configuration))
        with up(folder):
            yield found


@contextmanager
def up(folder: Path) -> Iterator[None]:
    """`canary local up`, ended with its replicas."""
    command = [sys.executable, "-m", "canary", "local", "up"]
    variables = {**os.environ, "PYTHONPATH": str(ROOT)}
    with (folder / "up.log").open("wb") as log:
        supervisor = subprocess.Popen(command, cwd=folder, env=variables, stdout=log, stderr=log)
    try:
        yield
    finally:
        supervisor.send_signal(signal.SIGTERM)
        supervisor.wait(60)


def test_before_a_release_its_alerts_are_seen_to_get_to_somebody(server: Monitored) -> None:
    held = server.becomes("pass")
    rules = [rule for group in yaml.safe_load(RULES.read_text())["groups"] for rule in group["rules"]]
    named = [rule for rule in rules if "project-ai" in rule["labels"].get("service", "")]
    assert f"{len(named)} alert rules on it are healthy" in str(held["evidence"])
    assert f"alerts go to {server.urls[1]}, and from there to " in str(held["evidence"])

    def no_rules(prometheus: dict[str, Any]) -> None:
        prometheus["rule_files"] = []

    def silent(alertmanager: dict[str, Any]) -> None:
        (tickets,) = [one for one in alertmanager["receivers"] if one["name"] == "tickets"]
        del tickets["webhook_configs"]

    def nobody(prometheus: dict[str, Any]) -> None:
        del prometheus["alerting"]

    with server.without(server.alertmanager, silent):
        server.becomes("fail", "is routed to tickets, which tells nobody")
    server.becomes("pass")
    with server.without(server.prometheus, no_rules):
        server.becomes("fail", "none of the 0 alert rules")
    with server.without(server.prometheus, nobody):
        server.becomes("fail", "has no active Alertmanager")
