"""Requests to an API server: raw JSON in and out, one attempt a call, every failure one of ours.

The client library finds the server, its certificates and the credentials (kubeconfig, contexts, exec plugins,
the token of a pod). Its typed models are not used: they drop fields they do not know. Its retries are off,
and Retry-After is handed to the caller: waiting is the loop's work.
"""

import contextlib
import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit

import urllib3
from kubernetes import config as kubeconfig
from kubernetes.client import ApiClient, Configuration
from kubernetes.utils.quantity import parse_quantity
from urllib3.exceptions import HTTPError, NewConnectionError

from canary.errors import CanaryError, ConflictError, DeniedError, InvalidError, MissingError, TransientError

TIMEOUT_S = 8.0
"""For one call: shorter than a term of the lease, so that a call that hangs ends before the term does."""
CONNECT_S = 3.0
STREAM_S = 3.0
"""For the next event of a stream: a server that knows of none never says that all has been told."""
IDLE_S = 90.0
"""A watch that brings nothing for so long is given up: the server sends a bookmark about every minute."""

Json = dict[str, Any]
Body = Json | list[Json] | None
Query = Mapping[str, Any]
JSON_PATCH = "application/json-patch+json"


@dataclass(frozen=True)
class Fault:
    """An answer that is none: the HTTP status, what the server said, seconds it asked us to wait."""

    status: int
    said: str
    reason: str = ""
    retry_after_s: float | None = None


class Session:
    """One connection to one API server, bound to a namespace.

    Args:
        client: of the library, with its configuration loaded.
        namespace: that every path is in. seen: is told (method, path) of every attempt; for counting.

    Attributes:
        streams: as far as is known the server can begin a watch with all there is.
    """

    def __init__(
        self, client: ApiClient, namespace: str, seen: Callable[[str, str], None] | None = None
    ) -> None:
        self.namespace = namespace
        self._client = client
        self._seen = seen
        self.streams = True

    @property
    def server(self) -> str:
        """Its URL, for people."""
        return str(self._client.configuration.host)

    def path(self, group: str, kind: str, name: str = "", sub: str = "") -> str:
        """The path of an object or a collection in this namespace.

        Args:
            group: with version: `v1`, `apps/v1`. kind: plural. sub: a subresource, such as `scale`.
        """
        root = "/api" if "/" not in group else "/apis"
        tail = "".join(f"/{part}" for part in (name, sub) if part)
        return f"{root}/{group}/namespaces/{self.namespace}/{kind}{tail}"

    def get(self, path: str, within_s: float = TIMEOUT_S, **query: str) -> Json:
        """An object or a list, as the server has it now (a quorum read).

        Raises:
            MissingError: 404. DeniedError: 401, 403. TransientError: no answer, 429, 5xx.
        """
        return self._call("GET", path, None, within_s, query)

    def create(self, path: str, body: Json, within_s: float = TIMEOUT_S) -> Json:
        """Make a new object.

        Raises:
            ConflictError: there is one. InvalidError: refused as it is. Others as for `get`.
        """
        return self._call("POST", path, body, within_s)

    def replace(self, path: str, body: Json, within_s: float = TIMEOUT_S) -> Json:
        """Put an object in the place of the one whose resourceVersion it names.

        Raises:
            ConflictError: somebody else wrote since. Others as for `create`.
        """
        return self._call("PUT", path, body, within_s)

    def patch(self, path: str, operations: Sequence[Json], within_s: float = TIMEOUT_S) -> Json:
        """A JSON patch.

        Raises:
            InvalidError: refused, also when one of its `test` operations fails. Others as for `create`.
        """
        return self._call("PATCH", path, list(operations), within_s)

    def delete(self, path: str, uid: str = "", within_s: float = TIMEOUT_S) -> None:
        """Delete an object and, in the background, what it owns. Gone already is as good.

        Raises:
            ConflictError: it is another object than the one with this uid. Others as for `get`.
        """
        body: Json = {"kind": "DeleteOptions", "apiVersion": "v1", "propagationPolicy": "Background"}
        if uid:
            body["preconditions"] = {"uid": uid}
        try:
            self._call("DELETE", path, body, within_s)
        except MissingError:
            return

    def watch(self, path: str, since: str, lasts_s: float, **query: str) -> "Watch":
        """Events after a resourceVersion, as they come; ends by itself after `lasts_s` seconds.

        Raises:
            ConflictError: the version is too old: list again. Others as for `get`.
        """
        return self._watched(path, since, lasts_s, IDLE_S, query)

    def stream(self, path: str, lasts_s: float, **query: str) -> "Watch":
        """All there is, as events, up to the bookmark `is_whole` knows, and then what changes: one request.

        Raises:
            InvalidError: the server cannot do this: list, and watch from there. Others as for `get`.
        """
        asked = {**query, "sendInitialEvents": "true", "resourceVersionMatch": "NotOlderThan"}
        return self._watched(path, "", lasts_s, STREAM_S, asked)

    def _watched(
        self, path: str, since: str, lasts_s: float, idle_s: float, query: Mapping[str, str]
    ) -> "Watch":
        asked = {
            **query,
            "watch": "true",
            "resourceVersion": since,
            "allowWatchBookmarks": "true",
            "timeoutSeconds": int(lasts_s),
        }
        return Watch(self, path, self._send("GET", path, None, (CONNECT_S, idle_s), asked))

    def _call(self, method: str, path: str, body: Body, within_s: float, query: Query | None = None) -> Json:
        if within_s <= 0:
            raise TransientError("no time is left to act in this term")
        limit = min(within_s, TIMEOUT_S)
        answer = self._send(method, path, body, (min(CONNECT_S, limit), limit), query or {})
        try:
            data = answer.read()
        except (HTTPError, OSError) as fault:
            raise _silent(self.server, f"{method} {path}", fault) from fault
        finally:
            answer.release_conn()
        return _parsed(data, f"{method} {path}")

    def _send(
        self, method: str, path: str, body: Body, times: tuple[float, float], query: Query
    ) -> urllib3.BaseHTTPResponse:
        """One attempt; answers with the status 2xx and raises on all others."""
        headers = {"Accept": "application/json", "User-Agent": "canary"}
        if body is not None:
            headers["Content-Type"] = JSON_PATCH if method == "PATCH" else "application/json"
        if self._seen is not None:
            self._seen(method, path)
        url = f"{self._client.configuration.host}{path}" + (f"?{urlencode(query)}" if query else "")
        try:
            self._client.update_params_for_auth(headers, [], ["BearerToken"], path, method, body)
            answer = self._client.rest_client.pool_manager.request(
                method,
                url,
                body=None if body is None else json.dumps(body).encode(),
                headers=headers,
                timeout=urllib3.Timeout(connect=times[0], read=times[1]),
                retries=False,
                preload_content=False,
            )
        except (HTTPError, OSError, ValueError, kubeconfig.ConfigException) as fault:
            raise _silent(self.server, f"{method} {path}", fault) from fault
        if 200 <= answer.status < 300:
            return answer
        try:
            data = answer.read()
        except (HTTPError, OSError):
            data = b""
        finally:
            answer.release_conn()
        told = _fault_of(answer.status, data, answer.headers.get("Retry-After"))
        raise error_of(method, path, told, server=self.server)


def error_of(method: str, path: str, fault: Fault, *, server: str) -> CanaryError:
    """What an answer other than 2xx means, by what to do next. Every status has its error."""
    asked = f"{method} {urlsplit(path).path}"
    said = f": {fault.said}" if fault.said else ""
    if fault.status in (401, 403):
        return _denied(method, path, fault)
    if fault.status == 404:
        return MissingError(f"{asked}: the API server has no such object{said}")
    if fault.status in (409, 410, 412):
        return ConflictError(f"{asked}: somebody else changed it{said}")
    if fault.status in (408, 425, 429) or fault.status >= 500 or fault.status < 400:
        return TransientError(
            f"the API server at {server} answered {fault.status} to {asked}{said}",
            remedy="It is tried again by itself; look at the API server if it lasts.",
            retry_after_s=fault.retry_after_s,
        )
    return InvalidError(f"the API server refused {asked} ({fault.status}){said}")


class Watch:
    """An open watch: iterate over its events; `stop` ends that from another thread.

    Raises, while iterating:
        ConflictError: too old a version. TransientError: it broke, or brought nothing for too long.
    """

    def __init__(self, session: Session, path: str, answer: urllib3.BaseHTTPResponse) -> None:
        self._session = session
        self._path = path
        self._answer = answer
        self._stopped = False

    def __iter__(self) -> Iterator[Json]:
        kept = b""
        try:
            for chunk in self._answer.stream(65536, decode_content=True):
                *lines, kept = (kept + chunk).split(b"\n")
                yield from (self._event(line) for line in lines if line)
        except (HTTPError, OSError, AttributeError) as fault:
            if not self._stopped:
                raise _silent(self._session.server, f"watch {self._path}", fault) from fault
        finally:
            self._answer.close()

    def whole_now(self) -> None:
        """All there is has come: from now on nothing may happen for as long as in any watch."""
        sock = getattr(self._answer.connection, "sock", None)
        if sock is not None:
            sock.settimeout(IDLE_S)

    def stop(self) -> None:
        """End it; harmless when it has ended."""
        self._stopped = True
        with contextlib.suppress(OSError, ValueError, AttributeError):
            self._answer.shutdown()

    def _event(self, line: bytes) -> Json:
        event = _parsed(line, f"watch {self._path}")
        if event.get("type") == "ERROR":
            told = _fault_of(int(event["object"].get("code", 500)), line)
            raise error_of("GET", self._path, told, server=self._session.server)
        return event


def is_whole(event: Json) -> bool:
    """Whether this event of a stream says that all there is has been told."""
    marks = event["object"]["metadata"].get("annotations") or {}
    return event["type"] == "BOOKMARK" and marks.get("k8s.io/initial-events-end") == "true"


VERBS = {"GET": "get", "POST": "create", "PUT": "update", "PATCH": "patch", "DELETE": "delete"}


def _denied(method: str, path: str, fault: Fault) -> DeniedError:
    if fault.status == 401:
        return DeniedError(
            f"the API server does not accept these credentials (401 to {method} {path})",
            remedy="Log in again, or name another context with --context.",
        )
    if "exceeded quota" in fault.said:
        return DeniedError(
            f"a quota of the namespace forbids it: {fault.said}",
            remedy="Raise the quota, or free some of it.",
        )
    parts = [part for part in path.split("/") if part]
    inside = parts[parts.index("namespaces") + 2 :] if "namespaces" in parts else parts[-1:]
    group = parts[1] if parts[0] == "apis" else ""
    name = inside[1] if len(inside) > 1 else ""
    resource = inside[0] + (f"/{inside[2]}" if len(inside) > 2 else "")
    verb = VERBS.get(method, method)
    if verb == "get" and not name:
        verb = "list"
    rule = f'apiGroups: ["{group}"], resources: ["{resource}"], verbs: ["{verb}"]'
    return DeniedError(
        f"this account may not {verb} {resource}{f' {name}' if name else ''}: {fault.said}",
        remedy=f"Its Role needs a rule {{{rule}}}; `canary rbac` prints the whole Role.",
    )


def _fault_of(status: int, data: bytes, retry_after: str | None = None) -> Fault:
    try:
        found = json.loads(data)
        found = found.get("object", found)
        said, reason = str(found.get("message", "")), str(found.get("reason", ""))
        asked = (found.get("details") or {}).get("retryAfterSeconds")
    except (ValueError, AttributeError):
        said, reason, asked = data[:300].decode(errors="replace").strip(), "", None
    wait = asked if asked else retry_after
    try:
        seconds = float(wait) if wait is not None else None
    except ValueError:
        seconds = None
    return Fault(status, said[:600], reason, seconds)


def _silent(server: str, asked: str, fault: Exception) -> TransientError:
    told = str(fault) or type(fault).__name__
    if isinstance(fault, NewConnectionError):
        told = told.rpartition(": ")[2]
    return TransientError(
        f"the API server at {server} does not answer ({asked}: {told[:300]})",
        remedy="Is it running, and is this the right context? `kubectl cluster-info` tells.",
    )


def _parsed(data: bytes, asked: str) -> Json:
    try:
        found = json.loads(data)
    except ValueError as fault:
        raise TransientError(f"the answer to {asked} is not JSON: {data[:120]!r}") from fault
    if not isinstance(found, dict):
        raise TransientError(f"the answer to {asked} is not an object: {data[:120]!r}")
    return found


def quantity(text: str) -> Decimal:
    """An amount as the API writes it (`250m`, `64Mi`), as a number.

    Raises:
        InvalidError: it is not one.
    """
    try:
        return Decimal(parse_quantity(text))  # type: ignore[no-untyped-call]
    except ValueError as fault:
        raise InvalidError(f"{text!r} is not a quantity: wanted one such as 250m or 64Mi") from fault


def connect(
    namespace: str | None,
    context: str | None = None,
    seen: Callable[[str, str], None] | None = None,
) -> Session:
    """A session as kubectl would open it: in a pod with its own account, else by the kubeconfig.

    Args:
        namespace: None: that of the context, or of the pod. context: of the kubeconfig.
        seen: see `Session`.

    Raises:
        InvalidError: there is no usable configuration, or no such context.
    """
    configuration = Configuration()
    configuration.retries = False
    try:
        usual = _load(configuration, context)
    except (kubeconfig.ConfigException, OSError, ValueError, KeyError, TypeError) as fault:
        raise InvalidError(
            f"there is no way to a cluster: {fault}",
            remedy="Set KUBECONFIG, name a --context, or run it in a pod with a service account.",
        ) from fault
    return Session(ApiClient(configuration), namespace or usual or "default", seen)


_POD_NAMESPACE = "/var/run/secrets/kubernetes.io/serviceaccount/namespace"


def _load(configuration: Configuration, context: str | None) -> str:
    """Fill the configuration in; the namespace that it names."""
    if context is None and not os.environ.get("KUBECONFIG"):
        try:
            kubeconfig.load_incluster_config(client_configuration=configuration)  # type: ignore[no-untyped-call]
        except kubeconfig.ConfigException:
            pass
        else:
            with open(_POD_NAMESPACE, encoding="utf-8") as file:
                return file.read().strip()
    load, listed = kubeconfig.load_kube_config, kubeconfig.list_kube_config_contexts
    # The library asks the environment when it is imported, once.
    path = os.environ.get("KUBECONFIG") or str(Path.home() / ".kube" / "config")
    asked = {"config_file": path, "context": context, "persist_config": False}
    load(client_configuration=configuration, **asked)  # type: ignore[no-untyped-call]
    contexts, active = listed(config_file=path)  # type: ignore[no-untyped-call]
    chosen = next((one for one in contexts if one["name"] == context), None) if context else active
    return str(chosen["context"].get("namespace", "")) if chosen else ""
