"""What is asked of a service of the local runtime: the same points, on one machine."""

from collections.abc import Mapping

from canary.preflight.facts import Asked, Host, Unit
from canary.preflight.finding import Parts, Unseen, bad, good

LOOPBACK = ("127.", "::1", "localhost")
LIMITED: Mapping[str, tuple[str, ...]] = {
    "memory": ("MemoryMax", "MemoryLimit"),
    "cpu": ("CPUQuota",),
    "tasks": ("TasksMax",),
}
"""What must be limited, and the keys of a systemd unit that do it."""
NO_LIMIT = ("", "infinity", "max")
UNIT = "Keep the service with a systemd unit, and name its file with `preflight.unit` (docs/preflight.md)."


def is_loopback(address: str) -> bool:
    """Whether an address is of this machine alone."""
    return address.startswith(LOOPBACK)


def hardening(host: Host, asked: Asked) -> Parts:
    """The replicas do not run as root, and the unit's exposure is within bounds."""
    for one in host.replicas:
        if one.root:
            yield bad(
                f"replica {one.name} runs as root", "Set `User=` in its unit, or start it as another user."
            )
    users = sorted({one.user for one in host.replicas})
    if host.replicas and not any(one.root for one in host.replicas):
        yield good(f"{len(host.replicas)} replicas run as {', '.join(users)}")
    if not host.replicas:
        yield Unseen("no replica runs", "Start the service with `canary local up`.").part
    unit = host.unit
    if unit is None:
        yield Unseen("no systemd unit is named: what the service may do is not known", UNIT).part
    elif isinstance(unit, Unseen):
        yield unit.part
    elif isinstance(unit.exposure, Unseen):
        yield unit.exposure.part
    else:
        told = f"exposure of {unit.path} is {unit.exposure:g} of 10, wanted at most {asked.exposure:g}"
        fix = f"See what it leaves open: `systemd-analyze security --offline=true {unit.path}`."
        yield good(told) if unit.exposure <= asked.exposure else bad(told, fix)


def access(host: Host) -> Parts:
    """Nobody else can change what runs, or what is known of it."""
    if isinstance(host.open, Unseen):
        yield host.open.part
        return
    for one in host.open:
        yield bad(f"{one.path} can be written by {one.who}", f"`chmod go-w {one.path}`")
    if not host.open:
        yield good(f"only their owner writes to {', '.join(host.kept)}")


def secrets(host: Host) -> Parts:
    """No variable of the configuration or of a running replica holds a secret."""
    fix = "Put it into a file that only the service's user reads, and give the program its path."
    for named in host.secrets:
        yield bad(f"local.env.{named.name} seems to hold a secret: {named.why}", fix)
    told: dict[str, str] = {}
    for one in host.replicas:
        if isinstance(one.secrets, Unseen):
            yield one.secrets.part
            continue
        told |= {named.name: f"replica {one.name}: {named.why}" for named in one.secrets}
    known = {named.name for named in host.secrets}
    inherited = "Start `canary local up` without it in its environment, and read it from a file."
    for name, why in sorted(told.items()):
        if name not in known:
            yield bad(f"variable {name} seems to hold a secret ({why})", inherited)
    if not host.replicas:
        yield Unseen("no replica runs", "Start the service with `canary local up`.").part
    elif not told and not host.secrets and all(not isinstance(one.secrets, Unseen) for one in host.replicas):
        yield good(f"no variable of {len(host.replicas)} running replicas looks like a secret")


def network(host: Host) -> Parts:
    """Only this machine reaches the service: what others may reach is for a proxy in front to say."""
    address, port = host.listen
    front = f"{address}:{port}"
    if is_loopback(address):
        yield good(f"listens on {front}, which only this machine reaches")
    elif _fenced(host.unit):
        yield good(f"listens on {front}; its unit lets in only {_fenced(host.unit)}")
    else:
        yield bad(
            f"listens on {front}, which others reach",
            "Set `local.listen` to 127.0.0.1 with a proxy in front that ends TLS, or fence the unit with "
            "`IPAddressDeny=any` and `IPAddressAllow=`.",
        )
    for one in host.replicas:
        if isinstance(one.listens, Unseen):
            yield one.listens.part
        elif one.listens and not _fenced(host.unit):
            yield bad(
                f"replica {one.name} listens on {', '.join(one.listens)}, past the address in front",
                "Have it listen on 127.0.0.1.",
            )


def _fenced(unit: Unit | Unseen | None) -> str:
    """Whom a unit lets in when it denies all others; empty when it does not."""
    if not isinstance(unit, Unit) or unit.settings.get("IPAddressDeny", "") not in ("any", "0.0.0.0/0 ::/0"):
        return ""
    allowed = unit.settings.get("IPAddressAllow", "") or "nobody"
    return "" if "any" in allowed.split() else allowed


def limits(host: Host) -> Parts:
    """Memory, cpu and tasks are limited: of each running replica, or by the unit."""
    if not host.replicas:
        yield Unseen("no replica runs", "Start the service with `canary local up`.").part
        return
    unit = host.unit
    for what, keys in LIMITED.items():
        if isinstance(unit, Unit) and (given := _given(unit, keys)):
            yield good(f"{what}: {given} in {unit.path}")
            continue
        lacking = [one.name for one in host.replicas if what not in one.limits]
        if lacking:
            yield bad(f"{what} of replica {lacking[0]} has no limit", f"Set {keys[0]}= in the unit. {UNIT}")
        else:
            yield good(f"{what}: {host.replicas[0].limits[what]}, as replica {host.replicas[0].name} has it")


def _given(unit: Unit, keys: tuple[str, ...]) -> str:
    for key in keys:
        if unit.settings.get(key, "") not in NO_LIMIT:
            return f"{key}={unit.settings[key]}"
    return ""
