"""How hard the containers are: section 5 of the CIS Docker Benchmark, looked at in what runs.

Numbers are those of Docker Bench for Security 1.6. Points that nothing of a container shows (which command
somebody ran) are said to be so, and count for nothing.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

PASS, FAIL, NONE, EXCUSED = "pass", "FAIL", "n/a", "excused"
Found = Mapping[str, Any]
"""What `docker inspect` says of a container."""
SENSITIVE = ("/", "/boot", "/dev", "/etc", "/lib", "/proc", "/sys", "/usr")
SOCKET = "docker.sock"
APPARMOR = Path("/sys/module/apparmor")
DEFAULT_NETWORKS = ("default", "bridge")


@dataclass(frozen=True)
class Finding:
    """One point at one container. `told`: what was seen."""

    point: str
    title: str
    container: str
    result: str
    told: str


@dataclass(frozen=True)
class Point:
    """One point. `look`: what is wrong with a container; empty: nothing."""

    number: str
    title: str
    look: Callable[[Found], str]


def checked(containers: Sequence[Found], excuses: Mapping[tuple[str, str], str]) -> list[Finding]:
    """All points at all containers.

    Args:
        containers: as `docker inspect` says.
        excuses: by point and name of the container, why it has to be as it is. One that excuses nothing is
            a finding of its own: it would hide what comes later.
    """
    found = []
    unseen = dict(NOT_SEEN)
    if not APPARMOR.exists():
        unseen["5.2"] = ("AppArmor, where the kernel has it", "this kernel has none")
    for container in containers:
        name = str(container["Name"]).removeprefix("/")
        for point in (one for one in POINTS if one.number not in unseen):
            wrong, excuse = point.look(container), excuses.get((point.number, name))
            if not wrong:
                result, told = (FAIL, f"excused, and nothing is wrong: {excuse}") if excuse else (PASS, "")
            else:
                result, told = (EXCUSED, f"{wrong}: {excuse}") if excuse else (FAIL, wrong)
            found.append(Finding(point.number, point.title, name, result, told))
    found += [Finding(number, title, "", NONE, why) for number, (title, why) in unseen.items()]
    return sorted(found, key=lambda one: [int(part) for part in one.point.split(".")])


def _host(container: Found) -> Found:
    of: Found = container["HostConfig"]
    return of


def _unless(good: Callable[[Found], object], wrong: str) -> Callable[[Found], str]:
    """What is wrong unless this holds of its host configuration."""
    return lambda container: "" if good(_host(container)) else wrong


def _apparmor(container: Found) -> str:
    return "" if container.get("AppArmorProfile") not in (None, "", "unconfined") else "no profile"


def _capabilities(container: Found) -> str:
    host = _host(container)
    dropped = {str(name).upper() for name in host.get("CapDrop") or ()}
    added = sorted(host.get("CapAdd") or ())
    return f"added {', '.join(added)}" if added else "" if "ALL" in dropped else "not all are dropped"


def _sources(container: Found) -> list[str]:
    return [str(one.get("Source", "")) for one in container.get("Mounts") or ()]


def _folders(container: Found) -> str:
    wrong = [
        source
        for source in _sources(container)
        if (source.rstrip("/") or "/") in SENSITIVE
        or source.startswith(("/boot/", "/dev/", "/etc/", "/sys/"))
    ]
    return f"{', '.join(wrong)} of the machine is mounted" if wrong else ""


def _docker_socket(container: Found) -> str:
    wrong = [source for source in _sources(container) if source.endswith(SOCKET)]
    return f"{wrong[0]} is mounted" if wrong else ""


def _bindings(container: Found) -> list[tuple[str, str, str]]:
    bound = _host(container).get("PortBindings") or {}
    return [
        (port, str(one.get("HostIp", "")), str(one.get("HostPort", "")))
        for port, ones in bound.items()
        for one in ones or ()
    ]


def _privileged_ports(container: Found) -> str:
    low = [host for _, _, host in _bindings(container) if host.isdecimal() and int(host) < 1024]
    return f"port {', '.join(low)}" if low else ""


def _needed_ports(container: Found) -> str:
    more = [host for port, _, host in _bindings(container) if (port, host) != ("8000/tcp", "8000")]
    return f"port {', '.join(more)}, wanted 8000 alone" if more else ""


def _addresses(container: Found) -> str:
    wide = [ip or "every address" for _, ip, _ in _bindings(container) if ip in ("", "0.0.0.0", "::")]  # noqa: S104
    return f"bound to {wide[0]}" if wide else ""


def _propagation(container: Found) -> str:
    shared = [
        str(one["Source"]) for one in container.get("Mounts") or () if "shared" in one.get("Propagation", "")
    ]
    return f"{', '.join(shared)} is shared" if shared else ""


def _options(container: Found) -> list[str]:
    return [str(one) for one in _host(container).get("SecurityOpt") or ()]


def _seccomp(container: Found) -> str:
    return (
        "unconfined" if any("seccomp" in one and "unconfined" in one for one in _options(container)) else ""
    )


def _gains(container: Found) -> str:
    good = {"no-new-privileges", "no-new-privileges:true", "no-new-privileges=true"}
    return "" if good & set(_options(container)) else "no-new-privileges is not set"


def _health(container: Found) -> str:
    test = (container["Config"].get("Healthcheck") or {}).get("Test") or ["NONE"]
    return "no health check" if test[0] == "NONE" else ""


def _pinned(container: Found) -> str:
    image = str(container["Config"].get("Image", ""))
    return (
        "" if image.startswith("sha256:") or "@sha256:" in image else f"{image} may be another one tomorrow"
    )


def _networks(container: Found) -> str:
    return "on docker0" if _host(container).get("NetworkMode") in DEFAULT_NETWORKS else ""


def _user(container: Found) -> str:
    user = str(container["Config"].get("User", "")).partition(":")[0]
    return "" if user not in ("", "0", "root") else "runs as root"


POINTS = (
    Point("4.1", "a user of its own, not root", _user),
    Point("5.2", "AppArmor, where the kernel has it", _apparmor),
    Point("5.4", "no capabilities but those that are needed", _capabilities),
    Point("5.5", "not privileged", _unless(lambda of: not of.get("Privileged"), "privileged")),
    Point("5.6", "no folders of the machine", _folders),
    Point("5.8", "no ports below 1024", _privileged_ports),
    Point("5.9", "only the ports that are needed", _needed_ports),
    Point("5.10", "not the machine's network", _unless(lambda of: of.get("NetworkMode") != "host", "host")),
    Point("5.11", "memory is limited", _unless(lambda of: of.get("Memory", 0) > 0, "no limit")),
    Point(
        "5.12",
        "the processor is limited",
        _unless(lambda of: of.get("NanoCpus") or of.get("CpuQuota") or of.get("CpuShares"), "no limit"),
    ),
    Point(
        "5.13", "the root is read-only", _unless(lambda of: of.get("ReadonlyRootfs"), "it can be written to")
    ),
    Point("5.14", "ports are bound to one address", _addresses),
    Point(
        "5.15",
        "restarted five times at most",
        _unless(
            lambda of: (
                of["RestartPolicy"]["Name"] in ("", "no")
                or of["RestartPolicy"]["MaximumRetryCount"] in range(1, 6)
            ),
            "restarted for ever",
        ),
    ),
    Point("5.16", "not the machine's processes", _unless(lambda of: of.get("PidMode") != "host", "host")),
    Point("5.17", "not the machine's shared memory", _unless(lambda of: of.get("IpcMode") != "host", "host")),
    Point("5.18", "no devices of the machine", _unless(lambda of: not of.get("Devices"), "devices")),
    Point("5.20", "mounts are not shared", _propagation),
    Point("5.21", "not the machine's name", _unless(lambda of: of.get("UTSMode") != "host", "host")),
    Point("5.22", "system calls are filtered", _seccomp),
    Point("5.19", "ulimits of its own", _unless(lambda of: of.get("Ulimits"), "those of the daemon")),
    Point(
        "5.25", "in the daemon's control group", _unless(lambda of: not of.get("CgroupParent"), "in another")
    ),
    Point("5.26", "privileges cannot be gained", _gains),
    Point("5.27", "its health is checked", _health),
    Point("5.28", "its image is pinned", _pinned),
    Point("5.29", "processes are limited", _unless(lambda of: (of.get("PidsLimit") or 0) > 0, "no limit")),
    Point("5.30", "not on the default network", _networks),
    Point("5.31", "not the machine's users", _unless(lambda of: of.get("UsernsMode") != "host", "host")),
    Point("5.32", "Docker's socket is not mounted", _docker_socket),
)

NOT_SEEN: Mapping[str, tuple[str, str]] = {
    "5.1": ("swarm mode is off", "a matter of the daemon: docker info"),
    "5.3": ("SELinux, where it is used", "Debian uses AppArmor"),
    "5.7": ("no sshd", "the images have none; looked at in the test of what runs inside"),
    "5.23": ("docker exec without --privileged", "a matter of who runs it"),
    "5.24": ("docker exec without --user root", "the monitor ends the sandbox for it"),
}
