"""From the start to the end of a serving process: listen, answer, and end without a failed request."""

import json
import logging
import signal
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

from flask import Flask, request
from waitress import wasyncore
from waitress.server import BaseWSGIServer, create_server

from project_ai import faults
from project_ai.problem import ProblemError
from project_ai.web import State, make_app

THREADS = 8
LINGER_S = 1.0
"""After SIGTERM it says that it is not ready, and answers for so long as if nothing had happened: whoever
sends it traffic needs that long to notice."""

DRAIN_S = 20.0
"""Open requests get at most so long after that."""

QUIET_S = 0.3
"""A connection on which nothing has come for so long is closed while it drains."""


class JsonLines(logging.Formatter):
    """One line of JSON for each thing that is said."""

    def format(self, record: logging.LogRecord) -> str:
        """Time (unix seconds), level, what happened, and its details."""
        said = {
            "at": round(record.created, 3),
            "level": record.levelname.lower(),
            "what": record.getMessage(),
        }
        if record.exc_info:
            said["trace"] = self.formatException(record.exc_info)
        return json.dumps(said | getattr(record, "told", {}))


def log_to_stderr() -> None:
    """Say things as lines of JSON. Neither addresses nor bodies nor keys are among them."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines())
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)
    # It warns of every request that waits for a thread, which is what threads are for.
    logging.getLogger("waitress.queue").setLevel(logging.ERROR)


@dataclass(frozen=True)
class Address:
    """Where it listens: a host and a port, or a socket in a folder, for one that has no network."""

    host: str
    port: int
    unix: Path | None = None

    @property
    def listen(self) -> dict[str, Any]:
        """As waitress is told."""
        if self.unix is not None:
            return {"unix_socket": str(self.unix), "unix_socket_perms": "660"}
        return {"host": self.host, "port": self.port}

    def __str__(self) -> str:
        return f"{self.host}:{self.port}" if self.unix is None else str(self.unix)


def serve(state: State, address: Address, *, admin_port: int | None = None) -> int:
    """Serve until SIGTERM or SIGINT; the exit status.

    Args:
        address: where it listens.
        admin_port: where faults are switched, on 127.0.0.1 only; None: nowhere. 0: any that is free.

    Raises:
        ProblemError: it cannot listen there.
    """
    stop = threading.Event()

    def asked(_number: int, _frame: FrameType | None) -> None:
        stop.set()

    server = _listening(make_app(state), address)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, asked)
    if admin_port is not None:
        admin = _listening(admin_app(state), Address("127.0.0.1", admin_port), threads=1)
        threading.Thread(target=admin.run, name="admin", daemon=True).start()
        _say("admin", port=int(admin.effective_port))
    if address.unix is None:
        _say("listening", host=address.host, port=int(server.effective_port), version=state.release.name)
    else:
        _say("listening", socket=str(address.unix), version=state.release.name)
    _turn(server, stop.is_set)
    state.draining = True
    _say("draining")
    _turn(server, _after(LINGER_S))
    _drain(server)
    _say("ended")
    return 0


def admin_app(state: State) -> Flask:
    """GET, PUT and DELETE `/faults`; see `project_ai.faults`."""
    app = Flask("project_ai_admin", static_folder=None)

    @app.get("/faults")
    def seen() -> dict[str, float]:
        return state.faults.on

    @app.put("/faults")
    def switched() -> tuple[dict[str, Any], int]:
        given = request.get_json(force=True, silent=True)
        try:
            if not isinstance(given, dict):
                raise ProblemError("no faults were given", remedy='Send JSON such as {"errors": 0.02}.')
            state.faults.switch(faults.checked(given))
        except ProblemError as fault:
            return {"error": f"{fault}. {fault.remedy}"}, 400
        _say("faults", on=state.faults.on)
        return state.faults.on, 200

    @app.delete("/faults")
    def cleared() -> dict[str, float]:
        state.faults.switch(dict.fromkeys(faults.MOST, 0.0))
        _say("faults", on={})
        return state.faults.on

    return app


def _listening(app: Flask, address: Address, threads: int = THREADS) -> BaseWSGIServer:
    try:
        return create_server(app, **address.listen, threads=threads, ident=None, channel_timeout=60)
    except (OSError, ValueError) as fault:
        why = fault.strerror if isinstance(fault, OSError) else str(fault)
        remedy = "Choose another --port." if address.unix is None else "Choose another place for --unix."
        raise ProblemError(f"cannot listen on {address}: {why}", remedy=remedy) from None


def _turn(server: BaseWSGIServer, done: Callable[[], bool]) -> None:
    """Go on answering until it is done. Looks ten times a second."""
    while not done():
        wasyncore.loop(timeout=0.1, map=server._map, count=1)


def _after(seconds: float) -> Callable[[], bool]:
    end = time.monotonic() + seconds
    return lambda: time.monotonic() >= end


def _drain(server: BaseWSGIServer) -> None:
    """No new connections; what has been asked is answered, then each connection is closed."""
    late = _after(DRAIN_S)
    wasyncore.loop(timeout=0, map=server._map, count=1)  # those that already stand in the queue
    server.del_channel()
    server.socket.close()

    def done() -> bool:
        for channel in tuple(server.active_channels.values()):
            if not channel.requests and channel.last_activity < time.time() - QUIET_S:
                channel.close_when_flushed = True
        return not server.active_channels or late()

    _turn(server, done)
    server.task_dispatcher.shutdown(timeout=1)


def _say(what: str, **told: object) -> None:
    logging.getLogger("project_ai").info(what, extra={"told": told})
