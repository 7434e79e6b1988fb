"""Where things are: the cache, and a folder, an address and ports for each of the two clusters."""

import fcntl
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.cluster.faults import ClusterError

HERE = Path(__file__).parent
CACHE = HERE.parents[1] / ".cache" / "cluster"
PORTS = (
    "etcd",
    "etcd-peer",
    "api",
    "kubelet",
    "kubelet-health",
    "proxy-health",
    "proxy-metrics",
    "prometheus",
)
"""What listens, in the order of the ports."""

FIRST, LAST = 21000, 29000
"""Below the ports of outgoing connections (from 32768), which could take one between our look and our use."""


@dataclass(frozen=True)
class Place:
    """One cluster's own folder and network address; the two kinds stand side by side undisturbed."""

    name: str
    address: str
    runs: Path = CACHE / "run"

    @property
    def folder(self) -> Path:
        return self.runs / self.name

    @property
    def logs(self) -> Path:
        return self.folder / "logs"

    def kubeconfig(self, account: str) -> Path:
        return self.folder / "kubeconfigs" / f"{account.replace(':', '-')}.yaml"

    def port(self, of: str) -> int:
        """The port of one of `PORTS`, as chosen by `choose_ports`."""
        return int((self.folder / "first-port").read_text()) + PORTS.index(of)

    def choose_ports(self) -> None:
        """Take the first stretch of ports on which nothing listens."""
        for first in range(FIRST, LAST, 20):
            if all(_is_free(first + offset) for offset in range(len(PORTS))):
                write(self.folder / "first-port", str(first))
                return
        raise ClusterError(f"no {len(PORTS)} ports in a row are free between {FIRST} and {LAST}")


SIMULATED = Place("simulated", "127.0.0.1")
REAL = Place("node", "10.99.0.1")
"""Its address is on a bridge of its own: pods must reach the API server, and loopback is theirs alone."""


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        # A connection that lingers is in nobody's way, as for the servers themselves.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("0.0.0.0", port))
        except OSError:
            return False
    return True


def write(path: Path, text: str) -> None:
    """Write a file that is there whole or not at all; for its owner alone, since many hold secrets."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f"{path.name}.part")
    with open(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as out:
        out.write(text)
    part.rename(path)


@contextmanager
def locked(name: str) -> Iterator[None]:
    """Let one process at a time do this; the kernel frees the lock of one that is killed."""
    CACHE.mkdir(parents=True, exist_ok=True)
    with (CACHE / f"{name}.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print(f"waiting for another process with {name}", flush=True)
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield
