"""From raw readings to figures, exactly."""

from dataclasses import replace
from math import inf
from typing import Any

import pytest

from canary.safety.egress import Own, Packet
from canary.safety.figures import Reading, Seen, seen
from canary.safety.privileges import Granted
from canary.safety.proc import Process, Socket

OWN = Own(("10.0.0.0/24", "fd00::/64"), ("10.0.0.1", "fd00::1"))
GIVEN = Granted(0, 33, frozenset({33}), 0, True, 2)
FIRST = Process(100, 1, "app", (33,) * 4, (33,) * 4, (33,), no_new_privileges=True, seccomp=2)
CALM = Reading(
    at=10.0,
    runtime_s=5.0,
    cpu_s=1.0,
    cores=0.5,
    memory=50,
    memory_limit=100.0,
    oom_kills=0,
    processes=(FIRST,),
    sockets=(),
    no_routes=0,
)


def look(now: Reading, *past: Reading) -> Seen:
    return seen(now, past, OWN, GIVEN)


def value(found: Seen, name: str) -> float:
    (one,) = found.figures[name]
    assert one.low == one.high
    return one.low


def whose(found: Seen, name: str) -> str:
    return found.figures[name][0].subject


def test_cpu_is_a_share_of_the_limit_that_holds_now() -> None:
    now = replace(CALM, at=12.0, cpu_s=1.5)
    assert value(look(now, CALM), "cpu_cores") == 0.25
    assert value(look(now, CALM), "cpu_usage") == 0.5
    assert value(look(replace(now, cores=0.25), CALM), "cpu_usage") == 1.0
    assert value(look(replace(now, cores=inf), CALM), "cpu_usage") == 0.25


def test_cpu_at_a_limit_in_pieces_is_seen_as_full_within_three_looks() -> None:
    # 50 ms of each 100 ms: a second that begins in the middle of one shows 10 % more or less.
    one, two, three = (
        replace(CALM, at=at, cpu_s=cpu) for at, cpu in ((10.0, 0.0), (11.0, 0.55), (12.0, 1.0))
    )
    assert value(look(replace(CALM, at=13.0, cpu_s=1.45), one, two, three), "cpu_usage") == pytest.approx(
        0.9667, abs=1e-3
    )
    assert value(look(replace(CALM, at=13.0, cpu_s=1.45), three), "cpu_usage") == pytest.approx(0.9)


def test_the_first_look_knows_no_cpu_and_is_not_blind() -> None:
    found = look(CALM)
    assert "cpu_usage" not in found.figures
    assert found.unseen == ()


def test_memory_is_of_its_limit_and_full_when_the_kernel_killed_for_it() -> None:
    assert value(look(CALM), "memory_usage") == 0.5
    assert value(look(replace(CALM, oom_kills=2), replace(CALM, oom_kills=1)), "memory_usage") == 1.0
    assert value(look(replace(CALM, oom_kills=2), replace(CALM, oom_kills=2)), "memory_usage") == 0.5
    assert "memory_usage" not in look(replace(CALM, memory_limit=inf)).figures
    assert value(look(replace(CALM, memory_limit=inf)), "memory_bytes") == 50


def test_processes_that_only_wait_to_be_buried_do_not_count() -> None:
    buried = replace(FIRST, pid=101, gone=True, uids=(0,) * 4)
    found = look(replace(CALM, processes=(FIRST, buried)))
    assert value(found, "processes") == 1
    assert value(found, "process_privileges_changed") == 0


@pytest.mark.parametrize(
    ("lost", "sense"),
    [("cpu_s", "cpu"), ("memory", "memory"), ("processes", "processes"), ("sockets", "network")],
)
def test_what_could_not_be_read_is_named(lost: str, sense: str) -> None:
    nothing: dict[str, Any] = {lost: None}
    assert look(replace(CALM, **nothing)).unseen == (sense,)


def test_connections_attempts_and_what_had_no_route_are_summed_and_named() -> None:
    out = Socket("tcp", "10.0.0.2", 50000, "192.0.2.1", 443, "01")
    inside = Socket("tcp", "10.0.0.2", 50001, "10.0.0.9", 80, "01")
    sent = (Packet("192.0.2.1", 6, 443, 2), Packet("192.0.2.7", 17, 53), Packet("10.0.0.9", 17, 53))
    now = replace(CALM, sockets=(out, inside), packets=sent, no_routes=3)
    found = look(now, replace(CALM, no_routes=2))
    # The packet that opened the connection is the connection.
    assert value(found, "network_connections") == 3
    assert (
        whose(found, "network_connections") == "tcp to 192.0.2.1:443, udp to 192.0.2.7:53, 1 without a route"
    )


def test_without_packets_it_counts_who_was_spoken_to_on_the_way_out() -> None:
    found = look(replace(CALM, spoke=frozenset({"10.0.0.1", "10.0.0.9"})))
    assert value(found, "network_connections") == 1
    assert "10.0.0.1" in whose(found, "network_connections")
