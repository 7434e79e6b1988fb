"""Have the daemon, and take it down again: nothing of it stays but images."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager

from tests.cluster import packages
from tests.docker import daemon
from tests.docker.daemon import HERE, Daemon, Where

PROGRAMS = {
    "dockerd": "docker.io",
    "containerd": "containerd",
    "runc": "runc",
    "docker-compose": "docker-compose",
    "iptables": "iptables",
    "ip": "iproute2",
    "slirp4netns": "slirp4netns",
    "nsenter": "util-linux",
    "unshare": "util-linux",
}


def provide() -> None:
    """Install what is missing; what is raised is that of `running`."""
    packages.provide(PROGRAMS, "a Docker daemon")


@contextmanager
def running(where: Where = HERE) -> Iterator[Daemon]:
    """The daemon, from its start to its end. Another process that wants the same one waits.

    Raises:
        LackingError: this machine lacks something for it.
        ClusterError: it did not come up, or apt has failed.
    """
    provide()
    with _alone(where, wait=True):
        daemon.stop(where)  # what a killed run has left
        try:
            yield daemon.start(where)
        finally:
            daemon.stop(where)


def places() -> list[Where]:
    """Where daemons of this checkout have been: one, and one for each of several workers."""
    found = [HERE, *(Where(folder) for folder in sorted(HERE.cache.glob("gw*")))]
    return [where for where in found if where.cache.exists()]


def place() -> Where:
    """That of this process: a worker of several has a daemon of its own."""
    worker = os.environ.get("PYTEST_XDIST_WORKER")
    return Where(HERE.cache / worker) if worker else HERE


def down(where: Where = HERE) -> list[str]:
    """End what a killed run has left; what it was. One that is in use is left alone."""
    with _alone(where, wait=False) as mine:
        return daemon.stop(where) if mine else []


@contextmanager
def _alone(where: Where, *, wait: bool) -> Iterator[bool]:
    """Hold this daemon; the kernel frees it when this process dies. Whether it is held."""
    where.cache.mkdir(parents=True, exist_ok=True)
    with (where.cache / "daemon.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if not wait:
                yield False
                return
            print("waiting for another process with the Docker daemon", flush=True)
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield True
