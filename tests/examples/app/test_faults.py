"""Faults for exercises: off by default, said by `/health`, and only in the way of users."""

from pathlib import Path

import pytest

from project_ai import faults
from project_ai.faults import BrokenError, Faults
from project_ai.problem import ProblemError
from project_ai.serving import admin_app
from tests.examples.app.stage import a_database, a_state, client_of


def test_none_is_on_unless_asked_for() -> None:
    assert Faults().on == {}


@pytest.mark.parametrize(("share", "least", "most"), [(0.0, 0, 0), (0.2, 150, 250), (1.0, 1000, 1000)])
def test_so_many_requests_fail_as_was_asked(share: float, least: int, most: int) -> None:
    found = Faults(seed=7)
    found.switch({"errors": share})
    failed = 0
    for _ in range(1000):
        try:
            found.strike()
        except BrokenError:
            failed += 1
    assert least <= failed <= most


def test_a_fault_is_told_by_health_and_touches_neither_health_nor_metrics(tmp_path: Path) -> None:
    with a_database(tmp_path / "app.db", 1) as engine:
        state = a_state(engine, "v1.0.0")
        state.faults.switch(faults.parse("errors=1"))
        service = client_of(state)
        codes = {path: service.get(path).status_code for path in ("/users", "/health/ready", "/metrics")}
        said = service.get("/health").json
    assert codes == {"/users": 500, "/health/ready": 200, "/metrics": 200}
    assert said == {"status": "healthy", "version": "1.0.0", "faults": {"errors": 1.0}}


def test_not_ready_is_said_and_requests_are_still_answered(tmp_path: Path) -> None:
    with a_database(tmp_path / "app.db", 1) as engine:
        state = a_state(engine, "v1.0.0")
        state.faults.switch({"not-ready": 1.0})
        service = client_of(state)
        assert service.get("/health/ready").status_code == 503
        assert service.get("/users").status_code == 200


def test_faults_are_switched_and_cleared_while_it_runs(tmp_path: Path) -> None:
    with a_database(tmp_path / "app.db", 1) as engine:
        state = a_state(engine, "v1.0.0")
        admin = admin_app(state).test_client()
        assert admin.put("/faults", json={"errors": 0.5, "latency": 0.1}).json == {
            "errors": 0.5,
            "latency": 0.1,
        }
        assert admin.put("/faults", json={"latency": 0}).json == {"errors": 0.5}
        assert admin.put("/faults", json={"errors": 2}).status_code == 400
        assert admin.put("/faults", data="errors").status_code == 400
        assert admin.get("/faults").json == {"errors": 0.5}
        assert admin.delete("/faults").json == {}
    assert state.faults.on == {}


@pytest.mark.parametrize(
    "given", ["slow=1", "errors=1.5", "errors=-1", "errors", "latency=nan", "crash=soon"]
)
def test_a_fault_that_makes_no_sense_is_refused(given: str) -> None:
    with pytest.raises(ProblemError) as refused:
        faults.parse(given)
    assert "Faults:" in refused.value.remedy or "Wanted:" in refused.value.remedy
