"""What Docker says of a container, and the containers that are no sandbox. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import inf

RUNNING = frozenset({"running", "paused"})
"""Statuses in which there are processes."""
DEFAULT_CAPABILITIES = frozenset({
    "CHOWN", "DAC_OVERRIDE", "FSETID", "FOWNER", "MKNOD", "NET_RAW", "SETGID", "SETUID", "SETFCAP", "SETPCAP",
    "NET_BIND_SERVICE", "SYS_CHROOT", "KILL", "AUDIT_WRITE",
})  # fmt: skip
"""What Docker gives when nothing is said. Source: moby, oci/caps/defaults.go."""
NO_BOX = frozenset({
    "ALL", "SYS_ADMIN", "SYS_MODULE", "SYS_RAWIO", "SYS_BOOT", "SYS_PTRACE", "DAC_READ_SEARCH", "NET_ADMIN",
    "BPF", "PERFMON", "MAC_ADMIN", "MAC_OVERRIDE", "SYS_TIME", "SYSLOG",
})  # fmt: skip
"""Capabilities by which a container reaches its host or its kernel's settings."""
SOCKETS = ("docker.sock", "containerd.sock", "dockershim.sock", "crio.sock", "podman.sock")
"""Names of sockets over which containers are started."""
HOST_PLACES = ("/", "/run", "/var/run", "/proc", "/sys", "/dev", "/etc", "/var", "/var/lib/docker", "/boot")
"""Folders of the host that hold such sockets, or the host itself."""


@dataclass(frozen=True)
class Mount:
    """Something of the host in the container. `source`: its place on the host."""

    source: str
    target: str
    writable: bool


@dataclass(frozen=True)
class Container:
    """A container as Docker describes it.

    Attributes:
        id: 64 hexadecimal digits. name: without the slash.
        status: created, running, paused, restarting, removing, exited or dead.
        pid: of its first process as Docker's host numbers it; 0: it has none.
        started_at: unix seconds; None: never.
        exit_code, oom_killed: of its end.
        user, stop_signal: as asked for; the signal `SIGTERM` when nothing was.
        nano_cpus, cpu_period, cpu_quota: as Docker was asked; 0: not. memory_limit: bytes, 0: none.
        cap_add, cap_drop: without `CAP_`, capitals.
        no_new_privileges, unconfined: by its security options; the latter: its system calls are not filtered.
        restart: name of the restart policy. network_mode, pid_mode: as asked for.
        networks: those it is in, `10.0.0.0/24`. gateways: their addresses of the host.
        published: whether ports of it are reached through the host.
    """

    id: str
    name: str
    status: str = "created"
    pid: int = 0
    started_at: float | None = None
    exit_code: int = 0
    oom_killed: bool = False
    image: str = ""
    user: str = ""
    stop_signal: str = "SIGTERM"
    nano_cpus: int = 0
    cpu_period: int = 0
    cpu_quota: int = 0
    memory_limit: int = 0
    cap_add: frozenset[str] = frozenset()
    cap_drop: frozenset[str] = frozenset()
    privileged: bool = False
    no_new_privileges: bool = False
    unconfined: bool = False
    restart: str = "no"
    network_mode: str = "default"
    pid_mode: str = ""
    mounts: tuple[Mount, ...] = ()
    networks: tuple[str, ...] = ()
    gateways: tuple[str, ...] = ()
    published: bool = False

    @property
    def running(self) -> bool:
        """Whether it has processes."""
        return self.status in RUNNING

    @property
    def capabilities(self) -> frozenset[str]:
        """What it may have at most, by what was asked for; `ALL`: every one."""
        if self.privileged or "ALL" in self.cap_add:
            return frozenset({"ALL"}) if "ALL" not in self.cap_drop else self.cap_add
        base = frozenset() if "ALL" in self.cap_drop else DEFAULT_CAPABILITIES
        return (base | self.cap_add) - self.cap_drop

    @property
    def cores(self) -> float:
        """Its CPU limit in cores, by what was asked for; infinite if it has none."""
        if self.nano_cpus > 0:
            return self.nano_cpus / 1e9
        return self.cpu_quota / (self.cpu_period or 100_000) if self.cpu_quota > 0 else inf


def refusals(container: Container, held: Sequence[str] = ()) -> tuple[str, ...]:
    """Why this is no sandbox that can be watched: one line a reason, with what to do.

    Args:
        held: places on the host that it must not have: the ledger's folder, Docker's socket.
    """
    found = []
    if container.restart not in ("no", ""):
        found.append(
            f'its restart policy is `{container.restart}`: what is killed would come back; set restart: "no"'
        )
    if container.privileged:
        found.append("it is privileged: it can do on the host what root can; take that out")
    if too_many := sorted(container.cap_add & NO_BOX):
        found.append(
            f"it was given {', '.join(too_many)}, with which nothing holds it: take that out of cap_add"
        )
    for mode, of in ((container.network_mode, "network"), (container.pid_mode, "process numbers")):
        if mode == "host" or mode.startswith("container:"):
            whose = "the host" if mode == "host" else "another container"
            found.append(f"it shares the {of} of {whose}: give it its own")
    found.extend(_mounted(container, held))
    return tuple(found)


def _mounted(container: Container, held: Sequence[str]) -> list[str]:
    found = []
    # What is in memory has no source.
    for one in (mount for mount in container.mounts if mount.source):
        what = f"{one.source} of the host is mounted at {one.target}"
        if one.source.rsplit("/", 1)[-1] in SOCKETS:
            found.append(f"{what}: who can write to it can start any container; take it out")
        elif (one.source.rstrip("/") or "/") in HOST_PLACES:
            found.append(f"{what}: the host's own sockets and settings are in it; take it out")
        elif near := next((place for place in held if _overlap(one.source, place)), None):
            found.append(f"{what}, and {near} is no business of the sandbox; take it out")
    return found


def _overlap(one: str, other: str) -> bool:
    left, right = one.rstrip("/") + "/", other.rstrip("/") + "/"
    return bool(one) and (left.startswith(right) or right.startswith(left))
