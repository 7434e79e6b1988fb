"""Debian's programs that a node or another server of the tests needs."""

import os
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

from tests.cluster.faults import ClusterError, LackingError

PROGRAMS = {
    "containerd": "containerd",
    "runc": "runc",
    "/usr/lib/cni/bridge": "containernetworking-plugins",
    "iptables": "iptables",
    "conntrack": "conntrack",
    "ipset": "ipset",
    "ip": "iproute2",
    "unshare": "util-linux",
    "buildah": "buildah",
    "debootstrap": "debootstrap",
    "/usr/share/keyrings/debian-archive-keyring.gpg": "debian-archive-keyring",
}
"""What a node needs, and the package that brings it. A path is looked for as it is."""


def provide(programs: Mapping[str, str] = PROGRAMS, whose: str = "a node") -> None:
    """Install what is missing.

    Only that, and nothing is removed for it: whoever has Docker keeps their containerd.

    Args:
        programs: as `PROGRAMS` has them.
        whose: who needs them, in words.

    Raises:
        LackingError: this is no root's or no Debian's machine, and something is missing.
        ClusterError: apt has failed.
    """
    missing = sorted({package for program, package in programs.items() if not _is_there(program)})
    if os.geteuid() != 0:
        raise LackingError(f"{whose} needs root: it makes bridges, mounts and namespaces")
    if not missing:
        return
    if shutil.which("apt-get") is None:
        raise LackingError(f"{whose} needs {', '.join(missing)}, and there is no apt-get to install them")
    print(f"{whose} needs {', '.join(missing)}: installing Debian's packages", flush=True)
    install = ["apt-get", "install", "-y", "--no-install-recommends", "--no-remove", *missing]
    if (words := _failure(install)) and (_failure(["apt-get", "update"]) or (words := _failure(install))):
        raise ClusterError(f"{' '.join(install)}:\n{words}")


def _is_there(program: str) -> bool:
    return Path(program).exists() if program.startswith("/") else shutil.which(program) is not None


def _failure(command: list[str]) -> str:
    """Run it; what it said if it failed, else nothing."""
    environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    done = subprocess.run(
        command, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
    )
    return f"{done.stdout[-1000:]}{done.stderr[-1000:]}" if done.returncode else ""
