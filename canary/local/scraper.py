"""Scrapes the ready replicas on a grid and hands what they said to the ring."""

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import httpx

from canary.errors import CanaryError
from canary.local.ring import RingWriter, Scrape
from canary.local.status import Wall
from canary.metrics.extract import Exposition
from canary.metrics.scrape import fetch

WORKERS = 16
TIMEOUT_S = 5.0


@dataclass(frozen=True)
class Subject:
    """A replica to scrape. `url`: of its metrics page. `started`: unix seconds of its process."""

    pod: str
    arm: str
    revision: str
    url: str
    started: float | None


class Scraper:
    """One scrape a replica per interval, each in a thread, so that one that hangs delays no other.

    Args:
        ring: where scrapes go. wall: the clock of their timestamps.
        every_s: the interval; all are scraped together, a new replica at once when it becomes ready.
        say: is told when scraping a replica begins to fail, and when it works again.
    """

    def __init__(self, ring: RingWriter, wall: Wall, every_s: float, say: Callable[[str], None]) -> None:
        self._ring = ring
        self._wall = wall
        self._every_s = every_s
        self._say = say
        self._client = httpx.Client(trust_env=False, limits=httpx.Limits(max_keepalive_connections=0))
        self._threads = ThreadPoolExecutor(WORKERS, thread_name_prefix="scrape")
        self._under_way: dict[str, asyncio.Task[None]] = {}
        self._grid: dict[str, int] = {}
        self._faults: dict[str, str] = {}
        self.fault = ""

    def turn(self, subjects: Sequence[Subject]) -> None:
        """Begin the scrapes that are due. Called often."""
        loop = asyncio.get_running_loop()
        point = int(loop.time() / self._every_s)
        for subject in subjects:
            if subject.pod not in self._under_way and self._grid.get(subject.pod) != point:
                self._grid[subject.pod] = point
                self._under_way[subject.pod] = loop.create_task(self._scrape(subject))

    def forget(self, pod: str) -> None:
        """The replica has ended: say so in the ring."""
        self._grid.pop(pod, None)
        self._faults.pop(pod, None)
        self._keep(lambda: self._ring.gone(pod, self._wall.now()))

    async def close(self) -> None:
        """Scrape no more."""
        for task in self._under_way.values():
            task.cancel()
        self._threads.shutdown(wait=False, cancel_futures=True)
        self._client.close()
        self._ring.close()

    async def _scrape(self, subject: Subject) -> None:
        loop = asyncio.get_running_loop()
        timeout_s = min(TIMEOUT_S, max(self._every_s, 0.5))
        try:
            page = await loop.run_in_executor(self._threads, fetch, self._client, subject.url, timeout_s)
        except CanaryError as fault:
            if self._faults.get(subject.pod) != fault.message:
                self._faults[subject.pod] = fault.message
                self._say(f"{subject.pod}: {fault.message}")
            return
        finally:
            self._under_way.pop(subject.pod, None)
        if self._faults.pop(subject.pod, None) is not None:
            self._say(f"{subject.pod} is scraped again")
        started = page.started if page.started is not None else subject.started
        # Stamped here, in the one thread that also writes "all scrapes up to now are in".
        scrape = Scrape(
            subject.pod, subject.arm, subject.revision, self._wall.now(), Exposition(page.samples, started)
        )
        self._keep(lambda: self._ring.append(scrape))

    def _keep(self, write: Callable[[], None]) -> None:
        try:
            write()
        except CanaryError as fault:
            if not self.fault:
                self._say(f"{fault.message}; scrapes are lost until there is room")
            self.fault = fault.message
        else:
            self.fault = ""
