"""`python -m canary.local.demo.load`: open-loop load for a local service, and honest books about it.

Arrivals are a Poisson process with a fixed mean rate: a slow service is not asked less often. Each request
has a connection of its own, as the balancer shares out connections and not requests.
"""

import argparse
import asyncio
import ipaddress
import random
import signal
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from canary.errors import Exit
from canary.local.demo.shot import Answer, Miss, Shot
from canary.local.demo.tally import Tally

MAX_RPS = 2000.0
MAX_SECONDS = 4 * 3600.0
MAX_REQUESTS = 5_000_000
MAX_OPEN = 2000
"""Bounds: a forgotten generator ends, and a dead service does not eat all file descriptors."""

TIMEOUT_S = 10.0
TURN_S = 0.5
"""How often the live counts are written and requests that take too long are given up."""

PAGES = (("GET", "/", 70), ("GET", "/cart", 20), ("POST", "/checkout", 10))
"""Method, path, and how often in a hundred: what the shop's customers ask for."""


@dataclass(frozen=True)
class LoadOptions:
    """What load to make.

    Attributes:
        host, port: a loopback address. rps: mean arrivals per second.
        seconds, requests: it ends after the first of the two. pages: (method, path, weight).
        seed: of arrivals and pages. live, summary: files for the books, as it goes and at the end.
    """

    host: str
    port: int
    rps: float
    seconds: float
    requests: int = MAX_REQUESTS
    pages: tuple[tuple[str, str, int], ...] = PAGES
    seed: int | None = None
    live: Path | None = None
    summary: Path | None = None


def parse_url(url: str) -> tuple[str, int]:
    """Host and port of an `http://` address of this very machine.

    Raises:
        ValueError: anything else, in words.
    """
    parts = urlsplit(url)
    host = {"localhost": "127.0.0.1"}.get(parts.hostname or "", parts.hostname or "")
    try:
        loopback = ipaddress.ip_address(host).is_loopback
        port = parts.port or 80
    except ValueError:
        loopback, port = False, 0
    if parts.scheme != "http" or not loopback or parts.path not in ("", "/"):
        raise ValueError(f"--url {url}: wanted a loopback address, for instance http://127.0.0.1:8080")
    return host, port


def parse_options(argv: Sequence[str]) -> LoadOptions:
    """Read the command line; ends the process with status 2 and a message when it is wrong."""
    parser = argparse.ArgumentParser(
        prog="python -m canary.local.demo.load", description="Load for a local service."
    )
    parser.add_argument("--url", required=True, help="http://127.0.0.1:8080; only this machine is accepted")
    parser.add_argument(
        "--rps", type=float, required=True, help=f"mean requests per second, up to {MAX_RPS:g}"
    )
    parser.add_argument("--seconds", type=float, required=True, help=f"how long, up to {MAX_SECONDS:g}")
    parser.add_argument(
        "--requests", type=int, default=MAX_REQUESTS, help="end after so many, if that is sooner"
    )
    parser.add_argument(
        "--path", action="append", help="GET only this path (repeatable) instead of the shop's pages"
    )
    parser.add_argument("--seed", type=int, help="makes the arrivals repeatable")
    parser.add_argument("--live", type=Path, help="JSON file with the counts so far, twice a second")
    parser.add_argument("--summary", type=Path, help="JSON file with the counts at the end; else on stdout")
    given = parser.parse_args(argv)
    try:
        host, port = parse_url(given.url)
    except ValueError as error:
        parser.error(str(error))
    bounds = (("--rps", given.rps, MAX_RPS), ("--seconds", given.seconds, MAX_SECONDS))
    for name, found, most in (*bounds, ("--requests", given.requests, MAX_REQUESTS)):
        if not 0 < found <= most:
            parser.error(f"{name} {found:g} is out of bounds; wanted above 0 and at most {most:g}")
    pages = tuple(("GET", path, 1) for path in given.path) if given.path else PAGES
    return LoadOptions(
        host, port, given.rps, given.seconds, given.requests, pages, given.seed, given.live, given.summary
    )


class Load:
    """A run of the generator. To be made and run in one event loop."""

    def __init__(self, options: LoadOptions) -> None:
        self._options = options
        self._loop = asyncio.get_running_loop()
        self._rng = random.Random(options.seed)  # noqa: S311 - a simulation
        self._weights = [weight for _, _, weight in options.pages]
        self._requests = [_request(options, method, path) for method, path, _ in options.pages]
        self._tally = Tally(time.time())
        self._open: dict[Shot, None] = {}
        self._over = asyncio.Event()
        self._due = self._end = 0.0

    async def run(self) -> Tally:
        """Send until the time is over or somebody stops us, then wait for what is open."""
        for number in (signal.SIGTERM, signal.SIGINT):
            self._loop.add_signal_handler(number, self._over.set)
        began = self._loop.time()
        self._end = began + self._options.seconds
        self._due = began + self._rng.expovariate(self._options.rps)
        self._loop.call_at(self._due, self._send_due)
        while not self._over.is_set():
            self._look_after()
            with suppress(TimeoutError):
                await asyncio.wait_for(self._over.wait(), TURN_S)
        while self._tally.open:
            self._look_after()
            await asyncio.sleep(0.02)
        return self._tally

    def _send_due(self) -> None:
        """Send whatever is due by now, late or not, and come again for the next."""
        while self._due <= self._loop.time():
            if self._due >= self._end or self._tally.sent >= self._options.requests:
                self._over.set()
            if self._over.is_set():
                return
            self._send()
            self._due += self._rng.expovariate(self._options.rps)
        self._loop.call_at(self._due, self._send_due)

    def _send(self) -> None:
        if len(self._open) >= MAX_OPEN:
            self._tally.skipped += 1
            return
        self._tally.sent += 1
        self._tally.late_s = max(self._tally.late_s, self._loop.time() - self._due)
        request = self._rng.choices(self._requests, self._weights)[0]
        began = self._loop.time()

        def ended(outcome: Answer | Miss) -> None:
            if isinstance(outcome, Answer):
                self._tally.answered(outcome.version, outcome.status, self._loop.time() - began)
            else:
                self._tally.failed(outcome.kind, time.time(), outcome.detail)

        shot = Shot((self._options.host, self._options.port), request, ended, self._forget)
        self._open[shot] = None
        shot.fire()

    def _forget(self, shot: Shot) -> None:
        self._open.pop(shot, None)

    def _look_after(self) -> None:
        """Give up what takes too long, and tell how it stands."""
        too_long = self._loop.time() - TIMEOUT_S
        for shot in [shot for shot in self._open if shot.began <= too_long]:
            shot.give_up(TIMEOUT_S)
        if self._options.live is not None:
            self._tally.summary(time.time()).write(self._options.live)


def _request(options: LoadOptions, method: str, path: str) -> bytes:
    body = b"item=1" if method == "POST" else b""
    head = f"{method} {path} HTTP/1.1\r\nHost: {options.host}:{options.port}\r\nConnection: close\r\n"
    return f"{head}Content-Length: {len(body)}\r\n\r\n".encode("latin-1") + body


async def _run(options: LoadOptions) -> Tally:
    return await Load(options).run()


def main() -> int:
    """Make load, then say what came of it."""
    options = parse_options(sys.argv[1:])
    summary = asyncio.run(_run(options)).summary(time.time())
    for path in filter(None, (options.live, options.summary)):
        summary.write(path)
    if options.summary is None:
        sys.stdout.write(summary.text())
    return Exit.OK


if __name__ == "__main__":
    sys.exit(main())
