"""A filter for the kernel (classic BPF) that passes only what a container sends outside. Pure.

Whatever it passes counts as an attempt, but for what `egress.begins` knows to be an answer. So a flood can
hide nothing: the packets that are dropped for lack of room are more of the same.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network

from canary.safety.egress import ACK, SYN, TCP

Instruction = tuple[int, int, int, int]
"""Code, jump if true, jump if false, constant. Source: linux/filter.h, linux/bpf_common.h."""
WORD, HALF, BYTE, BYTE_BEHIND, HEADER = 0x20, 0x28, 0x30, 0x50, 0xB1
AND, EQUAL, RETURN = 0x54, 0x15, 0x06
PROTOCOL, DIRECTION = 0xFFFFF000, 0xFFFFF004
"""What the kernel knows of a packet: its kind, and where it goes."""
OUTGOING, IPV4, IPV6 = 4, 0x0800, 0x86DD
HEAD = 128
"""Bytes of a packet that are passed on."""
LOCAL = ("127.0.0.0/8", "224.0.0.0/24", "255.255.255.255/32", "::1/128", "ff01::/16", "ff02::/16")
"""Itself, and what never leaves a link."""


@dataclass(frozen=True)
class _Step:
    """An instruction whose jumps are names; an empty one is the next instruction. `mark`: a name for here."""

    code: int = 0
    constant: int = 0
    true: str = ""
    false: str = ""
    mark: str = ""


def outward(networks: Sequence[str], gateways: Sequence[str] = ()) -> tuple[Instruction, ...]:
    """The filter for a container in these networks, in which its host has those addresses."""
    steps = [
        _Step(BYTE, DIRECTION),
        _Step(EQUAL, OUTGOING, false="drop"),
        _Step(HALF, PROTOCOL),
        _Step(EQUAL, IPV4, true="four"),
        _Step(EQUAL, IPV6, true="six", false="drop"),
    ]
    for version, name in ((4, "four"), (6, "six")):
        steps.append(_Step(mark=name))
        for number, address in enumerate(one for one in gateways if ip_address(one).version == version):
            host = ip_network(address)
            steps += _compared(host, f"{name}-tcp", f"{name}-host-{number}")
        within = [ip_network(one) for one in (*LOCAL, *networks)]
        for number, network in enumerate(one for one in within if one.version == version):
            steps += _compared(network, "drop", f"{name}-in-{number}")
        steps += _only_beginnings(name)
    return _assembled([*steps, _Step(mark="pass"), _Step(RETURN, HEAD), _Step(mark="drop"), _Step(RETURN, 0)])


def _compared(network: IPv4Network | IPv6Network, true: str, after: str) -> list[_Step]:
    """Whether it goes to a network, word by word."""
    where = 16 if network.version == 4 else 24
    bits, address = network.prefixlen, network.network_address.packed
    steps = []
    for n in range(0, len(address), 4):
        width = min(32, bits - 8 * n)
        if width <= 0 < n:
            break
        mask = 0xFFFFFFFF << 32 - max(0, width) & 0xFFFFFFFF
        word = int.from_bytes(address[n : n + 4]) & mask
        last = n + 4 >= len(address) or bits <= 8 * n + 32
        steps += [
            _Step(WORD, where + n),
            _Step(AND, mask),
            _Step(EQUAL, word, true=true if last else "", false=after),
        ]
    return [*steps, _Step(mark=after)]


def _only_beginnings(name: str) -> list[_Step]:
    """Of TCP only what opens a connection: all else answers those who opened one from without."""
    flags = [_Step(HEADER, 0), _Step(BYTE_BEHIND, 13)] if name == "four" else [_Step(BYTE, 40 + 13)]
    return [
        _Step(mark=f"{name}-tcp"),
        _Step(BYTE, 9 if name == "four" else 6),
        _Step(EQUAL, TCP, false="pass"),
        *flags,
        _Step(AND, SYN | ACK),
        _Step(EQUAL, SYN, true="pass", false="drop"),
    ]


def _assembled(steps: Sequence[_Step]) -> tuple[Instruction, ...]:
    places: dict[str, int] = {}
    real: list[_Step] = []
    for step in steps:
        if step.mark:
            places[step.mark] = len(real)
        else:
            real.append(step)

    def jump(here: int, to: str) -> int:
        return places[to] - here - 1 if to else 0

    return tuple(
        (one.code, jump(here, one.true), jump(here, one.false), one.constant) for here, one in enumerate(real)
    )
