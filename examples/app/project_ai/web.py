"""The HTTP API. Answers are JSON, errors too: `{"error": "..."}`."""

import json
import logging
import re
import time
from dataclasses import dataclass, field
from typing import Any

from flask import Flask, Response, g, request
from sqlalchemy.exc import SQLAlchemyError
from werkzeug.exceptions import BadRequest, HTTPException, NotFound

from project_ai import settings
from project_ai.database import PAGE, Users
from project_ai.faults import BrokenError, Faults
from project_ai.metrics import UNKNOWN, Metrics
from project_ai.problem import ProblemError, reason
from project_ai.releases import Release

LARGEST_BODY = 16 * 1024
LARGEST_ID = 2**31 - 1
LONGEST_NAME, LONGEST_EMAIL = 200, 254
log = logging.getLogger("project_ai")


@dataclass
class State:
    """What the process is, beside its requests.

    Attributes:
        draining: it has been told to end, and wants no more traffic.
    """

    release: Release
    users: Users
    metrics: Metrics
    faults: Faults = field(default_factory=Faults)
    draining: bool = False

    def why_not_ready(self) -> str | None:
        """Why it wants no traffic; None: it does."""
        if self.draining:
            return "it is about to end"
        if self.faults.not_ready:
            return "the fault `not-ready` is on"
        return self.users.why_not()


def make_app(state: State) -> Flask:
    """The service as a WSGI application."""
    app = Flask("project_ai", static_folder=None)
    app.config["MAX_CONTENT_LENGTH"] = LARGEST_BODY
    app.json.sort_keys = False  # type: ignore[attr-defined]
    _measured(app, state)
    _with_health(app, state)
    _with_users(app, state)
    _with_faults_told(app)
    return app


def _measured(app: Flask, state: State) -> None:
    @app.before_request
    def begin() -> None:
        g.began = time.perf_counter()

    @app.after_request
    def count(answer: Response) -> Response:
        took_s = time.perf_counter() - g.began
        path = request.url_rule.rule.replace("<int:", "<") if request.url_rule else UNKNOWN
        method = request.method if request.url_rule else UNKNOWN
        state.metrics.count(method, path, answer.status_code, took_s)
        answer.headers["X-Version"] = state.release.name
        if not path.startswith(("/health", "/metrics")) or answer.status_code >= 500:
            told = {"method": method, "path": path, "status": answer.status_code, "took_s": round(took_s, 4)}
            log.info("request", extra={"told": told})
        return answer


def _with_health(app: Flask, state: State) -> None:
    @app.get("/health")
    def health() -> dict[str, Any]:
        said: dict[str, Any] = {"status": "healthy", "version": state.release.version}
        return said | ({"faults": state.faults.on} if state.faults.on else {})

    @app.get("/health/live")
    def live() -> dict[str, str]:
        return {"status": "alive"}

    @app.get("/health/ready")
    def ready() -> tuple[dict[str, str], int]:
        why_not = state.why_not_ready()
        state.metrics.ready.set(why_not is None)
        if why_not is None:
            return {"status": "ready"}, 200
        return {"status": "not ready", "reason": why_not}, 503

    @app.get("/metrics")
    def metrics() -> Response:
        return Response(state.metrics.page(), content_type="text/plain; version=0.0.4; charset=utf-8")


def _with_users(app: Flask, state: State) -> None:
    release = state.release

    @app.post("/users")
    def add() -> tuple[dict[str, Any], int, dict[str, str]]:
        state.faults.strike()
        name, email = parse_user(request.get_data(), emails=release.keeps_email)
        user = state.users.add(name, email)
        return user, 201, {"Location": f"/users/{user['id']}"}

    @app.get("/users")
    def listed() -> dict[str, Any]:
        state.faults.strike()
        after, most = _number("after", 0), _number("limit", PAGE)
        return {"users": state.users.list(after=after, most=most)}

    @app.get("/users/<int:id>")
    def one(id: int) -> dict[str, Any]:  # noqa: A002 - the name is in the path
        state.faults.strike()
        user = state.users.get(id) if id <= LARGEST_ID else None
        if user is None:
            raise NotFound(f"there is no user {id}")
        return release.shown(user)

    @app.get("/providers")
    def providers() -> dict[str, bool]:
        state.faults.strike()
        return {name: settings.api_key(name) is not None for name in settings.PROVIDERS}


def _with_faults_told(app: Flask) -> None:
    @app.errorhandler(HTTPException)
    def refused(fault: HTTPException) -> tuple[dict[str, str], int]:
        return {"error": fault.description or fault.name}, fault.code or 500

    @app.errorhandler(BrokenError)
    def broken(fault: BrokenError) -> tuple[dict[str, str], int]:
        return {"error": str(fault)}, 500

    @app.errorhandler(ProblemError)
    def unset(fault: ProblemError) -> tuple[dict[str, str], int]:
        log.error("problem", extra={"told": {"error": str(fault), "remedy": fault.remedy}})
        return {"error": "the service is not set up for this"}, 500

    @app.errorhandler(SQLAlchemyError)
    def unanswered(fault: SQLAlchemyError) -> tuple[dict[str, str], int]:
        log.error("database", extra={"told": {"error": reason(fault)}})
        return {"error": "the database does not answer"}, 503

    @app.errorhandler(Exception)
    def defect(fault: Exception) -> tuple[dict[str, str], int]:
        log.error("defect", exc_info=fault)
        return {"error": "internal fault"}, 500


def parse_user(body: bytes, *, emails: bool) -> tuple[str, str | None]:
    """Name and e-mail address of a new user. What a release does not know is left out.

    Raises:
        BadRequest: in words.
    """
    try:
        given = json.loads(body)
    except ValueError:
        given = None
    name = given.get("name") if isinstance(given, dict) else None
    if not isinstance(name, str) or not 0 < len(name.strip()) <= LONGEST_NAME or "\0" in name:
        raise BadRequest(f'wanted {{"name": "..."}} in JSON, with 1 to {LONGEST_NAME} characters')
    email = given.get("email") if emails and isinstance(given, dict) else None
    good = email is None or (
        isinstance(email, str) and len(email) <= LONGEST_EMAIL and re.fullmatch(r"[^@\s\0]+@[^@\s\0]+", email)
    )
    if not good:
        raise BadRequest("email is no address such as ada@example.com")
    return name.strip(), email


def _number(name: str, default: int) -> int:
    given = request.args.get(name, str(default))
    if not (given.isascii() and given.isdecimal() and len(given) <= 9):
        raise BadRequest(f"{name}={given} is not a whole number from 0 on")
    return int(given)
