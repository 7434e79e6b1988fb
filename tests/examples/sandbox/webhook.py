"""Where the monitor's alerts arrive."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class Webhook:
    """What has come, in order."""

    port: int
    came: list[dict[str, Any]] = field(default_factory=list)


@contextmanager
def listening() -> Iterator[Webhook]:
    """A webhook on this machine's loopback."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            webhook.came.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(204)
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        webhook = Webhook(server.server_address[1])
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield webhook
        server.shutdown()
        thread.join()
