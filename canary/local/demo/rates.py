"""How busy a version is as a whole: its processes tell each other their request rates through small files."""

import os
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

FRESH_S = 3.0
"""A process that has not told its rate for this long is taken for gone."""


class VersionRate:
    """The request rate of all processes of one version, each telling its own twice a second.

    It stands for something that all replicas of a version share, a pool of database connections for
    instance: as the version gets a larger share of the traffic, each replica sees the same rate as
    before, and only the shared thing gets busier.

    Args:
        folder: shared by the processes; made if missing.
        version: whose rate. now: unix seconds.
    """

    def __init__(self, folder: Path, version: str, now: Callable[[], float] = time.time) -> None:
        self._folder = folder / "".join(c if c.isalnum() or c in "._-" else "_" for c in version)
        self._own = self._folder / f"{os.getpid()}.rate"
        self._now = now
        self._since = now()
        self._requests = 0
        self.total = 0.0

    def arrived(self) -> None:
        """A request came to this process."""
        self._requests += 1

    def exchange(self) -> None:
        """Tell the others this process's rate since the last call, and read theirs into `total`."""
        at = self._now()
        rate = self._requests / max(at - self._since, 1e-3)
        self._since, self._requests = at, 0
        self._folder.mkdir(parents=True, exist_ok=True)
        written = self._own.with_suffix(f".{os.getpid()}.new")
        written.write_text(f"{at} {rate}")
        written.replace(self._own)
        self.total = sum(self._rate(path, at) for path in self._folder.glob("*.rate"))

    def leave(self) -> None:
        """This process serves no more."""
        with suppress(OSError):
            self._own.unlink()

    def _rate(self, path: Path, at: float) -> float:
        try:
            told_at, rate = (float(word) for word in path.read_text().split())
        except (OSError, ValueError):
            return 0.0  # another process has just left
        return rate if at - told_at <= FRESH_S else 0.0
