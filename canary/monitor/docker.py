"""Docker's API, as little of it as the monitor needs: three kinds of request about one container.

    GET  /containers/NAME/json
    POST /containers/NAME/kill?signal=SIGNAL
    POST /containers/NAME/update                (only with a rule that throttles)

They name the container by its name, so that a filter before the socket can let just these through. Each
call ends within its time-out, whatever the other side does.
"""

import time
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

import httpx

from canary.errors import CanaryError, ConflictError, DeniedError, InvalidError, MissingError, TransientError
from canary.monitor.inspected import InspectError, read
from canary.safety.container import Container

LARGEST_ANSWER = 1024 * 1024
"""Bytes; the description of a container has some thousands."""
TIMEOUT_S = 1.0


class Docker:
    """One container of one Docker daemon. Safe to use from several threads.

    Args:
        address: `unix:///var/run/docker.sock`, or `tcp://HOST:PORT` of a filter.
        name: of the container. timeout_s: of each call.

    Raises:
        InvalidError: the address is none.
    """

    def __init__(self, address: str, name: str, *, timeout_s: float = TIMEOUT_S) -> None:
        self.address = address
        self.name = name
        self._timeout_s = timeout_s
        scheme, _, rest = address.partition("://")
        if scheme == "unix" and rest.startswith("/"):
            self._transport: httpx.HTTPTransport | None = httpx.HTTPTransport(uds=rest)
            base = "http://docker"
        elif scheme in ("tcp", "http") and rest:
            self._transport, base = None, f"http://{rest.rstrip('/')}"
        else:
            raise InvalidError(
                f"--docker: found {address}, wanted unix:///var/run/docker.sock or tcp://HOST:PORT",
                remedy="Name the socket of the Docker daemon, or of the filter before it.",
            )
        limits = httpx.Limits(max_keepalive_connections=0)
        # Proxies of the environment are for the outside.
        self._client = httpx.Client(
            transport=self._transport, base_url=base, limits=limits, trust_env=False, follow_redirects=False
        )
        self._path = f"/containers/{quote(name, safe='')}"

    def inspect(self) -> Container | None:
        """The container as it is now; None: there is none of this name.

        Raises:
            TransientError: no answer in time, or one that is none. DeniedError: a filter refused.
        """
        try:
            return read(self._ask("GET", f"{self._path}/json"))
        except MissingError:
            return None
        except InspectError as fault:
            raise TransientError(str(fault)) from fault

    def described(self) -> object:
        """What Docker says of it, as it says it.

        Raises:
            MissingError: there is none of this name. TransientError, DeniedError: as for `inspect`.
        """
        return self._ask("GET", f"{self._path}/json")

    def kill(self, signal: str = "SIGKILL") -> bool:
        """Send a signal to its first process.

        Returns:
            Whether there was one to send it to.

        Raises:
            TransientError: no answer in time: it may or may not have been sent. DeniedError: refused.
        """
        try:
            self._ask("POST", f"{self._path}/kill", params={"signal": signal})
        except (MissingError, ConflictError):
            return False
        return True

    def update(self, limits: Mapping[str, int]) -> None:
        """Change its limits, by Docker's names for them.

        Raises:
            CanaryError: it was not done, or it is not known whether it was.
        """
        self._ask("POST", f"{self._path}/update", content=dict(limits))

    def _ask(
        self, method: str, path: str, *, params: Mapping[str, str] | None = None, content: object = None
    ) -> Any:  # noqa: ANN401 - JSON
        until = time.monotonic() + self._timeout_s
        try:
            with self._client.stream(
                method, path, params=params, json=content, timeout=self._timeout_s
            ) as response:
                answer = bytearray()
                for chunk in response.iter_bytes():
                    answer += chunk
                    # The client's time-out is for one read: an answer that drips in would never end.
                    if time.monotonic() > until or len(answer) > LARGEST_ANSWER:
                        raise TransientError(f"Docker's answer to {method} {path} did not end")
            if response.is_success:
                return httpx.Response(200, content=bytes(answer)).json() if method == "GET" else None
        except (httpx.HTTPError, httpx.InvalidURL, ValueError) as fault:
            words = str(fault) or type(fault).__name__
            raise TransientError(
                f"Docker does not answer at {self.address}: {method} {path}: {words}",
                remedy="See that the daemon runs and that this user may use its socket.",
            ) from fault
        raise _refused(response.status_code, f"{method} {path}", bytes(answer))


def _refused(status: int, asked: str, answer: bytes) -> CanaryError:
    said = answer[:200].decode(errors="replace").strip()
    told = f"Docker answered {asked} with {status}: {said}"
    if status == httpx.codes.NOT_FOUND:
        return MissingError(told)
    if status == httpx.codes.CONFLICT:
        return ConflictError(told)
    if status in (401, 403, 405):
        return DeniedError(told, remedy=f"Let the filter before Docker's socket pass {asked}.")
    return TransientError(told)
