"""Try every way out of the box that a program has, and say what became of it. Status 1: one leads out.

python3 /app/experiments/egress.py [ADDRESS:PORT ...]
"""

import errno
import socket
import sys

ELSEWHERE = ("192.0.2.1:443", "[2001:db8::1]:443", "169.254.169.254:80")
"""Addresses of documentation, and where clouds tell a machine its keys."""
NAME = "example.com"
KINDS = {"tcp": socket.SOCK_STREAM, "udp": socket.SOCK_DGRAM}


def attempt(kind: int, address: str, port: int) -> str:
    """Speak to it; `out`, or why not."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    try:
        with socket.socket(family, kind) as way:
            way.settimeout(2)
            way.connect((address, port))
            way.sendall(b"hello\n")
    except OSError as fault:
        return errno.errorcode.get(fault.errno or 0, str(fault))
    return "out"


def resolve(name: str) -> str:
    """Ask for the addresses of a name; `out`, or why not."""
    try:
        socket.getaddrinfo(name, 443)
    except OSError as fault:
        return str(fault)
    return "out"


def main(targets: list[str]) -> int:
    """Try all; the status."""
    found = {f"name {NAME}": resolve(NAME)}
    for target in targets:
        address, _, port = target.rpartition(":")
        for kind, number in KINDS.items():
            found[f"{kind} {target}"] = attempt(number, address.strip("[]"), int(port))
    for way, became in found.items():
        sys.stdout.write(f"{way}: {became}\n")
    return int("out" in found.values())


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:] or list(ELSEWHERE)))
