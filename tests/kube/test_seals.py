"""Seals in ConfigMaps and Events: what somebody does to them shows. The server is played by a dictionary."""

import copy
import itertools
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from canary.core.ledger import Entry, Fault, decode, verify
from canary.core.seal_check import against, within
from canary.core.seals import encode, seal_of
from canary.errors import ConflictError, DeniedError, InvalidError, MissingError
from canary.kube import rights
from canary.kube.events import EventCopies, copies, document
from canary.kube.rbac import Account, explained, role, rules
from canary.kube.records import KubeLedger, Shelf
from canary.kube.session import Json, Session
from tests.kube.test_mirror import Listed
from tests.seal.ledgers import KEY, OTHER, a_ledger, with_entry

WHOLE = a_ledger(900)
"""Long enough for three ConfigMaps."""


class Kept(Session):
    """A session with the objects that were made in it; its watches bring nothing."""

    def __init__(self) -> None:
        self.namespace = "shop"
        self.streams = True
        self.kept: dict[str, Json] = {}
        self._versions = itertools.count(1)

    def get(self, path: str, within_s: float = 8.0, **query: str) -> Json:
        if path in self.kept:
            return copy.deepcopy(self.kept[path])
        if not path.endswith(("configmaps", "events")):
            raise MissingError(path)
        items = [copy.deepcopy(one) for name, one in self.kept.items() if name.startswith(f"{path}/")]
        return {"metadata": {"resourceVersion": str(next(self._versions))}, "items": items}

    def create(self, path: str, body: Json, within_s: float = 8.0) -> Json:
        name = f"{path}/{body['metadata']['name']}"
        if name in self.kept:
            raise ConflictError(name)
        return self._put(name, body)

    def replace(self, path: str, body: Json, within_s: float = 8.0) -> Json:
        return self._put(path, body)

    def _put(self, name: str, body: Json) -> Json:
        found = copy.deepcopy(body)
        found["metadata"].update(uid=name, resourceVersion=str(next(self._versions)))
        self.kept[name] = found
        return copy.deepcopy(found)

    def stream(self, *_: Any, **__: Any) -> Any:
        raise InvalidError("sendInitialEvents is forbidden")

    def watch(self, *_: Any, **__: Any) -> Any:
        return Listed()

    def names(self, word: str) -> list[str]:
        return sorted(name for name in self.kept if word in name)


@contextmanager
def a_ledger_of(session: Session) -> Iterator[KubeLedger]:
    shelf = Shelf(session, "web")
    try:
        yield KubeLedger(shelf)
    finally:
        shelf.close()


@pytest.fixture
def session() -> Kept:
    """Nine hundred decisions, written some at a time, as drivers do."""
    found = Kept()
    with a_ledger_of(found) as ledger:
        for at in range(0, len(WHOLE), 90):
            ledger.append("web", WHOLE[at : at + 90])
            ledger.flush("web")
    return found


def seen(session: Kept) -> list[str]:
    with a_ledger_of(session) as ledger:
        return list(ledger.lines("web"))


def faults(session: Kept) -> list[Fault]:
    lines = seen(session)
    if (broken := verify(lines)) is not None:
        return [broken]
    entries = [decode(line) for line in lines]
    return [
        *within(entries, [KEY], "web").faults,
        *against(entries, list(copies(session, "web")), [KEY], "web").faults,
    ]


def test_a_ledger_in_several_configmaps_is_seen_whole(session: Kept) -> None:
    assert len(session.names("-ledger-")) >= 2
    assert [decode(line) for line in seen(session)] == WHOLE
    assert faults(session) == []


def lines_of(part: Json) -> list[str]:
    return str(part["data"]["ledger"]).splitlines()


def dropped(part: Json) -> None:
    part["data"]["ledger"] = "\n".join(line for n, line in enumerate(lines_of(part)) if n != 3) + "\n"


def changed(part: Json) -> None:
    part["data"]["ledger"] = part["data"]["ledger"].replace("good", "evil", 1)


def swapped(part: Json) -> None:
    one, two, *rest = lines_of(part)
    part["data"]["ledger"] = "\n".join([two, one, *rest]) + "\n"


def twice(part: Json) -> None:
    one, *rest = lines_of(part)
    part["data"]["ledger"] = "\n".join([one, one, *rest]) + "\n"


def rubbish(part: Json) -> None:
    part["data"]["ledger"] = "no entry\n" + part["data"]["ledger"]


def emptied(part: Json) -> None:
    del part["data"]


ATTACKS: list[Callable[[Json], None]] = [dropped, changed, swapped, twice, rubbish, emptied]


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda one: one.__name__)
@pytest.mark.parametrize("part", [0, 1])
def test_whatever_is_done_to_one_of_its_configmaps_is_located(
    session: Kept, attack: Callable[[Json], None], part: int
) -> None:
    names = session.names("-ledger-")
    begins = 1 + sum(len(lines_of(session.kept[name])) for name in names[:part])
    attack(session.kept[names[part]])

    (fault,) = faults(session)
    assert begins <= fault.number <= begins + 3


def test_a_configmap_that_was_deleted_is_located(session: Kept) -> None:
    first, second, *_ = session.names("-ledger-")
    begins = len(lines_of(session.kept[first])) + 1
    del session.kept[second]

    (fault,) = faults(session)
    assert (fault.number, str(fault.wrong)) == (begins, "missing")


def test_a_whole_new_ledger_is_told_by_its_seals_and_by_the_events(session: Kept) -> None:
    events = EventCopies(session)
    for entry in WHOLE:
        if entry.kind == "seal" and entry.number % 90 == 0:
            events.deliver(seal_of(entry))
    assert faults(session) == []
    for name in session.names("configmaps"):
        del session.kept[name]
    forged: list[Entry] = a_ledger(900, OTHER, said="fine")
    with a_ledger_of(session) as ledger:
        ledger.append("web", forged)
        ledger.flush("web")
    found = faults(session)
    assert found[0].number == 3
    assert str(found[0].wrong) == "sealed with another key"
    assert found[-1].detail.endswith("the chain was written anew")
    assert "event canary-web-seal-" in found[-1].detail


def test_an_event_is_about_the_record_holds_the_seal_and_is_made_once(session: Kept) -> None:
    seal = seal_of(WHOLE[2])
    event = document(seal, "shop")
    assert (event["reason"], event["involvedObject"]["name"]) == ("LedgerSealed", "canary-web")
    assert json.loads(event["message"])["signature"] == seal.signature
    assert event["firstTimestamp"].endswith("Z")
    assert len(event["metadata"]["name"]) < 253
    for _ in range(2):
        EventCopies(session).deliver(seal)
    (found,) = copies(session, "web")
    assert found.line == encode(seal)


def test_entries_that_wait_are_not_seen_as_kept(session: Kept) -> None:
    with a_ledger_of(session) as ledger:
        ledger.append("web", with_entry(WHOLE, "look")[-1:])
        assert len(ledger.read("web")) == len(WHOLE) + 1
        assert len(ledger.lines("web")) == len(WHOLE)


def test_the_right_to_make_events_is_printed_only_when_asked_for() -> None:
    for account in Account:
        plain = role(account, "web", "shop")["rules"]
        assert not [rule for rule in plain if "events" in rule["resources"]]
    driver, viewer, starter = (
        rules(one, "web", events=True) for one in (Account.DRIVER, Account.VIEWER, Account.STARTER)
    )
    assert role(Account.DRIVER, "web", "shop", driver)["rules"][-1] == {
        "apiGroups": [""],
        "resources": ["events"],
        "verbs": ["create"],
    }
    assert "resources: [events]\n    verbs: [list]" in explained(Account.VIEWER, "web", "shop", viewer)
    assert starter == rules(Account.STARTER, "web")


def test_a_lacking_right_to_make_events_is_told_before_the_start_with_what_to_print() -> None:
    class Granting(Kept):
        def create(self, path: str, body: Json, within_s: float = 8.0) -> Json:
            return {"status": {"resourceRules": role(Account.DRIVER, "web", "shop")["rules"]}}

    wanted = rules(Account.DRIVER, "web", events=True)
    with pytest.raises(DeniedError, match=r"create events \(tell the seals") as told:
        rights.check(Granting(), wanted, {"events"})
    assert "canary rbac --for driver --with events |" in told.value.remedy
