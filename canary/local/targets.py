"""Tells a Prometheus where the replicas are: a file for its `file_sd_configs`.

Replicas have ports of their own, and the one address in front gives each connection to another: scraped
there, counters would jump.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from canary.config.settings import LocalService
from canary.errors import CanaryError
from canary.local.files import fault_of
from canary.local.status import write_whole


@dataclass(frozen=True)
class Place:
    """Where a replica is. `port`: of its last start; 0: not started yet."""

    pod: str
    arm: str
    version: str
    port: int


class Targets:
    """Keeps the file as it should be: written when something has changed, and whole.

    Args:
        service: its `targets` names the file; None: nothing is written.
        say: is told when it cannot be written, and when it can again.
    """

    def __init__(self, service: LocalService, say: Callable[[str], None]) -> None:
        self._service = service
        self._say = say
        self._written: str | None = None
        self._fault = ""

    def write(self, places: Sequence[Place]) -> None:
        """Say where these replicas are. Not being able to is no reason to stop serving."""
        path = self._service.targets
        if path is None:
            return
        text = json.dumps([self._group(one) for one in places if one.port], indent=1) + "\n"
        if text == self._written:
            return
        try:
            _replace(path, text)
        except CanaryError as fault:
            if fault.message != self._fault:
                self._say(f"{fault.message}; Prometheus is not told of changes until then")
            self._fault = fault.message
        else:
            self._written, self._fault = text, ""

    def _group(self, one: Place) -> dict[str, object]:
        labels = {
            "__metrics_path__": self._service.metrics,
            "arm": one.arm,
            "pod": one.pod,
            "target": self._service.name,
            "version": one.version,
        }
        return {"targets": [f"127.0.0.1:{one.port}"], "labels": labels}


def _replace(path: Path, text: str) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, text)
    except OSError as fault:
        raise fault_of(fault, path, "write") from fault
