"""A copy of some objects that follows the server by one list and one watch.

Reading it costs no request. It may lag by the time an event takes; whoever acts on it names the
resourceVersion that was seen, and reads live what lowers capacity.
"""

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from typing import Any

from canary.errors import CanaryError, ConflictError, InvalidError, TransientError
from canary.kube.session import Json, Session, Watch, is_whole

LASTS_S = 1800.0
"""One watch; the server itself ends them after 30 to 60 minutes."""
BACK_OFF_S = (0.2, 5.0)


class Mirror:
    """Objects of one kind in one namespace, kept up to date by a thread of their own.

    The first reading takes all there is in the caller's thread, so that what is refused is told there: by the
    watch itself where the server can (one request), else by a list.

    Args:
        session: with the server.
        path: of the collection.
        query: selectors, as the API has them.
        changed: called from the thread whenever something is new.
    """

    def __init__(
        self,
        session: Session,
        path: str,
        query: Mapping[str, Any] | None = None,
        changed: Callable[[], None] = lambda: None,
    ) -> None:
        self._session = session
        self._path = path
        self._query = dict(query or {})
        self._changed = changed
        self._lock = threading.Lock()
        self._objects: dict[str, Json] = {}
        self._hidden: set[str] = set()
        self._version = ""
        self._fault: CanaryError | None = None
        self._thread: threading.Thread | None = None
        self._watch: Watch | None = None
        self._begun: Iterator[Json] | None = None
        self._over = threading.Event()
        self._stale = False

    def objects(self) -> dict[str, Json]:
        """What there is, by name. The documents are shared: do not change them.

        Raises:
            TransientError: it has lost the server, so nothing is known of now. DeniedError: refused.
        """
        if self._thread is None or self._stale:
            if self._thread is None:
                self._begin()
            else:
                self._list()
            self._stale = False
            if self._thread is None:
                self._thread = threading.Thread(target=self._follow, daemon=True, name=f"watch {self._path}")
                self._thread.start()
        with self._lock:
            if self._fault is not None:
                raise self._fault
            return {
                name: one for name, one in self._objects.items() if one["metadata"]["uid"] not in self._hidden
            }

    def list_live(self, within_s: float) -> dict[str, Json]:
        """The same as the server has it in this moment; one request."""
        found = self._session.get(self._path, within_s, **self._query)
        live = {item["metadata"]["name"]: item for item in found.get("items") or []}
        with self._lock:
            # What is not in it is gone, unless it was made since.
            self._objects = {
                name: one for name, one in self._objects.items() if name in live or _newer(one, found)
            }
            for item in live.values():
                self._take(item)
        return live

    def refresh(self, since: str | None = None) -> None:
        """List anew at the next reading: after a change of driver the copy must not lag.

        Args:
            since: a version of another object, after which nobody wrote: a copy that was listed later is
                whole. All objects are ordered by one store; where they are not, a write that was decided
                on an old copy is refused, since it names the version it was decided on.
        """
        with self._lock:
            self._stale = since is None or not _is_since(self._version, since)

    def learn(self, item: Json) -> None:
        """Take in what the server answered to a write of ours; its event comes later."""
        with self._lock:
            self._take(item)

    def hide(self, uid: str) -> None:
        """Leave out an object that was deleted, until the server says so."""
        with self._lock:
            self._hidden.add(uid)

    def close(self) -> None:
        """Follow no more."""
        self._over.set()
        if self._watch is not None:
            self._watch.stop()

    def _begin(self) -> None:
        """Take all there is, by one watch where the server can do that.

        An older one refuses, or takes it for an ordinary watch and never says that it has told all. It is
        listed then, and so are the copies that come after. A server that does not even answer is asked once.
        """
        if self._session.streams and (watch := self._opened()) is not None:
            with suppress(TransientError):
                self._take_all(watch)
                return
            self._session.streams = False
        self._list()

    def _opened(self) -> Watch | None:
        try:
            return self._session.stream(self._path, LASTS_S, **self._query)
        except InvalidError:
            self._session.streams = False
            return None

    def _take_all(self, watch: Watch) -> None:
        """Up to where the watch says that this is all; the rest of it is for the thread."""
        events = iter(watch)
        told: dict[str, Json] = {}
        version = ""
        for event in events:
            if event["type"] == "BOOKMARK":
                version = str(event["object"]["metadata"]["resourceVersion"])
                if is_whole(event):
                    break
            elif event["type"] == "DELETED":
                told.pop(event["object"]["metadata"]["name"], None)
            else:
                told[event["object"]["metadata"]["name"]] = event["object"]
        else:
            raise TransientError(f"watch {self._path}: it ended before it had told all there is")
        self._version = version
        watch.whole_now()
        with self._lock:
            self._objects, self._fault = told, None
        self._watch, self._begun = watch, events

    def _list(self) -> None:
        found = self._session.get(self._path, **self._query)
        with self._lock:
            kept = {item["metadata"]["name"]: item for item in found.get("items") or []}
            for name, item in kept.items():
                held = self._objects.get(name)
                # A list is a quorum read: newer than anything held, but for a write of ours since.
                kept[name] = item if held is None or not _newer(held, item) else held
            self._objects = kept
            self._version = str(found["metadata"]["resourceVersion"])
            self._fault = None

    def _follow(self) -> None:
        pause = BACK_OFF_S[0]
        while not self._over.is_set():
            try:
                if not self._version:
                    self._list()
                    self._changed()
                begun = time.monotonic()
                self._watch_once()
                # One that is closed at once, again and again, must not become a request a millisecond.
                if time.monotonic() - begun > BACK_OFF_S[0]:
                    pause = BACK_OFF_S[0]
                else:
                    self._over.wait(pause)
                    pause = min(2 * pause, BACK_OFF_S[1])
            except ConflictError:
                self._version = ""
            except CanaryError as fault:
                with self._lock:
                    self._fault = fault
                self._changed()
                asked = fault.retry_after_s if isinstance(fault, TransientError) else None
                self._over.wait(asked or pause)
                pause = min(2 * pause, BACK_OFF_S[1])
                # What was missed is read by a list: a watch that broke may have lost events.
                self._version = ""

    def _watch_once(self) -> None:
        events, self._begun = self._begun, None
        if events is None:
            self._watch = self._session.watch(self._path, self._version, LASTS_S, **self._query)
            events = iter(self._watch)
        if self._over.is_set() and self._watch is not None:
            self._watch.stop()
        with self._lock:
            self._fault = None
        for event in events:
            item = event["object"]
            with self._lock:
                self._version = str(item["metadata"]["resourceVersion"])
                if event["type"] == "DELETED":
                    self._drop(item)
                elif event["type"] != "BOOKMARK":
                    self._take(item)
            if event["type"] != "BOOKMARK":
                self._changed()

    def _take(self, item: Json) -> None:
        name = item["metadata"]["name"]
        held = self._objects.get(name)
        if held is None or not _newer(held, item):
            self._objects[name] = item

    def _drop(self, item: Json) -> None:
        name = item["metadata"]["name"]
        held = self._objects.get(name)
        if held is not None and not _newer(held, item):
            del self._objects[name]
        self._hidden.discard(item["metadata"]["uid"])


def _is_since(version: str, since: str) -> bool:
    """Whether this version of a list is not older than another one; not when that cannot be told."""
    try:
        return int(version) >= int(since or 0)
    except ValueError:
        return False


def _newer(one: Json, other: Json) -> bool:
    """Whether `one` was written after `other`; versions of one kind of object are ordered numbers."""
    try:
        return int(one["metadata"]["resourceVersion"]) > int(other["metadata"]["resourceVersion"])
    except (KeyError, ValueError):
        return False
