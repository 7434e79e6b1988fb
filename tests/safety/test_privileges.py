"""What a process may have, by what its container was started with."""

from dataclasses import replace
from typing import Any

import pytest

from canary.safety.container import Container
from canary.safety.privileges import Granted, gained, granted
from canary.safety.proc import Process, bits_of

BOX = Container("a" * 64, "box", user="33", cap_drop=frozenset({"ALL"}), no_new_privileges=True)
FIRST = Process(100, 1, "app", (33,) * 4, (33,) * 4, (33,), no_new_privileges=True, seccomp=2, age_s=100.0)
GIVEN = granted(BOX, FIRST)
CHILD = replace(FIRST, pid=101, parent=100, name="child")


def test_what_is_as_it_was_started_has_gained_nothing() -> None:
    assert gained(GIVEN, (FIRST, CHILD)) == ()


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"uids": (33, 0, 33, 33)}, "uid 0, wanted 33"),
        ({"uids": (33, 33, 0, 33)}, "uid 0, wanted 33"),
        ({"uids": (34,) * 4}, "uid 34, wanted 33"),
        ({"gids": (33, 42, 33, 33)}, "group 42"),
        ({"groups": (33, 42)}, "group 42"),
        ({"effective": 1 << 21}, "capabilities SYS_ADMIN"),
        ({"permitted": 1}, "capabilities CHOWN"),
        ({"ambient": 1 << 10}, "capabilities NET_BIND_SERVICE"),
        ({"no_new_privileges": False}, "no-new-privileges is off"),
        ({"seccomp": 0}, "system calls are not filtered"),
        ({"setuid": True}, "runs a setuid file"),
    ],
)
def test_each_gain_is_told_with_its_process(changed: dict[str, Any], told: str) -> None:
    (found,) = gained(GIVEN, (FIRST, replace(CHILD, **changed)))
    assert found.startswith("child (101): ")
    assert told in found


def test_root_of_a_container_has_the_capabilities_it_was_given_and_no_more() -> None:
    box = Container("a" * 64, "box", cap_drop=frozenset({"ALL"}), cap_add=frozenset({"CHOWN"}))
    first = replace(FIRST, uids=(0,) * 4, gids=(0,) * 4, groups=(), effective=1, permitted=1)
    given = granted(box, first)
    assert gained(given, (first,)) == ()
    assert gained(given, (first, replace(CHILD, uids=(1000,) * 4))) == ()
    assert "SYS_ADMIN" in gained(given, (first, replace(first, pid=101, effective=1 | 1 << 21)))[0]


def test_what_a_first_process_has_gained_before_it_was_seen_is_a_gain() -> None:
    risen = replace(FIRST, uids=(0,) * 4, effective=1 << 21)
    found = gained(granted(BOX, risen), (risen,))
    assert "uid 0, wanted 33" in found[0]
    assert "SYS_ADMIN" in found[0]


def test_what_its_first_process_took_upon_itself_holds_for_nobody_else() -> None:
    given = granted(replace(BOX, no_new_privileges=False, unconfined=True), FIRST)
    assert gained(given, (FIRST, replace(CHILD, no_new_privileges=False, seccomp=0))) == ()


def test_root_gains_nothing_by_a_setuid_file() -> None:
    first = replace(FIRST, uids=(0,) * 4)
    assert (
        gained(granted(Container("a" * 64, "box"), first), (first, replace(first, pid=101, setuid=True)))
        == ()
    )


def test_in_a_user_namespace_the_root_of_the_container_is_not_the_hosts() -> None:
    first = replace(FIRST, uids=(100000,) * 4, gids=(100000,) * 4, groups=())
    given = granted(Container("a" * 64, "box"), first, root=100000)
    assert given.user == given.root == 100000
    assert gained(given, (first, replace(first, pid=101, uids=(100033,) * 4))) == ()
    assert "uid 0 of the host" in gained(given, (first, replace(first, pid=101, uids=(0,) * 4)))[0]


RUNC = replace(
    CHILD, parent=7, name="runc:[2:INIT]", uids=(0,) * 4, effective=bits_of(frozenset({"ALL"})), seccomp=0
)


def test_a_process_that_a_runtime_is_making_is_let_be_for_some_seconds() -> None:
    assert gained(GIVEN, (FIRST, replace(RUNC, age_s=0.5))) == ()
    assert gained(GIVEN, (FIRST, replace(RUNC, age_s=6.0)))


def test_whatever_comes_in_from_outside_is_let_be_for_a_moment() -> None:
    shell = replace(RUNC, name="sh")
    assert gained(GIVEN, (FIRST, replace(shell, age_s=0.5))) == ()
    assert gained(GIVEN, (FIRST, replace(shell, age_s=2.0)))
    assert gained(GIVEN, (FIRST, replace(shell, age_s=0.5, parent=100)))


def test_who_calls_itself_a_runtime_is_not_let_be() -> None:
    assert gained(GIVEN, (FIRST, replace(RUNC, parent=100, age_s=0.5)))


def test_dockers_own_capabilities_are_those_without_a_word() -> None:
    assert "NET_RAW" in Container("a" * 64, "box").capabilities
    assert Container(
        "a" * 64, "box", cap_drop=frozenset({"ALL"}), cap_add=frozenset({"KILL"})
    ).capabilities == {"KILL"}
    assert Container("a" * 64, "box", privileged=True).capabilities == {"ALL"}
    assert isinstance(GIVEN, Granted)
