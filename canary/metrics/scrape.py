"""Scraping one metrics page."""

import time
from collections.abc import Callable

import httpx
from prometheus_client.parser import text_string_to_metric_families

from canary.errors import TransientError
from canary.metrics.extract import PROCESS_START, Exposition

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


def fetcher(*, insecure: bool = False) -> Callable[[str, float], Exposition]:
    """What scrapes a URL within so many seconds, by connections of its own.

    Args:
        insecure: take https without checking the certificate: a pod's seldom names its address.
    """
    limits = httpx.Limits(max_keepalive_connections=0)
    client = httpx.Client(trust_env=False, verify=not insecure, limits=limits)
    return lambda url, timeout_s: fetch(client, url, timeout_s)
