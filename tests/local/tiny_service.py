"""A tiny HTTP service for tests: `tiny_service.py PORT VERSION [FAULT]`.

Faults: `never` (health says 503), `exit` (ends at once), `deaf` (does not listen), `hang` (its metrics page
does not come). A version named as a fault has it.
"""

import os
import socketserver
import sys
import time
from http.server import BaseHTTPRequestHandler
from urllib.parse import parse_qs, urlsplit

PORT, VERSION = int(sys.argv[1]), sys.argv[2]
FAULT = sys.argv[3] if len(sys.argv) > 3 else VERSION
STARTED = time.time()
SERVED = [0]


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_GET(self) -> None:
        url = urlsplit(self.path)
        status, body = 200, f"{VERSION} {os.environ.get('CANARY_POD_NAME', '')} {os.getpid()}\n"
        if url.path == "/health":
            status = 503 if FAULT == "never" else 200
        elif url.path == "/metrics":
            if FAULT == "hang":
                time.sleep(60)
            body = (
                "# TYPE http_requests_total counter\n"
                f'http_requests_total{{code="200"}} {SERVED[0]}\nprocess_start_time_seconds {STARTED}\n'
            )
        else:
            time.sleep(float(parse_qs(url.query).get("s", ["0"])[0]))
            SERVED[0] += 1
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body.encode())

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        pass


class Server(socketserver.ThreadingTCPServer):
    daemon_threads = True
    allow_reuse_address = True
    request_queue_size = 256


if __name__ == "__main__":
    if FAULT == "exit":
        sys.exit("cannot go on: no such table: orders\n")
    if FAULT == "deaf":
        time.sleep(600)
    with Server(("127.0.0.1", PORT), Handler) as server:
        server.serve_forever(poll_interval=0.05)
