"""A way to the API server on which things go wrong, as a test says.

Plain HTTP on loopback on our side; towards the server its own certificate authority and the administrator's
token. A request is named after what it says, without what differs from run to run:

    PUT configmaps/canary-web progressing/1/holding     PUT deployments/web/scale 3
    POST deployments web-canary                         PUT leases/canary-web renewed
    DELETE deployments/web-canary                       GET pods watch
"""

import base64
import hashlib
import http.client
import json
import re
import socket
import ssl
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import yaml

HANGS_S = 120.0
"""Longest time that anything is held, so that nothing outlives its test for long."""
READS = ("GET", "POST selfsubject")


@dataclass(frozen=True)
class Answer:
    """Say this, and pass nothing on."""

    status: int
    retry_after_s: int | None = None


@dataclass(frozen=True)
class Lose:
    """Pass it on, and close the connection instead of answering."""


@dataclass
class Hold:
    """Keep it, until `over`, then close the connection. `passed_on`: the server gets it before that."""

    passed_on: bool = False
    reached: threading.Event = field(default_factory=threading.Event)
    over: threading.Event = field(default_factory=threading.Event)


@dataclass
class Delay:
    """Keep it, until `over`, then pass it on."""

    reached: threading.Event = field(default_factory=threading.Event)
    over: threading.Event = field(default_factory=threading.Event)


Fault = Answer | Lose | Hold | Delay


@dataclass
class Rule:
    """What goes wrong with requests whose whole name matches, from the `nth` of them on, `times` times.

    `since`: those count that come after one of this name. `each`: every name is counted for itself.
    """

    pattern: str
    fault: Fault
    nth: int = 1
    times: int = 1
    since: str = ""
    each: bool = False
    seen: Counter[str] = field(default_factory=Counter)

    def due(self, name: str) -> bool:
        if self.since:
            self.since = "" if name == self.since else self.since
            return False
        if re.fullmatch(self.pattern, name) is None:
            return False
        counted = name if self.each else ""
        self.seen[counted] += 1
        return self.nth <= self.seen[counted] < self.nth + self.times


@dataclass
class Asked:
    """A request. `at`: monotonic seconds; `status`: of the answer that was given, 0 for none.

    `landed`: what the server itself answered, 0 when it was not asked or is still at it.
    """

    at: float
    name: str
    path: str
    digest: str
    status: int = 0
    landed: int = 0
    fault: Fault | None = None

    @property
    def writes(self) -> bool:
        return not self.name.startswith(READS)


class Proxy:
    """Passes requests on to the server of a kubeconfig; `rule`, `frozen` and `away` make things go wrong."""

    def __init__(self, kubeconfig: Path) -> None:
        found = yaml.safe_load(kubeconfig.read_text())
        cluster = found["clusters"][0]["cluster"]
        self.server = str(urlsplit(cluster["server"]).netloc)
        self.token = str(found["users"][0]["user"]["token"])
        authority = base64.b64decode(cluster["certificate-authority-data"]).decode()
        self.trust = ssl.create_default_context(cadata=authority)
        self.asked: list[Asked] = []
        self.thawed = threading.Event()
        self.thawed.set()
        self._rules: list[Rule] = []
        self._open: set[socket.socket] = set()
        self._lock = threading.Lock()
        self._listening: ThreadingHTTPServer | None = None
        self.port = self._listen(0)

    def kubeconfig(self, folder: Path) -> Path:
        """A kubeconfig that leads here."""
        one = {"cluster": "proxied", "user": "proxied"}
        document = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "proxied", "cluster": {"server": f"http://127.0.0.1:{self.port}"}}],
            "users": [{"name": "proxied", "user": {}}],
            "contexts": [{"name": "proxied", "context": one}],
            "current-context": "proxied",
        }
        path = folder / "proxied.yaml"
        path.write_text(json.dumps(document))
        return path

    def rule(self, pattern: str, fault: Fault, **when: Any) -> Rule:
        """Have this go wrong from now on; `when`: see `Rule`."""
        made = Rule(pattern, fault, **when)
        with self._lock:
            self._rules.append(made)
        return made

    def forget(self) -> None:
        """No rules and no notes any more."""
        with self._lock:
            self._rules, self.asked = [], []

    def writes(self, pattern: str = ".*", since: float = 0.0) -> list[Asked]:
        """Requests to change something, oldest first."""
        with self._lock:
            found = [one for one in self.asked if one.writes and one.at >= since]
        return [one for one in found if re.fullmatch(pattern, one.name)]

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """No watch brings anything meanwhile; what is held back comes afterwards."""
        self.thawed.clear()
        try:
            yield
        finally:
            self.thawed.set()

    @contextmanager
    def away(self) -> Iterator[None]:
        """As a server that was stopped: connections are refused, open ones end."""
        self._deafen()
        try:
            yield
        finally:
            self._listen(self.port)

    def close(self) -> None:
        self.thawed.set()
        for rule in self._rules:
            if isinstance(rule.fault, Hold | Delay):
                rule.fault.over.set()
        self._deafen()

    def take(self, asked: Asked) -> Fault | None:
        """Note a request; what is to go wrong with it. Each rule counts all that it matches."""
        with self._lock:
            self.asked.append(asked)
            due = [rule.fault for rule in self._rules if rule.due(asked.name)]
        asked.fault = due[0] if due else None
        return asked.fault

    def opened(self, one: socket.socket) -> None:
        with self._lock:
            self._open.add(one)

    def closed(self, one: socket.socket) -> None:
        with self._lock:
            self._open.discard(one)

    def _listen(self, port: int) -> int:
        handler = type("Handler", (_Handler,), {"proxy": self})
        server = ThreadingHTTPServer(("127.0.0.1", port), handler)
        server.daemon_threads = True
        self._listening = server
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        return int(server.server_port)

    def _deafen(self) -> None:
        server, self._listening = self._listening, None
        if server is not None:
            server.shutdown()
            server.server_close()
        with self._lock:
            still_open = list(self._open)
        for one in still_open:
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)


class _Handler(BaseHTTPRequestHandler):
    """One connection, and one to the server for it."""

    proxy: Proxy
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def setup(self) -> None:
        super().setup()
        self._server: http.client.HTTPSConnection | None = None
        self._wire: socket.socket | None = None
        self.proxy.opened(self.connection)

    def finish(self) -> None:
        self._forget_server()
        self.proxy.closed(self.connection)
        with suppress(OSError):
            super().finish()

    def handle(self) -> None:
        # Whoever asked may be gone, or killed, at any moment.
        with suppress(OSError):
            super().handle()

    def _pass(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        name, digest = name_of(self.command, self.path, body), hashlib.sha256(body).hexdigest()[:12]
        asked = Asked(time.monotonic(), name, self.path, digest)
        match self.proxy.take(asked):
            case Answer(status, retry_after_s):
                self._tell(asked, status, _status(status), retry_after_s)
            case Lose():
                self._ask(asked, body).read()
                self.close_connection = True
            case Hold() as hold:
                if hold.passed_on:
                    self._ask(asked, body).read()
                hold.reached.set()
                hold.over.wait(HANGS_S)
                self.close_connection = True
            case Delay() as delay:
                delay.reached.set()
                delay.over.wait(HANGS_S)
                self._pass_on(asked, body)
            case None:
                self._pass_on(asked, body)

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _pass  # noqa: N815 - so the base class names them

    def _ask(self, asked: Asked, body: bytes) -> http.client.HTTPResponse:
        """What the server says to it."""
        kept = ("Accept", "Content-Type", "User-Agent")
        headers = {key: value for key, value in self.headers.items() if key in kept}
        headers["Authorization"] = f"Bearer {self.proxy.token}"
        if self._server is None:
            self._server = http.client.HTTPSConnection(
                self.proxy.server, context=self.proxy.trust, timeout=HANGS_S
            )
            self._server.connect()
            self._wire = self._server.sock
            self.proxy.opened(self._wire)
        try:
            self._server.request(self.command, self.path, body or None, headers)
            answer = self._server.getresponse()
        except http.client.HTTPException as fault:
            self._forget_server()
            raise OSError(str(fault)) from fault
        asked.landed = answer.status
        return answer

    def _forget_server(self) -> None:
        if self._wire is not None:
            self.proxy.closed(self._wire)
        if self._server is not None:
            self._server.close()
        self._server = self._wire = None

    def _pass_on(self, asked: Asked, body: bytes) -> None:
        answer = self._ask(asked, body)
        if asked.name.endswith(" watch") and answer.status == 200:
            self._stream(asked, answer)
            return
        wait = answer.headers.get("Retry-After")
        self._tell(asked, answer.status, answer.read(), int(wait) if wait else None)

    def _stream(self, asked: Asked, answer: http.client.HTTPResponse) -> None:
        """The events of a watch, as they come."""
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        asked.status = 200
        try:
            while chunk := answer.read1(65536):
                self.proxy.thawed.wait(HANGS_S)
                self.wfile.write(b"%x\r\n%s\r\n" % (len(chunk), chunk))
            self.wfile.write(b"0\r\n\r\n")
        except (OSError, ValueError, http.client.HTTPException):
            self.close_connection = True
            self._forget_server()

    def _tell(self, asked: Asked, status: int, body: bytes, retry_after_s: int | None) -> None:
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        if retry_after_s is not None:
            self.send_header("Retry-After", str(retry_after_s))
        self.end_headers()
        asked.status = status
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        pass


def _status(code: int) -> bytes:
    document = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "message": "a fault", "code": code}
    return json.dumps(document).encode()


def name_of(method: str, path: str, body: bytes) -> str:
    """What a request says, in words that are the same in every run."""
    split = urlsplit(path)
    parts = [part for part in split.path.split("/") if part]
    inside = parts[parts.index("namespaces") + 2 :] if "namespaces" in parts[:-2] else parts[-1:]
    told = [method, "/".join(inside)]
    if parse_qs(split.query).get("watch") == ["true"]:
        told.append("watch")
    if method in ("POST", "PUT"):
        told.append(_said(inside, json.loads(body)))
    return " ".join(one for one in told if one)


def _said(inside: list[str], document: dict[str, Any]) -> str:
    kind, name = inside[0], str(document.get("metadata", {}).get("name", ""))
    if inside[-1] == "scale":
        return str(document["spec"]["replicas"])
    if kind == "leases":
        return "renewed" if document["spec"]["holderIdentity"] else "given up"
    if kind == "configmaps" and "record" in document.get("data", {}):
        return _phase(json.loads(document["data"]["record"]))
    return name if len(inside) == 1 else ""


def _phase(release: dict[str, Any]) -> str:
    if release["phase"] == "progressing":
        return f"progressing/{release['step'] + 1}/{release['stage']}"
    return str(release["phase"])
