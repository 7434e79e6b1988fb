"""The shape of `canary.yaml`: keys, types, defaults, meanings. What must go together is in `checks`."""

from typing import Literal

from pydantic import ConfigDict, Field

from canary.config.fields import (
    Address,
    Command,
    Cores,
    Duration,
    Name,
    Percentage,
    Points,
    Rate,
    Ratio,
    Section,
    Size,
    Stretch,
    Text,
    Url,
    UrlPath,
    Weight,
    Word,
)
from canary.config.schema_preflight import Preflight

PROBES = (
    "/health", "/healthz", "/health/*", "/live", "/livez", "/ready", "/readyz", "/-/healthy", "/-/ready",
    "/metrics", "health", "healthz", "livez", "readyz", "metrics",
)  # fmt: skip
"""Paths that are asked by machines that look after a service, not by users; some exporters drop slashes."""

PROBE_LABELS = ("path", "handler", "route", "http_route")
"""Labels in which instrumentation libraries keep a request's path."""


class Target(Section):
    """What is released to: a local service, or a Deployment."""

    model_config = ConfigDict(
        json_schema_extra={
            "oneOf": [{"required": ["local"]}, {"required": ["deployment"]}],
        }
    )

    local: Name | None = Field(None, description="Name of the service that the section `local` describes.")
    namespace: Name | None = Field(
        None, description="Namespace of the Deployment; left out: that of the context (Kubernetes)."
    )
    deployment: Name | None = Field(None, description="Name of the Deployment (Kubernetes).")
    container: Name | None = Field(
        None, description="Whose image is released, when pods have several (Kubernetes)."
    )
    ready: Stretch = Field(
        600.0, description="A pod that is not ready after this long never will be (Kubernetes)."
    )
    schedule: Stretch = Field(
        30.0, description="A pod may be without a node for so long; more with an autoscaler (Kubernetes)."
    )


class Limits(Section):
    """What one replica may use at most."""

    memory: Size | None = Field(None, description="Resident memory.")
    cpu: Cores | None = Field(None, description="In cores.")


class Local(Section):
    """A service that the local runtime keeps running on this machine."""

    command: Command = Field(
        description="Program and arguments; `{version}`, `{port}` and `{python}` are filled in."
    )
    version: Text = Field(description="What runs first, when there is no state yet.")
    env: dict[str, Word] = Field(
        default_factory=dict, description="Added to the environment; filled in the same way."
    )
    directory: Text = Field(".", description="Working directory; relative to this file.")
    replicas: int = Field(3, ge=1, le=1000, description="How many run.")
    listen: Address = Field(("127.0.0.1", 8080), description="The one address in front of all replicas.")
    health: UrlPath = Field("/health", description="Answers 2xx when a replica is ready.")
    metrics: UrlPath = Field("/metrics", description="Where a replica shows its metrics.")
    surge: int = Field(1, ge=0, le=1000, description="Replicas allowed above `replicas`.")
    unavailable: int = Field(0, ge=0, le=1000, description="Replicas allowed to be missing.")
    ready: Stretch = Field(30.0, description="A replica that is not ready after this long never will be.")
    drain: Duration = Field(10.0, description="At most this long for open connections of a replica to end.")
    scrape: Stretch = Field(15.0, description="How often each replica is scraped.")
    limits: Limits | None = Field(
        None, description="What guards take for a replica's limits; nothing holds a replica to them."
    )
    targets: Text | None = Field(
        None, description="File kept with the replicas' own addresses, for file_sd_configs of a Prometheus."
    )
    state: Text = Field(".canary", description="Folder of everything kept on disk; relative to this file.")


class Bounds(Section):
    """Least and longest time in a step."""

    min: Duration = Field(60.0, description="A step is not left before.")
    max: Stretch = Field(900.0, description="An unclear canary is paused after this long in a step.")


class WarmUp(Section):
    """How long a new pod's latency is not judged."""

    min: Duration = Field(60.0, description="At least this long.")
    max: Duration = Field(300.0, description="At most this long; before, it ends when the pod has settled.")


class Margin(Section):
    """Worse by more than the larger of the two must be ruled out before a promotion."""

    ratio: Ratio | None = Field(
        None, description="Canary rate over stable rate. Left out beside `abs`: what is tolerated."
    )
    abs: Points | None = Field(None, description="Difference of the rates, in percentage points.")


class Errors(Section):
    """How the share of failed requests is compared."""

    tolerance: Percentage = Field(
        0.10, description="A canary worse by no more than this is not rolled back for it."
    )
    margin: Margin = Field(Margin.model_construct(), description="What must be ruled out before a promotion.")


class Latency(Section):
    """How the shares of slow requests are compared."""

    tolerance: Percentage = Field(
        0.25, description="A canary worse by no more than this is not rolled back for it."
    )
    margin: Margin = Field(Margin.model_construct(), description="What must be ruled out before a promotion.")
    slower_than: Stretch | None = Field(
        None, description="What is slow; left out: what is slow for the stable."
    )


class RatioOf(Section):
    """Two counters of your own."""

    bad: Text = Field(description="Series selector of the counter of bad events.")
    all: Text = Field(description="Series selector of the counter of all events.")


class Metric(Section):
    """One thing that is compared: a preset, or a ratio or histogram of your own under a name."""

    model_config = ConfigDict(
        json_schema_extra={
            "oneOf": [{"required": ["preset"]}, {"required": ["ratio"]}, {"required": ["histogram"]}],
            "dependentRequired": {"ratio": ["name"], "histogram": ["name"]},
        }
    )

    preset: Literal["http", "opentelemetry", "ingress-nginx", "istio", "linkerd", "traefik"] | None = Field(
        None, description="Errors and latency of a well-known exporter; both, or those that are listed."
    )
    errors: Errors | None = Field(None, description="Of a preset: the share of failed requests.")
    latency: Latency | None = Field(None, description="Of a preset: the shares of slow requests.")
    name: Name | None = Field(None, description="Of a metric of your own.")
    ratio: RatioOf | None = Field(None, description="Of your own: bad among all.")
    histogram: Text | None = Field(
        None, description="Of your own: series selector of a histogram, without `_bucket`."
    )
    tolerance: Percentage | None = Field(None, description="Of your own metric; see `errors`.")
    margin: Margin | None = Field(None, description="Of your own metric; see `errors`.")
    slower_than: Stretch | None = Field(None, description="Of your own histogram; see `latency`.")


class Prometheus(Section):
    """A Prometheus server. Secrets come from files only."""

    url: Url = Field(description="Where its API is, without /api/v1.")
    token_file: Text | None = Field(None, description="File with a bearer token; read again at each request.")
    ca_file: Text | None = Field(None, description="File with the certificates to trust.")
    timeout: Stretch = Field(10.0, description="For one answer.")
    scrape_interval: Stretch = Field(15.0, description="How often it scrapes the pods.")
    pod_label: Text = Field("pod", description="Label that names the pod.")
    selector: dict[str, Text] = Field(
        default_factory=dict, description="Labels that tell this target's series from others."
    )


class Pods(Section):
    """The pods' own metrics pages, scraped at their own addresses (Kubernetes)."""

    port: int | None = Field(
        None,
        ge=1,
        le=65535,
        description="Left out: that of the annotation prometheus.io/port, of the container port named "
        "`metrics`, or the only one of the released container.",
    )
    path: UrlPath | None = Field(
        None, description="Left out: that of the annotation prometheus.io/path, or /metrics."
    )
    scrape: Stretch = Field(15.0, description="How often each pod is scraped.")
    insecure: bool = Field(
        False, description="With prometheus.io/scheme https: take it without checking the certificate."
    )


class Source(Section):
    """Where counters are read. Left out: the pods' own metrics pages."""

    model_config = ConfigDict(
        json_schema_extra={"oneOf": [{"required": ["prometheus"]}, {"required": ["pods"]}]}
    )

    prometheus: Prometheus | None = Field(None, description="A Prometheus server.")
    pods: Pods | None = Field(None, description="The pods' own metrics pages (Kubernetes).")


class Analysis(Section):
    """How the canary is compared with the stable."""

    source: Source | None = Field(
        None, description="Where counters are read; left out: the pods' own metrics."
    )
    interval: Stretch = Field(15.0, description="Time between two looks.")
    warm_up: WarmUp = Field(
        WarmUp.model_construct(min=60.0, max=300.0),
        description="How long a new pod's latency is not judged.",
    )
    false_rollback_rate: Rate = Field(
        0.01, description="Over the whole release and all metrics, however often one looks."
    )
    false_promotion_rate: Rate = Field(0.02, description="For a canary that is worse than the margin.")
    exclude: dict[str, list[Text]] | None = Field(
        None,
        description="Label -> patterns of requests that are not traffic; left out: health checks and "
        "metrics pages. The local service's own are excluded in any case.",
    )
    metrics: list[Metric] = Field(
        [Metric.model_construct(preset="http")], min_length=1, description="What is compared."
    )


class Webhook(Section):
    """A server that copies of seals are posted to, one JSON document each. Secrets come from files only."""

    url: Url = Field(description="Where to.")
    token_file: Text | None = Field(None, description="File with a bearer token; read again each time.")
    ca_file: Text | None = Field(None, description="File with the certificates to trust.")
    timeout: Stretch = Field(3.0, description="For its answer.")


class SealTo(Section):
    """One place that copies of seals go to: a file, a webhook, or events."""

    model_config = ConfigDict(
        json_schema_extra={
            "oneOf": [{"required": ["file"]}, {"required": ["webhook"]}, {"required": ["events"]}]
        }
    )

    file: Text | None = Field(
        None, description="A line of JSON each is appended; relative to this file. Its folder must be there."
    )
    webhook: Webhook | None = Field(None, description="A server that they are posted to.")
    events: Literal[True] | None = Field(
        None, description="An Event each in the namespace of the target (Kubernetes)."
    )


class Seal(Section):
    """Heads of the ledger are signed, so that nobody can write it anew without the key."""

    key_file: Text = Field(
        description="File with the key: PEM of an Ed25519 key, or 32 random bytes or more as they are, in "
        "hexadecimal or in base64; relative to this file. See `canary audit keygen`."
    )
    to: list[SealTo] = Field(
        default_factory=list, description="Where copies go, best out of reach of who can write the ledger."
    )


class Ledger(Section):
    """The ledger of every look, decision, action and request."""

    seal: Seal | None = Field(None, description="Left out: it is a hash chain alone.")


class Guard(Section):
    """A rule over the canary that acts by itself, outside of what the statistics promise."""

    name: Name = Field(description="What it is called; each its own.")
    condition: Text = Field(
        description="When it acts, such as `memory_usage > 90% for 30s`; see docs/guards.md."
    )
    action: Literal["alert", "pause", "abort"] = Field(
        description="alert: tell people. pause: hold the release. abort: roll it back at once."
    )
    alert: bool = Field(False, description="Tell people, whatever else it does.")


class Controller(Section):
    """The driver as a Job in the cluster, for `canary start --in-cluster`."""

    image: Text | None = Field(None, description="Left out: `canary` with the tag of this version.")
    service_account: Name = Field("canary", description="What it runs as; see `canary rbac --for driver`.")
    pull_policy: Literal["Always", "IfNotPresent", "Never"] = Field(
        "IfNotPresent", description="When its image is pulled."
    )
    seal_secret: Name | None = Field(
        None,
        description="Secret to mount at the folder of `ledger.seal.key_file`: the Job has its key from it.",
    )


class File(Section):
    """A release as canary is to drive it: what to release to, in which steps, and how it is judged."""

    target: Target = Field(description="What is released to.")
    image: Text | None = Field(None, description="Image without its tag (Kubernetes).")
    local: Local | None = Field(None, description="The service, when `target` is `{local: NAME}`.")
    steps: list[Weight] = Field(
        [10.0, 25.0, 50.0], min_length=1, description="Weights of the canary in %, each larger than the last."
    )
    hold: Bounds = Field(
        Bounds.model_construct(min=60.0, max=900.0), description="Least and longest time in a step."
    )
    deadline: Stretch = Field(3600.0, description="From the start to a conclusion.")
    pause_max: Stretch = Field(3600.0, description="A pause that nobody ends ends after this long.")
    on_inconclusive: Literal["rollback", "pause", "promote"] = Field(
        "rollback", description="What to do at the deadline when the evidence has not settled the question."
    )
    bake: Duration = Field(0.0, description="How long to watch after the promotion; 0s is not at all.")
    capacity: Literal["replace", "extra"] | None = Field(
        None,
        description="Canary replicas take the place of stable ones, or come on top of them. Left out: "
        "replace; extra where the target's replicas are not canary's to set.",
    )
    promote: Literal["target", "external"] = Field(
        "target",
        description="A good version is put on the target, or `external`: canary ends with the verdict, and "
        "the target is never touched (GitOps).",
    )
    analysis: Analysis = Field(
        Analysis.model_validate({}), description="How the canary is compared with the stable."
    )
    ledger: Ledger = Field(Ledger.model_construct(), description="What is kept of a release.")
    guards: list[Guard] = Field([], description="Rules over the canary that act by themselves.")
    gauges: dict[str, Text] = Field(
        default_factory=dict,
        description="Name -> series selector of a gauge that the pods show, for guards to speak of.",
    )
    controller: Controller | None = Field(
        None, description="The driver as a Job in the cluster (Kubernetes)."
    )
    preflight: Preflight = Field(
        Preflight.model_validate({}), description="What `canary preflight` checks before a release."
    )
