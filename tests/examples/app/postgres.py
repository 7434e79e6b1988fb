"""A PostgreSQL of Debian's, for as long as a test needs it: its own folder, its own port, nobody's root."""

import os
import pwd
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.local.demo_process import free_port

PROGRAMS = Path("/usr/lib/postgresql/15/bin")
PACKAGE = "postgresql-15"
CLUSTERS = Path("/etc/postgresql-common/createcluster.conf")
PATIENCE_S = 120.0


def provide() -> None:
    """Install Debian's package if it is missing; skips, with the reason, where that cannot be.

    No database of the system's is made and none is started: what the tests need they start themselves.
    """
    if (PROGRAMS / "initdb").exists():
        return
    if os.geteuid() != 0 or shutil.which("apt-get") is None:
        pytest.skip(f"{PACKAGE} is missing, and only root on a Debian can install it")
    if not CLUSTERS.exists():
        CLUSTERS.parent.mkdir(parents=True, exist_ok=True)
        CLUSTERS.write_text("create_main_cluster = false\n")
    print(f"{PACKAGE} is missing: installing Debian's package", flush=True)
    install = ["apt-get", "install", "-y", "--no-install-recommends", "--no-remove", PACKAGE]
    if not _done(install) and not (_done(["apt-get", "update"]) and _done(install)):
        pytest.fail(f"{' '.join(install)} has failed")


def _done(command: Sequence[str]) -> bool:
    environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    return subprocess.run(command, env=environment, capture_output=True, check=False).returncode == 0


@contextmanager
def a_server(folder: Path, password: str) -> Iterator[int]:
    """A server with a user `project_ai` and a database `postgres`; its port on 127.0.0.1.

    Args:
        folder: a short one: its socket is in there, and such a path has at most 107 characters.
    """
    provide()
    owner = pwd.getpwnam("postgres") if os.geteuid() == 0 else None
    secret, data, port = folder / "password", folder / "data", free_port()
    secret.write_text(password)
    if owner:
        for path in (folder, secret):
            os.chown(path, owner.pw_uid, owner.pw_gid)

    def run(program: str, *arguments: str) -> None:
        done = subprocess.run(
            [str(PROGRAMS / program), "-D", str(data), *arguments],
            cwd=folder,
            user=owner.pw_uid if owner else None,
            group=owner.pw_gid if owner else None,
            extra_groups=[] if owner else None,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            timeout=PATIENCE_S,
            check=False,
        )
        assert done.returncode == 0, done.stderr

    run("initdb", "--username=project_ai", "--auth=scram-sha-256", f"--pwfile={secret}", "--no-sync")
    listen = f"-p {port} -k {folder} -c listen_addresses=127.0.0.1 -c fsync=off"
    run("pg_ctl", "start", "-w", "-l", str(folder / "log"), "-o", listen)
    try:
        yield port
    finally:
        run("pg_ctl", "stop", "-m", "immediate")
