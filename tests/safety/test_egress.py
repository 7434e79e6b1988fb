"""What leaves a container's own networks: by tables of sockets, by packets, by the kernel's filter."""

from collections.abc import Sequence
from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from canary.safety.egress import ICMP, ICMPV6, TCP, UDP, Own, Packet, begins, leaving, packet
from canary.safety.packet_filter import HEAD, IPV4, IPV6, OUTGOING, Instruction, outward
from canary.safety.proc import Socket

OWN = Own(("10.0.0.0/24", "fd00:0:0:7::/64"), ("10.0.0.1", "fd00:0:0:7::1"))
INSIDE = (
    "10.0.0.9",
    "10.0.0.255",
    "127.0.0.1",
    "127.0.0.11",
    "224.0.0.251",
    "255.255.255.255",
    "fd00:0:0:7::9",
    "::1",
    "ff02::16",
    "0.0.0.0",
)
OUTSIDE = (
    "10.0.0.1",
    "10.0.1.9",
    "192.0.2.1",
    "8.8.8.8",
    "169.254.169.254",
    "239.1.1.1",
    "fd00:0:0:7::1",
    "fd00:0:0:8::9",
    "2001:db8::1",
    "fe80::1",
    "ff05::2",
)


@pytest.mark.parametrize("address", INSIDE)
def test_its_own_networks_and_its_link_are_inside(address: str) -> None:
    assert OWN.holds(address)


@pytest.mark.parametrize("address", OUTSIDE)
def test_all_else_is_outside_and_so_is_the_host(address: str) -> None:
    assert not OWN.holds(address)


def tcp(local_port: int, remote: str, state: str, remote_port: int = 443) -> Socket:
    return Socket("tcp", "10.0.0.2", local_port, remote, remote_port, state)


def test_a_connection_that_came_from_outside_to_a_port_it_serves_is_none_that_leaves() -> None:
    served = Socket("tcp6", "::", 8000, "::", 0, "0A")
    came, left = tcp(8000, "192.0.2.1", "01"), tcp(50000, "192.0.2.1", "01")
    assert leaving((served, came, left), OWN) == (left,)
    assert leaving((came,), OWN) == (came,)


def test_an_attempt_leaves_whatever_port_it_comes_from() -> None:
    served, attempt = Socket("tcp", "0.0.0.0", 8000, "0.0.0.0", 0, "0A"), tcp(8000, "192.0.2.1", "02")
    assert leaving((served, attempt), OWN) == (attempt,)


@pytest.mark.parametrize("state", ["01", "02", "04", "05", "06", "08", "09", "0B"])
def test_connections_on_their_way_to_an_end_have_left_too(state: str) -> None:
    assert leaving((tcp(50000, "192.0.2.1", state),), OWN)


@pytest.mark.parametrize("state", ["03", "07", "0A", "0C"])
def test_what_listens_or_is_asked_from_outside_has_not(state: str) -> None:
    assert not leaving((tcp(50000, "192.0.2.1", state),), OWN)


def test_a_datagram_socket_leaves_when_it_is_connected_outside() -> None:
    def udp(remote: str, port: int, state: str) -> Socket:
        return Socket("udp", "0.0.0.0", 40000, remote, port, state)

    assert leaving((udp("192.0.2.1", 53, "01"),), OWN)
    assert not leaving((udp("10.0.0.9", 53, "01"), udp("0.0.0.0", 0, "07")), OWN)


def ip(remote: str, protocol: int, rest: bytes = b"") -> bytes:
    """An IP packet, as far as it matters."""
    there = ip_address(remote)
    if there.version == 4:
        return bytes([0x45, 0, 0, 40, 0, 0, 0, 0, 64, protocol, 0, 0]) + bytes(4) + there.packed + rest
    return bytes([0x60, 0, 0, 0, 0, 20, protocol, 64]) + bytes(16) + there.packed + rest


def tcp_head(flags: int, port: int = 443) -> bytes:
    return (50000).to_bytes(2) + port.to_bytes(2) + bytes(9) + bytes([flags]) + bytes(6)


SYN, SYN_ACK, ACK, RST = 0x02, 0x12, 0x10, 0x04
CASES = [
    ("192.0.2.1", TCP, tcp_head(SYN), True),
    ("192.0.2.1", TCP, tcp_head(SYN_ACK), False),
    ("192.0.2.1", TCP, tcp_head(ACK), False),
    ("192.0.2.1", TCP, tcp_head(RST), False),
    ("10.0.0.1", TCP, tcp_head(SYN), True),
    ("10.0.0.1", TCP, tcp_head(SYN_ACK), False),
    ("10.0.0.9", TCP, tcp_head(SYN), False),
    ("192.0.2.1", UDP, bytes(8), True),
    ("10.0.0.1", UDP, bytes(8), True),
    ("10.0.0.9", UDP, bytes(8), False),
    ("127.0.0.11", UDP, bytes(8), False),
    ("192.0.2.1", ICMP, bytes([8, 0]), True),
    ("192.0.2.1", ICMP, bytes([0, 0]), False),
    ("192.0.2.1", ICMP, bytes([3, 3]), False),
    ("192.0.2.1", 47, bytes(8), True),
    ("2001:db8::1", TCP, tcp_head(SYN), True),
    ("2001:db8::1", TCP, tcp_head(ACK), False),
    ("fd00:0:0:7::1", TCP, tcp_head(SYN), True),
    ("fd00:0:0:7::9", TCP, tcp_head(SYN), False),
    ("fd00:0:0:8::9", UDP, bytes(8), True),
    ("::1", UDP, bytes(8), False),
    ("ff02::2", ICMPV6, bytes([133, 0]), False),
    ("fe80::1", ICMPV6, bytes([135, 0]), False),
    ("2001:db8::1", ICMPV6, bytes([128, 0]), True),
]


@pytest.mark.parametrize(("remote", "protocol", "rest", "wanted"), CASES)
def test_a_packet_is_an_attempt_or_it_is_not(remote: str, protocol: int, rest: bytes, wanted: bool) -> None:
    raw = ip(remote, protocol, rest)
    found = packet(raw)
    assert found is not None
    assert begins(found, OWN) is wanted
    kind = IPV4 if ip_address(remote).version == 4 else IPV6
    passed = run(outward(OWN.networks, OWN.gateways), raw, OUTGOING, kind) > 0
    # The filter may pass what is no attempt, and never holds one back.
    assert passed or not wanted
    assert not passed or wanted or protocol in (ICMP, ICMPV6)


def test_what_comes_in_and_what_is_no_ip_is_not_passed() -> None:
    program = outward(OWN.networks, OWN.gateways)
    raw = ip("192.0.2.1", UDP, bytes(8))
    assert run(program, raw, OUTGOING, IPV4) == HEAD
    assert run(program, raw, 0, IPV4) == 0
    assert run(program, raw, OUTGOING, 0x0806) == 0


addresses = st.one_of(
    st.ip_addresses().map(str),
    st.integers(0, 1023).map(lambda n: str(ip_address("10.0.0.0") + n)),
    st.integers(0, 1 << 66).map(lambda n: str(ip_address("fd00:0:0:7::") + n)),
)


@given(addresses, st.sampled_from([TCP, UDP, ICMP, ICMPV6, 47, 132]), st.binary(min_size=20, max_size=40))
def test_the_filter_holds_back_no_attempt(remote: str, protocol: int, rest: bytes) -> None:
    raw = ip(remote, protocol, rest)
    found = packet(raw)
    assert found is not None
    kind = IPV4 if ip_address(remote).version == 4 else IPV6
    if begins(found, OWN):
        assert run(outward(OWN.networks, OWN.gateways), raw, OUTGOING, kind) == HEAD


@given(st.binary(max_size=80))
def test_no_packet_is_too_broken_to_be_read(raw: bytes) -> None:
    found = packet(raw)
    assert found is None or isinstance(begins(found, OWN), bool)


def run(  # noqa: C901 - an instruction each
    program: Sequence[Instruction], raw: bytes, direction: int, kind: int
) -> int:
    """What the kernel does with a program, for the instructions that occur."""
    known = {0xFFFFF000: kind, 0xFFFFF004: direction}
    value, index, here = 0, 0, 0
    while True:
        code, true, false, constant = program[here]
        here += 1
        match code:
            case 0x20 | 0x28 | 0x30:
                size = {0x20: 4, 0x28: 2, 0x30: 1}[code]
                if constant in known:
                    value = known[constant]
                elif constant + size > len(raw):
                    return 0
                else:
                    value = int.from_bytes(raw[constant : constant + size])
            case 0xB1:
                index = 4 * (raw[constant] & 15)
            case 0x50:
                if index + constant >= len(raw):
                    return 0
                value = raw[index + constant]
            case 0x54:
                value &= constant
            case 0x15:
                here += true if value == constant else false
            case 0x06:
                return constant
            case _:
                raise AssertionError(f"instruction {code:#x}")


def test_a_packet_is_told_for_people() -> None:
    assert str(Packet("192.0.2.1", TCP, 443, 2)) == "tcp to 192.0.2.1:443"
    assert str(Packet("192.0.2.1", 47)) == "protocol 47 to 192.0.2.1"
