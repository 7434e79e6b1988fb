"""What is asked of a container for risky code: the same points, by what Docker says of it."""

from collections.abc import Mapping

from canary.preflight.facts import Box, Mounted
from canary.preflight.finding import Parts, Unseen, bad, good, idle

SOCKETS = ("docker.sock", "containerd.sock", "podman.sock", "crio.sock")
ISOLATED = "none"
COMPOSE = "in its compose file"


def hardening(box: Box) -> Parts:
    """Not root, no capabilities, nothing to gain, calls filtered, a root that cannot be written to."""
    user = box.user.partition(":")[0]
    if user in ("", "0", "root"):
        yield bad(f"{box.name} runs as root", f"Set `user:` to another one {COMPOSE}.")
    else:
        yield good(f"{box.name} runs as user {box.user}")
    wanted: Mapping[str, tuple[bool, str]] = {
        "it is not privileged": (not box.privileged, "Take `privileged` out."),
        "all capabilities are dropped": (
            box.drops_all and not box.added,
            "`cap_drop: [ALL]`, and no `cap_add`.",
        ),
        "privileges cannot be gained": (box.no_new_privileges, "`security_opt: [no-new-privileges:true]`."),
        "system calls are filtered": (not box.unconfined, "Take `seccomp:unconfined` out."),
        "its root is read-only": (box.read_only, "`read_only: true`, and `tmpfs` for what must be written."),
        "it is never restarted": (box.restart in ("", "no"), '`restart: "no"`: what was ended stays so.'),
    }
    for told, (holds, fix) in wanted.items():
        yield good(told) if holds else bad(f"not so: {told}", fix)


def access(box: Box) -> Parts:
    """It holds nothing by which its host, or another container, could be changed."""
    shared = [f"the {what} of {mode}" for what, mode in box.shares.items() if mode]
    for one in shared:
        yield bad(f"it shares {one}", f"Give it its own {COMPOSE}.")
    for mount in box.mounts:
        if mount.source.rsplit("/", 1)[-1] in SOCKETS:
            yield bad(
                f"{mount.source} is mounted, {_how(mount)}: who can write to it starts any container",
                "Take it out. Mounted read-only it can be written to all the same.",
            )
        elif mount.kind == "bind" and mount.writable:
            yield bad(f"{mount.source} of the host can be written to", "Mount it read-only, or take it out.")
    if not shared and not _outward(box):
        yield good("nothing of the host's can be written to")


def _outward(box: Box) -> bool:
    return any(
        one.source.rsplit("/", 1)[-1] in SOCKETS or (one.kind == "bind" and one.writable)
        for one in box.mounts
    )


def _how(mount: Mounted) -> str:
    return "to write" if mount.writable else "read-only"


def secrets(box: Box) -> Parts:
    """No variable of its environment holds a secret."""
    for named in box.secrets:
        yield bad(
            f"variable {named.name} seems to hold a secret ({named.why})",
            "Leave it out: whatever runs in the sandbox can read it.",
        )
    if not box.secrets:
        yield good("no variable of its environment looks like a secret")


def network(box: Box) -> Parts:
    """It has none. An internal network still leads to every port of the host, and to its resolver."""
    if box.network == ISOLATED:
        yield good("it has no network but its own loopback")
    else:
        yield bad(
            f"it is on the network {box.network}, which leads to every port of its host at least",
            "`network_mode: none`; what must get in comes by a socket in a folder (examples/sandbox).",
        )
    for port in box.ports:
        yield bad(f"its port {port} is published", "Put something before it that listens on 127.0.0.1.")


def limits(box: Box) -> Parts:
    """Memory with no more swap, cpu and processes."""
    if not box.memory:
        yield bad("memory has no limit", f"Set `mem_limit` {COMPOSE}.")
    elif box.swap != box.memory:
        yield bad(
            f"memory is limited to {box.memory} bytes, and swap is not: {_swap(box)}",
            "Set `memswap_limit` to the same as `mem_limit`.",
        )
    else:
        yield good(f"memory: {box.memory} bytes, without swap")
    yield (
        good(f"cpu: {box.cores:g} cores") if box.cores else bad("cpu has no limit", f"Set `cpus` {COMPOSE}.")
    )
    yield (
        good(f"processes: {box.processes}")
        if box.processes > 0
        else bad("processes have no limit: a fork bomb takes the host", f"Set `pids_limit` {COMPOSE}.")
    )


def _swap(box: Box) -> str:
    return "as much again and more" if box.swap > box.memory else "without an end"


def backup(box: Box) -> Parts:
    """It keeps nothing that could be lost: volumes on a disk contradict that."""
    volumes = [one for one in box.mounts if one.kind == "volume" and one.writable]
    for one in volumes:
        if one.in_memory is None:
            why = f"whether the volume at {one.target} is memory"
            yield Unseen(why, "Ask while it runs, from the machine that it runs on.").part
        elif not one.in_memory:
            yield bad(
                f"{one.target} is a volume on the disk: it outlives the sandbox",
                "Make it a `tmpfs`, so that what is destroyed is gone.",
            )
    if all(one.in_memory for one in volumes):
        yield idle("keeps no data: what it writes is in memory, and is destroyed with it")


def upgrade(box: Box) -> Parts:
    """It is replaced by what is pinned, so that the way back leads to the same."""
    if box.image.startswith("sha256:") or "@sha256:" in box.image:
        yield good(f"its image is pinned: {box.image}")
    else:
        yield bad(f"its image {box.image} may be another one tomorrow", "Name it by its digest.")


def recovery(box: Box) -> Parts:
    """Nothing is recovered: it is destroyed, and made anew."""
    yield idle(f"{box.name} is destroyed and made anew: there is nothing to recover")
