"""Where ports meet adapters: the only such place. Everything heavy is imported late."""

import getpass
import os
import socket
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from canary.begin import StartOptions
from canary.conduct import drive, exit_code, follow, request, start
from canary.config.settings import KubernetesTarget, PodsSource, Runtime, Settings
from canary.errors import InvalidError
from canary.restore import undo

if TYPE_CHECKING:
    from collections.abc import Callable

    from canary.clock import SystemClock
    from canary.core.seal_check import Copy
    from canary.kube.configs import ConfigObject
    from canary.kube.lease import KubeLease
    from canary.kube.session import Session as Cluster
    from canary.looking import Ports
    from canary.metrics.pods import Page
    from canary.ports import Metrics, Seals, Surroundings
    from canary.preflight.facts import Alerts, Proof
    from canary.preflight.finding import Finding, Point, Unseen
    from canary.seal.courier import Destination

__all__ = [
    "StartOptions",
    "actor",
    "configuration",
    "connect",
    "drive",
    "exit_code",
    "follow",
    "preflight",
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
    from canary.looking import Ports

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
        seals=_seals(settings),
    )


def _kubernetes(
    settings: Settings, actor: str, clock: "SystemClock", config: "Sequence[ConfigObject]"
) -> "Ports":
    from canary.kube.config_files import in_namespace
    from canary.kube.records import KubeLedger, KubeRecords, Shelf
    from canary.kube.workloads import KubeWorkloads
    from canary.looking import Ports

    session, target = _cluster(settings)
    in_namespace(config, session.namespace)
    shelf = Shelf(session, settings.target, clock.ring)
    told = settings.seal is not None and settings.seal.events
    workloads = KubeWorkloads(
        session,
        target,
        settings.image,
        clock.now,
        clock.ring,
        scraped=settings.pods,
        given=config,
        events=told,
    )

    # What the last driver wrote a moment before it ended must be seen.
    taken = _renewing(shelf.refresh, workloads.refresh)
    return Ports(
        records=KubeRecords(shelf),
        lease=_lease(session, settings.target, actor, clock, taken),
        workloads=workloads,
        metrics=_prometheus(settings, clock) or _pods(settings, workloads.pages, clock),
        ledger=KubeLedger(shelf),
        clock=clock,
        actor=actor,
        flush_s=FLUSH_S,
        seals=_seals(settings, session),
    )


def _lease(
    session: "Cluster", target: str, actor: str, clock: "SystemClock", taken: "Callable[[str | None], None]"
) -> "KubeLease":
    """The lease of a target, whose holder is known by its process and, in a Job, by its pod."""
    from canary.here import ThisMachine
    from canary.kube.driver_pod import DriverPod
    from canary.kube.job import POD_NAME, POD_UID
    from canary.kube.lease import KubeLease
    from canary.kube.objects import record_name

    pod = DriverPod(session, os.environ.get(POD_NAME, ""), os.environ.get(POD_UID, ""))
    return KubeLease(session, record_name(target), actor, clock, taken=taken, witnesses=(ThisMachine(), pod))


def _renewing(*refreshes: "Callable[[str | None], None]") -> "Callable[[str | None], None]":
    """Refreshes each, see `Mirror.refresh`."""

    def renew(since: str | None) -> None:
        for refresh in refreshes:
            refresh(since)

    return renew


def _seals(settings: Settings, session: "Cluster | None" = None) -> "Seals | None":
    """What seals the ledger, and the places that copies go to. `session`: for events, if there are any."""
    asked = settings.seal
    if asked is None:
        return None
    from canary.seal.copies import FileCopies
    from canary.seal.keeper import Keeper

    to: list[Destination] = [FileCopies(path) for path in asked.files]
    if asked.webhooks:
        from canary.seal.webhook import WebhookCopies

        to += [WebhookCopies(one) for one in asked.webhooks]
    if asked.events and session is not None:
        from canary.kube.events import EventCopies

        to.append(EventCopies(session))
    return Keeper(asked.key_file, to)


def event_copies(settings: Settings) -> "list[Copy]":
    """The seals of the target among the events of its namespace.

    Raises:
        InvalidError: the target is a local service. DeniedError: this account may not list events.
    """
    if settings.kubernetes is None:
        raise InvalidError(
            f"--events is for a Deployment; {settings.target} is a local service, and has none",
            remedy="Name a file with copies: --seals FILE.",
        )
    session, _ = _cluster(settings)
    from canary.kube.events import copies

    return list(copies(session, settings.target))


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


def preflight(
    settings: Settings,
    ports: "Ports",
    *,
    only: "Collection[Point]" = (),
    skipped: "Mapping[Point, str] | None" = None,
    starting: bool = False,
) -> "tuple[Finding, ...]":
    """What each point comes to for this target, as it is now. Changes nothing.

    Args:
        only: these points; none: all. skipped: points that do not count, and why.
        starting: a release is about to be started in the place of one that is under way.

    Raises:
        MissingError: there is no such target. TransientError: the runtime is out of reach.
    """
    from canary.preflight.checks import findings
    from canary.survey import surveyed

    facts = surveyed(
        settings,
        ports,
        _surroundings(settings),
        lambda: _alerts(settings),
        lambda: _evidence(settings),
        starting=starting,
    )
    return findings(facts, only, skipped)


def _surroundings(settings: Settings) -> "Surroundings":
    if settings.local is not None:
        from canary.local.survey import LocalSurvey

        return LocalSurvey(settings.local, settings.preflight.unit, settings.path)
    from canary.kube.survey import KubeSurvey

    session, target = _cluster(settings)
    return KubeSurvey(session, target.deployment)


def _alerts(settings: Settings) -> "Alerts | Unseen | None":
    from canary.config.plain import values
    from canary.metrics.alerts import look

    asked = settings.preflight
    given = asked.prometheus or settings.prometheus
    return None if given is None else look(given, asked.alertmanager, values)


def _evidence(settings: Settings) -> "tuple[Proof | Unseen, ...]":
    from canary.config.evidence import read

    folder = settings.preflight.evidence
    return () if folder is None else read(folder)
