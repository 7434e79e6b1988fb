"""Metrics pages for simulated pods: each gets an address of this machine at which a real page is served.

The simulated pods' own addresses lead nowhere, as those of real ones do from outside of a cluster.
"""

import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from canary.errors import CanaryError
from canary.kube.objects import split_image
from canary.kube.session import Json, Session
from tests.kube.scripted import EDGES, Served, Traffic

LOOK_S = 0.2


class ServedPods:
    """Follows the pods of a namespace. `versions`: by image tag; an unknown one is like `Traffic()`.

    Attributes:
        port: of every page. scraped: how often each pod was asked, by name.
        silent: every page answers 503.
    """

    def __init__(self, session: Session, versions: Mapping[str, Traffic]) -> None:
        self.silent = False
        self.scraped: dict[str, int] = {}
        self._session = session
        self._versions = versions
        self._names: dict[str, str] = {}
        self._pods: dict[str, Served] = {}
        self._lock = threading.Lock()
        self._over = threading.Event()
        handler = type("Handler", (_Handler,), {"pods": self})
        self._server = ThreadingHTTPServer(("0.0.0.0", 0), handler)
        self._server.daemon_threads = True
        self.port = self._server.server_port

    def start(self) -> None:
        self._look()
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        threading.Thread(target=self._follow, daemon=True).start()

    def close(self) -> None:
        self._over.set()
        self._server.shutdown()
        self._server.server_close()

    def _follow(self) -> None:
        while not self._over.wait(LOOK_S):
            try:
                self._look()
            except CanaryError:
                continue

    def _look(self) -> None:
        for item in self._session.get(self._session.path("v1", "pods")).get("items") or []:
            name, status = item["metadata"]["name"], item.get("status", {})
            if name not in self._pods and status.get("podIP"):
                self._give(name, item)

    def _give(self, name: str, item: Json) -> None:
        number = len(self._pods) + 2
        address = f"127.88.{number // 250}.{number % 250 + 1}"
        version = split_image(item["spec"]["containers"][0]["image"])[1]
        with self._lock:
            self._pods[name] = Served(version, time.time(), seen_at=time.time())
            self._names[address] = name
        operations: list[Json] = [
            {"op": "replace", "path": "/status/podIP", "value": address},
            {"op": "replace", "path": "/status/podIPs", "value": [{"ip": address}]},
        ]
        self._session.patch(self._session.path("v1", "pods", name, "status"), operations)

    def page(self, address: str) -> str | None:
        """What the pod at this address shows; None where there is none."""
        with self._lock:
            name = self._names.get(address)
            if name is None or self.silent:
                return None
            self.scraped[name] = self.scraped.get(name, 0) + 1
            pod, now = self._pods[name], time.time()
            pod.count(self._versions.get(pod.version, Traffic()), now - pod.seen_at)
            pod.seen_at = now
            return _text(pod.values())


def _text(values: list[float]) -> str:
    good, bad, *buckets = values
    lines = [
        f'http_requests_total{{code="200",path="/"}} {good}',
        f'http_requests_total{{code="500",path="/"}} {bad}',
        *(
            f'http_request_duration_seconds_bucket{{le="{edge}",path="/"}} {count}'
            for edge, count in zip(EDGES, buckets, strict=False)
        ),
    ]
    return "\n".join(lines) + "\n"


class _Handler(BaseHTTPRequestHandler):
    pods: ServedPods

    def do_GET(self) -> None:
        found = self.pods.page(self.connection.getsockname()[0])
        body = (found or "").encode()
        self.send_response(200 if found is not None else 503)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        pass


@contextmanager
def served(session: Session, versions: Mapping[str, Traffic]) -> Iterator[ServedPods]:
    """Serving pages for every pod of the namespace."""
    serving = ServedPods(session, versions)
    serving.start()
    try:
        yield serving
    finally:
        serving.close()
