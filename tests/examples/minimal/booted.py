"""A server whose first process is systemd, with the example in /srv/project-ai as its README wants it."""

import os
import shutil
import subprocess
import sys
import sysconfig
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

from steward.install import RUNNER
from tests.command import ROOT
from tests.examples.minimal.stage import SOURCES

HERE = Path(__file__).parent
SYSTEMD = Path("/lib/systemd/systemd")
PROGRAMS = ("unshare", "nsenter", "setpriv", "pivot_root", "ip", "runuser", "bash")
EXAMPLE = "/srv/project-ai/examples/minimal"
PATIENCE_S = 60.0


def python() -> str:
    """This Python, where an account without a home can run it; the test is skipped where there is none."""
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    for folder in (Path(sys.base_prefix) / "bin", Path("/usr/local/bin"), Path("/usr/bin")):
        found = (folder / version).resolve()
        if found.exists() and not any(found.is_relative_to(home) for home in ("/root", "/home")):
            return str(found)
    pytest.skip(f"no {version} outside of home folders")


def possible() -> None:
    """Skips the test where no systemd can be booted."""
    if os.geteuid() != 0:
        pytest.skip("only root may boot a systemd")
    lacking = [name for name in PROGRAMS if shutil.which(name) is None]
    if not SYSTEMD.exists() or lacking:
        pytest.skip(f"to boot a systemd there is no {', '.join(lacking) or SYSTEMD}")
    for line in Path("/proc/self/mounts").read_text().splitlines():
        _, at, kind, options, *_ = line.split()
        if kind.startswith("cgroup") and "ro" in options.split(","):
            pytest.skip(f"no systemd can be booted here: {at} may not be written to")
    tried = subprocess.run(
        ["unshare", "--mount", "--pid", "--fork", "--net", "--cgroup", "true"],
        capture_output=True,
        check=False,
    )
    if tried.returncode:
        pytest.skip(f"no systemd can be booted here: {tried.stderr.decode().strip()}")


@dataclass
class Booted:
    """The server. `first`: its first process, as this machine numbers it. `log`: what systemd said."""

    first: int
    log: Path

    def run(self, command: str, *, joins: str = "") -> "subprocess.CompletedProcess[str]":
        """A command of its root. `joins`: the service whose cgroups it runs in."""
        slices = f"/sys/fs/cgroup{{,/*}}/system.slice/{joins}/cgroup.procs"
        joined = f'for at in {slices}; do [ ! -e "$at" ] || echo $$ > "$at"; done; ' if joins else ""
        enter = ["nsenter", "-t", str(self.first), "--all", "--root", "--wd"]
        clean = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin"}
        return subprocess.run(
            [*enter, "bash", "-c", joined + command],
            env=clean,
            capture_output=True,
            text=True,
            check=False,
            start_new_session=True,  # whatever it kills, it is not the tests
        )

    def done(self, command: str) -> str:
        """The same; it has to go well."""
        ran = self.run(command)
        assert ran.returncode == 0, f"{command}: {ran.stdout}{ran.stderr}\n{self.log.read_text()[-3000:]}"
        return ran.stdout

    def shown(self, unit: str, name: str) -> str:
        """A property of a unit."""
        return self.done(f"systemctl show --property={name} --value {unit}").strip()

    def answers(self, path: str = "/health/ready") -> bool:
        """Whether the service does, at its address."""
        return self.run(f"curl --silent --fail --max-time 5 http://127.0.0.1:8000{path}").returncode == 0

    def until(self, what: Callable[[], bool], says: str) -> None:
        end = time.monotonic() + PATIENCE_S
        while not what():
            assert time.monotonic() < end, f"{says}: {self.log.read_text()[-3000:]}{self.journal()}"
            time.sleep(0.1)

    def journal(self) -> str:
        return self.run("journalctl --no-pager --lines=60").stdout


@contextmanager
def booted(folder: Path) -> Iterator[Booted]:
    """A server that is up; it and all that runs in it are gone in the end."""
    possible()
    _installed(folder / "srv" / "project-ai")
    name, log = f"canary-test-{os.getpid()}", folder / "systemd.log"
    boot = ["bash", str(HERE / "boot.sh"), name, str(folder), sysconfig.get_paths()["purelib"]]
    with log.open("wb") as said:
        outer = subprocess.Popen(["setpriv", "--pdeathsig", "KILL", *boot], stdout=said, stderr=said)
    try:
        server = Booted(_first(outer, log), log)
        server.until(lambda: server.run("systemctl is-system-running --wait").returncode == 0, "it is up")
        yield server
    finally:
        outer.kill()
        outer.wait()
        _forget(name)


def _first(outer: "subprocess.Popen[bytes]", log: Path) -> int:
    """The first process of its own, once it is systemd."""
    end = time.monotonic() + PATIENCE_S
    while time.monotonic() < end and outer.poll() is None:
        with suppress(psutil.Error):
            for child in psutil.Process(outer.pid).children():
                if child.exe().endswith("/systemd"):
                    return child.pid
        time.sleep(0.05)
    raise AssertionError(f"systemd does not come up: {log.read_text()}")


def _installed(checkout: Path) -> None:
    """What `steward install v1.0.0` makes, with the packages of the tests."""
    for part in SOURCES:
        target = checkout / part
        target.parent.mkdir(parents=True, exist_ok=True)
        copy = shutil.copytree if (ROOT / part).is_dir() else shutil.copy
        copy(ROOT / part, target)
    example = checkout / "examples" / "minimal"
    release, environment = example / "releases" / "v1.0.0", example / ".venv"
    shutil.copytree(checkout / "examples" / "app" / "project_ai", release / "project_ai")
    packages = environment / "lib" / Path(python()).name / "site-packages"
    for made in (
        release / "python" / "bin",
        environment / "bin",
        packages,
        example / "secrets",
        example / "seals",
    ):
        made.mkdir(parents=True)
    (environment / "bin" / "python").symlink_to(python())
    (environment / "pyvenv.cfg").write_text(f"home = {Path(python()).parent}\n")
    (packages / "packages.pth").write_text("/opt/packages\n/srv/project-ai\n")
    (release / "project-ai").write_text(RUNNER.format(version="v1.0.0"))
    (release / "project-ai").chmod(0o755)
    runner = release / "python" / "bin" / "python"
    runner.write_text(f'#!/bin/sh\nexec {EXAMPLE}/.venv/bin/python "$@"\n')
    runner.chmod(0o755)


def _forget(name: str) -> None:
    """Its cgroups; they are empty a moment after its last process has ended."""
    end = time.monotonic() + PATIENCE_S
    tops = [found for pattern in (name, f"*/{name}") for found in Path("/sys/fs/cgroup").glob(pattern)]
    for top in tops:
        for folder in sorted((one for one in (top, *top.rglob("*")) if one.is_dir()), reverse=True):
            while folder.exists():
                try:
                    folder.rmdir()
                except OSError:
                    assert time.monotonic() < end, f"{folder} is not empty"
                    time.sleep(0.05)
