"""From the shape of the file to the values that the rest of the program works with."""

import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from canary.config import schema
from canary.config.settings import (
    PROBE_READY_S,
    ControllerSettings,
    KubernetesTarget,
    LocalService,
    PodsSource,
    PrometheusSource,
    Runtime,
    Settings,
)
from canary.core.strategy import (
    ERRORS,
    LATENCY,
    Capacity,
    Margin,
    Metric,
    MetricKind,
    OnInconclusive,
    Promote,
    Strategy,
)

_USUAL_ERRORS = schema.Errors.model_validate({})
_USUAL_LATENCY = schema.Latency.model_validate({})

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
        metrics=tuple(one for metric in analysis.metrics for one in _metrics(metric)),
        exclude=_exclude(file),
        bake_s=file.bake,
        # The runtime gives a pod up first, and knows why.
        ready_deadline_s=local.ready + READY_SLACK_S if local else file.target.ready,
        probe_rate=probe_rate,
        capacity=Capacity(file.capacity) if file.capacity else Capacity.REPLACE,
        promote=Promote(file.promote),
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


def _metrics(metric: schema.Metric) -> Iterator[Metric]:
    if metric.preset is not None:
        both = metric.errors is None and metric.latency is None
        if metric.errors is not None or both:
            yield _tuned(
                replace(ERRORS, preset=metric.preset), metric.errors or schema.Errors.model_validate({})
            )
        if metric.latency is not None or both:
            yield _tuned(
                replace(LATENCY, preset=metric.preset), metric.latency or schema.Latency.model_validate({})
            )
        return
    own: dict[str, Any] = {"preset": None, "name": metric.name}
    if metric.ratio is not None:
        usual = replace(ERRORS, kind=MetricKind.RATIO, bad=metric.ratio.bad, all=metric.ratio.all, **own)
    else:
        usual = replace(LATENCY, kind=MetricKind.HISTOGRAM, histogram=metric.histogram, **own)
    yield _tuned(usual, metric)


def _tuned(usual: Metric, given: schema.Errors | schema.Latency | schema.Metric) -> Metric:
    tolerance = given.tolerance if given.tolerance is not None else usual.tolerance
    slower_than_s = None if isinstance(given, schema.Errors) else given.slower_than
    margin = _margin(given.margin, usual.margin, tolerance)
    return replace(usual, tolerance=tolerance, slower_than_s=slower_than_s, margin=margin)


def _margin(given: schema.Margin | None, usual: Margin, tolerance: float) -> Margin:
    """The margin asked for. Of two parts the larger counts, so a part left out must not widen the other."""
    ratio, difference = (given.ratio, given.abs) if given is not None else (None, None)
    if ratio is None:
        ratio = 1 + tolerance if difference is not None else max(usual.ratio, 1 + tolerance)
    return Margin(ratio, difference if difference is not None else usual.abs)
