"""Which images run: by the digest of what is in them, in `.env`, which Compose reads. Tags move."""

import os
from pathlib import Path
from urllib.parse import urlsplit

from box.docker import HERE, docker
from box.problem import ProblemError

FILE = HERE / ".env"
BEFORE = HERE / ".env.before"
IMAGES = {
    "SANDBOX_IMAGE": "project-ai/core:experimental",
    "FILTER_IMAGE": "project-ai/sandbox-haproxy:1",
    "MONITOR_IMAGE": "canary:sandbox",
}
"""What is pinned, and from which name when none is given."""


def pin(sandbox: str | None = None) -> dict[str, str]:
    """Pin the images as their names lead to them now; what was pinned before is kept beside.

    Args:
        sandbox: the image of the sandbox; None: `project-ai/core:experimental`.

    Raises:
        ProblemError: one of them is not on this machine.
    """
    names = IMAGES | ({"SANDBOX_IMAGE": sandbox} if sandbox else {})
    found = {name: _content(image) for name, image in names.items()}
    found |= _of_machine()
    if FILE.exists():
        if read(FILE) == found:
            return found
        _write(BEFORE, read(FILE))
    _write(FILE, found)
    return found


def swap() -> dict[str, str]:
    """Go back to what was pinned before; what is pinned now is kept beside.

    Raises:
        ProblemError: nothing was.
    """
    if not BEFORE.exists():
        raise ProblemError(
            f"{BEFORE.name} is not there: nothing was pinned before",
            remedy="Pin an image: python3 -m box pin IMAGE",
            code=2,
        )
    now, before = read(FILE), read(BEFORE)
    _write(FILE, before)
    _write(BEFORE, now)
    return before


def read(path: Path = FILE) -> dict[str, str]:
    """What is pinned.

    Raises:
        ProblemError: nothing is.
    """
    if not path.exists():
        raise ProblemError(
            f"{path.name} is not there: nothing is pinned",
            remedy="Pin the images: python3 -m box pin",
            code=2,
        )
    lines = [line.partition("=") for line in path.read_text(encoding="utf-8").splitlines() if "=" in line]
    return {name: value for name, _, value in lines}


def _content(image: str) -> str:
    """The digest of what the image is on this machine."""
    try:
        return docker("image", "inspect", "--format", "{{.Id}}", image).strip()
    except ProblemError as fault:
        raise ProblemError(
            f"there is no image {image} here: {fault}",
            remedy="Build it, or pull it by its digest: docker pull NAME@sha256:...",
            code=2,
        ) from None


def _of_machine() -> dict[str, str]:
    """Docker's socket, and the group that may use it."""
    told = os.environ.get("DOCKER_SOCKET") or urlsplit(os.environ.get("DOCKER_HOST", "")).path
    place = Path(told or "/var/run/docker.sock")
    if not place.is_socket():
        raise ProblemError(
            f"Docker's socket is not at {place}", remedy="Name it in DOCKER_SOCKET=/run/...", code=2
        )
    return {"DOCKER_SOCKET": str(place), "DOCKER_GID": str(place.stat().st_gid)}


def _write(path: Path, values: dict[str, str]) -> None:
    part = path.with_name(f"{path.name}.part")
    part.write_text("".join(f"{name}={value}\n" for name, value in values.items()), encoding="utf-8")
    part.rename(path)
