"""`python -m canary.local.demo.service`: one process of the demo shop."""

import argparse
import asyncio
import os
import random
import signal
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from canary.errors import Exit
from canary.local.demo.faults import Fault, FaultError, Kind, Nature, parse_fault, parse_table
from canary.local.demo.rates import VersionRate
from canary.local.demo.shop import Shop
from canary.local.demo.wire import Lobby

LINGER_S = 0.2
"""After SIGTERM connections that are already on their way are still accepted for this long."""

SILENT_S = 0.5
"""A connection on which nothing has come for this long after that is closed."""

FINISH_S = 10.0
"""Open requests get at most this long to end after SIGTERM."""

LEAK_TURN_S = 0.1
"""A version that leaks loses some memory this often."""

CRASH_CODE = 70
"""Exit status of a version that crashes (EX_SOFTWARE of sysexits.h)."""


NONE = Fault()


@dataclass(frozen=True)
class ServiceOptions:
    """What one process is asked to be.

    Attributes:
        version: named in X-Version. host, port: where it listens.
        fault: of its version. seed: for latencies and errors; None: not repeatable.
        shared: folder in which the processes of a version tell their rates (fault `load` only).
    """

    version: str
    port: int
    host: str = "127.0.0.1"
    fault: Fault = NONE
    seed: int | None = None
    shared: Path | None = None


def parse_options(argv: Sequence[str]) -> ServiceOptions:
    """Read the command line; ends the process with status 2 and a message when it is wrong."""
    parser = argparse.ArgumentParser(
        prog="python -m canary.local.demo.service", description="One process of the demo shop."
    )
    parser.add_argument("--version", required=True, help="the version it says it is, for instance v1.0.0")
    parser.add_argument("--port", required=True, type=int, help="TCP port to listen on")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on; 0.0.0.0 in a container")
    parser.add_argument("--fault", help=f"this process's fault: {', '.join(Kind)}; crash:12, load:150 ...")
    parser.add_argument("--faults", default="", help="which versions are bad: v1.1.0=errors,v1.1.2=latency")
    parser.add_argument("--seed", type=int, help="makes latencies and errors repeatable")
    parser.add_argument("--shared", type=Path, help="folder shared by all processes (needed by fault load)")
    given = parser.parse_args(argv)
    try:
        table = parse_table(given.faults)
        fault = parse_fault(given.fault) if given.fault else table.get(given.version, NONE)
    except FaultError as error:
        parser.error(str(error))
    if fault.kind is Kind.LOAD and given.shared is None:
        parser.error("fault load needs --shared FOLDER, in which the processes tell each other their rates")
    if not 0 < given.port < 65536:
        parser.error(f"--port {given.port} is no port; wanted 1 to 65535")
    return ServiceOptions(
        given.version, given.port, given.host, fault=fault, seed=given.seed, shared=given.shared
    )


class Service:
    """One process of the shop, from start to end."""

    def __init__(self, options: ServiceOptions) -> None:
        self._options = options
        shared = options.shared if options.fault.kind is Kind.LOAD else None
        self._rate = VersionRate(shared, options.version) if shared else None
        # Each process draws its own numbers: replicas that fail in step would not be independent.
        seed = None if options.seed is None else f"{options.seed}/{options.version}/{options.port}"
        nature = Nature(options.fault, random.Random(seed), self._version_rate)  # noqa: S311 - a simulation
        self._shop = Shop(options.version, nature, self._rate.arrived if self._rate else lambda: None)
        self._lobby = Lobby(self._shop.handle, options.version)
        self._asked_to_end = asyncio.Event()
        self._lost: list[bytes] = []

    async def run(self) -> int:
        """Serve until SIGTERM or SIGINT; returns the exit status."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._end)
        options = self._options
        try:
            self._lobby.listen(options.host, options.port)
        except OSError as error:
            why = os.strerror(error.errno or 0)
            _say(f"cannot listen on {options.host}:{options.port}: {why}; choose another --port")
            return Exit.FOUND
        _say(f"shop {options.version} listens on {options.host}:{options.port}")
        self._arm(loop)
        await self._asked_to_end.wait()
        await asyncio.sleep(LINGER_S)
        self._lobby.stop()
        self._lobby.drain()
        await self._until_finished()
        if self._rate:
            self._rate.leave()
        return Exit.OK

    def _version_rate(self) -> float:
        return self._rate.total if self._rate else 0.0

    def _end(self) -> None:
        self._shop.ready = False
        self._asked_to_end.set()

    def _arm(self, loop: asyncio.AbstractEventLoop) -> None:
        """Become ready, or crash, or whatever the fault has in store."""
        fault = self._options.fault
        if fault.kind is Kind.SLOW_START:
            loop.call_later(fault.level, self._open)
        elif fault.kind is not Kind.NEVER_READY:
            self._open()
        if fault.kind is Kind.CRASH:
            loop.call_later(fault.level, _crash)
        if fault.kind is Kind.LEAK:
            self._leak(int(fault.level * LEAK_TURN_S * 2**20))
        if self._rate:
            self._tell(self._rate)

    def _open(self) -> None:
        self._shop.ready = not self._asked_to_end.is_set()

    def _leak(self, size: int) -> None:
        # Not zeros: memory that was never written to is not resident.
        self._lost.append(b"x" * size)
        asyncio.get_running_loop().call_later(LEAK_TURN_S, self._leak, size)

    def _tell(self, rate: VersionRate) -> None:
        rate.exchange()
        asyncio.get_running_loop().call_later(0.5, self._tell, rate)

    async def _until_finished(self) -> None:
        loop = asyncio.get_running_loop()
        began = loop.time()
        while self._lobby.connections and loop.time() < began + FINISH_S:
            await asyncio.sleep(0.01)
            self._lobby.drain(silent=loop.time() > began + SILENT_S)
        self._lobby.abandon()


def _crash() -> None:
    _say(f"shop crashed with status {CRASH_CODE}, as its version is made to")
    # Not sys.exit: a crash finishes nothing, neither answers nor buffers.
    os._exit(CRASH_CODE)


def _say(text: str) -> None:
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()


def main() -> int:
    """Run one process of the shop."""
    return asyncio.run(Service(parse_options(sys.argv[1:])).run())


if __name__ == "__main__":
    sys.exit(main())
