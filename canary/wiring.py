"""Where ports meet adapters: the only such place. Everything heavy is imported late."""

import getpass
import socket
from pathlib import Path
from typing import TYPE_CHECKING

from canary.conduct import StartOptions, drive, exit_code, follow, request, start, undo
from canary.config.settings import Runtime, Settings
from canary.errors import InvalidError

if TYPE_CHECKING:
    from canary.loop import Ports
    from canary.ports import Metrics

__all__ = [
    "StartOptions",
    "actor",
    "connect",
    "drive",
    "exit_code",
    "follow",
    "request",
    "settings",
    "start",
    "undo",
]


def actor() -> str:
    """Who acts: `user@host`."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):
        user = "unknown"
    return f"{user}@{socket.gethostname()}"


def settings(path: Path | None) -> Settings:
    """The settings of a configuration file; `./canary.yaml` when none is named.

    Series selectors are read here, so that a faulty one is told before anything is touched.

    Raises:
        InvalidError: every fault of the file at once. MissingError: there is no such file.
    """
    from canary.config import load
    from canary.metrics.presets import series_of

    found = load.load(path if path is not None else Path("canary.yaml"))
    for metric in found.strategy.metrics:
        series_of(metric)
    return found


def connect(settings: Settings, *, actor: str) -> "Ports":
    """The ports of a target's runtime.

    Raises:
        InvalidError: the file asks for a runtime that this version does not drive.
    """
    from canary.clock import SystemClock
    from canary.loop import Ports

    service = settings.local
    if settings.runtime is not Runtime.LOCAL or service is None:
        raise InvalidError(
            f"{settings.path}: target.deployment names a Kubernetes Deployment; "
            "this version drives local services only",
            remedy="Set `target: {local: NAME}` and a `local:` section; see `canary init`.",
        )
    from canary.local.lease import LocalLease
    from canary.local.ledger_store import LocalLedger
    from canary.local.records import LocalRecords
    from canary.local.workloads import LocalWorkloads

    clock = SystemClock()
    if settings.prometheus is not None:
        from canary.metrics.prometheus import PrometheusMetrics

        metrics: Metrics = PrometheusMetrics(
            settings.prometheus,
            clock=clock,
            interval_s=settings.strategy.interval_s,
            scrape_interval_s=settings.strategy.scrape_interval_s,
        )
    else:
        from canary.local.metrics import RingMetrics

        metrics = RingMetrics(service)
    return Ports(
        records=LocalRecords(service.state),
        lease=LocalLease(service.state, settings.target, actor, clock),
        workloads=LocalWorkloads(service),
        metrics=metrics,
        ledger=LocalLedger(service.state),
        clock=clock,
        actor=actor,
    )
