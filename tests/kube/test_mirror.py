"""What a copy keeps of lists, writes of ours, and deletions; the server is played by a list."""

import time
from typing import Any

import pytest

from canary.errors import InvalidError, TransientError
from canary.kube.mirror import Mirror
from canary.kube.session import Json


class Listed:
    """A session whose only answer is what stands in `items` now; its watches bring nothing and end."""

    def __init__(self) -> None:
        self.items: list[Json] = []
        self.version = 10
        self.lists = self.watches = 0
        self.streams = True

    def get(self, path: str, within_s: float = 1.0, **query: Any) -> Json:
        self.lists += 1
        return {"metadata": {"resourceVersion": str(self.version)}, "items": self.items}

    def stream(self, *_: object, **__: object) -> "Listed":
        # As a server that is older than such watches.
        raise InvalidError("sendInitialEvents is forbidden")

    def watch(self, *_: object, **__: object) -> "Listed":
        self.watches += 1
        return self

    def __iter__(self) -> "Listed":
        return self

    def __next__(self) -> Json:
        raise StopIteration

    def stop(self) -> None:
        """Nothing goes on."""


def an_item(name: str, version: int) -> Json:
    return {"metadata": {"name": name, "uid": f"uid-{name}", "resourceVersion": str(version)}}


def mirrored(*items: Json) -> tuple[Mirror, Listed]:
    server = Listed()
    server.items = list(items)
    mirror = Mirror(server, "/pods")  # type: ignore[arg-type]
    mirror.objects()
    mirror.close()
    return mirror, server


def versions(mirror: Mirror) -> dict[str, str]:
    return {name: one["metadata"]["resourceVersion"] for name, one in mirror.objects().items()}


def test_what_a_live_list_lacks_is_dropped_unless_it_is_newer_than_the_list() -> None:
    mirror, server = mirrored(an_item("old", 5), an_item("stays", 6))
    mirror.learn(an_item("made", 12))
    server.items = [an_item("stays", 9)]

    live = mirror.list_live(1.0)

    assert set(live) == {"stays"}
    assert versions(mirror) == {"stays": "9", "made": "12"}


def test_an_older_state_never_takes_the_place_of_what_the_server_answered_to_a_write() -> None:
    mirror, server = mirrored(an_item("web", 5))
    mirror.learn(an_item("web", 12))
    server.items = [an_item("web", 9)]
    mirror.refresh()

    assert versions(mirror) == {"web": "12"}


def test_what_was_deleted_is_left_out_at_once_and_another_of_its_name_is_not() -> None:
    mirror, _ = mirrored(an_item("web-canary", 5))
    mirror.hide("uid-web-canary")
    assert mirror.objects() == {}

    made = an_item("web-canary", 14)
    made["metadata"]["uid"] = "another"
    mirror.learn(made)
    assert versions(mirror) == {"web-canary": "14"}


def test_reading_asks_nobody_until_it_is_to_be_read_anew() -> None:
    mirror, server = mirrored(an_item("web", 5))
    before = server.lists
    mirror.objects()
    assert server.lists == before
    mirror.refresh()
    mirror.objects()
    assert server.lists == before + 1


def test_a_copy_listed_after_the_last_write_of_another_is_not_listed_anew() -> None:
    server = Listed()
    mirror = Mirror(server, "/pods")  # type: ignore[arg-type]
    mirror.objects()
    seen = []
    for since in ("", "9", "10", "11", None):
        before = server.lists
        mirror.refresh(since)
        mirror.objects()
        seen.append(server.lists > before)
    mirror.close()
    assert seen == [False, False, False, True, True]


class Streamed(Listed):
    """A session whose watch begins with all there is; `events` is what it tells, one after the other."""

    def __init__(self, *events: tuple[str, Json]) -> None:
        super().__init__()
        self.events = iter([{"type": kind, "object": item} for kind, item in events])
        self.patient = self.silent = False
        self.opened = 0

    def stream(self, *_: object, **__: object) -> "Streamed":
        self.opened += 1
        if self.silent:
            raise TransientError("busy", retry_after_s=5.0)
        return self

    def __iter__(self) -> Any:
        # Each event is told once, also to the watch that comes after.
        return self.events

    def whole_now(self) -> None:
        self.patient = True


def the_mark(version: int) -> Json:
    marks = {"k8s.io/initial-events-end": "true"}
    return {"metadata": {"resourceVersion": str(version), "annotations": marks}}


def test_a_watch_that_begins_with_all_there_is_spares_the_list() -> None:
    server = Streamed(("ADDED", an_item("a", 4)), ("ADDED", an_item("b", 6)), ("BOOKMARK", the_mark(9)))
    mirror = Mirror(server, "/pods")  # type: ignore[arg-type]

    assert set(mirror.objects()) == {"a", "b"}
    assert (server.lists, server.patient) == (0, True)
    mirror.close()


def test_what_changes_while_all_there_is_is_told_counts() -> None:
    gone = (("ADDED", an_item("a", 4)), ("DELETED", an_item("a", 7)), ("MODIFIED", an_item("b", 8)))
    mirror = Mirror(Streamed(*gone, ("BOOKMARK", the_mark(9))), "/pods")  # type: ignore[arg-type]

    assert versions(mirror) == {"b": "8"}
    mirror.close()


def test_a_stream_that_never_says_it_is_whole_is_not_taken_for_all_there_is() -> None:
    """So does a server that is older than such watches: it takes it for an ordinary one."""
    server = Streamed(("ADDED", an_item("a", 4)))
    server.items = [an_item("a", 4), an_item("b", 5)]
    first, second = (Mirror(server, path) for path in ("/pods", "/others"))  # type: ignore[arg-type]

    assert set(first.objects()) == {"a", "b"}
    assert set(second.objects()) == {"a", "b"}
    assert (server.opened, server.lists) == (1, 2)
    first.close()
    second.close()


def test_a_server_that_does_not_answer_is_asked_once() -> None:
    server = Streamed()
    server.silent = True
    mirror = Mirror(server, "/pods")  # type: ignore[arg-type]

    with pytest.raises(TransientError, match="busy"):
        mirror.objects()
    assert (server.opened, server.lists, server.streams) == (1, 0, True)


def test_a_watch_that_is_closed_at_once_again_and_again_is_not_asked_for_without_a_pause() -> None:
    server = Listed()
    mirror = Mirror(server, "/pods")  # type: ignore[arg-type]
    mirror.objects()
    time.sleep(1.0)
    mirror.close()
    assert 1 <= server.watches <= 5
