"""What a lease tells of who acted before and who holds it, by its document alone; the server is in memory."""

import json

import pytest

from canary.kube.lease import MARKS, KubeLease
from canary.kube.session import Json
from canary.ports import Holder
from tests.fakes import FakeClock
from tests.kube.kept import Kept, SaidToHaveEnded


def a_lease(holder: str) -> Json:
    spec = {"holderIdentity": holder, "leaseDurationSeconds": 10, "leaseTransitions": 1}
    return {"metadata": {"name": "canary-web", "resourceVersion": "41"}, "spec": spec}


@pytest.mark.parametrize(
    ("found", "since"),
    [
        (None, ""),
        (a_lease(""), "41"),
        # Who vanished may have written after its last renewal.
        (a_lease("ci_1"), None),
    ],
)
def test_who_takes_a_lease_is_told_since_when_nobody_acts(found: Json | None, since: str | None) -> None:
    clock = FakeClock()
    told: list[str | None] = []
    lease = KubeLease(Kept(found).session, "canary-web", "ann", clock, taken=told.append)

    if lease.hold() is None:
        clock.advance(10.0)
        assert lease.hold() is not None

    assert told == [since]


class Two:
    """A driver `ada` that holds the lease, and `bob`, who comes to it and asks a witness."""

    def __init__(self) -> None:
        self.clock, self.kept, self.witness = FakeClock(), Kept(), SaidToHaveEnded("ada-process")
        self.taken: list[str | None] = []
        self.ada = self.lease("ada", SaidToHaveEnded("ada-process"))
        self.bob = self.lease("bob", self.witness)
        assert self.ada.hold() is not None

    def lease(self, actor: str, *witnesses: SaidToHaveEnded) -> KubeLease:
        return KubeLease(
            self.kept.session, "canary-web", actor, self.clock, taken=self.taken.append, witnesses=witnesses
        )

    @property
    def document(self) -> Json:
        (found,) = self.kept.objects.values()
        return found


def test_a_holder_that_has_ended_is_not_waited_for_and_nothing_is_known_of_its_last_writes() -> None:
    two = Two()
    renewed = two.clock.now()
    two.witness.ended_marks.add("ada-process")
    two.clock.advance(4.0)

    term = two.bob.hold()

    assert term is not None
    assert (term.number, term.idle_since) == (2, renewed)
    assert two.taken[-1] is None
    # One call's time-out; a term that was waited out leaves nothing on its way.
    assert term.late_until == two.clock.monotonic() + 8.0
    assert two.ada.hold() is None


def test_calls_of_a_holder_whose_term_was_waited_out_land_no_more() -> None:
    two = Two()
    assert two.bob.hold() is None
    two.clock.advance(10.0)

    term = two.bob.hold()

    assert term is not None
    assert term.late_until == 0.0


def test_whoever_renewed_when_it_had_to_is_alive_whatever_a_witness_says() -> None:
    two = Two()
    two.witness.ended_marks.add("ada-process")
    for _ in range(8):
        two.clock.advance(3.0)
        assert two.ada.hold() is not None
        assert two.bob.hold() is None
        two.clock.advance(0.9)
        assert two.bob.hold() is None


def test_a_holder_that_has_ended_is_named_as_gone_and_stays_so() -> None:
    two = Two()
    two.witness.ended_marks.add("ada-process")
    two.clock.advance(4.0)

    assert two.bob.holder() == Holder("ada", 4.0, alive=False)
    assert two.bob.hold() is not None


def test_a_witness_is_asked_of_a_holder_once_a_second_at_most() -> None:
    two = Two()
    two.clock.advance(4.0)
    for _ in range(20):
        assert two.bob.hold() is None
        two.clock.advance(0.1)

    assert two.witness.asked == ["ada-process"] * 2


@pytest.mark.parametrize(
    "annotation",
    [
        None,
        "",
        "no JSON",
        "[]",
        json.dumps({"process": "ada-process"}),
        # Written by a holder before, and carried on by one that knows of no witnesses.
        json.dumps({"holder": "carl_1", "process": "ada-process"}),
        json.dumps({"holder": "ada_1", "process": 7}),
        json.dumps({"holder": "ada_1", "pod": "ada-process"}),
    ],
)
def test_marks_that_do_not_tell_of_the_holder_prove_nothing(annotation: str | None) -> None:
    two = Two()
    two.document["spec"]["holderIdentity"] = "ada_1"
    two.document["metadata"]["annotations"] = {} if annotation is None else {MARKS: annotation}
    two.witness.ended_marks.add("ada-process")
    two.clock.advance(4.0)

    assert two.bob.hold() is None


def test_a_lease_tells_who_holds_it_and_of_nobody_when_it_is_given_up() -> None:
    two = Two()
    holder = two.document["spec"]["holderIdentity"]
    assert json.loads(two.document["metadata"]["annotations"][MARKS]) == {
        "holder": holder,
        "process": "ada-process",
    }
    two.document["metadata"]["annotations"]["of-somebody"] = "else"

    two.ada.release()

    assert two.document["metadata"]["annotations"] == {"of-somebody": "else"}
