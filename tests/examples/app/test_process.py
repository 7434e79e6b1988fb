"""The example's service as a process: its commands, its end, and what it needs of the machine."""

import json
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import httpx
import pytest

from tests.examples.app.stage import APP, PATIENCE_S, ask, environment, listening, run

pytestmark = pytest.mark.e2e


@pytest.fixture
def here(tmp_path: Path) -> dict[str, str]:
    """The environment for a database that has been made."""
    variables = environment(f"sqlite:///{tmp_path}/data/app.db")
    made = run(variables, "--init")
    assert made.code == 0, made.err
    return variables


def test_users_are_listed_and_added_by_hand(here: dict[str, str]) -> None:
    assert run(here, "user", "list").out == ""
    assert json.loads(run(here, "user", "add", "Ada").out)["name"] == "Ada"
    assert [json.loads(line)["name"] for line in run(here, "user", "list").out.splitlines()] == ["Ada"]


def test_making_the_database_again_and_migrating_again_are_harmless(here: dict[str, str]) -> None:
    run(here, "user", "add", "Ada")
    assert run(here, "--migrate", "--release", "v1.1.1").out.startswith("the database is brought from")
    for again in (
        ("--init",),
        ("--migrate",),
        ("--migrate", "--release", "v1.1.1"),
        ("--init", "--release", "v1.2.0"),
    ):
        assert run(here, *again).out == "the database is left as it is; it has schema 0002\n"
    assert json.loads(run(here, "user", "list").out)["id"] == 1


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        (("--release", "v9"), 2, "v1.0.0, v1.1.0"),
        (("--migrate", "--to", "7"), 2, "0001, 0002, 0003"),
        (("--to", "2"), 2, "--to goes with --migrate"),
        (("--fault", "fire=1"), 2, "Faults: errors"),
        (("--port", "1", "--host", "192.0.2.1"), 2, "Choose another --port"),
        (("user", "add", ""), 2, "1 to 200 characters"),
        (("fault", "errors=1", "--at", "1"), 2, "--admin-port"),
    ],
)
def test_wrong_usage_is_said_in_words(
    here: dict[str, str], arguments: tuple[str, ...], code: int, told: str
) -> None:
    found = run(here, *arguments)
    assert (found.code, told in found.err) == (code, True), found.err


def test_a_database_that_is_not_there_is_said_in_words(tmp_path: Path) -> None:
    found = run(environment(f"sqlite:///{tmp_path}/none.db"), "user", "list")
    assert found.code == 1
    assert "--init" in found.err
    assert not (tmp_path / "none.db").exists()


def test_a_request_under_way_is_answered_though_it_is_told_to_end(here: dict[str, str]) -> None:
    answers: list[int] = []
    with listening(here, "--fault", "latency=2") as (process, port):
        slow = threading.Thread(target=lambda: answers.append(ask(port, "/users")[0]))
        slow.start()
        time.sleep(0.5)
        process.send_signal(signal.SIGTERM)
        time.sleep(0.3)
        assert ask(port, "/health/ready")[0] == 503
        slow.join()
        assert process.wait(PATIENCE_S) == 0
    assert answers == [200]


def test_without_a_network_it_is_asked_at_a_socket(here: dict[str, str], tmp_path: Path) -> None:
    place = tmp_path / "app.sock"
    command = [sys.executable, "-m", "project_ai", "--unix", str(place)]
    with subprocess.Popen(command, env=here, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        assert json.loads(process.stderr.readline())["socket"] == str(place)
        assert place.stat().st_mode & 0o777 == 0o660
        ways = httpx.HTTPTransport(uds=str(place))
        with httpx.Client(transport=ways, timeout=PATIENCE_S) as client:
            assert client.get("http://sandbox/health/ready").json() == {"status": "ready"}
        process.send_signal(signal.SIGTERM)
        assert process.wait(PATIENCE_S) == 0
    again = run(here, "--unix", str(tmp_path / "none" / "app.sock"))
    assert (again.code, "Choose another place for --unix" in again.err) == (2, True), again.err


def test_faults_are_switched_at_the_admin_port_and_a_crash_is_one(here: dict[str, str]) -> None:
    with listening(here, "--admin-port", "0") as (process, port):
        assert process.stderr is not None
        admin = str(json.loads(process.stderr.readline())["port"])
        assert json.loads(run(here, "fault", "errors=1", "--at", admin).out) == {"errors": 1.0}
        assert ask(port, "/users")[0] == 500
        assert json.loads(run(here, "fault", "none", "--at", admin).out) == {}
        assert ask(port, "/users")[0] == 200
        run(here, "fault", "crash=0.1", "--at", admin)
        assert process.wait(PATIENCE_S) == 70


def test_a_leak_shows_in_the_process_metrics(here: dict[str, str]) -> None:
    def resident(port: int) -> float:
        page = ask(port, "/metrics")[1].decode()
        return next(
            float(line.split()[1])
            for line in page.splitlines()
            if line.startswith("process_resident_memory_bytes")
        )

    with listening(here, "--fault", "leak=64") as (_, port):
        first = resident(port)
        end = time.monotonic() + PATIENCE_S
        while resident(port) < first + 32 * 1024 * 1024:
            assert time.monotonic() < end
            time.sleep(0.2)


def test_keys_are_neither_taken_from_the_environment_nor_said(here: dict[str, str]) -> None:
    with listening(here | {"OPENAI_API_KEY": "sk-secret"}) as (process, port):
        assert ask(port, "/providers")[1] == {"openai": False, "huggingface": False}
        process.send_signal(signal.SIGTERM)
        said = process.communicate(timeout=PATIENCE_S)[1]
    assert "OPENAI_API_KEY is not read" in said
    assert "sk-secret" not in said


def test_the_made_up_users_are_answered_and_counted(here: dict[str, str]) -> None:
    run(here, "user", "add", "Ada")
    with listening(here) as (_, port):
        command = [
            sys.executable,
            "-m",
            "project_ai",
            "load",
            "--url",
            f"http://127.0.0.1:{port}",
            "--seed",
            "3",
        ]
        made = subprocess.run(
            [*command, "--rps", "40", "--seconds", "3"], env=here, capture_output=True, text=True, check=True
        )
    told = json.loads(made.stdout)
    assert set(told) == {"seconds", "sent", "v1.0.0 200", "v1.0.0 201"}
    assert told["sent"] == told["v1.0.0 200"] + told["v1.0.0 201"] > 60


def test_it_writes_nothing_but_its_database(tmp_path: Path) -> None:
    """So its root may be read-only."""
    (tmp_path / "work").mkdir()
    variables = environment(
        "sqlite:///data/app.db", HOME=str(tmp_path / "home"), TMPDIR=str(tmp_path / "tmp")
    )
    subprocess.run(
        [sys.executable, "-B", "-m", "project_ai", "--init"], env=variables, cwd=tmp_path / "work", check=True
    )
    assert {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*")} == {
        "work", "work/data", "work/data/app.db"
    }  # fmt: skip


def test_its_requirements_are_those_that_the_tests_run_with() -> None:
    def pinned(path: Path) -> set[str]:
        return {line.split()[0] for line in path.read_text().splitlines() if "==" in line}

    requirements = pinned(APP / "requirements.txt")
    assert requirements
    assert requirements <= pinned(APP.parents[1] / "requirements-dev.lock")
