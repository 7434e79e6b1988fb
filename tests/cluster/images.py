"""Images without a registry: a pause image, a base with Python, and whatever is built on it."""

import hashlib
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests.cluster import build, packages
from tests.cluster.faults import ClusterError
from tests.cluster.place import CACHE, locked

FOLDER = CACHE / "images"
PAUSE = "localhost/canary-pause:latest"
BASE = "localhost/canary-base:latest"
DNS = "localhost/canary-dns:latest"
SUITE = "bookworm"
INCLUDE = "python3,python3-venv,ca-certificates"
PAUSE_FILE = 'FROM scratch\nCOPY pause /pause\nUSER 65535:65535\nENTRYPOINT ["/pause"]\n'
DNS_FILE = 'FROM scratch\nCOPY coredns /coredns\nENTRYPOINT ["/coredns"]\n'
BASE_FILE = 'FROM scratch\nADD root.tar /\nENV LANG=C.UTF-8\nCMD ["python3"]\n'
FORGET = ("var/cache/apt/archives", "var/lib/apt/lists", "usr/share/doc", "usr/share/locale", "usr/share/man")
TRUST = ("etc/pip.conf", "etc/ssl/certs/ca-certificates.crt")
"""Taken from this machine, so that what is built on the base reaches what this machine reaches."""


def pause() -> Path:
    """The archive of the image whose process holds a pod's namespaces."""
    return _of_program("pause", build.built(build.PAUSE), PAUSE, PAUSE_FILE)


def dns() -> Path:
    """The archive of the image that answers for the names of Services."""
    return _of_program("dns", build.built(build.COREDNS), DNS, DNS_FILE)


def base() -> Path:
    """The archive of the base image: Debian's smallest with Python 3.11."""
    return _kept("base", "".join((SUITE, INCLUDE, BASE_FILE, *FORGET, *TRUST)), _make_base)


def built_on_base(folder: Path, name: str, arguments: Sequence[str] = ()) -> Path:
    """Build the Dockerfile of `folder`, told `BASE`, and return the image's archive.

    Args:
        folder: the build context.
        name: with a tag, `localhost/NAME:TAG`; `imagePullPolicy: Never` lets pods use it.
        arguments: further ones for `buildah bud`, for instance `--file F`.
    """
    archive = base()
    with locked("images"):
        if subprocess.run(
            _buildah("inspect", "--type", "image", BASE), capture_output=True, check=False
        ).returncode:
            _run(_buildah("pull", f"docker-archive:{archive}"))
        return _image(folder, name, ("--build-arg", f"BASE={BASE}", *arguments))


def _kept(name: str, inputs: str, make: Callable[[], Path]) -> Path:
    """The archive made from these inputs, made anew when they have changed."""
    target = FOLDER / f"{name}-{hashlib.sha256(inputs.encode()).hexdigest()[:12]}.tar"
    if not target.exists():
        packages.provide()
        with locked("images"):
            if not target.exists():
                begun = time.monotonic()
                print(f"making the {name} image", flush=True)
                archive = make()
                for old in FOLDER.glob(f"{name}-*.tar"):
                    old.unlink()
                archive.rename(target)
                print(f"made the {name} image in {time.monotonic() - begun:.0f} s", flush=True)
    return target


def _of_program(name: str, program: Path, image: str, file: str) -> Path:
    """The archive of an image with one program of ours."""

    def make() -> Path:
        with _scratch() as folder:
            shutil.copy(program, folder)
            (folder / "Dockerfile").write_text(file)
            return _image(folder, image)

    return _kept(name, program.parent.name + file, make)


def _make_base() -> Path:
    with _scratch() as folder:
        root = folder / "root"
        packs = ["--variant=minbase", f"--include={INCLUDE}", SUITE, str(root)]
        # In mounts of its own, as everything here: a killed build leaves none behind.
        _run(["unshare", "--mount", "nice", "-n", "10", "debootstrap", *packs])
        for name in FORGET:
            shutil.rmtree(root / name, ignore_errors=True)
        for name in TRUST:
            if (Path("/") / name).exists():
                shutil.copy(Path("/") / name, root / name)
        _run(["tar", "-C", str(root), "-cf", str(folder / "root.tar"), "."])
        shutil.rmtree(root)
        (folder / "Dockerfile").write_text(BASE_FILE)
        return _image(folder, BASE)


@contextmanager
def _scratch() -> Iterator[Path]:
    FOLDER.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=FOLDER, prefix="making-") as folder:
        yield Path(folder)


def _image(folder: Path, name: str, arguments: Sequence[str] = ()) -> Path:
    """Build it into our own store, from the first step that has changed, and write its archive."""
    _run(_buildah("rm", "--all"))  # what a killed build was at
    _run(_buildah("bud", "--isolation", "chroot", "--layers", "--tag", name, *arguments, str(folder)))
    archive = FOLDER / f"{name.replace('/', '-').replace(':', '-')}.tar"
    part = archive.with_suffix(".part")
    part.unlink(missing_ok=True)  # an archive is never added to
    _run(_buildah("push", name, f"docker-archive:{part}:{name}"))
    return part.rename(archive)


def _buildah(*arguments: str) -> list[str]:
    store = [
        "--root",
        str(FOLDER / "store"),
        "--runroot",
        str(FOLDER / "store-run"),
        "--storage-driver",
        "overlay",
    ]
    return ["unshare", "--mount", "nice", "-n", "10", "buildah", *store, *arguments]


def _run(command: Sequence[str]) -> None:
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    if done.returncode:
        raise ClusterError(f"{' '.join(command)}:\n{done.stdout[-1500:]}{done.stderr[-1500:]}")
