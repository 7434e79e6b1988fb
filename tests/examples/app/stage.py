"""The example's service in a folder of its own: in this process, or as one that really listens."""

import http.client
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from flask.testing import FlaskClient
from sqlalchemy import Engine

from project_ai.database import Users, connect
from project_ai.faults import Faults
from project_ai.metrics import Metrics
from project_ai.releases import RELEASES
from project_ai.schema import migrate
from project_ai.settings import database_url
from project_ai.web import State, make_app
from tests.local.demo_process import free_port

ROOT = Path(__file__).parents[3]
APP = ROOT / "examples" / "app"
PATIENCE_S = 60.0


@contextmanager
def a_database(file: Path, schema: int) -> Iterator[Engine]:
    """SQLite with this schema; 0: an empty file."""
    engine = connect(database_url({"DATABASE_URL": f"sqlite:///{file}"}), make=True)
    try:
        with engine.begin():
            pass
        if schema:
            migrate(engine, schema)
        yield engine
    finally:
        engine.dispose()


def a_state(engine: Engine, name: str) -> State:
    found = RELEASES[name]
    return State(found, Users(engine, found), Metrics(name), Faults(seed=1))


def client_of(state: State) -> FlaskClient:
    return make_app(state).test_client()


def environment(url: str, **more: str) -> dict[str, str]:
    """Of a process of the service: no key and no setting of this machine in it."""
    clean = {name: value for name, value in os.environ.items() if name in ("PATH", "LANG")}
    return {**clean, "PYTHONPATH": str(APP), "DATABASE_URL": url, **more}


@dataclass(frozen=True)
class Said:
    """What a command ended with."""

    code: int
    out: str
    err: str


def run(variables: Mapping[str, str], *arguments: str) -> Said:
    """`python -m project_ai ARGUMENTS`, to its end."""
    command = [sys.executable, "-m", "project_ai", *arguments]
    done = subprocess.run(
        command, env=dict(variables), capture_output=True, text=True, timeout=PATIENCE_S, check=False
    )
    assert "Traceback" not in done.stderr, done.stderr
    return Said(done.returncode, done.stdout, done.stderr)


def ask(port: int, path: str, *, method: str = "GET", body: str | None = None) -> tuple[int, Any]:
    """Status and document of one request."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE_S)
    try:
        connection.request(method, path, body)
        answer = connection.getresponse()
        text = answer.read()
        return answer.status, json.loads(text) if "json" in (answer.headers["Content-Type"] or "") else text
    finally:
        connection.close()


@contextmanager
def listening(variables: Mapping[str, str], *arguments: str) -> Iterator[tuple["subprocess.Popen[str]", int]]:
    """A process that serves: it, and its port. Ended with the block."""
    port = free_port()
    process = subprocess.Popen(
        [sys.executable, "-m", "project_ai", "--port", str(port), *arguments],
        env=dict(variables),
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        end = time.monotonic() + PATIENCE_S
        while time.monotonic() < end and process.poll() is None:
            with suppress(OSError):
                ask(port, "/health/live")
                break
            time.sleep(0.05)
        assert process.poll() is None, process.communicate()[1]
        yield process, port
    finally:
        process.kill()
        process.communicate()
