"""What is checked of a container before code is trusted to it, out of what Docker says of it."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from canary.monitor.inspected import InspectError
from canary.preflight.facts import Box, Mounted
from canary.preflight.names import secrets

PROC = Path("/proc")
SHARED = {
    "network": "NetworkMode",
    "process numbers": "PidMode",
    "shared memory": "IpcMode",
    "users": "UsernsMode",
}
"""What containers may share, and where Docker says with whom."""


def box(found: Any, proc: Path = PROC) -> Box:  # noqa: ANN401 - whatever the daemon sent
    """The container that `GET /containers/NAME/json` tells of.

    Args:
        proc: of the machine that it runs on: tells which of its volumes are memory, while it runs.

    Raises:
        InspectError: it is no description of a container.
    """
    try:
        return _box(found, proc)
    except (KeyError, TypeError, ValueError, AttributeError) as fault:
        raise InspectError(f"Docker's answer is no container: {type(fault).__name__}: {fault}") from fault


def _box(found: Mapping[str, Any], proc: Path) -> Box:
    host, config = found["HostConfig"], found["Config"]
    options = [str(one).replace("=", ":") for one in host.get("SecurityOpt") or ()]
    kinds = _kinds(proc, int(found["State"]["Pid"]))
    return Box(
        name=str(found["Name"]).removeprefix("/"),
        image=str(config.get("Image") or ""),
        user=str(config.get("User") or ""),
        privileged=bool(host.get("Privileged")),
        added=tuple(sorted(str(one) for one in host.get("CapAdd") or ())),
        drops_all="ALL" in {str(one).upper() for one in host.get("CapDrop") or ()},
        no_new_privileges=bool({"no-new-privileges", "no-new-privileges:true"} & set(options)),
        unconfined="seccomp:unconfined" in options,
        read_only=bool(host.get("ReadonlyRootfs")),
        restart=str((host.get("RestartPolicy") or {}).get("Name") or "no"),
        shares={what: _other(str(host.get(key) or "")) for what, key in SHARED.items()},
        network=str(host.get("NetworkMode") or "default"),
        ports=tuple(sorted(host.get("PortBindings") or ())),
        memory=int(host.get("Memory") or 0),
        swap=int(host.get("MemorySwap") or 0),
        cores=_cores(host),
        processes=int(host.get("PidsLimit") or 0),
        mounts=tuple(_mounted(one, kinds) for one in found.get("Mounts") or ()),
        secrets=secrets(dict(one.partition("=")[::2] for one in config.get("Env") or ())),
    )


def _other(mode: str) -> str:
    """Whose, where it is not its own."""
    return "its host" if mode == "host" else mode if mode.startswith("container:") else ""


def _cores(host: Mapping[str, Any]) -> float:
    if nano := int(host.get("NanoCpus") or 0):
        return nano / 1e9
    quota = int(host.get("CpuQuota") or 0)
    return quota / int(host.get("CpuPeriod") or 100_000) if quota > 0 else 0.0


def _mounted(one: Mapping[str, Any], kinds: Mapping[str, str]) -> Mounted:
    target = str(one["Destination"])
    kind = kinds.get(target)
    return Mounted(
        source=str(one.get("Source") or ""),
        target=target,
        writable=bool(one.get("RW")),
        kind=str(one.get("Type") or "bind"),
        in_memory=None if kind is None else kind == "tmpfs",
    )


def _kinds(proc: Path, pid: int) -> Mapping[str, str]:
    """Place -> kind of the file system that is mounted there; empty: it does not run, or is not seen."""
    try:
        lines = (proc / str(pid) / "mountinfo").read_text().splitlines() if pid > 0 else []
    except OSError:
        return {}
    # Source: proc_pid_mountinfo(5). The fifth field is the place, the first behind the dash the kind.
    return {line.split()[4]: line.partition(" - ")[2].split()[0] for line in lines}
