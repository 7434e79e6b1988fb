"""Where ports meet adapters: the only such place. Everything heavy is imported late."""

import getpass
import os
import socket
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from canary.begin import StartOptions
from canary.conduct import drive, exit_code, follow, request, start
from canary.config.settings import KubernetesTarget, PodsSource, Runtime, Settings
from canary.errors import InvalidError
from canary.restore import undo

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from canary.clock import SystemClock
    from canary.kube.configs import ConfigObject
    from canary.kube.session import Session as Cluster
    from canary.loop import Ports
    from canary.metrics.pods import Page
    from canary.ports import Metrics

__all__ = [
    "StartOptions",
    "actor",
    "configuration",
    "connect",
    "drive",
    "exit_code",
    "follow",
    "request",
    "settings",
    "start",
    "undo",
]


FLUSH_S = 300.0
"""Looks are written to the cluster with the next decision, or after so long."""
QUESTION_S = 6.0
"""Longest time for an answer of Prometheus while a lease is held."""
OUTSIDE = (
    "Pods are scraped at their own addresses: if those are not reachable from here, use `canary start "
    "--in-cluster` or set `analysis.source.prometheus`; if they are, check `analysis.source.pods`"
)
INSIDE = (
    "Check `analysis.source.pods` (port and path), and that no NetworkPolicy keeps this pod from the others; "
    "or set `analysis.source.prometheus`"
)
"""What to do when no pod can be scraped, from without and from within the cluster."""


def actor() -> str:
    """Who acts: `user@host`; in a Job who started it, and from where."""
    if given := os.environ.get("CANARY_ACTOR"):
        return given
    try:
        user = getpass.getuser()
    except (KeyError, OSError):
        user = "unknown"
    return f"{user}@{socket.gethostname()}"


def settings(path: Path | None, *, namespace: str | None = None, context: str | None = None) -> Settings:
    """The settings of a configuration file; `./canary.yaml` when none is named.

    Args:
        path: of the file. namespace, context: instead of those that file and kubeconfig name.

    Series selectors are read here, so that a faulty one, or one that cannot tell the arms apart, is told
    before anything is touched.

    Raises:
        InvalidError: every fault of the file at once. MissingError: there is no such file.
    """
    from canary.config import load
    from canary.metrics.presets import check_arms, series_of

    found = load.load(path if path is not None else Path("canary.yaml"))
    for metric in found.strategy.metrics:
        check_arms(metric)
    for metric in found.strategy.read:
        series_of(metric)
    if namespace is None and context is None:
        return found
    if found.kubernetes is None:
        raise InvalidError(
            f"{found.path}: {found.target} is a local service: it has no namespace and no context",
            remedy="Leave -n and --context out.",
        )
    target = replace(found.kubernetes, namespace=namespace or found.kubernetes.namespace, context=context)
    return replace(found, kubernetes=target)


def configuration(settings: Settings, paths: Sequence[Path]) -> "tuple[ConfigObject, ...]":
    """The ConfigMaps and Secrets of these files, which are to be released with a version.

    Raises:
        InvalidError: the target is a local service, or the files have faults: all of them.
        MissingError: there is no such file.
    """
    if not paths:
        return ()
    if settings.kubernetes is None:
        raise InvalidError(
            f"--config is for a Deployment; {settings.target} is a local service",
            remedy="Leave it out: `local.env` in the configuration file is what a local service gets.",
        )
    from canary.config.load import documents
    from canary.kube.config_files import objects

    return objects([(str(path), documents(path)) for path in paths], settings.target)


def connect(settings: Settings, *, actor: str, config: "Sequence[ConfigObject]" = ()) -> "Ports":
    """The ports of a target's runtime.

    Args:
        config: what `configuration` gave; made when a release is begun.

    Raises:
        InvalidError: there is no way to the cluster, no source of metrics, or `config` is for another
            namespace.
    """
    from canary.clock import SystemClock

    clock = SystemClock()
    if settings.runtime is Runtime.KUBERNETES:
        return _kubernetes(settings, actor, clock, config)
    return _local(settings, actor, clock)


def _local(settings: Settings, actor: str, clock: "SystemClock") -> "Ports":
    from canary.local.lease import LocalLease
    from canary.local.ledger_store import LocalLedger
    from canary.local.metrics import RingMetrics
    from canary.local.records import LocalRecords
    from canary.local.workloads import LocalWorkloads
    from canary.loop import Ports

    service = settings.local
    if service is None:
        raise InvalidError(f"{settings.path}: the section `local` is missing")
    return Ports(
        records=LocalRecords(service.state),
        lease=LocalLease(service.state, settings.target, actor, clock),
        workloads=LocalWorkloads(service),
        metrics=_prometheus(settings, clock) or RingMetrics(service),
        ledger=LocalLedger(service.state),
        clock=clock,
        actor=actor,
    )


def _kubernetes(
    settings: Settings, actor: str, clock: "SystemClock", config: "Sequence[ConfigObject]"
) -> "Ports":
    from canary.kube.config_files import in_namespace
    from canary.kube.lease import KubeLease
    from canary.kube.objects import record_name
    from canary.kube.records import KubeLedger, KubeRecords, Shelf
    from canary.kube.workloads import KubeWorkloads
    from canary.loop import Ports

    session, target = _cluster(settings)
    in_namespace(config, session.namespace)
    shelf = Shelf(session, settings.target, clock.ring)
    workloads = KubeWorkloads(
        session, target, settings.image, clock.now, clock.ring, scraped=settings.pods, given=config
    )

    def taken(since: str | None) -> None:
        # What the last driver wrote a moment before it ended must be seen.
        shelf.refresh(since)
        workloads.refresh(since)

    return Ports(
        records=KubeRecords(shelf),
        lease=KubeLease(session, record_name(settings.target), actor, clock, taken=taken),
        workloads=workloads,
        metrics=_prometheus(settings, clock) or _pods(settings, workloads.pages, clock),
        ledger=KubeLedger(shelf),
        clock=clock,
        actor=actor,
        flush_s=FLUSH_S,
    )


def _cluster(settings: Settings) -> "tuple[Cluster, KubernetesTarget]":
    """A session with the cluster of the target."""
    try:
        from canary.kube.session import connect as connected
    except ModuleNotFoundError as fault:
        raise InvalidError(
            f"{settings.path} names a Deployment, but the Kubernetes client is not installed",
            remedy="Install it: pip install 'canary-delivery[kubernetes]'.",
        ) from fault
    target = settings.kubernetes
    if target is None:
        raise InvalidError(f"{settings.path}: `target.deployment` is missing")
    return connected(target.namespace, target.context), target


def _pods(settings: Settings, pages: "Callable[[], Mapping[str, Page]]", clock: "SystemClock") -> "Metrics":
    from canary.metrics.pods import PodMetrics
    from canary.metrics.scrape import fetcher

    source = settings.pods or PodsSource()
    inside = "KUBERNETES_SERVICE_HOST" in os.environ
    return PodMetrics(
        pages,
        fetcher(insecure=source.insecure),
        clock,
        scrape_interval_s=source.scrape_s,
        remedy=INSIDE if inside else OUTSIDE,
    )


def _prometheus(settings: Settings, clock: "SystemClock") -> "Metrics | None":
    if settings.prometheus is None:
        return None
    from canary.metrics.prometheus import PrometheusMetrics

    # A question that hangs must not outlast the term of a lease.
    limit_s = QUESTION_S if settings.runtime is Runtime.KUBERNETES else settings.prometheus.timeout_s
    return PrometheusMetrics(
        replace(settings.prometheus, timeout_s=min(limit_s, settings.prometheus.timeout_s)),
        clock=clock,
        interval_s=settings.strategy.interval_s,
        scrape_interval_s=settings.strategy.scrape_interval_s,
    )
