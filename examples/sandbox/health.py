"""Whether the service answers at its socket: status 0, else 1. Run by Docker, inside."""

import socket
import sys

with socket.socket(socket.AF_UNIX) as asked:
    asked.settimeout(2)
    try:
        asked.connect("/run/door/app.sock")
        asked.sendall(b"GET /health/ready HTTP/1.0\r\n\r\n")
        first = asked.recv(64)
    except OSError:
        sys.exit(1)
sys.exit(b" 200 " not in first)
