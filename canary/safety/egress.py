"""What of a container's traffic leaves its own networks. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

from canary.safety.proc import CLOSED_STATES, LISTENING, SYN_SENT, UDP_CONNECTED, Socket

TCP, UDP, ICMP, ICMPV6 = 6, 17, 1, 58
PROTOCOLS = {TCP: "tcp", UDP: "udp", ICMP: "icmp", ICMPV6: "icmpv6"}
ANSWERS = frozenset(
    {(ICMP, 0), (ICMP, 3), (ICMP, 11), (ICMPV6, 1), (ICMPV6, 3), (ICMPV6, 129)}
    | {(ICMPV6, kind) for kind in (131, 132, 133, 134, 135, 136, 137, 143)}
)
"""ICMP by which the kernel answers those who speak to it, or looks around on its own link."""
SYN, ACK = 0x02, 0x10


@dataclass(frozen=True)
class Own:
    """A container's networks, `10.0.0.0/24`, and the addresses that its host has in them."""

    networks: tuple[str, ...] = ()
    gateways: tuple[str, ...] = ()

    def holds(self, address: str) -> bool:
        """Whether what goes there stays within: its own networks, itself, or all on its own link."""
        return _within(address, self.networks, self.gateways)


@lru_cache(maxsize=4096)
def _within(address: str, networks: tuple[str, ...], gateways: tuple[str, ...]) -> bool:
    there = ip_address(address)
    if there.is_loopback or there.is_unspecified or _on_link(there):
        return True
    # The host is no part of the sandbox, although it has an address in its networks.
    if address in gateways:
        return False
    return any(there in network for network in map(ip_network, networks) if network.version == there.version)


def _on_link(there: IPv4Address | IPv6Address) -> bool:
    if isinstance(there, IPv6Address):
        return there.is_multicast and there.packed[1] & 0x0F <= 2
    return there in ip_network("224.0.0.0/24") or str(there) == "255.255.255.255"


def leaving(found: Sequence[Socket], own: Own) -> tuple[Socket, ...]:
    """The sockets by which it speaks to others than its own networks; those that spoke to it are left out."""
    served = {(one.protocol[:3], one.local_port) for one in found if _is_served(one)}
    return tuple(one for one in found if _leads_out(one, served) and not own.holds(one.remote))


def _is_served(one: Socket) -> bool:
    return one.protocol.startswith("tcp") and one.state == LISTENING


def _leads_out(one: Socket, served: set[tuple[str, int]]) -> bool:
    if one.protocol.startswith("udp"):
        return one.state == UDP_CONNECTED and one.remote_port != 0
    if one.state in CLOSED_STATES:
        return False
    return one.state == SYN_SENT or (one.protocol[:3], one.local_port) not in served


@dataclass(frozen=True)
class Packet:
    """A packet on its way out. `protocol`: its number. `flags`: of TCP; the type of ICMP."""

    remote: str
    protocol: int
    port: int = 0
    flags: int = 0

    def __str__(self) -> str:
        name = PROTOCOLS.get(self.protocol, f"protocol {self.protocol}")
        return f"{name} to {self.remote}:{self.port}" if self.port else f"{name} to {self.remote}"


def packet(raw: bytes) -> Packet | None:
    """Read the beginning of an IP packet; None when it is none."""
    if not raw:
        return None
    version = raw[0] >> 4
    if version == 4 and len(raw) >= 20:
        return _payload(str(ip_address(raw[16:20])), raw[9], raw[4 * (raw[0] & 15) :])
    if version == 6 and len(raw) >= 40:
        return _payload(str(ip_address(raw[24:40])), raw[6], raw[40:])
    return None


def _payload(remote: str, protocol: int, rest: bytes) -> Packet:
    port = int.from_bytes(rest[2:4]) if protocol in (TCP, UDP) and len(rest) >= 4 else 0
    if protocol == TCP and len(rest) > 13:
        return Packet(remote, protocol, port, rest[13])
    if protocol in (ICMP, ICMPV6) and rest:
        return Packet(remote, protocol, 0, rest[0])
    return Packet(remote, protocol, port)


def begins(one: Packet, own: Own) -> bool:
    """Whether a packet is an attempt to reach others than its own networks, and no answer to them."""
    if own.holds(one.remote):
        return False
    if one.protocol == TCP:
        return bool(one.flags & SYN) and not one.flags & ACK
    return (one.protocol, one.flags) not in ANSWERS if one.protocol in (ICMP, ICMPV6) else True
