"""What every `ports.Lease` keeps to: in memory, between the processes of a host, and in a cluster."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from canary.kube.lease import KubeLease
from canary.kube.session import Session
from canary.local.lease import LocalLease
from canary.ports import Lease, Term
from tests.fakes import FakeClock, FakeLease, Leases
from tests.kube.kept import Kept, SaidToHaveEnded


@dataclass
class Drivers:
    """Makes leases as so many processes would.

    `kill` ends one without a word and lets its term run out; after `prove` it is known to have ended.
    """

    clock: FakeClock
    make: Callable[[str, str], Lease]
    kill: Callable[[Lease], None]
    prove: Callable[[Lease], None]

    def lease(self, actor: str, name: str = "web") -> Lease:
        return self.make(name, actor)


@pytest.fixture(params=["fake", "local", "kept", pytest.param("kube", marks=pytest.mark.control_plane)])
def drivers(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Drivers]:
    clock = FakeClock()
    if request.param == "fake":
        leases = Leases(clock)
        yield Drivers(
            clock,
            lambda name, actor: FakeLease(leases, name, actor),
            lambda _: clock.advance(10.0),
            leases.ended.append,
        )
        return
    if request.param in ("kube", "kept"):
        session = Kept().session if request.param == "kept" else request.getfixturevalue("place").session()
        yield in_a_cluster(clock, session)
        return
    made: list[LocalLease] = []

    def make(name: str, actor: str) -> LocalLease:
        made.append(LocalLease(tmp_path / "state", name, actor, clock))
        return made[-1]

    def kill(lease: Lease) -> None:
        # What the kernel does to the descriptors of a process that ends.
        assert isinstance(lease, LocalLease)
        lease._close()
        clock.advance(10.0)

    def prove(lease: Lease) -> None:
        assert isinstance(lease, LocalLease)
        lease._close()

    yield Drivers(clock, make, kill, prove)
    for lease in made:
        lease.release()


def in_a_cluster(clock: FakeClock, session: Session) -> Drivers:
    ended: set[str] = set()
    numbers: dict[int, str] = {}

    def make(name: str, actor: str) -> Lease:
        own = f"{actor}-{len(numbers)}"
        witness = SaidToHaveEnded(own, ended_marks=ended)
        made = KubeLease(session, name, actor, clock, witnesses=(witness,))
        numbers[id(made)] = own
        return made

    return Drivers(clock, make, lambda _: clock.advance(10.0), lambda lease: ended.add(numbers[id(lease)]))


def held(lease: Lease) -> Term:
    term = lease.hold()
    assert term is not None
    return term


def taken(drivers: Drivers, lease: Lease) -> Term:
    """Of a holder that is gone: at once, or when its term has been over for who is new to it."""
    term = lease.hold()
    if term is None:
        drivers.clock.advance(10.0)
        term = lease.hold()
    assert term is not None
    return term


def test_a_free_lease_is_taken_at_once(drivers: Drivers) -> None:
    ada = drivers.lease("ada")

    term = held(ada)

    assert term.holder == "ada"
    assert term.idle_since is None
    assert ada.confirm(term) == pytest.approx(10.0)


def test_only_one_holds_it(drivers: Drivers) -> None:
    held(drivers.lease("ada"))

    assert drivers.lease("bob").hold() is None


def test_two_drivers_of_the_same_person_are_two(drivers: Drivers) -> None:
    held(drivers.lease("ada"))

    assert drivers.lease("ada").hold() is None


def test_leases_of_other_names_are_free(drivers: Drivers) -> None:
    held(drivers.lease("ada", "web"))

    held(drivers.lease("bob", "api"))


def test_renewing_begins_a_new_stretch_under_the_same_number(drivers: Drivers) -> None:
    ada = drivers.lease("ada")
    first = held(ada)
    drivers.clock.advance(4.0)
    second = held(ada)

    assert second.number == first.number
    assert ada.confirm(first) == pytest.approx(6.0)
    assert ada.confirm(second) == pytest.approx(10.0)


def test_a_term_is_over_when_its_time_is_over(drivers: Drivers) -> None:
    ada = drivers.lease("ada")
    term = held(ada)
    drivers.clock.advance(10.0)

    assert ada.confirm(term) == 0.0


def test_a_lease_that_was_given_up_is_free_and_tells_how_long_nobody_held_it(drivers: Drivers) -> None:
    ada, bob = drivers.lease("ada"), drivers.lease("bob")
    first = held(ada)
    ada.release()
    given_up = drivers.clock.now()
    drivers.clock.advance(60.0)

    second = held(bob)

    assert second.number > first.number
    assert second.idle_since == given_up
    assert ada.confirm(first) == 0.0
    assert ada.hold() is None


def test_who_takes_over_from_a_killed_holder_learns_when_it_last_renewed(drivers: Drivers) -> None:
    ada, bob = drivers.lease("ada"), drivers.lease("bob")
    first = held(ada)
    drivers.clock.advance(3.0)
    held(ada)
    renewed = drivers.clock.now()
    drivers.kill(ada)
    drivers.clock.advance(120.0)

    second = taken(drivers, bob)

    assert second.number > first.number
    assert second.idle_since == renewed
    assert held(bob).idle_since == renewed


def test_a_holder_that_is_proved_to_have_ended_is_not_waited_for(drivers: Drivers) -> None:
    ada, bob = drivers.lease("ada"), drivers.lease("bob")
    first = held(ada)
    renewed = drivers.clock.now()
    drivers.clock.advance(5.0)
    assert bob.hold() is None
    drivers.prove(ada)
    # Nobody is asked again and again.
    drivers.clock.advance(1.0)
    seen = bob.holder()
    assert seen is not None
    assert not seen.alive

    second = held(bob)

    assert second.number > first.number
    assert second.idle_since == renewed
    assert ada.hold() is None


def test_a_former_holder_has_nothing_left_once_another_holds_it(drivers: Drivers) -> None:
    ada, bob = drivers.lease("ada"), drivers.lease("bob")
    term = held(ada)
    drivers.kill(ada)
    taken(drivers, bob)

    assert ada.confirm(term) == 0.0
    assert ada.hold() is None


def test_numbers_are_never_used_again(drivers: Drivers) -> None:
    numbers = []
    for actor in ("ada", "bob", "ada", "ada"):
        lease = drivers.lease(actor)
        numbers.append(held(lease).number)
        lease.release()

    assert numbers == sorted(set(numbers))


def test_a_term_of_somebody_else_confirms_nothing(drivers: Drivers) -> None:
    ada, bob = drivers.lease("ada"), drivers.lease("bob")
    term = held(ada)

    assert bob.confirm(term) == 0.0


def test_nobody_is_named_while_it_is_free(drivers: Drivers) -> None:
    ada, bob = drivers.lease("ada"), drivers.lease("bob")
    assert bob.holder() is None
    held(ada)
    ada.release()

    assert bob.holder() is None


def test_the_holder_is_named_with_the_time_since_it_renewed(drivers: Drivers) -> None:
    ada, bob = drivers.lease("ada"), drivers.lease("bob")
    held(ada)
    drivers.clock.advance(2.0)

    seen = bob.holder()

    assert seen is not None
    assert seen.name.startswith("ada")
    assert seen.renewed_s == pytest.approx(2.0)
    assert seen.alive


def test_a_killed_holder_is_named_as_gone(drivers: Drivers) -> None:
    ada, bob = drivers.lease("ada"), drivers.lease("bob")
    held(ada)
    before = bob.holder()
    assert before is not None
    assert before.alive
    drivers.kill(ada)

    seen = bob.holder()

    assert seen is not None
    assert seen.name.startswith("ada")
    assert not seen.alive


def test_looking_at_the_holder_takes_nothing(drivers: Drivers) -> None:
    ada, bob = drivers.lease("ada"), drivers.lease("bob")
    term = held(ada)
    bob.holder()

    assert ada.confirm(term) > 0
    assert held(ada).number == term.number


def test_giving_up_what_one_does_not_hold_is_harmless(drivers: Drivers) -> None:
    ada, bob = drivers.lease("ada"), drivers.lease("bob")
    bob.release()
    term = held(ada)
    bob.release()

    assert ada.confirm(term) > 0
    assert bob.hold() is None
