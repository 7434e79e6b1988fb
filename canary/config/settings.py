"""What a configuration file resolves to, as plain values (no pydantic beyond this room's `schema`)."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from canary.core.revision import Limits
from canary.core.strategy import Strategy
from canary.preflight.facts import Asked

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
        limits: what guards take for a replica's.
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
    limits: Limits = field(default_factory=Limits)
    targets: Path | None = None


@dataclass(frozen=True)
class HttpServer:
    """A server that is spoken to over HTTP. `timeout_s`: for one answer. Secrets come from files only."""

    url: str
    token_file: Path | None = None
    ca_file: Path | None = None
    timeout_s: float = 10.0


@dataclass(frozen=True)
class PrometheusSource(HttpServer):
    """A Prometheus server, and how its series are told apart."""

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
    """The driver as a Job. `image`: None for that of this version. `seal_secret`: see `SealSettings`."""

    image: str | None = None
    service_account: str = "canary"
    pull_policy: str = "IfNotPresent"
    seal_secret: str | None = None


@dataclass(frozen=True)
class SealSettings:
    """How the ledger is sealed.

    Attributes:
        key_file: of the key. In a Job the Secret `controller.seal_secret` is mounted at its folder.
        files, webhooks: where copies go. events: as Events in the target's namespace, too.
    """

    key_file: Path
    files: tuple[Path, ...] = ()
    webhooks: tuple[HttpServer, ...] = ()
    events: bool = False


@dataclass(frozen=True)
class PreflightSettings:
    """What is checked before a release.

    Attributes:
        strict: a release depends on it. evidence: folder of documents about backups and drills.
        prometheus: whose alert rules are looked at; None: the one that is analysed, if any.
        alertmanager: whose routes are looked at; None: the one that Prometheus names.
        unit: file of the systemd unit that keeps a local service.
    """

    strict: bool = False
    evidence: Path | None = None
    asked: Asked = field(default_factory=Asked)
    prometheus: HttpServer | None = None
    alertmanager: HttpServer | None = None
    unit: Path | None = None


@dataclass(frozen=True)
class Settings:
    """A configuration file, resolved.

    Attributes:
        path: the file. digest: hash of what it resolved to; recorded with each release.
        target: the target's name (of the local service or of the Deployment).
        prometheus: None: the local runtime's own ring, or `pods`.
        pods: their own pages are scraped; None: a Prometheus is read, or the target is a local service.
        seal: None: the ledger is not sealed.
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
    seal: SealSettings | None = None
    preflight: PreflightSettings = field(default_factory=PreflightSettings)
    capacity_asked: bool = False

    @property
    def if_missing(self) -> str:
        """What a person can do when the target is not there."""
        if self.local is not None:
            return f"Start it with `canary local up -f {self.path}`."
        return "Look with `kubectl get deployments -A`; name another namespace with -n."


def sealing(settings: Settings) -> tuple[str, ...]:
    """What the file leaves to be wished of the ledger, in words; empty: it is sealed, and copies go out.

    The ledger itself is always on. Whether the key is there only the process that drives can tell.
    """
    if settings.seal is None:
        return ("the ledger is not sealed",)
    if not (settings.seal.files or settings.seal.webhooks or settings.seal.events):
        return ("no copy of the seals goes anywhere else: set `ledger.seal.to`",)
    return ()
