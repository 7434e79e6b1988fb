"""The metrics port over the pods' own pages: scraped in the background, kept in memory alone."""

import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from queue import SimpleQueue

from canary.core.observation import Arm
from canary.core.samples import Scrapes
from canary.errors import CanaryError, TransientError
from canary.metrics.extract import Exposition
from canary.metrics.kept import CommonEdges, Kept, summed_up
from canary.ports import Clock, MetricsQuery

WORKERS = 16
"""Pods that are scraped at the same time: parsing more at once would only make each of them late."""
TIMEOUT_S = 2.0
"""For one pod's page."""
RETRY_S = 2.0
"""A pod that was never scraped is tried this often: it may just not listen yet."""
FIRST_S = 3.0
"""The first reading waits for the first tries for so long: much less than the term of a lease."""
TURN_S = 0.1
IDLE_S = 1800.0
"""When nobody has read for so long, nothing is scraped any more."""
KEPT = 20_000

Fetch = Callable[[str, float], Exposition]


@dataclass(frozen=True)
class Page:
    """Where a pod shows its metrics.

    Attributes:
        url: of the page.
        started: unix seconds at which its container started; for a page that does not tell it itself.
    """

    url: str
    started: float | None = None


class PodMetrics:
    """Implements `ports.Metrics`: every pod once a scrape interval, all at the same time.

    A page that hangs delays no other, nor the one who reads. A restart begins without a past: evidence then
    opens a new window.

    Args:
        pages: gives pod name -> page for the pods that exist now. Called by `read`, in its thread.
        fetch: scrapes one URL within so many seconds, or raises TransientError.
        clock: the time of a scrape: when its page was whole.
        scrape_interval_s: between two scrapes of a pod, above 0.
        remedy: what to do when no pod at all can be scraped, in words.
    """

    def __init__(
        self,
        pages: Callable[[], Mapping[str, Page]],
        fetch: Fetch,
        clock: Clock,
        *,
        scrape_interval_s: float,
        remedy: str = "",
    ) -> None:
        self._find = pages
        self._fetch = fetch
        self._clock = clock
        self._every_s = scrape_interval_s
        self._remedy = remedy
        self._lock = threading.Condition()
        self._queue: SimpleQueue[tuple[str, Page]] = SimpleQueue()
        self._pages: Mapping[str, Page] = {}
        self._asked: MetricsQuery | None = None
        self._common = CommonEdges()
        self._kept: dict[str, deque[Kept]] = {}
        self._faults: dict[str, str] = {}
        self._begun: dict[str, float] = {}
        self._under_way: set[str] = set()
        self._gone: dict[str, float] = {}
        self._read_at = 0.0
        self._waited = False
        self._workers = 0
        self._thread: threading.Thread | None = None

    @property
    def keeps_history(self) -> bool:
        """Never: what this process scraped ends with it."""
        return False

    def read(self, query: MetricsQuery) -> Scrapes:
        """What was scraped in (start, end]; the first reading waits for the first tries.

        `reachable` is False while not one of the arms' pods can be scraped.

        Raises:
            InvalidError: a metric's selector cannot be read, or where the pods' pages are cannot be told.
        """
        found = None
        # While the pods cannot be listed, those that were known last are scraped on.
        with suppress(TransientError):
            found = self._find()
        with self._lock:
            self._take_in(query, found)
            self._start()
            if not self._waited:
                self._waited = self._lock.wait_for(lambda: self._all_tried(query), FIRST_S) or True
            return self._answer(query)

    def close(self) -> None:
        """Scrape no more."""
        with self._lock:
            self._read_at = -IDLE_S - time.monotonic()

    def _take_in(self, query: MetricsQuery, found: Mapping[str, Page] | None) -> None:
        before = self._asked
        if before is None or (before.metrics, before.exclude) != (query.metrics, query.exclude):
            self._kept, self._common = {}, CommonEdges()
        self._asked, self._read_at = query, time.monotonic()
        if found is None:
            return
        # A canary's pod is scraped from the first; the record knows it, and asks for it, a little later.
        self._pages = dict(found)
        for pod in self._kept:
            if pod in found:
                self._gone.pop(pod, None)
            else:
                self._gone.setdefault(pod, self._clock.now())
        self._faults = {pod: words for pod, words in self._faults.items() if pod in found}

    def _all_tried(self, query: MetricsQuery) -> bool:
        pods = self._pages.keys() & _arms(query).keys()
        return all(pod in self._kept or pod in self._faults for pod in pods)

    def _answer(self, query: MetricsQuery) -> Scrapes:
        arms = _arms(query)
        pods = sorted(pod for pod in self._pages if pod in arms)
        faults = {pod: self._faults[pod] for pod in pods if pod in self._faults}
        if pods and not any(pod in self._kept and pod not in faults for pod in pods):
            return Scrapes(reachable=False, note=self._silent(len(pods), faults))
        chosen = [
            (one, arms[pod])
            for pod, scrapes in self._kept.items()
            if pod in arms
            for one in scrapes
            if query.start < one.sample.at <= query.end
        ]
        for one, _ in chosen:
            self._common.narrow(one.edges)
        chosen.sort(key=lambda pair: (pair[0].sample.at, pair[0].sample.pod))
        samples = tuple(replace(self._common.applied(one.sample, one.edges), arm=arm) for one, arm in chosen)
        note = _few([f"{pod}: {words}" for pod, words in faults.items()])
        return Scrapes(samples, dict(self._gone), self._common.shared, self._clock.now(), note=note)

    def _silent(self, tried: int, faults: Mapping[str, str]) -> str:
        said = next(iter(faults.values()), f"no answer within {FIRST_S:g} s")
        told = f"no pod could be scraped from here ({tried} tried): {said}"
        return f"{told}. {self._remedy}" if self._remedy else told

    def _start(self) -> None:
        while self._workers < min(WORKERS, len(self._pages)):
            self._workers += 1
            threading.Thread(target=self._work, daemon=True, name=f"scrape {self._workers}").start()
        if self._thread is None and self._pages:
            self._thread = threading.Thread(target=self._keep_time, daemon=True, name="scrapes")
            self._thread.start()

    def _keep_time(self) -> None:
        """Hand over what is due, on a grid that all pods share."""
        while True:
            with self._lock:
                now = time.monotonic()
                if now - self._read_at > IDLE_S:
                    self._thread = None
                    return
                for pod, page in self._pages.items():
                    if pod not in self._under_way and self._is_due(pod, now):
                        self._under_way.add(pod)
                        self._begun[pod] = now
                        self._queue.put((pod, page))
            time.sleep(min(TURN_S, self._every_s / 10))

    def _is_due(self, pod: str, now: float) -> bool:
        last = self._begun.get(pod)
        if last is None or int(now / self._every_s) != int(last / self._every_s):
            return True
        return pod not in self._kept and now - last >= RETRY_S

    def _work(self) -> None:
        while True:
            pod, page = self._queue.get()
            with self._lock:
                asked = self._asked
            try:
                if asked is not None:
                    self._scrape(pod, page, asked)
            except Exception as fault:  # noqa: BLE001 - whatever a page is, it must not end the scraping
                with self._lock:
                    self._faults[pod] = fault.message if isinstance(fault, CanaryError) else repr(fault)
            finally:
                with self._lock:
                    self._under_way.discard(pod)
                    self._lock.notify_all()

    def _scrape(self, pod: str, page: Page, asked: MetricsQuery) -> None:
        said = self._fetch(page.url, TIMEOUT_S)
        told = said if said.started is not None else replace(said, started=page.started)
        kept = summed_up(told, pod=pod, at=0.0, metrics=asked.metrics, exclude=asked.exclude)
        with self._lock:
            now = self._asked
            # A pod that is gone, or other metrics that are asked for by now: it came too late.
            stale = now is None or (now.metrics, now.exclude) != (asked.metrics, asked.exclude)
            if stale or pod not in self._pages:
                return
            self._faults.pop(pod, None)
            # Stamped where it is kept: what is settled now will never get an earlier scrape.
            stamped = Kept(replace(kept.sample, at=self._clock.now()), kept.edges)
            self._kept.setdefault(pod, deque(maxlen=KEPT)).append(stamped)


def _arms(query: MetricsQuery) -> dict[str, Arm]:
    return {fact.name: arm for arm, facts in query.arms.items() for fact in facts.pods}


def _few(words: list[str]) -> str:
    more = f"; and {len(words) - 2} more pods" if len(words) > 2 else ""
    return "; ".join(words[:2]) + more
