"""What a configuration file resolves to, as plain values (no pydantic beyond this room's `schema`)."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from canary.core.strategy import Strategy

PROBE_READY_S = 1.0
"""How often the local runtime asks a ready replica for its health, seconds."""


class Runtime(StrEnum):
    """Where replicas live."""

    LOCAL = "local"
    KUBERNETES = "kubernetes"


@dataclass(frozen=True)
class LocalService:
    """A service that the local runtime keeps.

    Attributes:
        name: of the target. command: argv; `{version}`, `{port}` and `{python}` (that runs
            Canary) are filled in. env: added to the
            environment, filled in the same way. directory: working directory.
        version: what runs first, when there is no state yet.
        listen: (host, port) of the one address in front.
        health: path that answers 2xx when a replica is ready. metrics: path of its metrics.
        surge, unavailable: as in a Deployment, absolute numbers.
        ready_s: a replica that is not ready after this long never will be. drain_s: at most this long
            for open connections when a replica is taken away.
        scrape_s: how often each replica is scraped. state: folder of everything kept on disk.
        targets: file that tells a Prometheus where the replicas are; None: it is not told.
    """

    name: str
    command: tuple[str, ...]
    version: str
    directory: Path
    state: Path
    env: Mapping[str, str] = field(default_factory=dict)
    replicas: int = 3
    listen: tuple[str, int] = ("127.0.0.1", 8080)
    health: str = "/health"
    metrics: str = "/metrics"
    surge: int = 1
    unavailable: int = 0
    ready_s: float = 30.0
    drain_s: float = 10.0
    scrape_s: float = 15.0
    targets: Path | None = None


@dataclass(frozen=True)
class PrometheusSource:
    """A Prometheus server. Secrets come from files only."""

    url: str
    token_file: Path | None = None
    ca_file: Path | None = None
    timeout_s: float = 10.0
    selector: Mapping[str, str] = field(default_factory=dict)
    pod_label: str = "pod"


@dataclass(frozen=True)
class PodsSource:
    """The pods' own metrics pages. What is None is taken from the pods' annotations and ports.

    Attributes:
        port: of the page, 1 to 65535. path: of the page. scrape_s: between two scrapes of a pod.
        insecure: take https without checking the certificate.
    """

    port: int | None = None
    path: str | None = None
    scrape_s: float = 15.0
    insecure: bool = False


@dataclass(frozen=True)
class KubernetesTarget:
    """A Deployment.

    Attributes:
        namespace: None: that of the kubeconfig's context. container: whose image is released.
        ready_s: a pod that is not ready after this long never will be. schedule_s: it may be without a
            node for so long. context: of the kubeconfig; None: the current one.
    """

    namespace: str | None
    deployment: str
    container: str | None = None
    ready_s: float = 600.0
    schedule_s: float = 30.0
    context: str | None = None


@dataclass(frozen=True)
class ControllerSettings:
    """The driver as a Job. `image`: None for that of this version."""

    image: str | None = None
    service_account: str = "canary"
    pull_policy: str = "IfNotPresent"


@dataclass(frozen=True)
class Settings:
    """A configuration file, resolved.

    Attributes:
        path: the file. digest: hash of what it resolved to; recorded with each release.
        target: the target's name (of the local service or of the Deployment).
        prometheus: None: the local runtime's own ring, or `pods`.
        pods: their own pages are scraped; None: a Prometheus is read, or the target is a local service.
        capacity_asked: the file says how capacity is arranged; else it follows from the target.
    """

    path: Path
    digest: str
    runtime: Runtime
    target: str
    strategy: Strategy
    local: LocalService | None = None
    kubernetes: KubernetesTarget | None = None
    image: str | None = None
    prometheus: PrometheusSource | None = None
    pods: PodsSource | None = None
    controller: ControllerSettings = field(default_factory=ControllerSettings)
    capacity_asked: bool = False

    @property
    def if_missing(self) -> str:
        """What a person can do when the target is not there."""
        if self.local is not None:
            return f"Start it with `canary local up -f {self.path}`."
        return "Look with `kubectl get deployments -A`; name another namespace with -n."
