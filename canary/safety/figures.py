"""From what was read of a container to the figures that rules compare. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import inf

from canary.rules.engine import Figure, Figures
from canary.safety.egress import Own, Packet, begins, leaving
from canary.safety.privileges import Granted, gained
from canary.safety.proc import Process, Socket

LOOKS = 3
"""Over so many looks CPU time is counted."""
SHOWN = 3
"""So many processes or connections are named one by one."""


@dataclass(frozen=True)
class Reading:
    """One look at a container from outside of it. What could not be read is None.

    Attributes:
        at: seconds on the monitor's clock.
        cpu_s: CPU time since it began, of all its processes, seconds. cores: its limit now; infinite: none.
        memory: bytes without inactive file cache. memory_limit: bytes, infinite: none.
        oom_kills: how often the kernel has killed a process for lack of memory.
        runtime_s: since it was started. processes: all of them.
        sockets: of its network. packets: on their way out since the last look.
        no_routes: how often there was no way out, since it began.
        spoke: addresses that it has spoken to on its own networks; empty where packets are seen.
    """

    at: float
    runtime_s: float
    cpu_s: float | None = None
    cores: float = inf
    memory: int | None = None
    memory_limit: float = inf
    oom_kills: int | None = None
    processes: tuple[Process, ...] | None = None
    sockets: tuple[Socket, ...] | None = None
    packets: tuple[Packet, ...] = ()
    no_routes: int | None = None
    spoke: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Seen:
    """What a look came to.

    Attributes:
        figures: by name, with whose they are. unseen: senses that told nothing.
    """

    figures: Figures
    unseen: tuple[str, ...] = ()


def seen(now: Reading, past: Sequence[Reading], own: Own, given: Granted | None) -> Seen:
    """The figures of a look.

    Args:
        past: the looks before it, for what is counted between two; the last one last.
        own: its networks. given: what it was started with; None: not known.
    """
    before = past[-1] if past else None
    figures: dict[str, tuple[Figure, ...]] = {"runtime": (Figure.of(now.runtime_s),)}
    unseen = []
    for sense, found in (
        ("cpu", _cpu(now, past)),
        ("memory", _memory(now, before)),
        ("processes", _processes(now, given)),
        ("network", _network(now, before, own)),
    ):
        if found is None:
            unseen.append(sense)
        else:
            figures |= found
    return Seen(figures, tuple(unseen))


Found = dict[str, tuple[Figure, ...]] | None


def _cpu(now: Reading, past: Sequence[Reading]) -> Found:
    """The kernel hands a limit out in pieces of 100 ms: a single second shows 90% to 110% of a full one."""
    if now.cpu_s is None:
        return None
    rates = [
        max(0.0, now.cpu_s - one.cpu_s) / (now.at - one.at)
        for one in past[-LOOKS:]
        if one.cpu_s is not None and one.at < now.at
    ]
    if not rates:
        return {}
    cores = max(rates)
    of = now.cores if now.cores < inf else 1.0
    return {"cpu_cores": (Figure.of(cores),), "cpu_usage": (Figure.of(cores / of),)}


def _memory(now: Reading, before: Reading | None) -> Found:
    if now.memory is None:
        return None
    found: dict[str, tuple[Figure, ...]] = {"memory_bytes": (Figure.of(float(now.memory)),)}
    if now.memory_limit < inf:
        share, whose = now.memory / now.memory_limit, ""
        killed = (now.oom_kills or 0) - ((before.oom_kills or 0) if before else 0)
        if killed > 0:
            # Between two looks it was full: the kernel kills only then.
            share, whose = max(1.0, share), f"{killed} killed for lack of it"
        found["memory_usage"] = (Figure.of(share, whose),)
    return found


def _processes(now: Reading, given: Granted | None) -> Found:
    if now.processes is None or given is None:
        return None
    more = gained(given, now.processes)
    return {
        "processes": (Figure.of(float(sum(not one.gone for one in now.processes))),),
        "process_privileges_changed": (Figure.of(float(bool(more)), _listed(more)),),
    }


def _network(now: Reading, before: Reading | None, own: Own) -> Found:
    if now.sockets is None or now.no_routes is None:
        return None
    led = [str(one) for one in leaving(now.sockets, own)]
    sent = [str(one) for one in now.packets if begins(one, own)]
    stuck = max(0, now.no_routes - ((before.no_routes or 0) if before else 0))
    spoke = sorted(now.spoke & set(own.gateways))
    whose = list(dict.fromkeys([*led, *sent, *(f"something to {one}, the way out" for one in spoke)]))
    if stuck:
        whose.append(f"{stuck} without a route")
    return {
        "network_connections": (Figure.of(float(len({*led, *sent}) + stuck + len(spoke)), _listed(whose)),)
    }


def _listed(texts: Sequence[str]) -> str:
    more = f" and {len(texts) - SHOWN} more" if len(texts) > SHOWN else ""
    return ", ".join(texts[:SHOWN]) + more
