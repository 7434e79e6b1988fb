"""Copies of seals to a server: one POST each, the seal as JSON."""

import ssl
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar
from urllib.parse import urlsplit

import httpx

from canary.config.settings import HttpServer
from canary.core.seals import Seal, encode
from canary.errors import DeniedError, InvalidError, TransientError

T = TypeVar("T")


class WebhookCopies:
    """Posts each seal as one JSON document; any status 2xx is taken for received.

    Args:
        asked: where, and with which files. transport: for tests; None: the network.
    """

    def __init__(self, asked: HttpServer, transport: httpx.BaseTransport | None = None) -> None:
        self._asked = asked
        self._transport = transport

    @property
    def name(self) -> str:
        """For people: no more than the host, for a path may be a secret."""
        parts = urlsplit(self._asked.url)
        port = f":{parts.port}" if parts.port else ""
        return f"webhook {parts.scheme}://{parts.hostname}{port}"

    def deliver(self, seal: Seal) -> None:
        """One attempt, over within about the time-out.

        Raises:
            TransientError: no answer, or not 2xx. DeniedError: 401 or 403. InvalidError: a file of ours.
        """
        headers = {"Content-Type": "application/json", "User-Agent": "canary", **self._authorization()}
        limit_s, begun = self._asked.timeout_s, time.monotonic()
        try:
            with self._client() as client:
                request = client.build_request(
                    "POST", self._asked.url, content=encode(seal).encode(), headers=headers, timeout=limit_s
                )
                answer = client.send(request, stream=True)
                answer.close()
        except (httpx.HTTPError, httpx.InvalidURL) as fault:
            took = time.monotonic() - begun
            raise TransientError(f"{type(fault).__name__} after {took:.1f} s") from fault
        _received(answer.status_code)

    def _client(self) -> httpx.Client:
        verify: ssl.SSLContext | bool = True
        if self._asked.ca_file is not None:
            verify = _read(self._asked.ca_file, lambda path: ssl.create_default_context(cafile=str(path)))
        return httpx.Client(verify=verify, transport=self._transport, follow_redirects=False)

    def _authorization(self) -> dict[str, str]:
        """Read again each time: tokens are renewed."""
        if self._asked.token_file is None:
            return {}
        token = _read(self._asked.token_file, lambda path: path.read_text(encoding="ascii").strip())
        return {"Authorization": f"Bearer {token}"}


def _read(path: Path, read: Callable[[Path], T]) -> T:
    try:
        return read(path)
    except (OSError, ValueError) as fault:
        raise InvalidError(f"{path} cannot be read ({type(fault).__name__})") from fault


def _received(status: int) -> None:
    if status in (401, 403):
        raise DeniedError(f"it answered {status}: check the token")
    if not 200 <= status < 300:
        raise TransientError(f"it answered {status}")
