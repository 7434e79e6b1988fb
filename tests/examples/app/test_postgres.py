"""The example's service on a real PostgreSQL: the same commands, the same answers, the same schemas."""

import json
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.examples.app.postgres import a_server
from tests.examples.app.stage import ask, environment, listening, run

pytestmark = pytest.mark.e2e

PASSWORD = "p@ss/w:rd"


@pytest.fixture(scope="module")
def database() -> Iterator[dict[str, str]]:
    with tempfile.TemporaryDirectory(prefix="pg-") as name, a_server(Path(name), PASSWORD) as port:
        secret = Path(name) / "secret"
        secret.write_text(PASSWORD)
        address = f"postgresql://project_ai@127.0.0.1:{port}/postgres"
        yield environment(address, DATABASE_PASSWORD_FILE=str(secret))


def test_from_an_empty_database_to_the_last_schema(database: dict[str, str]) -> None:
    assert "0001" in run(database, "--init").out
    assert json.loads(run(database, "user", "add", "Ada").out)["plan"] == "free"
    assert run(database, "--migrate", "--release", "v1.1.1").code == 0
    with (
        listening(database, "--release", "v1.0.0") as (_, old),
        listening(database, "--release", "v1.1.1") as (_, new),
    ):
        assert ask(old, "/health/ready")[0] == ask(new, "/health/ready")[0] == 200
        code, added = ask(
            new, "/users", method="POST", body='{"name": "Grace", "email": "grace@example.com"}'
        )
        assert (code, added["email"]) == (201, "grace@example.com")
        assert ask(old, f"/users/{added['id']}")[1]["name"] == "Grace"
        assert ask(new, "/users/1")[1]["domain"] is None
        assert run(database, "--migrate", "--to", "head").code == 0
        said = ask(old, "/health/ready")
        assert (said[0], "v1.0.0 reads 0001 to 0002" in said[1]["reason"]) == (503, True)
    assert [json.loads(line)["name"] for line in run(database, "user", "list").out.splitlines()] == [
        "Ada",
        "Grace",
    ]


def test_a_wrong_password_and_a_server_that_is_away_are_said_and_never_repeated(
    database: dict[str, str], tmp_path: Path
) -> None:
    (tmp_path / "wrong").write_text("not-this-one")
    refused = run(database | {"DATABASE_PASSWORD_FILE": str(tmp_path / "wrong")}, "user", "list")
    away = run(database | {"DATABASE_URL": "postgresql://project_ai@127.0.0.1:1/postgres"}, "user", "list")
    assert (refused.code, away.code) == (1, 1)
    assert "password authentication failed" in refused.err
    assert "refused" in away.err
    assert "not-this-one" not in refused.err
    assert PASSWORD not in away.err


def test_it_serves_while_the_database_is_away_and_says_that_it_is_not_ready(database: dict[str, str]) -> None:
    with listening(database | {"DATABASE_URL": "postgresql://project_ai@127.0.0.1:1/postgres"}) as (_, port):
        assert ask(port, "/health/live")[0] == 200
        code, said = ask(port, "/health/ready")
        assert (code, "does not answer" in said["reason"]) == (503, True)
        assert ask(port, "/users") == (503, {"error": "the database does not answer"})
