"""Whether a process has more privileges than its container was started with. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass

from canary.safety.container import Container
from canary.safety.proc import Process, bits_of, names

SETTING_UP_S = 5.0
"""So long a runtime may take to make a process of a container out of one of its own."""
ARRIVED_S = 1.5
"""So long whatever comes in from outside is let be: for a moment it does not even have a runtime's name."""
RUNTIMES = ("runc:[", "crun:[", "youki:[")
"""How runtimes call a process that they are making."""


@dataclass(frozen=True)
class Granted:
    """What a container was started with.

    Attributes:
        root: uid of its root as the host numbers it; other than 0 with a user namespace.
        user: uid it was started as. groups: its groups. capabilities: bits.
        no_new_privileges, seccomp: what holds all its processes. first: its first process.
    """

    root: int
    user: int
    groups: frozenset[int]
    capabilities: int
    no_new_privileges: bool
    seccomp: int
    first: int = 0


def granted(container: Container, first: Process, root: int = 0) -> Granted:
    """By what was asked for, and by its first process where that says less.

    Args:
        first: its first process, as it was seen first. root: see `Granted`.
    """
    asked = container.user.partition(":")[0]
    user = root + int(asked) if asked.isdecimal() else first.uids[1]
    capabilities = bits_of(container.capabilities) if user == root else 0
    # An ambient capability is what an ordinary user may have been given.
    return Granted(
        root=root,
        user=user,
        groups=frozenset({*first.gids, *first.groups}),
        capabilities=capabilities | (first.ambient & bits_of(container.capabilities)),
        # What its first process has taken upon itself does not hold for what comes in from outside.
        no_new_privileges=container.no_new_privileges,
        seccomp=0 if container.unconfined else first.seccomp,
        first=first.pid,
    )


def gained(given: Granted, found: Sequence[Process]) -> tuple[str, ...]:
    """What each process has that it should not, in words; empty: nothing.

    Left out is what only waits to be buried, and for some seconds what a runtime is about to make: it has
    the host's rights until it has given them up, and a parent outside of the container.
    """
    inside = {one.pid for one in found}
    return tuple(
        f"{one.name} ({one.pid}): {', '.join(more)}"
        for one in found
        if not one.gone and not _is_being_made(given, one, inside) and (more := _more(given, one))
    )


def _is_being_made(given: Granted, one: Process, inside: set[int]) -> bool:
    """What the workload starts has its parent in the container, or the first process, which is there too."""
    if one.pid == given.first or one.parent in inside:
        return False
    return one.age_s <= (SETTING_UP_S if is_runtime(one) else ARRIVED_S)


def is_runtime(one: Process) -> bool:
    """Whether it still is a part of the runtime, by its name."""
    return one.name.startswith(RUNTIMES) or one.name in ("runc", "crun", "exe")


def _more(given: Granted, one: Process) -> list[str]:
    found = _identity(given, one)
    if bits := (one.effective | one.permitted | one.ambient) & ~given.capabilities:
        found.append(f"capabilities {names(bits)}")
    if given.no_new_privileges and not one.no_new_privileges:
        found.append("may gain privileges (no-new-privileges is off)")
    if one.seccomp < given.seccomp:
        found.append("its system calls are not filtered")
    # Root gains nothing by such a file.
    if one.setuid and given.user != given.root:
        found.append("runs a setuid file")
    return found


def _identity(given: Granted, one: Process) -> list[str]:
    """Other users than it was started as; its root may become anybody within."""
    found = []
    if given.user != given.root:
        if other := sorted({*one.uids} - {given.user}):
            found.append(f"uid {_listed(other)}, wanted {given.user}")
        if other := sorted({*one.gids, *one.groups} - given.groups):
            found.append(f"group {_listed(other)}")
    elif min(one.uids) < given.root:
        found.append(f"uid {min(one.uids)} of the host")
    return found


def _listed(numbers: Sequence[int]) -> str:
    return ", ".join(str(one) for one in numbers)
