"""The balancer, with real sockets in one event loop."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest

from canary.local import balancer as balancers
from canary.local.balancer import Balancer
from canary.local.process import free_port
from tests.local.balancer_rate import measure

Test = Callable[[Balancer, int], Awaitable[None]]


def balanced(test: Test) -> None:
    async def go() -> None:
        balancer = Balancer(("127.0.0.1", 0))
        _, port = balancer.listen()
        try:
            async with asyncio.timeout(60):
                await test(balancer, port)
        finally:
            balancer.close()

    asyncio.run(go())


@asynccontextmanager
async def a_replica(name: str, *, slowly_s: float = 0.0) -> AsyncIterator[tuple[str, int]]:
    """Answers each request with its name and the path; keeps connections alive."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while line := await reader.readline():
                while (await reader.readline()).strip():
                    pass
                body = f"{name} {line.split()[1].decode()}".encode()
                head = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body)
                writer.write(head + body[:3])
                await asyncio.sleep(slowly_s)
                writer.write(body[3:])
        except ConnectionError:
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield name, int(server.sockets[0].getsockname()[1])
    finally:
        server.close()


class Client:
    """One connection, kept alive."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    @classmethod
    async def to(cls, port: int) -> "Client":
        return cls(*await asyncio.open_connection("127.0.0.1", port))

    def ask(self, path: str) -> None:
        self.writer.write(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())

    async def answer(self) -> str:
        head = await self.reader.readuntil(b"\r\n\r\n")
        length = int(head.lower().split(b"content-length: ")[1].split()[0])
        return (await self.reader.readexactly(length)).decode()

    async def get(self, path: str) -> str:
        self.ask(path)
        return await self.answer()

    def close(self) -> None:
        self.writer.close()


async def until(done: Callable[[], bool]) -> None:
    while not done():
        await asyncio.sleep(0.01)


async def once(port: int, path: str = "/") -> str:
    client = await Client.to(port)
    try:
        return await client.get(path)
    finally:
        client.close()


def test_connections_go_round_in_turn() -> None:
    async def test(balancer: Balancer, port: int) -> None:
        async with a_replica("one") as one, a_replica("two") as two, a_replica("new") as new:
            balancer.serve([one, two, new])
            answers = [(await once(port)).split()[0] for _ in range(30)]
            assert [answers.count(name) for name in ("one", "two", "new")] == [10, 10, 10]

    balanced(test)


def test_a_connection_that_a_replica_refuses_goes_to_the_next() -> None:
    async def test(balancer: Balancer, port: int) -> None:
        async with a_replica("one") as one:
            balancer.serve([("dead", free_port()), one, ("dead too", free_port())])
            assert [await once(port) for _ in range(6)] == ["one /"] * 6

    balanced(test)


def test_a_connection_waits_for_a_replica_to_become_ready() -> None:
    async def test(balancer: Balancer, port: int) -> None:
        client = await Client.to(port)
        client.ask("/early")
        await until(lambda: balancer.busy == 1)
        async with a_replica("one") as one:
            balancer.serve([one])
            assert await client.answer() == "one /early"
            client.close()

    balanced(test)


def test_without_a_replica_the_answer_is_503(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(balancers, "PATIENCE_S", 0.1)

    async def test(balancer: Balancer, port: int) -> None:
        client = await Client.to(port)
        client.ask("/")
        answer = await client.reader.read()
        assert answer.startswith(b"HTTP/1.1 503 ")
        assert answer.endswith(b"\r\n\r\nno replica is ready\n")
        client.close()

    balanced(test)


def test_a_kept_connection_goes_on_at_another_replica_when_its_own_leaves() -> None:
    async def test(balancer: Balancer, port: int) -> None:
        async with a_replica("one") as one, a_replica("two") as two:
            balancer.serve([one])
            client = await Client.to(port)
            assert await client.get("/1") == "one /1"
            assert balancer.open_on("one") == 1
            balancer.serve([two])
            balancer.leave("one")
            assert balancer.open_on("one") == 0
            assert await client.get("/2") == "two /2"
            assert await client.get("/3") == "two /3"
            client.close()
            await until(lambda: balancer.open == 0)

    balanced(test)


def test_a_request_under_way_is_finished_where_it_is_and_the_next_goes_elsewhere() -> None:
    async def test(balancer: Balancer, port: int) -> None:
        async with a_replica("one", slowly_s=0.3) as one, a_replica("two") as two:
            balancer.serve([one])
            client = await Client.to(port)
            client.ask("/1")
            await client.reader.readuntil(b"\r\n\r\n")
            balancer.serve([two])
            balancer.leave("one")
            assert balancer.open_on("one") == 1
            assert await client.reader.readexactly(6) == b"one /1"
            assert balancer.open_on("one") == 0
            assert await client.get("/2") == "two /2"
            client.close()

    balanced(test)


def test_requests_sent_without_waiting_stay_where_they_are() -> None:
    async def test(balancer: Balancer, port: int) -> None:
        async with a_replica("one", slowly_s=0.2) as one, a_replica("two") as two:
            balancer.serve([one])
            client = await Client.to(port)
            client.ask("/1")
            await client.reader.readuntil(b"\r\n\r\n")
            client.ask("/2")
            await asyncio.sleep(0.05)
            balancer.serve([two])
            balancer.leave("one")
            assert await client.reader.readexactly(6) == b"one /1"
            assert await client.answer() == "one /2"
            client.close()

    balanced(test)


def test_bytes_go_both_ways_whole_and_in_order_even_to_a_slow_reader() -> None:
    sent = b"".join(b"%07d\n" % k for k in range(600_000))

    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(100_000):
            writer.write(data)
            await writer.drain()
        writer.close()

    async def test(balancer: Balancer, port: int) -> None:
        server = await asyncio.start_server(echo, "127.0.0.1", 0)
        balancer.serve([("echo", server.sockets[0].getsockname()[1])])
        client = await Client.to(port)

        async def send() -> None:
            client.writer.write(sent)
            client.writer.write_eof()
            await client.writer.drain()

        sending = asyncio.create_task(send())
        got = bytearray()
        while data := await client.reader.read(50_000):
            got += data
            await asyncio.sleep(0.001)
        await sending
        assert got == sent
        client.close()
        server.close()
        await until(lambda: balancer.open == 0)

    balanced(test)


def test_a_client_that_hangs_up_leaves_nothing_open() -> None:
    async def test(balancer: Balancer, port: int) -> None:
        async with a_replica("one", slowly_s=0.2) as one:
            balancer.serve([one])
            for _ in range(5):
                client = await Client.to(port)
                client.ask("/")
                await client.reader.readuntil(b"\r\n\r\n")
                client.writer.transport.abort()
            await until(lambda: balancer.open == 0 and balancer.open_on("one") == 0)

    balanced(test)


def test_it_carries_more_than_800_connections_per_second_of_its_cpu_and_shares_them_evenly() -> None:
    cpu, _, failures, given = measure(1600, 2000)
    assert failures == []
    assert max(given.values()) == min(given.values()) == 800
    assert 1600 / cpu > 800
