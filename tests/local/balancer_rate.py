"""How many new connections a second the balancer carries per second of its own CPU.

`python -m tests.local.balancer_rate [CONNECTIONS] [BYTES]`: one request a connection, answers of BYTES, two
replicas. Client and replicas run in other processes, so the balancer's CPU time is its own.
"""

import asyncio
import multiprocessing
import socket
import sys
import time
from multiprocessing.connection import Connection
from threading import Thread

from canary.local.balancer import Balancer

REQUEST = b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"


class _Answer(asyncio.Protocol):
    body = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        assert isinstance(self.transport, asyncio.Transport)
        head = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\nConnection: close\r\n\r\n" % len(self.body)
        self.transport.write(head + self.body)
        self.transport.close()


async def _replicas(size: int, pipe: Connection) -> None:
    _Answer.body = b"x" * size
    loop = asyncio.get_running_loop()
    servers = [await loop.create_server(_Answer, "127.0.0.1", 0, backlog=1024) for _ in range(2)]
    pipe.send([server.sockets[0].getsockname()[1] for server in servers])
    await loop.run_in_executor(None, pipe.recv)
    for server in servers:
        server.close()


async def _balance(ports: list[int], pipe: Connection) -> None:
    balancer = Balancer(("127.0.0.1", 0))
    port = balancer.listen()[1]
    balancer.serve([(f"pod-{one}", one) for one in ports])
    before = time.process_time()
    pipe.send(port)
    await asyncio.get_running_loop().run_in_executor(None, pipe.recv)
    pipe.send((time.process_time() - before, dict(balancer.given)))
    balancer.close()


def _serve(size: int, pipe: Connection) -> None:
    asyncio.run(_replicas(size, pipe))


def _run_balancer(ports: list[int], pipe: Connection) -> None:
    asyncio.run(_balance(ports, pipe))


def _ask(port: int, count: int, wanted: int, failures: list[str]) -> None:
    for _ in range(count):
        got = 0
        try:
            with socket.create_connection(("127.0.0.1", port), timeout=20) as one:
                one.sendall(REQUEST)
                while data := one.recv(65536):
                    got += len(data)
        except OSError as fault:
            failures.append(str(fault))
        if got < wanted:
            failures.append(f"{got} bytes of {wanted}")


def measure(connections: int, size: int) -> tuple[float, float, list[str], dict[str, int]]:
    """CPU seconds of the balancer, wall seconds, failures, connections given to each replica."""
    spawn = multiprocessing.get_context("spawn")
    to_replicas, replicas_end = spawn.Pipe()
    to_balancer, balancer_end = spawn.Pipe()
    replicas = spawn.Process(target=_serve, args=(size, replicas_end))
    replicas.start()
    balancer = spawn.Process(target=_run_balancer, args=(to_replicas.recv(), balancer_end))
    balancer.start()
    port = to_balancer.recv()
    failures: list[str] = []
    began = time.monotonic()
    threads = [Thread(target=_ask, args=(port, connections // 8, size, failures)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    wall = time.monotonic() - began
    to_balancer.send("done")
    cpu, given = to_balancer.recv()
    to_replicas.send("done")
    for process in (balancer, replicas):
        process.join(20)
    for pipe in (to_replicas, replicas_end, to_balancer, balancer_end):
        pipe.close()
    return cpu, wall, failures, given


if __name__ == "__main__":
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 8000
    cpu, wall, failures, given = measure(count, int(sys.argv[2]) if len(sys.argv) > 2 else 2000)
    print(f"{count / cpu:.0f} connections per CPU second of the balancer, {count / wall:.0f} per second here")
    print(f"{len(failures)} failures, {given}")
