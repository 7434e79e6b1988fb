"""The session against a server on loopback that answers as it is told; attempts are counted there."""

import json
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

from canary.errors import CanaryError, ConflictError, DeniedError, InvalidError, MissingError, TransientError
from canary.kube.session import Fault, Session, connect, error_of


class Server(ThreadingHTTPServer):
    """Answers every request with `status`, `headers` and `body`, after `delay_s`; remembers what came."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.status, self.body, self.delay_s = 200, b'{"metadata": {}}', 0.0
        self.headers: dict[str, str] = {}
        self.came: list[tuple[str, str, str]] = []


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def answer(self) -> None:
        server = self.server
        assert isinstance(server, Server)
        length = int(self.headers.get("Content-Length") or 0)
        server.came.append((self.command, self.path, self.rfile.read(length).decode()))
        time.sleep(server.delay_s)
        self.send_response(server.status)
        for name, value in server.headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(server.body)))
        self.end_headers()
        self.wfile.write(server.body)

    do_GET = do_PUT = do_POST = do_PATCH = do_DELETE = answer  # noqa: N815

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        pass


@pytest.fixture
def server() -> Iterator[Server]:
    serving = Server()
    Thread(target=serving.serve_forever, args=(0.02,), daemon=True).start()
    yield serving
    serving.shutdown()
    serving.server_close()


@pytest.fixture
def session(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Session:
    monkeypatch.setenv("KUBECONFIG", str(written(tmp_path, f"http://127.0.0.1:{server.server_port}")))
    return connect(None)


def written(folder: Path, url: str) -> Path:
    path = folder / "kubeconfig"
    document = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "here",
        "clusters": [{"name": "c", "cluster": {"server": url}}],
        "users": [{"name": "u", "user": {"token": "secret-token"}}],
        "contexts": [
            {"name": "here", "context": {"cluster": "c", "user": "u", "namespace": "prod"}},
            {"name": "there", "context": {"cluster": "c", "user": "u"}},
        ],
    }
    path.write_text(json.dumps(document))
    return path


def status(code: int, message: str = "no") -> bytes:
    return json.dumps({"kind": "Status", "code": code, "message": message, "reason": "X"}).encode()


def test_the_context_tells_server_and_namespace(session: Session, server: Server) -> None:
    assert session.namespace == "prod"
    assert session.get(session.path("apps/v1", "deployments", "web")) == {"metadata": {}}
    assert server.came == [("GET", "/apis/apps/v1/namespaces/prod/deployments/web", "")]
    assert session.path("v1", "pods") == "/api/v1/namespaces/prod/pods"
    assert connect(None, "there").namespace == "default"
    assert connect("mine").namespace == "mine"


def test_without_a_cluster_it_is_said_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "none"))
    with pytest.raises(InvalidError, match="no way to a cluster") as told:
        connect(None)
    assert "KUBECONFIG" in told.value.remedy


def test_an_unknown_context_is_named(session: Session) -> None:
    with pytest.raises(InvalidError, match="nowhere"):
        connect(None, "nowhere")


@pytest.mark.parametrize("code", [429, 500, 502, 503, 504])
def test_a_call_is_one_attempt_whatever_comes_back(session: Session, server: Server, code: int) -> None:
    server.status, server.headers, server.body = code, {"Retry-After": "7"}, status(code, "busy")
    began = time.monotonic()

    with pytest.raises(TransientError, match="busy") as told:
        session.get(session.path("v1", "pods"))

    assert told.value.retry_after_s == 7.0
    assert len(server.came) == 1
    assert time.monotonic() - began < 3.0


def test_a_write_that_hangs_is_given_up_in_its_time_after_one_attempt(
    session: Session, server: Server
) -> None:
    server.delay_s = 3.0
    began = time.monotonic()

    with pytest.raises(TransientError, match="does not answer"):
        session.replace(session.path("v1", "configmaps", "x"), {"a": 1}, 0.5)

    assert time.monotonic() - began < 2.0
    assert len(server.came) == 1


def test_nobody_there_is_out_of_reach_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUBECONFIG", str(written(tmp_path, "http://127.0.0.1:9")))
    with pytest.raises(TransientError, match="does not answer"):
        connect(None).get("/api/v1/namespaces/prod/pods")


def test_no_time_left_asks_nobody(session: Session, server: Server) -> None:
    with pytest.raises(TransientError, match="no time is left"):
        session.get("/x", 0.0)
    assert server.came == []


def test_an_answer_that_is_no_json_is_out_of_reach(session: Session, server: Server) -> None:
    server.body = b"<html>welcome</html>"
    with pytest.raises(TransientError, match="not JSON"):
        session.get("/x")


def test_deleting_what_is_gone_is_as_good(session: Session, server: Server) -> None:
    server.status, server.body = 404, status(404)
    session.delete("/x", "uid-1")
    sent = json.loads(server.came[0][2])
    assert sent["propagationPolicy"] == "Background"
    assert sent["preconditions"] == {"uid": "uid-1"}


def test_a_patch_is_sent_as_operations(session: Session, server: Server) -> None:
    session.patch("/x", [{"op": "test", "path": "/a", "value": 1}])
    assert json.loads(server.came[0][2]) == [{"op": "test", "path": "/a", "value": 1}]


def test_a_watch_gives_events_and_ends_with_the_answer(session: Session, server: Server) -> None:
    server.body = b'{"type":"ADDED","object":{"a":1}}\n{"type":"BOOKMARK","object":{}}\n'
    assert [event["type"] for event in session.watch("/x", "5", 60)] == ["ADDED", "BOOKMARK"]
    assert "watch=true&resourceVersion=5&allowWatchBookmarks=true&timeoutSeconds=60" in server.came[0][1]


def test_a_watch_from_too_long_ago_is_a_conflict(session: Session, server: Server) -> None:
    server.body = b'{"type":"ERROR","object":{"kind":"Status","code":410,"message":"too old"}}\n'
    with pytest.raises(ConflictError, match="too old"):
        list(session.watch("/x", "5", 60))


EXPECTED: dict[int, type[CanaryError]] = {
    401: DeniedError,
    403: DeniedError,
    404: MissingError,
    408: TransientError,
    409: ConflictError,
    410: ConflictError,
    412: ConflictError,
    425: TransientError,
    429: TransientError,
}


def test_every_status_that_is_no_success_has_its_error() -> None:
    for code in range(300, 600):
        kind = error_of("PUT", "/api/v1/namespaces/prod/configmaps/x", Fault(code, "no"), server="s")
        usual = InvalidError if 400 <= code < 500 else TransientError
        assert type(kind) is EXPECTED.get(code, usual), code


@pytest.mark.parametrize(
    ("method", "path", "wanted"),
    [
        ("PUT", "/apis/apps/v1/namespaces/p/deployments/web/scale", ("apps", "deployments/scale", "update")),
        ("GET", "/api/v1/namespaces/p/pods", ("", "pods", "list")),
        (
            "POST",
            "/apis/coordination.k8s.io/v1/namespaces/p/leases",
            ("coordination.k8s.io", "leases", "create"),
        ),
        ("DELETE", "/apis/apps/v1/namespaces/p/deployments/web-canary", ("apps", "deployments", "delete")),
    ],
)
def test_a_refusal_names_the_rule_that_is_missing(
    method: str, path: str, wanted: tuple[str, str, str]
) -> None:
    told = error_of(method, path, Fault(403, "forbidden"), server="s")
    group, resource, verb = wanted
    assert f'apiGroups: ["{group}"], resources: ["{resource}"], verbs: ["{verb}"]' in told.remedy
