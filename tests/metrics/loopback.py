"""A small HTTP server under a test's control, which counts what it is asked."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit


@dataclass
class Asked:
    """One request."""

    path: str
    params: dict[str, str]
    headers: dict[str, str]


@dataclass
class Loopback:
    """Its address, everything it was asked, and what it answers: (status, headers, body).

    It answers once `hang` is set; with `drip_s` the body comes in pieces of a thousand bytes, that far apart.
    """

    url: str = ""
    asked: list[Asked] = field(default_factory=list)
    answer: Callable[[Asked], tuple[int, dict[str, str], bytes]] = lambda _: (200, {}, b"")
    hang: threading.Event = field(default_factory=threading.Event)
    drip_s: float = 0.0


@contextmanager
def loopback() -> Iterator[Loopback]:
    """Serve on a free port until the block ends."""
    control = Loopback()
    control.hang.set()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            parts = urlsplit(self.path)
            params = {name: values[0] for name, values in parse_qs(parts.query).items()}
            asked = Asked(parts.path, params, dict(self.headers.items()))
            control.asked.append(asked)
            control.hang.wait(20)
            status, headers, body = control.answer(asked)
            size = 1000 if control.drip_s else max(1, len(body))
            try:
                self.send_response(status)
                for name, value in {"Content-Length": str(len(body)), **headers}.items():
                    self.send_header(name, value)
                self.end_headers()
                for start in range(0, len(body), size):
                    self.wfile.write(body[start : start + size])
                    time.sleep(control.drip_s)
            except ConnectionError:
                pass  # the client gave up, as some tests want it to

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = False
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    control.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield control
    finally:
        control.hang.set()
        server.shutdown()
        thread.join()
        server.server_close()
