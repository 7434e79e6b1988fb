"""A real Docker daemon for the tests, and images for it without a registry.

with tests.docker.running() as daemon:
    daemon.load(tests.docker.images.base())
    daemon.docker("run", "--rm", tests.docker.images.BASE, "python3", "-c", "print(1)")

The fixture `daemon` in tests/conftest.py is the same for a whole session; each of several workers has one of
its own. What is to run with it is marked `docker`, and runs in the tier of that name. Containers, networks
and volumes of earlier tests may be there: `daemon.empty()` removes them. Images stay, in `.cache/docker`.

It is Debian's, installed when it is missing, and root's. It is in the machine's process namespace, so what
`docker inspect` says of pids and `/sys/fs/cgroup` holds for a program that is started as usual. Its network
and its mounts are its own: no bridge, no rule of a firewall and no mount of it is in the machine's, and it
stands beside a node of `tests.cluster`, or beside another checkout's. slirp4netns, in user space, is its way
out: `daemon.outside` is this machine's loopback as containers see it. Published ports are in its network too:
`daemon.within(...)` makes a command that runs there.

Its control groups are below one of its own, in which every process of it and of its containers is. So what a
killed run has left is found and ended by the next one, whatever it was.
"""

from tests.cluster.faults import ClusterError as DockerError
from tests.cluster.faults import LackingError
from tests.docker.daemon import Daemon, Where
from tests.docker.upkeep import down, place, places, provide, running

__all__ = [
    "Daemon",
    "DockerError",
    "LackingError",
    "Where",
    "down",
    "place",
    "places",
    "provide",
    "running",
]
