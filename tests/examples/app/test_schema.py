"""Steps of the example's schema, and which release can work with which."""

import ast
from pathlib import Path

import pytest
from sqlalchemy import inspect, text

from project_ai.database import connect
from project_ai.problem import ProblemError
from project_ai.releases import LATEST_SCHEMA, RELEASES
from project_ai.schema import migrate, parse_schema, revision, schema_of, steps
from project_ai.settings import database_url
from tests.examples.app.stage import APP, a_database, a_state, client_of


@pytest.mark.parametrize("release", RELEASES)
@pytest.mark.parametrize("schema", range(LATEST_SCHEMA + 1))
def test_a_release_is_ready_exactly_on_the_schemas_that_it_reads(
    tmp_path: Path, release: str, schema: int
) -> None:
    with a_database(tmp_path / "app.db", schema) as engine:
        service = client_of(a_state(engine, release))
        said = service.get("/health/ready")
        works = schema and {
            service.post("/users", json={"name": "Ada", "email": "ada@example.com"}).status_code,
            service.get("/users/1").status_code,
            service.get("/users").status_code,
        } == {200, 201}
    readable = RELEASES[release].can_read(schema)
    assert said.status_code == (200 if readable else 503)
    assert bool(works) == readable


def test_a_release_that_cannot_read_the_schema_says_which_it_found_and_which_it_wants(tmp_path: Path) -> None:
    with a_database(tmp_path / "app.db", 3) as engine:
        said = client_of(a_state(engine, "v1.0.0")).get("/health/ready").json
    assert said is not None
    assert said["reason"] == "the database has schema 0003; v1.0.0 reads 0001 to 0002"


def test_a_database_is_not_made_by_looking_at_it(tmp_path: Path) -> None:
    engine = connect(database_url({"DATABASE_URL": f"sqlite:///{tmp_path}/app.db"}))
    said = client_of(a_state(engine, "v1.0.0")).get("/health/ready")
    assert (said.status_code, said.json is not None) == (503, True)
    assert "does not answer" in said.text
    assert list(tmp_path.iterdir()) == []


def test_steps_keep_the_users(tmp_path: Path) -> None:
    with a_database(tmp_path / "app.db", 1) as engine:
        client_of(a_state(engine, "v1.0.0")).post("/users", json={"name": "Ada"})
        assert migrate(engine, 3) == (1, 3)
        found = client_of(a_state(engine, "v1.2.0")).get("/users/1").json
    assert found is not None
    assert (found["name"], "plan" in found) == ("Ada", False)


def test_a_step_that_fails_changes_nothing_not_even_by_half(tmp_path: Path) -> None:
    with a_database(tmp_path / "app.db", 1) as engine:
        with engine.begin() as connection:
            # The second of two steps meets an index on what it drops, which SQLite refuses.
            connection.execute(text("CREATE INDEX own ON users (plan)"))
        with pytest.raises(ProblemError, match=r"brought to schema 0003: .* plan"):
            migrate(engine, 3)
        with engine.begin() as connection:
            assert schema_of(connection) == 1
            columns = {one["name"] for one in inspect(connection).get_columns("users")}
    assert columns == {"id", "name", "plan", "created"}


def test_a_step_back_is_refused_and_names_the_backup(tmp_path: Path) -> None:
    with a_database(tmp_path / "app.db", 2) as engine:
        with pytest.raises(ProblemError, match="newer than 0001") as refused:
            migrate(engine, 1)
        assert "backup" in refused.value.remedy
        assert migrate(engine, 2) == (2, 2)


@pytest.mark.parametrize(("given", "wanted"), [("1", 1), ("0002", 2), ("head", LATEST_SCHEMA)])
def test_schemas_are_named_as_people_name_them(given: str, wanted: int) -> None:
    assert parse_schema(given) == wanted


@pytest.mark.parametrize("given", ["0", "9", "", "-1", "base", "²"])
def test_a_schema_that_there_is_not_is_refused(given: str) -> None:
    with pytest.raises(ProblemError, match="no schema"):
        parse_schema(given)


def test_every_schema_is_read_by_some_release_and_the_readme_says_which() -> None:
    assert sorted(steps()) == list(range(1, LATEST_SCHEMA + 1))
    readme = (APP / "README.md").read_text()
    rows = {
        line.split("|")[1].strip(): line.split("|")[3].strip()
        for line in readme.splitlines()
        if "| v1" in line
    }
    assert rows == {
        name: ", ".join(revision(schema) for schema in range(one.reads[0], one.reads[1] + 1))
        for name, one in RELEASES.items()
    }


def test_the_service_knows_nothing_of_canary() -> None:
    imported = set()
    for file in APP.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Import):
                imported |= {one.name.split(".")[0] for one in node.names}
            elif isinstance(node, ast.ImportFrom):
                imported.add((node.module or "").split(".")[0])
    assert not imported & {"canary", "analysis", "tests"}
