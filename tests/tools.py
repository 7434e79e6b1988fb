"""Programs that some tests need and a machine may lack."""

import os
import shutil
import subprocess
from pathlib import Path

CACHE = Path(__file__).parent.parent / ".cache"


def provide_prometheus(cache: Path = CACHE) -> bool:
    """Put `prometheus` on PATH: the system's, or Debian's package unpacked under `.cache`.

    Unpacked and not installed: it needs no root, starts no daemon and leaves nothing on the system. Where
    there is no apt the tests that need it are skipped, and say so. Whether it is there now.
    """
    return provide("prometheus", cache)


def provide(program: str, cache: Path = CACHE) -> bool:
    """The same for any program whose Debian package has its name."""
    unpacked = cache / program / "usr" / "bin"
    if shutil.which(program) is None:
        if not (unpacked / program).exists() and shutil.which("apt-get") and shutil.which("dpkg-deb"):
            _unpack(program, cache)
        os.environ["PATH"] = f"{os.environ.get('PATH', '')}{os.pathsep}{unpacked}"
    return shutil.which(program) is not None


def _unpack(package: str, cache: Path) -> None:
    """Download a Debian package and unpack it; the folder gets its name only when it is whole."""
    part = cache / f"{package}.part"
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    print(f"{package} is missing: fetching Debian's package into {cache}", flush=True)
    if not _fetched(package, part) and os.geteuid() == 0:
        _quietly(["apt-get", "update"], part)
        _fetched(package, part)
    for archive in part.glob("*.deb"):
        if _quietly(["dpkg-deb", "-x", str(archive), str(part / "root")], part):
            (part / "root").rename(cache / package)
    shutil.rmtree(part, ignore_errors=True)


def _fetched(package: str, folder: Path) -> bool:
    return _quietly(["apt-get", "download", package], folder)


def _quietly(command: list[str], folder: Path) -> bool:
    """Run it without words; whether it went well. Says why when not."""
    environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    try:
        done = subprocess.run(
            command, cwd=folder, env=environment, capture_output=True, text=True, timeout=300, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as fault:
        print(f"{' '.join(command)}: {fault}", flush=True)
        return False
    if done.returncode:
        print(f"{' '.join(command)}: {done.stderr.strip()[-300:]}", flush=True)
    return done.returncode == 0
