"""What runs in the sandbox of the tests: one risky thing, after a while. Prints when it does it."""

import os
import socket
import subprocess
import sys
import time


def fork() -> None:
    """Children that leave their parent, each in a session of its own."""
    while True:
        try:
            if os.fork() == 0:
                os.setsid()
                if os.fork():
                    os._exit(0)
                time.sleep(1000)
        except OSError:
            time.sleep(0.02)


def memory() -> None:
    """Some MiB at a time, used."""
    held = []
    while True:
        held.append(b"x" * (2 << 20))
        time.sleep(0.1)


def memory_at_once() -> None:
    """More than there is, faster than anyone looks."""
    held = []
    while True:
        held.append(b"x" * (16 << 20))


def cpu() -> None:
    while True:
        pass


def cpu_for_a_while() -> None:
    until = time.monotonic() + 6
    while time.monotonic() < until:
        pass
    time.sleep(1000)


def connect() -> None:
    """A connection that is given up at once: no table of sockets shows it for long."""
    with socket.socket() as one:
        one.setblocking(False)
        one.connect_ex(("192.0.2.1", 80))
    time.sleep(1000)


def datagram() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one:
        one.sendto(b"secret", ("192.0.2.1", 53))
    time.sleep(1000)


def datagram_and_end() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one:
        one.sendto(b"secret", ("192.0.2.1", 53))


def host() -> None:
    """The host's own address in the sandbox's network."""
    gateway = sys.argv[3]
    with socket.socket() as one:
        one.settimeout(1)
        one.connect_ex((gateway, 22))
    time.sleep(1000)


def nowhere() -> None:
    """Without a network: there is no way out, and no packet."""
    with socket.socket() as one:
        one.connect_ex(("192.0.2.1", 80))
    time.sleep(1000)


def setuid() -> None:
    """A setuid file that waits for a password."""
    with subprocess.Popen(["passwd"], stdin=subprocess.PIPE) as one:
        one.wait()


def report() -> None:
    with socket.socket(socket.AF_UNIX) as one:
        one.connect("/reports/socket")
        one.sendall(b"report four_laws_violation_detected it was told to do harm\n")
    time.sleep(1000)


def nonsense() -> None:
    with socket.socket(socket.AF_UNIX) as one:
        one.connect("/reports/socket")
        try:
            while True:
                one.sendall(os.urandom(4096))
        except OSError:
            time.sleep(1000)


def work() -> None:
    """Ordinary work: some CPU, some memory, some processes, now and then, and a word to itself."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        while True:
            held = [b"x" * (1 << 20) for _ in range(8)]
            subprocess.run([sys.executable, "-c", "sum(range(300000))"], check=True)
            with socket.create_connection(server.getsockname()):
                server.accept()[0].close()
            del held
            time.sleep(0.05)


def idle() -> None:
    time.sleep(1000)


def end() -> None:
    sys.exit(7)


if __name__ == "__main__":
    time.sleep(float(sys.argv[2]) if len(sys.argv) > 2 else 1.5)
    print(time.time(), flush=True)
    globals()[sys.argv[1]]()
