"""Looks at a container from outside of it: control group, processes, network. Asks nothing inside of it."""

import os
import stat
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from canary.monitor import cgroup
from canary.monitor.hands import has_ended
from canary.monitor.packets import Packets, PacketsError
from canary.rules.engine import Figure, Figures
from canary.safety import proc as texts
from canary.safety.container import Container
from canary.safety.egress import Own, begins
from canary.safety.figures import LOOKS, Reading, Seen, seen
from canary.safety.privileges import Granted, granted, is_runtime
from canary.safety.proc import ProcError, Process, Socket

PROC = Path("/proc")
MADE_S = 1.0
"""So long a first process may be on its way; the watchdog waits longer."""
TABLES = ("tcp", "tcp6", "udp", "udp6")
T = TypeVar("T")


class UnseenError(Exception):
    """The container cannot be watched from here; the message says why, and what is needed."""


@dataclass
class Eyes:
    """Watches one container, from its first process on.

    Attributes:
        container: as Docker described it. begun: when it was started, on the clock of `look`.
        warnings: what is seen less well than it could be, in words. faults: sense -> why it told nothing.
    """

    container: Container
    begun: float
    proc: Path = PROC
    root: Path = cgroup.ROOT
    warnings: list[str] = field(default_factory=list)
    faults: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        pid = self.container.pid
        self.own = Own(self.container.networks, self.container.gateways)
        self.cores: float | None = None
        self._past: deque[Reading] = deque(maxlen=LOOKS)
        self._packets: Packets | None = None
        try:
            # A handle: the number may be given anew, this means one process for ever.
            self.first = os.pidfd_open(pid)
            self.group = cgroup.of(pid, self.container.id, proc=self.proc, root=self.root)
            self._granted = self._grant(pid)
        except (OSError, ProcError) as fault:
            raise UnseenError(str(fault)) from fault
        self._see_packets(pid)

    def _grant(self, pid: int) -> Granted:
        until = time.monotonic() + MADE_S
        while (first := self._process(pid)) is not None and is_runtime(first):
            # Docker says that it runs a moment before it does.
            if time.monotonic() > until:
                raise UnseenError(f"process {pid} is still being made by the runtime")
            time.sleep(0.01)
        if first is None:
            raise UnseenError(f"process {pid} has gone")
        return granted(self.container, first, _root_of(self.proc / str(pid) / "uid_map"))

    def _see_packets(self, pid: int) -> None:
        """Packets tell all. Without them it counts who was spoken to on the way out."""
        try:
            self._packets = Packets(pid, self.own, self.proc)
            return
        except PacketsError as fault:
            told = str(fault)
        net = self.proc / str(pid) / "net"
        four, six = texts.leads_out(_text(net / "route")), texts.leads_out6(_optional(net / "ipv6_route"))
        if six:
            raise UnseenError(
                f"{told}; it has a route out over IPv6, where nothing else tells who was spoken to"
            )
        if not four:
            self.warnings.append(f"{told}; it has no route out, so attempts are counted by the kernel")
        elif self.container.published:
            raise UnseenError(
                f"{told}; it has a route out, and what comes in by its published ports cannot be told "
                "from what leaves"
            )
        else:
            self.warnings.append(
                f"{told}; instead whoever it speaks to on the way out is looked for once a second"
            )

    def look(self, at: float) -> Seen:
        """What is seen now. Senses that told nothing are named, and `faults` says why.

        Args:
            at: seconds, the clock of `begun`; later than the last time.
        """
        self.faults = {}
        memory = self._try(
            "memory", lambda: (self.group.used(), self.group.memory_limit(), self.group.oom_kills())
        )
        cpu = self._try("cpu", lambda: (self.group.cpu_s(), self.group.cores()))
        self.cores = cpu[1] if cpu else None
        network = self._try("network", self._network)
        now = Reading(
            at=at,
            runtime_s=max(0.0, at - self.begun),
            cpu_s=cpu[0] if cpu else None,
            **({"cores": cpu[1]} if cpu else {}),
            memory=memory[0] if memory else None,
            **({"memory_limit": memory[1]} if memory else {}),
            oom_kills=memory[2] if memory else None,
            processes=self._try("processes", self._processes),
            sockets=network[0] if network else None,
            no_routes=network[1] if network else None,
            spoke=network[2] if network else frozenset(),
            packets=self._packets.read() if self._packets else (),
        )
        found = seen(now, tuple(self._past), self.own, self._granted)
        self._past.append(now)
        return found

    def _try(self, sense: str, read: Callable[[], T]) -> T | None:
        try:
            return read()
        except (OSError, ProcError, ValueError, KeyError) as fault:
            self.faults[sense] = f"{type(fault).__name__}: {fault}"
            return None

    def _network(self) -> tuple[tuple[Socket, ...], int, frozenset[str]]:
        net = self.proc / str(self.container.pid) / "net"
        found: list[Socket] = []
        for table in TABLES:
            found += texts.sockets(_optional(net / table), table)
        missed = texts.no_routes(_text(net / "snmp"), _optional(net / "snmp6"))
        spoke = texts.neighbours(_text(net / "arp")) if self._packets is None else frozenset()
        return tuple(found), missed, spoke

    def _processes(self) -> tuple[Process, ...]:
        found = [one for pid in self.group.pids() if (one := self._process(pid)) is not None]
        if not found:
            raise OSError("the container's control group holds no process")
        return tuple(found)

    def _process(self, pid: int) -> Process | None:
        """One process; None: it has gone meanwhile."""
        folder = self.proc / str(pid)
        try:
            text = (folder / "status").read_text(encoding="utf-8", errors="replace")
            began = (folder / "stat").read_bytes().rpartition(b")")[2].split()[19]
        except (FileNotFoundError, ProcessLookupError):
            return None
        age = _now_s(self.proc) - int(began) / os.sysconf("SC_CLK_TCK")
        return texts.process(text, age_s=max(0.0, age), setuid=_is_setuid(folder / "exe"))

    def ended(self) -> bool:
        """Whether the first process has ended, and with it all others."""
        return has_ended(self.first)

    def last(self) -> Figures:
        """What is still known of the time since the last look, once it has ended."""
        figures: dict[str, tuple[Figure, ...]] = {}
        sent = self._packets.read() if self._packets else ()
        if left := [str(one) for one in sent if begins(one, self.own)]:
            figures["network_connections"] = (Figure.of(float(len(set(left))), left[0]),)
        # Its group is there for a moment longer.
        with suppress(OSError, ValueError):
            if self.group.oom_kills() > ((self._past[-1].oom_kills or 0) if self._past else 0):
                figures["memory_usage"] = (Figure.of(1.0, "killed for lack of it"),)
        return figures

    def close(self) -> None:
        """Look no more."""
        if self._packets is not None:
            self._packets.close()
        os.close(self.first)


def _is_setuid(path: Path) -> bool:
    """Whether a process runs a file that lends rights; of others' processes only root is told."""
    try:
        mode = os.stat(path).st_mode
    except OSError:
        return False
    # A file that is shared by its group's bit alone, without being executed by it, is a lock.
    return bool(mode & stat.S_ISUID) or (mode & stat.S_ISGID and mode & stat.S_IXGRP) != 0


def _root_of(uid_map: Path) -> int:
    """What the host calls the root of a container."""
    for line in _text(uid_map).splitlines():
        inside, outside, _ = line.split()
        if inside == "0":
            return int(outside)
    return 0


def _now_s(proc: Path) -> float:
    return float(_text(proc / "uptime").split()[0])


def _text(path: Path) -> str:
    return path.read_text(encoding="ascii", errors="replace")


def _optional(path: Path) -> str:
    """Of a protocol that a kernel may not have."""
    try:
        return _text(path)
    except FileNotFoundError:
        return ""
