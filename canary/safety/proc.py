"""The kernel's texts about processes and their network, read. Pure."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import ip_address

CLOSED_STATES = frozenset({"03", "07", "0A", "0C"})
"""TCP: half open from without, closed, listening: none of them leads out."""
LISTENING = "0A"
SYN_SENT = "02"
UDP_CONNECTED = "01"
HIGHEST_CAPABILITY = 63


class ProcError(ValueError):
    """A text that the kernel does not write; the message says why."""


@dataclass(frozen=True)
class Process:
    """One process, as `/proc/PID/status` has it.

    Attributes:
        pid, parent: as the host numbers them. name: at most 15 characters; it may call itself anything.
        uids, gids: real, effective, saved, of files. groups: besides.
        effective, permitted, ambient: capabilities as bits.
        no_new_privileges: it can gain none by running a file. seccomp: 0 none, 1 strict, 2 a filter.
        gone: it only waits to be buried.
        age_s: seconds since it began. setuid: it runs a file that lends its owner's rights.
    """

    pid: int
    parent: int
    name: str
    uids: tuple[int, ...]
    gids: tuple[int, ...]
    groups: tuple[int, ...] = ()
    effective: int = 0
    permitted: int = 0
    ambient: int = 0
    no_new_privileges: bool = False
    seccomp: int = 0
    gone: bool = False
    age_s: float = 0.0
    setuid: bool = False


@dataclass(frozen=True)
class Socket:
    """A line of `/proc/PID/net/tcp` and its like. `state`: two hexadecimal digits."""

    protocol: str
    local: str
    local_port: int
    remote: str
    remote_port: int
    state: str

    def __str__(self) -> str:
        return f"{self.protocol} to {self.remote}:{self.remote_port}"


def process(text: str, *, age_s: float = 0.0, setuid: bool = False) -> Process:
    """Read `/proc/PID/status`.

    Raises:
        ProcError: a field is missing.
    """
    # A name may hold anything but a line's end, which the kernel escapes.
    fields = dict(_field(line) for line in text.splitlines() if ":" in line)
    try:
        return Process(
            pid=int(fields["Pid"]),
            parent=int(fields["PPid"]),
            name=fields["Name"],
            uids=_numbers(fields["Uid"]),
            gids=_numbers(fields["Gid"]),
            groups=_numbers(fields.get("Groups", "")),
            effective=int(fields["CapEff"], 16),
            permitted=int(fields["CapPrm"], 16),
            ambient=int(fields.get("CapAmb", "0"), 16),
            no_new_privileges=fields.get("NoNewPrivs") == "1",
            seccomp=int(fields.get("Seccomp", "0")),
            gone=fields["State"][:1] in ("Z", "X"),
            age_s=age_s,
            setuid=setuid,
        )
    except (KeyError, ValueError) as fault:
        raise ProcError(f"the status of a process cannot be read: {fault}") from fault


def _field(line: str) -> tuple[str, str]:
    name, _, value = line.partition(":")
    return name, value.strip()


def _numbers(text: str) -> tuple[int, ...]:
    return tuple(int(one) for one in text.split())


def sockets(text: str, protocol: str) -> tuple[Socket, ...]:
    """Read a table such as `/proc/PID/net/tcp6`.

    Raises:
        ProcError: a line is none of such a table.
    """
    return tuple(_socket(line, protocol) for line in text.splitlines()[1:] if line.strip())


def _socket(line: str, protocol: str) -> Socket:
    try:
        _, local, remote, state = line.split(maxsplit=4)[:4]
        (here, here_port), (there, there_port) = local.split(":"), remote.split(":")
        ends = (_address(here), int(here_port, 16), _address(there), int(there_port, 16))
        return Socket(protocol, *ends, state.upper())
    except ValueError as fault:
        raise ProcError(f"a line of a table of sockets cannot be read: {fault}") from fault


def _address(text: str) -> str:
    """Words of 32 bits, each in the order of a little-endian machine."""
    raw = bytes.fromhex(text)
    if len(raw) not in (4, 16):
        raise ValueError(f"an address of {len(raw)} bytes")
    turned = b"".join(raw[n : n + 4][::-1] for n in range(0, len(raw), 4))
    found = ip_address(turned)
    mapped = getattr(found, "ipv4_mapped", None)
    return str(mapped or found)


def no_routes(snmp: str, snmp6: str) -> int:
    """How often a packet had no way out, of both protocols, since the namespace began.

    Raises:
        ProcError: the counter is not there.
    """
    lines = [line.split() for line in snmp.splitlines() if line.startswith("Ip:")]
    if len(lines) != 2 or "OutNoRoutes" not in lines[0]:
        raise ProcError("/proc/PID/net/snmp has no OutNoRoutes")
    found = int(lines[1][lines[0].index("OutNoRoutes")])
    six = re.search(r"^Ip6OutNoRoutes\s+(\d+)", snmp6, re.MULTILINE)
    return found + (int(six[1]) if six else 0)


def neighbours(arp: str) -> frozenset[str]:
    """The addresses in `/proc/PID/net/arp`: whom it has spoken to, or tried to, on its own networks."""
    return frozenset(line.split()[0] for line in arp.splitlines()[1:] if line.strip())


def leads_out(route: str) -> bool:
    """Whether a route of `/proc/PID/net/route` leads to others than its own networks."""
    found = (line.split() for line in route.splitlines()[1:] if line.strip())
    return any(len(one) > 3 and one[2] != "00000000" and int(one[3], 16) & 1 for one in found)


def leads_out6(route6: str) -> bool:
    """The same of `/proc/PID/net/ipv6_route`; a route that rejects is none."""
    found = (line.split() for line in route6.splitlines() if line.strip())
    return any(len(one) > 9 and one[4] != "0" * 32 and not int(one[8], 16) & 0x200 for one in found)


def names(bits: int) -> str:
    """Capabilities in words."""
    return ", ".join(_NAMES[n] if n < len(_NAMES) else f"CAP_{n}" for n in _set(bits))


def _set(bits: int) -> Iterator[int]:
    return (n for n in range(HIGHEST_CAPABILITY + 1) if bits >> n & 1)


def bits_of(capabilities: frozenset[str]) -> int:
    """Names without `CAP_` as bits; `ALL` is each."""
    if "ALL" in capabilities:
        return (1 << HIGHEST_CAPABILITY + 1) - 1
    return sum(1 << n for n, name in enumerate(_NAMES) if name in capabilities)


_NAMES: tuple[str, ...] = (
    "CHOWN", "DAC_OVERRIDE", "DAC_READ_SEARCH", "FOWNER", "FSETID", "KILL", "SETGID", "SETUID", "SETPCAP",
    "LINUX_IMMUTABLE", "NET_BIND_SERVICE", "NET_BROADCAST", "NET_ADMIN", "NET_RAW", "IPC_LOCK", "IPC_OWNER",
    "SYS_MODULE", "SYS_RAWIO", "SYS_CHROOT", "SYS_PTRACE", "SYS_PACCT", "SYS_ADMIN", "SYS_BOOT", "SYS_NICE",
    "SYS_RESOURCE", "SYS_TIME", "SYS_TTY_CONFIG", "MKNOD", "LEASE", "AUDIT_WRITE", "AUDIT_CONTROL", "SETFCAP",
    "MAC_OVERRIDE", "MAC_ADMIN", "SYSLOG", "WAKE_ALARM", "BLOCK_SUSPEND", "AUDIT_READ", "PERFMON", "BPF",
    "CHECKPOINT_RESTORE",
)  # fmt: skip
"""In the order of their numbers. Source: linux/capability.h."""
