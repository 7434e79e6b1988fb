"""Copies on their way: beside the loop, in order, tried again with the next seal, told when that changes."""

import threading

from canary.core.seals import Carried, Seal, seal_of
from canary.errors import TransientError
from canary.seal.courier import KEPT, Courier
from tests.seal.ledgers import a_ledger

SEALS = [seal_of(entry) for entry in a_ledger(6) if entry.kind == "seal"]
PATIENCE_S = 10.0


class Place:
    """A destination. `fault`: what it says to the next ones; `closed`: it hangs until that is set."""

    def __init__(self, name: str = "place") -> None:
        self.name = name
        self.got: list[int] = []
        self.tried = 0
        self.fault: Exception | None = None
        self.open = threading.Event()
        self.open.set()

    def deliver(self, seal: Seal) -> None:
        self.tried += 1
        self.open.wait(PATIENCE_S)
        if self.fault is not None:
            raise self.fault
        self.got.append(seal.number)


def settled(courier: Courier) -> tuple[Carried, ...]:
    courier.settle(PATIENCE_S)
    return courier.news()


def test_each_seal_gets_to_each_place_once_and_in_order() -> None:
    one, two = Place(), Place()
    courier = Courier([one, two])
    for seal in [*SEALS[:3], SEALS[2], SEALS[0]]:
        courier.send(seal)
    assert settled(courier) == ()
    assert one.got == two.got == [2, 5, 8]


def test_what_did_not_get_there_is_told_once_and_tried_again_with_the_next_seal() -> None:
    place = Place()
    place.fault = TransientError("it answered 503")
    courier = Courier([place])
    courier.send(SEALS[0])
    assert settled(courier) == (Carried("place", 2, "it answered 503", 1),)
    courier.send(SEALS[1])
    assert settled(courier) == ()
    assert place.tried == 2
    place.fault = None
    courier.send(SEALS[2])
    courier.settle(PATIENCE_S)
    assert place.got == [2, 5, 8]
    assert courier.news() == (Carried("place", 2, "", 2),)


def test_a_place_that_fails_holds_up_no_other() -> None:
    bad, good = Place("bad"), Place("good")
    bad.fault = TransientError("no")
    courier = Courier([bad, good])
    for seal in SEALS:
        courier.send(seal)
    assert [one.to for one in settled(courier)] == ["bad"]
    assert good.got == [seal.number for seal in SEALS]


def test_a_place_that_hangs_holds_up_neither_the_sender_nor_the_others_and_is_told() -> None:
    hung, good = Place("hung"), Place("good")
    hung.open.clear()
    courier = Courier([hung, good])
    for seal in SEALS[:2]:
        courier.send(seal)
    courier.settle(0.05)
    assert courier.news() == (Carried("hung", 5, "no answer within 0.05 s", 2),)
    courier.settle(0.01)
    assert courier.news() == ()
    hung.open.set()
    courier.settle(PATIENCE_S)
    assert hung.got == good.got == [2, 5]
    assert courier.news() == (Carried("hung", 2, "", 1),)


def test_a_fault_of_the_place_itself_ends_nothing_and_is_told() -> None:
    place = Place()
    place.fault = ZeroDivisionError("oh")
    courier = Courier([place])
    courier.send(SEALS[0])
    assert settled(courier) == (Carried("place", 2, "ZeroDivisionError: oh", 1),)
    place.fault = None
    courier.send(SEALS[1])
    courier.settle(PATIENCE_S)
    assert place.got == [2, 5]


def test_those_that_wait_are_bounded_and_the_last_ones_are_kept() -> None:
    place = Place()
    place.fault = TransientError("no")
    courier = Courier([place])
    many = [seal_of(entry) for entry in a_ledger(KEPT + 20) if entry.kind == "seal"]
    for seal in many[:-1]:
        courier.send(seal)
        courier.settle(PATIENCE_S)
    place.fault = None
    courier.send(many[-1])
    courier.settle(PATIENCE_S)
    assert place.got == [seal.number for seal in many[-KEPT:]]


def test_without_places_there_is_nothing_to_wait_for() -> None:
    courier = Courier([])
    courier.send(SEALS[0])
    courier.settle(PATIENCE_S)
    assert courier.news() == ()
