"""Try to become more than the box allows, and say what became of it. Status 1: something worked."""

import ctypes
import os
import socket
import subprocess
import sys
from collections.abc import Callable

LIBC = ctypes.CDLL(None, use_errno=True)
NEW_USER, NEW_NET, NEW_MOUNT = 0x10000000, 0x40000000, 0x00020000


def call(name: str, *arguments: object) -> None:
    """A function of the C library that answers -1 for an error."""
    if getattr(LIBC, name)(*arguments) == -1:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def write(path: str) -> None:
    """Change a file."""
    with open(path, "a", encoding="utf-8") as out:
        out.write("x")


def run_from(folder: str) -> None:
    """Put a program there, and run it."""
    path = os.path.join(folder, "program")
    with open("/bin/true", "rb") as source, open(path, "wb") as out:
        out.write(source.read())
    os.chmod(path, 0o700)
    try:
        if (status := subprocess.run([path], check=False).returncode) != 0:
            raise PermissionError(f"status {status}")
    finally:
        os.unlink(path)


WAYS: dict[str, Callable[[], object]] = {
    "become root": lambda: os.setuid(0),
    "another group": lambda: os.setgid(0),
    "a user namespace": lambda: call("unshare", NEW_USER),
    "a network namespace": lambda: call("unshare", NEW_NET),
    "mount": lambda: call("mount", b"proc", b"/data", b"proc", 0, None),
    "trace its parent": lambda: call("ptrace", 16, os.getppid(), 0, 0),
    "a raw socket": lambda: socket.socket(socket.AF_INET, socket.SOCK_RAW, 1),
    "a packet socket": lambda: socket.socket(socket.AF_PACKET, socket.SOCK_RAW),
    "a program without a file": lambda: os.memfd_create("program"),
    "a program in /tmp": lambda: run_from("/tmp"),  # noqa: S108 - it is the one that is tried
    "a program in /data": lambda: run_from("/data"),
    "a program in /dev/shm": lambda: run_from("/dev/shm"),  # noqa: S108 - likewise
    "change its own code": lambda: write("/app/start.sh"),
    "change the root": lambda: os.mkdir("/x"),
    "settings of the kernel": lambda: write("/proc/sys/kernel/core_pattern"),
    "the control group": lambda: write("/sys/fs/cgroup/cgroup.procs"),
    "memory of the kernel": lambda: open("/proc/kcore", "rb").read(1) or write("/proc/kcore"),  # noqa: SIM115
    "Docker's socket": lambda: socket.socket(socket.AF_UNIX).connect("/var/run/docker.sock"),
    "more open files": lambda: __import__("resource").setrlimit(7, (4096, 4096)),
}


def main() -> int:
    """Try all; the status."""
    worked = 0
    for name, way in WAYS.items():
        try:
            way()
        except (OSError, ValueError) as fault:
            became = f"refused: {fault}"
        else:
            became = "WORKED"
            worked = 1
        sys.stdout.write(f"{name}: {became}\n")
    return worked


if __name__ == "__main__":
    sys.exit(main())
