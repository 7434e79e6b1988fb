"""The metrics port over a Prometheus server.

One attempt a call, over within the timeout; whatever goes wrong is an answer, `reachable=False` with a
note, never an invented number. The client library retries, hides warnings and waits without bound unless
told otherwise: what is passed to it here is there for that.

Loaded only when a Prometheus is configured: the client library is slow to import.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import requests
from prometheus_api_client import PrometheusConnect
from prometheus_api_client.exceptions import PrometheusApiClientException
from requests.auth import AuthBase
from urllib3.exceptions import MaxRetryError, ReadTimeoutError
from urllib3.util.retry import Retry

from canary.core.samples import MetricsQuery, Scrapes
from canary.metrics.extract import Edges, Reading, read
from canary.metrics.promql import (
    Remembered,
    disagreement,
    raw_query,
    read_answer,
    remembered,
    to_ms,
)
from canary.metrics.server import Server
from canary.ports import Clock

# A scrape is stored when it ends, under the time at which it began: it may take as long as the scrape
# interval, and a little more until it can be read.
STORED_S = 2.0
OVERLAP = 2  # ticks or scrapes, whichever are longer
# So many of them without an answer that agrees: the replica that was read is taken to be gone.
GONE_AFTER = 4
# Connecting and answering have a time limit each; together they keep the one that was asked for.
CONNECT_SHARE = 0.3


class Monitor(Server, Protocol):
    """A Prometheus, and what of it is asked for."""

    @property
    def selector(self) -> Mapping[str, str]:
        """Target labels that every series must have."""

    @property
    def pod_label(self) -> str:
        """The target label that holds a pod's name."""


class _RefusedError(Exception):
    """The server answered, but not with what can be counted on."""


class _OtherHistoryError(_RefusedError):
    """The answer contradicts what was read before."""


class _Bearer(AuthBase):
    """Reads the token anew for every request: tokens are rotated under a running release."""

    def __init__(self, file: Path) -> None:
        self._file = file

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        request.headers["Authorization"] = f"Bearer {self._file.read_text().strip()}"
        return request


class PrometheusMetrics:
    """Counters as a Prometheus server has scraped them; reads the same again after a restart.

    Keeps to one replica: each read overlaps the one before and must agree with it, because two replicas
    scrape at different times and a difference across them would count what did not happen. One that has not
    answered for long is given up, and everything is read again from the one that answers.
    """

    def __init__(self, server: Monitor, *, clock: Clock, interval_s: float, scrape_interval_s: float) -> None:
        self._server = server
        self._clock = clock
        self._scrape_interval_s = scrape_interval_s
        self._overlap_s = OVERLAP * max(interval_s, scrape_interval_s)
        self._patience_s = GONE_AFTER * max(interval_s, scrape_interval_s)
        self._session = requests.Session()
        if server.ca_file is not None:
            self._session.verify = str(server.ca_file)
        self._session.hooks["response"].append(_refuse_partial)
        self._client = PrometheusConnect(
            url=server.url.rstrip("/"),
            retry=Retry(0),
            session=self._session,
            auth=None if server.token_file is None else _Bearer(server.token_file),
        )
        self._before: Remembered = {}
        self._settled: float | None = None
        self._disputed_since: float | None = None
        self._edges: Edges = {}

    @property
    def keeps_history(self) -> bool:
        """As long as the server's retention reaches."""
        return True

    def close(self) -> None:
        """Give up the connections."""
        self._client.close()

    def read(self, query: MetricsQuery) -> Scrapes:
        """All scrapes of the arms' pods in (start, end], by the server's own timestamps.

        Raises:
            InvalidError: a metric's selector cannot be read.
        """
        pods = {fact.name for facts in query.arms.values() for fact in facts.pods}
        settled = min(query.end, self._clock.now() - self._scrape_interval_s - STORED_S)
        if not pods or query.end <= query.start:
            return Scrapes(settled_until=settled, note="no pods are known yet" if not pods else "")
        start = query.start if self._settled is None else min(query.start, self._settled - self._overlap_s)
        try:
            readings, note = self._readings(query, pods, start)
        except _OtherHistoryError as other:
            return self._disputed(other)
        except _RefusedError as refused:
            return Scrapes(reachable=False, note=f"Prometheus at {self._server.url}: {refused}")
        self._disputed_since = None
        if not readings:
            return self._without(query, settled)
        kept = [one for one in readings if to_ms(one.at) > to_ms(query.start)]
        samples, edges = read(kept, metrics=query.metrics, exclude=query.exclude, known=self._edges)
        self._edges = edges
        if self._settled is None or settled >= self._settled:
            self._settled = settled
            self._before = remembered(readings, after=settled - self._overlap_s, until=settled)
        shared = {name: bounds for name, bounds in edges.items() if bounds}
        return Scrapes(samples, {}, shared, settled, note=note or _missing(query, {one.pod for one in kept}))

    def _without(self, query: MetricsQuery, settled: float) -> Scrapes:
        # An empty answer is what a server gives that lost its history, or has not loaded it yet: taken for
        # silence, what it finds again later would never be read.
        note = f"Prometheus at {self._server.url} answers with nothing: {_missing(query, set())}"
        return Scrapes(settled_until=settled, reachable=False, note=note)

    def _disputed(self, other: _OtherHistoryError) -> Scrapes:
        """Wait for the replica that was read; when it stays away, begin anew with this one."""
        now = self._clock.monotonic()
        self._disputed_since = now if self._disputed_since is None else self._disputed_since
        anew = now - self._disputed_since >= self._patience_s
        note = f"Prometheus at {self._server.url}: {other}"
        if anew:
            self._before, self._settled, self._edges, self._disputed_since = {}, None, {}, None
            note += "; the one that was read has not answered for long: reading everything again"
        return Scrapes(reachable=False, anew=anew, note=note)

    def _readings(self, query: MetricsQuery, pods: set[str], start: float) -> tuple[Sequence[Reading], str]:
        label, start_ms, end_ms = self._server.pod_label, to_ms(start), to_ms(query.end)
        text = raw_query(
            query.metrics,
            pods,
            pod_label=label,
            selector=self._server.selector,
            range_ms=end_ms - start_ms,
        )
        result = self._ask(text, end_ms)
        try:
            answer = read_answer(result, query, pod_label=label, after_ms=start_ms)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise _RefusedError(f"its answer is not one of raw samples ({error!r})") from error
        before = {key: said for key, said in self._before.items() if to_ms(key[1]) <= end_ms}
        odd = disagreement(before, answer.readings, pods)
        if odd is not None:
            raise _OtherHistoryError(
                f"{odd}; several replicas behind one address? Point `url` at one of them"
            )
        return answer.readings, _doubled(answer.doubled)

    def _ask(self, text: str, end_ms: int) -> Sequence[Mapping[str, Any]]:
        limit_s = self._server.timeout_s
        times = (CONNECT_SHARE * limit_s, (1.0 - CONNECT_SHARE) * limit_s)
        try:
            result: Sequence[Mapping[str, Any]] = self._client.custom_query(
                text, params={"time": f"{end_ms / 1000:.3f}"}, timeout=times
            )
        except PrometheusApiClientException as error:
            raise _RefusedError(str(error)[:300]) from error
        except requests.RequestException as error:
            raise _RefusedError(_in_words(error, limit_s)) from error
        except OSError as error:
            raise _RefusedError(f"a file it needs cannot be read: {error}") from error
        except (ValueError, KeyError, TypeError) as error:
            raise _RefusedError(f"its answer cannot be read ({error!r})") from error
        return result


def _in_words(error: requests.RequestException, limit_s: float) -> str:
    # With retries off, a read timeout still comes wrapped as "max retries exceeded", the query text in it.
    first = error.args[0] if error.args else error
    reason = first.reason if isinstance(first, MaxRetryError) and first.reason else first
    if isinstance(error, requests.Timeout) or isinstance(reason, ReadTimeoutError):
        return f"no answer within {limit_s:g} s"
    return f"{type(error).__name__}: {str(reason)[:300]}"


def _refuse_partial(response: requests.Response, *_: object, **__: object) -> None:
    """Sees every answer before the client library, which would drop the warnings in it."""
    if response.status_code != requests.codes.ok:
        return
    try:
        warnings = response.json().get("warnings")
    except (ValueError, AttributeError):
        return
    if warnings:
        raise _RefusedError(f"its answer is partial: {'; '.join(map(str, warnings))[:300]}")


def _doubled(doubled: Mapping[str, str]) -> str:
    if not doubled:
        return ""
    pod, target = min(doubled.items())
    return (
        f"{pod} is scraped as several targets that show these metrics; {target} was counted. "
        "Narrow it with `selector`, for instance {job: ...}."
    )


def _missing(query: MetricsQuery, seen: set[str]) -> str:
    pods = sorted(fact.name for facts in query.arms.values() for fact in facts.pods)
    unseen = [pod for pod in pods if pod not in seen]
    return f"no scrapes of {', '.join(unseen[:5])} in this stretch" if unseen else ""
