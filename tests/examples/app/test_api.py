"""The example's service answers as its README says, release by release."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from flask.testing import FlaskClient
from prometheus_client.parser import text_string_to_metric_families
from sqlalchemy import Engine

from tests.examples.app.stage import a_database, a_state, client_of


@pytest.fixture
def second(tmp_path: Path) -> Iterator[Engine]:
    """A database with schema 0002, which all releases read."""
    with a_database(tmp_path / "app.db", 2) as engine:
        yield engine


def of(engine: Engine, release: str) -> FlaskClient:
    return client_of(a_state(engine, release))


def test_health_is_what_the_document_promises(second: Engine) -> None:
    assert of(second, "v1.0.0").get("/health").data == b'{"status":"healthy","version":"1.0.0"}\n'


def test_a_user_that_was_added_is_found_by_its_id_and_in_the_list(second: Engine) -> None:
    service = of(second, "v1.0.0")

    added = service.post("/users", json={"name": " Ada "})

    assert (added.status_code, added.headers["Location"]) == (201, "/users/1")
    assert added.json is not None
    assert {key: added.json[key] for key in ("id", "name", "plan")} == {
        "id": 1,
        "name": "Ada",
        "plan": "free",
    }
    assert service.get("/users/1").json == added.json
    assert service.get("/users").json == {"users": [added.json]}


def test_a_list_goes_on_after_an_id_and_is_as_long_as_asked(second: Engine) -> None:
    service = of(second, "v1.0.0")
    for name in ("Ada", "Grace", "Radia"):
        service.post("/users", json={"name": name})

    found = service.get("/users?after=1&limit=1").json

    assert found is not None
    assert [one["name"] for one in found["users"]] == ["Grace"]


@pytest.mark.parametrize(
    "body",
    [b"", b"Ada", b"[]", b"{}", b'{"name": ""}', b'{"name": 7}', b'{"name": "\\u0000"}',
     json.dumps({"name": "a" * 201}).encode(), b'{"name": "Ada", "email": "nowhere"}', b"\xff"],
)  # fmt: skip
def test_a_user_that_makes_no_sense_is_refused_in_words(second: Engine, body: bytes) -> None:
    service = of(second, "v1.1.1")
    refused = service.post("/users", data=body)
    assert refused.status_code == 400
    assert refused.json is not None
    assert "wanted" in refused.json["error"] or "such as" in refused.json["error"]
    assert service.get("/users").json == {"users": []}


@pytest.mark.parametrize(
    ("path", "status"),
    [("/users/99", 404), ("/users/99999999999999999999", 404), ("/users?limit=many", 400), ("/secret", 404)],
)
def test_what_is_not_there_is_said_in_json(second: Engine, path: str, status: int) -> None:
    found = of(second, "v1.0.0").get(path)
    assert (found.status_code, list(found.json or {})) == (status, ["error"])


def test_the_first_release_leaves_out_what_it_does_not_know(second: Engine) -> None:
    added = of(second, "v1.0.0").post("/users", json={"name": "Ada", "email": "ada@example.com"}).json
    assert added is not None
    assert "email" not in added
    found = of(second, "v1.1.1").get("/users/1").json
    assert found is not None
    assert (found["email"], found["domain"]) == (None, None)


@pytest.mark.parametrize(("release", "status"), [("v1.1.0", 500), ("v1.1.1", 200), ("v1.2.0", 200)])
def test_the_bad_release_fails_for_those_without_an_address_and_the_next_does_not(
    second: Engine, release: str, status: int
) -> None:
    service = of(second, release)
    service.post("/users", json={"name": "Ada", "email": "ada@example.com"})
    service.post("/users", json={"name": "Grace"})
    with_address = service.get("/users/1")
    assert with_address.json is not None
    assert (with_address.status_code, with_address.json["domain"]) == (200, "example.com")
    assert service.get("/users/2").status_code == status


def test_requests_are_counted_by_template_and_not_by_what_somebody_typed(second: Engine) -> None:
    service = of(second, "v1.0.0")
    for path in ("/users/1", "/users/2", "/users", "/a", "/b"):
        service.get(path)

    page = service.get("/metrics").data.decode()

    counted = {
        (sample.labels["path"], sample.labels["status"]): sample.value
        for family in text_string_to_metric_families(page)
        for sample in family.samples
        if sample.name == "http_requests_total"
    }
    assert counted == {("/users/<id>", "404"): 2, ("/users", "200"): 1, ("unknown", "404"): 2}
    assert "http_request_duration_seconds_bucket" in page
    assert "process_resident_memory_bytes" in page


def test_a_request_that_fails_in_the_code_is_counted_as_a_failure(second: Engine) -> None:
    service = of(second, "v1.1.0")
    service.post("/users", json={"name": "Grace"})
    service.get("/users/1")
    page = service.get("/metrics").data.decode()
    assert 'http_requests_total{method="GET",path="/users/<id>",status="500"} 1.0' in page


def test_a_key_is_read_from_its_file_each_time_and_never_shown(
    second: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    service = of(second, "v1.0.0")
    monkeypatch.setenv("OPENAI_API_KEY", "in-the-environment")
    assert service.get("/providers").json == {"openai": False, "huggingface": False}
    key = tmp_path / "openai"
    key.write_text("sk-123\n")
    monkeypatch.setenv("OPENAI_API_KEY_FILE", str(key))
    shown = service.get("/providers")
    assert shown.json == {"openai": True, "huggingface": False}
    assert b"sk-123" not in shown.data
    key.unlink()
    assert service.get("/providers").status_code == 500


def test_a_process_that_is_about_to_end_wants_no_traffic(second: Engine) -> None:
    state = a_state(second, "v1.0.0")
    service = client_of(state)
    assert service.get("/health/ready").status_code == 200
    state.draining = True
    told = service.get("/health/ready")
    assert (told.status_code, told.json) == (503, {"status": "not ready", "reason": "it is about to end"})
    assert service.get("/health/live").status_code == 200
