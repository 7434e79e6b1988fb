"""From the shape of the file to the values that the rest of the program works with."""

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path

from canary.config import schema, schema_preflight
from canary.config.compared import metrics_of
from canary.config.guards import guards_of
from canary.config.settings import (
    PROBE_READY_S,
    ControllerSettings,
    HttpServer,
    KubernetesTarget,
    LocalService,
    PodsSource,
    PreflightSettings,
    PrometheusSource,
    Runtime,
    SealSettings,
    Settings,
)
from canary.core.revision import Limits
from canary.core.strategy import Capacity, OnInconclusive, Promote, Strategy
from canary.preflight.facts import Asked

READY_SLACK_S = 5.0
"""A release waits this much longer for a pod than the local runtime does, seconds."""


def resolve(path: Path, file: schema.File) -> Settings:
    """Settings of a file without faults. Paths in it become absolute, seen from the file's folder."""
    folder = path.resolve().parent
    local = _local(file, folder)
    target = file.target
    kubernetes = None
    if target.deployment is not None:
        kubernetes = KubernetesTarget(
            target.namespace, target.deployment, target.container, target.ready, target.schedule
        )
    source = file.analysis.source
    settings = Settings(
        path=path,
        digest="",
        runtime=Runtime.LOCAL if local is not None else Runtime.KUBERNETES,
        target=target.local or target.deployment or "",
        strategy=_strategy(file),
        local=local,
        kubernetes=kubernetes,
        image=file.image,
        prometheus=_prometheus(source.prometheus, folder) if source and source.prometheus else None,
        pods=_pods(file),
        controller=ControllerSettings(**dict(file.controller)) if file.controller else ControllerSettings(),
        seal=_seal(file.ledger.seal, folder) if file.ledger.seal else None,
        preflight=_preflight(file.preflight, folder),
        capacity_asked=file.capacity is not None,
    )
    return replace(settings, digest=digest(settings))


def digest(settings: Settings) -> str:
    """SHA-256 of all that a file resolves to, but not of where it lies; 64 hexadecimal digits.

    A file that says the same in other words, or lies in another checkout, has the same digest.
    """
    folder = settings.path.resolve().parent
    values = asdict(replace(settings, path=Path(), digest=""))

    def plain(value: object) -> str:
        path = Path(str(value))
        return str(path.relative_to(folder)) if path.is_relative_to(folder) else str(path)

    return hashlib.sha256(json.dumps(values, sort_keys=True, default=plain).encode()).hexdigest()


def _local(file: schema.File, folder: Path) -> LocalService | None:
    local = file.local
    if local is None or file.target.local is None:
        return None
    return LocalService(
        name=file.target.local,
        command=tuple(local.command),
        version=local.version,
        directory=_path(folder, local.directory),
        state=_path(folder, local.state),
        env=dict(local.env),
        replicas=local.replicas,
        listen=local.listen,
        health=local.health,
        metrics=local.metrics,
        surge=local.surge,
        unavailable=local.unavailable,
        ready_s=local.ready,
        drain_s=local.drain,
        scrape_s=local.scrape,
        limits=Limits(local.limits.memory, local.limits.cpu) if local.limits is not None else Limits(),
        targets=_path(folder, local.targets) if local.targets else None,
    )


def _path(folder: Path, text: str) -> Path:
    return folder / os.path.expanduser(text)


def _prometheus(source: schema.Prometheus, folder: Path) -> PrometheusSource:
    return PrometheusSource(
        url=source.url,
        token_file=_path(folder, source.token_file) if source.token_file else None,
        ca_file=_path(folder, source.ca_file) if source.ca_file else None,
        timeout_s=source.timeout,
        selector=dict(source.selector),
        pod_label=source.pod_label,
    )


def _seal(seal: schema.Seal, folder: Path) -> SealSettings:
    posted = [one.webhook for one in seal.to if one.webhook is not None]
    return SealSettings(
        key_file=_path(folder, seal.key_file),
        files=tuple(_path(folder, one.file) for one in seal.to if one.file is not None),
        webhooks=tuple(_server(one, folder) for one in posted),
        events=any(one.events for one in seal.to),
    )


def _preflight(given: schema_preflight.Preflight, folder: Path) -> PreflightSettings:
    return PreflightSettings(
        strict=given.strict,
        evidence=_path(folder, given.evidence) if given.evidence else None,
        asked=Asked(
            backup_s=given.backup.max_age,
            drill_s=given.drill.max_age,
            rto_s=given.drill.rto,
            rpo_s=given.drill.rpo,
            stateless=given.stateless or "",
            secrets=given.secrets,
            exposure=given.exposure,
        ),
        prometheus=_server(given.prometheus, folder) if given.prometheus else None,
        alertmanager=_server(given.alertmanager, folder) if given.alertmanager else None,
        unit=_path(folder, given.unit) if given.unit else None,
    )


def _server(given: schema_preflight.Server | schema.Webhook, folder: Path) -> HttpServer:
    return HttpServer(
        url=given.url,
        token_file=_path(folder, given.token_file) if given.token_file else None,
        ca_file=_path(folder, given.ca_file) if given.ca_file else None,
        timeout_s=given.timeout,
    )


def _pods(file: schema.File) -> PodsSource | None:
    """A Deployment without a Prometheus is scraped pod by pod."""
    source = file.analysis.source
    if file.local is not None or (source is not None and source.prometheus is not None):
        return None
    given = source.pods if source is not None and source.pods is not None else schema.Pods.model_validate({})
    return PodsSource(given.port, given.path, given.scrape, given.insecure)


def _scrapes(file: schema.File) -> tuple[float, float]:
    """The interval of the source's scrapes in seconds, and how often per second machines ask a pod.

    What Kubernetes' own probes ask is in the target's template, and gets known when a release is created.
    """
    pods, source = _pods(file), file.analysis.source
    own = [pods.scrape_s] if pods is not None else [file.local.scrape] if file.local is not None else []
    theirs = (
        [source.prometheus.scrape_interval] if source is not None and source.prometheus is not None else []
    )
    every = [*theirs, *own]
    probed = [PROBE_READY_S] if file.local is not None else []
    return every[0], sum(1.0 / each for each in (*every, *probed))


def _strategy(file: schema.File) -> Strategy:
    analysis, local = file.analysis, file.local
    scrape_s, probe_rate = _scrapes(file)
    guards, gauges = guards_of(file)
    return Strategy(
        steps=tuple(file.steps),
        hold_min_s=file.hold.min,
        hold_max_s=file.hold.max,
        deadline_s=file.deadline,
        pause_max_s=file.pause_max,
        on_inconclusive=OnInconclusive(file.on_inconclusive),
        interval_s=analysis.interval,
        scrape_interval_s=scrape_s,
        warm_up_min_s=analysis.warm_up.min,
        warm_up_max_s=analysis.warm_up.max,
        false_rollback_rate=analysis.false_rollback_rate,
        false_promotion_rate=analysis.false_promotion_rate,
        metrics=metrics_of(analysis),
        exclude=_exclude(file),
        bake_s=file.bake,
        # The runtime gives a pod up first, and knows why.
        ready_deadline_s=local.ready + READY_SLACK_S if local else file.target.ready,
        probe_rate=probe_rate,
        capacity=Capacity(file.capacity) if file.capacity else Capacity.REPLACE,
        promote=Promote(file.promote),
        guards=guards,
        gauges=gauges,
    )


def _exclude(file: schema.File) -> Mapping[str, tuple[str, ...]]:
    given = file.analysis.exclude
    if given is None:
        given = {label: list(schema.PROBES) for label in schema.PROBE_LABELS}
    found = {label: tuple(patterns) for label, patterns in given.items()}
    if file.local is not None:
        # A release is never promoted on its own health checks, whatever the file excludes.
        own = (file.local.health.partition("?")[0], file.local.metrics.partition("?")[0])
        for label in schema.PROBE_LABELS:
            found[label] = tuple(dict.fromkeys((*found.get(label, ()), *own)))
    return found
