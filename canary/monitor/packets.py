"""The packets that a container sends, from a socket in its network namespace.

A table of sockets that is read once a second misses what is opened and closed in between, and a datagram is
in no table at all. This sees each packet to the outside; the kernel drops the others before they get here.
"""

import ctypes
import os
import socket
import struct
import threading
from collections.abc import Sequence
from pathlib import Path

from canary.safety.egress import Own, Packet, packet
from canary.safety.packet_filter import HEAD, Instruction, outward

CLONE_NEWNET = 0x40000000
ETH_P_ALL = 0x0003
SO_ATTACH_FILTER = 26
MOST = 512
"""Packets that are read at one look: one is enough for a rule."""


class PacketsError(Exception):
    """The packets cannot be seen; the message says why, and what is needed."""


class Packets:
    """What a container sends to others than its own networks.

    Args:
        pid: of one of its processes. own: its networks.

    Raises:
        PacketsError: this process may not look.
    """

    def __init__(self, pid: int, own: Own, proc: Path = Path("/proc")) -> None:
        try:
            self._socket = _opened_in(proc / str(pid) / "ns/net")
            try:
                self._socket.setblocking(False)
                _begin(self._socket, outward(own.networks, own.gateways))
            except OSError:
                self._socket.close()
                raise
        except OSError as fault:
            raise PacketsError(
                f"the packets of the container cannot be seen ({fault.strerror}): that takes the "
                "capabilities SYS_ADMIN, SYS_PTRACE and NET_RAW"
            ) from fault

    def read(self) -> tuple[Packet, ...]:
        """Those since the last time."""
        found = []
        for _ in range(MOST):
            try:
                raw = self._socket.recv(HEAD)
            except (BlockingIOError, InterruptedError):
                break
            except OSError:
                # The interface went down, with the container.
                break
            if (one := packet(raw)) is not None:
                found.append(one)
        return tuple(found)

    def close(self) -> None:
        """Look no more."""
        self._socket.close()


def _opened_in(namespace: Path) -> socket.socket:
    """A packet socket in another network namespace; made by a thread, for a thread alone can go there."""
    found: list[socket.socket | OSError] = []

    def go() -> None:
        try:
            descriptor = os.open(namespace, os.O_RDONLY | os.O_CLOEXEC)
            try:
                _call("setns", descriptor, CLONE_NEWNET)
            finally:
                os.close(descriptor)
            found.append(socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, 0))
        except OSError as fault:
            found.append(fault)

    thread = threading.Thread(target=go, name="into the network namespace")
    thread.start()
    thread.join()
    if isinstance(found[0], OSError):
        raise found[0]
    return found[0]


def _begin(to: socket.socket, program: Sequence[Instruction]) -> None:
    """The filter first, then the packets: none gets in unfiltered."""
    code = b"".join(struct.pack("HBBI", *one) for one in program)
    buffer = ctypes.create_string_buffer(code)
    to.setsockopt(
        socket.SOL_SOCKET, SO_ATTACH_FILTER, struct.pack("HL", len(program), ctypes.addressof(buffer))
    )
    # Python's own `bind` wants the name of one interface; these are all of them.
    everywhere = struct.pack("=HHiHBB8x", socket.AF_PACKET, socket.htons(ETH_P_ALL), 0, 0, 0, 0)
    _call("bind", to.fileno(), everywhere, len(everywhere))


def _call(name: str, *arguments: int | bytes) -> None:
    """A function of the C library.

    Raises:
        OSError: it failed.
    """
    if getattr(ctypes.CDLL(None, use_errno=True), name)(*arguments) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
