"""Scraping a pod's metrics page, and the metrics port on top of that, without history."""

import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import httpx
from prometheus_client.parser import text_string_to_metric_families

from canary.core.observation import Arm
from canary.core.samples import Scrapes
from canary.errors import TransientError
from canary.metrics.extract import PROCESS_START, Exposition, Reading, read
from canary.ports import Clock, MetricsQuery

LARGEST_PAGE = (
    16 * 1024 * 1024
)  # bytes; a page above this is a fault of the service, not a reason to fill memory
# The plain text format: without it some exporters answer in OpenMetrics or protobuf.
_HEADERS = {"Accept": "text/plain;version=0.0.4;q=1,*/*;q=0.1"}


def parse(text: str) -> Exposition:
    """Read a metrics page in Prometheus' text format. Names stay as exposed.

    Raises:
        TransientError: it is not in that format (a page cut short reads so too).
    """
    # Comments are left out: told that a series is a counter, the parser adds `_total` to its name.
    lines = "\n".join(line for line in text.splitlines() if not line.lstrip().startswith("#"))
    try:
        samples = tuple(
            (one.name, tuple(sorted(one.labels.items())), float(one.value))
            for family in text_string_to_metric_families(lines)
            for one in family.samples
        )
    except (ValueError, IndexError) as error:
        raise TransientError(
            f"the page is not in Prometheus' text format: {str(error)[:200]}",
            remedy="Point `metrics` at the path where the service exposes its counters.",
        ) from error
    started = next((value for name, _, value in samples if name == PROCESS_START), None)
    return Exposition(samples, started)


def fetch(client: httpx.Client, url: str, timeout_s: float) -> Exposition:
    """Scrape one page: one attempt, over within about `timeout_s` seconds.

    Raises:
        TransientError: no answer in time, not a 200, too large, or not metrics.
    """
    try:
        text = _page(client, url, timeout_s)
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        words = str(error) or type(error).__name__
        raise _unscraped(url, words) from error
    try:
        return parse(text)
    except TransientError as error:
        raise TransientError(f"{url} answered, but {error.message}", remedy=error.remedy) from error


def _page(client: httpx.Client, url: str, timeout_s: float) -> str:
    until = time.monotonic() + timeout_s
    with client.stream("GET", url, timeout=timeout_s, headers=_HEADERS) as response:
        if response.status_code != httpx.codes.OK:
            raise _unscraped(url, f"it answered {response.status_code}")
        page = bytearray()
        for chunk in response.iter_bytes():
            page += chunk
            if len(page) > LARGEST_PAGE:
                raise _unscraped(url, f"its page is larger than {LARGEST_PAGE // 2**20} MiB")
            # The client's timeout is for one read: a page that drips in would never end.
            if time.monotonic() > until:
                raise _unscraped(url, f"its page was not whole after {timeout_s:g} s")
        return page.decode("utf-8", errors="replace")


def _unscraped(url: str, words: str) -> TransientError:
    return TransientError(
        f"could not scrape {url}: {words}",
        remedy="Check that the service listens there and answers within the timeout.",
    )


@dataclass
class ScrapeMetrics:
    """Counters straight from the pods, one scrape a pod per scrape interval, kept in memory alone.

    A restart begins without a past: evidence then opens a new window.

    Attributes:
        targets: gives pod name -> URL of its metrics page, for the pods that exist now.
        client: makes the requests. clock: the time of a scrape.
        scrape_interval_s: a pod is not scraped more often than this.
        timeout_s: for one pod. kept: scrapes remembered per pod.
    """

    targets: Callable[[], Mapping[str, str]]
    client: httpx.Client
    clock: Clock
    scrape_interval_s: float
    timeout_s: float = 2.0
    kept: int = 5760
    _pages: dict[str, deque[tuple[float, Exposition]]] = field(default_factory=dict, init=False)
    _tried: dict[str, float] = field(default_factory=dict, init=False)
    _gone: dict[str, float] = field(default_factory=dict, init=False)
    _edges: dict[str, tuple[float, ...]] = field(default_factory=dict, init=False)

    @property
    def keeps_history(self) -> bool:
        """Never: what this process scraped ends with it."""
        return False

    def read(self, query: MetricsQuery) -> Scrapes:
        """Scrape what is due, then answer from memory.

        `reachable` is False when pods were due and not one of them could be scraped.
        """
        arms = {fact.name: Arm(arm) for arm, facts in query.arms.items() for fact in facts.pods}
        targets = {pod: url for pod, url in self.targets().items() if pod in arms}
        tried, faults = self._scrape(targets)
        if faults and len(faults) == tried:
            return Scrapes(reachable=False, note="; ".join(faults))
        readings = [
            Reading(pod, arms[pod], at, exposition)
            for pod, pages in self._pages.items()
            if pod in arms
            for at, exposition in pages
            if query.start < at <= query.end
        ]
        samples, edges = read(readings, metrics=query.metrics, exclude=query.exclude, known=self._edges)
        self._edges = edges
        shared = {name: bounds for name, bounds in edges.items() if bounds}
        return Scrapes(samples, dict(self._gone), shared, self.clock.now(), note="; ".join(faults))

    def _scrape(self, targets: Mapping[str, str]) -> tuple[int, list[str]]:
        for pod in self._pages:
            if pod in targets:
                self._gone.pop(pod, None)
            else:
                self._gone.setdefault(pod, self.clock.now())
        due = {pod: url for pod, url in targets.items() if self._is_due(pod)}
        faults = []
        for pod, url in due.items():
            at = self._tried[pod] = self.clock.now()
            try:
                page = fetch(self.client, url, self.timeout_s)
            except TransientError as error:
                faults.append(f"{pod}: {error.message}")
            else:
                self._pages.setdefault(pod, deque(maxlen=self.kept)).append((at, page))
        return len(due), faults

    def _is_due(self, pod: str) -> bool:
        last = self._tried.get(pod)
        # A tenth early: a loop that comes round every interval would otherwise miss every other scrape.
        return last is None or self.clock.now() - last >= 0.9 * self.scrape_interval_s
