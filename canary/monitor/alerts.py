"""Tells people by a webhook: one POST of JSON each, beside the watching, tried a few times."""

import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from pathlib import Path
from urllib.parse import urlsplit

import httpx

from canary.errors import DeniedError, InvalidError, MissingError

MOST_WAITING = 200
ATTEMPTS = 4
WAIT_S = (0.5, 2.0, 5.0)
"""Between two attempts."""
TIMEOUT_S = 3.0


class Alerts:
    """Sends alerts to an address.

    Args:
        url: it may be a secret, and is never shown whole. transport: for tests; None: the network.
        tell: called with a line when an alert was given up, or got there after it was late.
    """

    def __init__(
        self, url: str, tell: Callable[[str], None], transport: httpx.BaseTransport | None = None
    ) -> None:
        self._url = url
        self._tell = tell
        self._transport = transport
        self._more = threading.Condition()
        self._waiting: deque[Mapping[str, object]] = deque(maxlen=MOST_WAITING)
        self._going = False
        self._dropped = 0

    def send(self, alert: Mapping[str, object]) -> None:
        """Have it sent; returns at once. When too many wait, the oldest is dropped."""
        with self._more:
            self._dropped += len(self._waiting) == MOST_WAITING
            self._waiting.append(alert)
            if not self._going:
                self._going = True
                threading.Thread(target=self._go, name="alerts", daemon=True).start()

    def settle(self, within_s: float) -> bool:
        """Wait until none is on its way, at most so long; whether none is."""
        with self._more:
            return self._more.wait_for(lambda: not self._going, within_s)

    def _go(self) -> None:
        while True:
            with self._more:
                if not self._waiting:
                    self._going = False
                    self._more.notify_all()
                    return
                alert = self._waiting.popleft()
            try:
                self._deliver(alert)
            except Exception as fault:  # noqa: BLE001 - no alert may end the thread unsaid
                self._tell(f"an alert was lost: {type(fault).__name__}")

    def _deliver(self, alert: Mapping[str, object]) -> None:
        fault = ""
        for attempt in range(ATTEMPTS):
            if attempt:
                time.sleep(WAIT_S[attempt - 1])
            fault = self._posted(alert)
            if not fault:
                if attempt:
                    self._tell(f"an alert got to {name_of(self._url)} at attempt {attempt + 1}")
                return
        self._tell(f"an alert was given up after {ATTEMPTS} attempts: {name_of(self._url)}: {fault}")

    def _posted(self, alert: Mapping[str, object]) -> str:
        """Why it did not get there; empty: it did."""
        try:
            with httpx.Client(transport=self._transport, follow_redirects=False, timeout=TIMEOUT_S) as client:
                request = client.build_request(
                    "POST", self._url, json=alert, headers={"User-Agent": "canary"}
                )
                answer = client.send(request, stream=True)
                answer.close()
        except (httpx.HTTPError, httpx.InvalidURL) as fault:
            return type(fault).__name__
        return "" if answer.is_success else f"it answered {answer.status_code}"


def url_in(path: Path) -> str:
    """The address that a file holds.

    Raises:
        MissingError, DeniedError, InvalidError: there is none.
    """
    try:
        url = path.read_text(encoding="utf-8").strip()
    except FileNotFoundError as fault:
        raise MissingError(f"there is no file {path}", remedy="Put the webhook's address into it.") from fault
    except (OSError, ValueError) as fault:
        raise DeniedError(
            f"{path} cannot be read: {type(fault).__name__}", remedy="Let this user read it."
        ) from fault
    try:
        parts = urlsplit(url)
        good = (
            parts.scheme in ("http", "https")
            and bool(parts.hostname)
            and not any(one.isspace() for one in url)
        )
    except ValueError:
        good = False
    if not good:
        # What is wrong in it is not shown: it may be a secret.
        raise InvalidError(f"{path} holds no address, wanted one such as https://alerts.example/hook")
    return url


def name_of(url: str) -> str:
    """Where it leads, without what may be secret."""
    parts = urlsplit(url)
    port = f":{parts.port}" if parts.port else ""
    return f"{parts.scheme}://{parts.hostname}{port}"
