"""The daemon: where it is, how it is started, and what is asked of it."""

import hashlib
import os
import shlex
import signal
import subprocess
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from tests.cluster import processes
from tests.cluster.faults import ClusterError
from tests.cluster.place import Place
from tests.docker import groups

COVERED = ("/etc/docker", "/run/docker", "/run/containerd", "/opt/containerd")
"""Where it writes things of its own whatever it is told: for it, these are empty folders in memory."""

OUTSIDE = "10.0.2.2"
PATH = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"
GRACE_S = 20.0
INSIDE = """set -e
for folder in {covered}; do mount -t tmpfs -o mode=0755 tmpfs "$folder"; done
ip link set lo up
exec dockerd {flags}
"""


@dataclass(frozen=True)
class Where:
    """A daemon's own places.

    Attributes:
        cache: the folder of its images and logs; others follow from it, so that no two have the same.
    """

    cache: Path

    @property
    def name(self) -> str:
        """Of its control groups and its folder below `/run`."""
        return f"canary-docker-{hashlib.sha256(str(self.cache).encode()).hexdigest()[:8]}"

    @property
    def run(self) -> Path:
        """A short path: those of sockets have an end, and a checkout's may be long."""
        return Path("/run", self.name)

    @property
    def socket(self) -> Path:
        return self.run / "docker.sock"

    @property
    def place(self) -> Place:
        """Its pid files and logs."""
        return Place("daemon", "", self.cache / "run")


HERE = Where(Path(__file__).parents[2] / ".cache" / "docker")


@dataclass(frozen=True)
class Daemon:
    """One that answers.

    Attributes:
        where: its places.
        outside: the address at which containers that may leave reach this machine's loopback.
    """

    where: Where
    outside: str = OUTSIDE

    @property
    def host(self) -> str:
        """As DOCKER_HOST has it."""
        return f"unix://{self.where.socket}"

    @property
    def pid(self) -> int:
        """Its process."""
        return processes.running(self.where.place)["dockerd"]

    @property
    def environment(self) -> dict[str, str]:
        """This process's, with which `docker` and `docker-compose` speak to it and to nobody's account."""
        own = {
            "DOCKER_HOST": self.host,
            "DOCKER_CONFIG": str(self.where.cache / "client"),
            "DOCKER_BUILDKIT": "0",
        }
        return os.environ | {"DOCKER_SOCKET": str(self.where.socket)} | own

    def within(self, *command: str) -> list[str]:
        """A command as it is run where the daemon's network is: there are the ports that are published."""
        return ["nsenter", f"--net=/proc/{self.pid}/ns/net", "--", *command]

    def docker(self, *arguments: str, patience_s: float = 120.0, send: str | None = None) -> str:
        """Run `docker`; what it printed.

        Raises:
            ClusterError: it failed, or took too long; with its words.
        """
        done = self.tried(*arguments, patience_s=patience_s, send=send)
        if done.returncode:
            raise ClusterError(f"docker {shlex.join(arguments)}: {done.stdout[-500:]}{done.stderr[-1500:]}")
        return done.stdout

    def tried(
        self, *arguments: str, patience_s: float = 120.0, send: str | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run `docker`, whatever comes of it.

        Raises:
            ClusterError: it took too long.
        """
        try:
            return subprocess.run(
                ["docker", *arguments],
                env=self.environment,
                input=send,
                stdin=None if send is not None else subprocess.DEVNULL,
                capture_output=True,
                text=True,
                timeout=patience_s,
                check=False,
            )
        except subprocess.TimeoutExpired as late:
            raise ClusterError(f"docker {shlex.join(arguments)}: no end in {patience_s:g} s") from late

    def load(self, archive: Path) -> None:
        """Give it an image, from an archive as `images` makes it; one that it has is not read again."""
        mark = self.where.cache / "loaded" / archive.name
        if not (mark.exists() and self.tried("image", "inspect", mark.read_text()).returncode == 0):
            said = self.docker("load", "--input", str(archive), patience_s=600)
            mark.parent.mkdir(parents=True, exist_ok=True)
            mark.write_text(said.strip().rpartition(" ")[2])

    def empty(self) -> None:
        """Remove all containers, volumes and networks that are not its own; images stay."""
        if found := self.docker("ps", "--all", "--quiet").split():
            self.docker("rm", "--force", "--volumes", *found)
        if found := self.docker("volume", "ls", "--quiet").split():
            self.docker("volume", "rm", "--force", *found)
        if found := self.docker("network", "ls", "--quiet", "--filter", "type=custom").split():
            self.docker("network", "rm", *found)


def start(where: Where) -> Daemon:
    """Start it, with nothing but images; `stop` ends it.

    Raises:
        ClusterError: it did not come up; the message says where its log is.
    """
    missing = [name for name in COVERED if not Path(name).exists()]
    for folder in (
        where.run,
        where.cache / "data",
        where.cache / "client",
        where.place.folder,
        *map(Path, COVERED),
    ):
        folder.mkdir(parents=True, exist_ok=True)
    (where.place.folder / "missing").write_text("\n".join(missing))
    own = groups.own(where.name)
    own.mkdir(parents=True, exist_ok=True)
    inside = INSIDE.format(covered=" ".join(COVERED), flags=shlex.join(_flags(where)))
    enter = f'echo $$ > {shlex.quote(str(own / "cgroup.procs"))} && exec "$@"'
    command = ["unshare", "--mount", "--net", "--propagation", "slave", "sh", "-c", inside]
    processes.start(where.place, "dockerd", ["sh", "-c", enter, "sh", *command], {"PATH": PATH})
    daemon = Daemon(where)
    processes.until(lambda: _has_network(where), "a network of its own", place=where.place)
    way = ["slirp4netns", "--configure", "--mtu=65520", "--disable-dns", str(daemon.pid), "tap0"]
    processes.start(where.place, "slirp4netns", ["sh", "-c", enter, "sh", *way], {"PATH": PATH})
    processes.until(
        lambda: daemon.tried("version").returncode == 0, "the daemon to answer", place=where.place
    )
    processes.until(lambda: "tap0" in _links(daemon), "its way out", place=where.place)
    daemon.empty()
    return daemon


def stop(where: Where) -> list[str]:
    """End it and all that is of it, whatever is left of it; what was running.

    Its containers are killed first: a daemon that is asked to end gives each of them time.
    """
    found = processes.running(where.place)
    if "dockerd" in found:
        _end_containers(where)
        with suppress(ProcessLookupError):
            os.kill(found["dockerd"], signal.SIGTERM)
        with suppress(ClusterError):
            processes.until(
                lambda: "dockerd" not in processes.running(where.place), "its end", patience_s=GRACE_S
            )
    processes.stop_all(where.place)
    killed = groups.end(where.name)
    _forget(where)
    return sorted(found) or [f"process {pid}" for pid in killed]


def _end_containers(where: Where) -> None:
    daemon = Daemon(where)
    with suppress(ClusterError):
        daemon.empty()


def _forget(where: Where) -> None:
    """Remove what it has left in the machine's folders: its own, and those that it found missing."""
    for path in sorted(where.run.rglob("*"), reverse=True) if where.run.exists() else []:
        path.rmdir() if path.is_dir() and not path.is_symlink() else path.unlink()
    if where.run.exists():
        where.run.rmdir()
    missing = where.place.folder / "missing"
    for name in missing.read_text().split() if missing.exists() else []:
        if (folder := Path(name)).is_dir() and not any(folder.iterdir()):
            folder.rmdir()


def _flags(where: Where) -> list[str]:
    return [
        f"--data-root={where.cache / 'data'}",
        f"--exec-root={where.run / 'exec'}",
        f"--pidfile={where.run / 'dockerd.pid'}",
        f"--host=unix://{where.run / 'docker.sock'}",
        f"--cgroup-parent=/{where.name}",
        "--exec-opt=native.cgroupdriver=cgroupfs",
        "--bip=10.213.0.1/24",
        "--default-address-pool=base=10.214.0.0/16,size=24",
        "--storage-driver=overlay2",
        "--log-level=warn",
        "--shutdown-timeout=5",
    ]


def _has_network(where: Where) -> bool:
    pid = processes.running(where.place).get("dockerd")
    with suppress(OSError):
        return pid is not None and _network(pid) != _network(os.getpid())
    return False


def _network(pid: int) -> str:
    return os.readlink(f"/proc/{pid}/ns/net")


def _links(daemon: Daemon) -> str:
    command = daemon.within("ip", "-brief", "link")
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout
