"""Images for the daemon, without a registry: the base of the cluster's images, and builds on it."""

from pathlib import Path

from tests.cluster import images
from tests.docker.daemon import Daemon

BASE = images.BASE
"""Debian's smallest with Python 3.11; the `BASE` argument of the project's Dockerfiles."""


def base() -> Path:
    """The archive of the base image; made once, in a minute or two, then kept in `.cache`."""
    return images.base()


def provide(daemon: Daemon) -> str:
    """Load the base; its name."""
    daemon.load(base())
    return BASE


def build(daemon: Daemon, folder: Path, name: str, *arguments: str) -> str:
    """Build the Dockerfile of `folder` on the base, by the daemon itself; what has not changed is kept.

    Args:
        daemon: who builds.
        folder: the build context.
        name: with a tag.
        arguments: further ones for `docker build`.
    """
    command = ("build", "--quiet", "--tag", name, "--build-arg", f"BASE={provide(daemon)}", *arguments)
    return daemon.docker(*command, str(folder), patience_s=1800).strip()
