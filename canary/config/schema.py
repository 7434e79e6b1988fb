"""The shape of `canary.yaml`: keys, types, defaults, meanings. What must go together is in `checks`."""

import re
import shlex
from collections.abc import Callable
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema
from pydantic_core import PydanticCustomError

from canary.config import units

JsonSchema = dict[str, Any]

NAME_PATTERN = "^[A-Za-z0-9]([-._A-Za-z0-9]{0,61}[A-Za-z0-9])?$"

PROBES = (
    "/health", "/healthz", "/health/*", "/live", "/livez", "/ready", "/readyz", "/-/healthy", "/-/ready",
    "/metrics", "health", "healthz", "livez", "readyz", "metrics",
)  # fmt: skip
"""Paths that are asked by machines that look after a service, not by users; some exporters drop slashes."""

PROBE_LABELS = ("path", "handler", "route", "http_route")
"""Labels in which instrumentation libraries keep a request's path."""


def _wanted(parse: Callable[[object], Any]) -> BeforeValidator:
    """Parse a quantity; what is wanted goes into the error's text."""

    def validate(value: object) -> object:
        try:
            return parse(value)
        except ValueError as fault:
            raise PydanticCustomError("wanted", "{text}", {"text": str(fault)}) from fault

    return BeforeValidator(validate)


def _longer(parse: Callable[[object], float]) -> Callable[[object], float]:
    def positive(value: object) -> float:
        seconds = parse(value)
        if seconds <= 0:
            raise ValueError("wanted a duration above 0s")
        return seconds

    return positive


def _ratio(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not value >= 1:
        raise ValueError("wanted a number of at least 1, such as 1.5")
    return float(value)


def _word(value: object) -> str:
    # A number is not taken for its text: 1.10 would have become 1.1 on the way.
    if isinstance(value, str):
        return value
    quotes = "" if isinstance(value, list | dict) else ": put it in quotes"
    raise ValueError(f"wanted text{quotes}")


def _argument(value: object) -> str:
    if value == "":
        raise ValueError("wanted text that is not empty")
    return _word(value)


def _command(value: object) -> object:
    if isinstance(value, str):
        try:
            words = ", ".join(f'"{word}"' for word in shlex.split(value))
        except ValueError:
            words = '"python", "-m", "service"'
        raise ValueError(f"wanted a list of words: [{words}]")
    return value


def _path_of_url(value: object) -> str:
    if isinstance(value, str) and value.startswith("/") and not any(one.isspace() for one in value):
        return value
    raise ValueError("wanted a path that begins with /, such as /health")


def _url(value: object) -> str:
    if isinstance(value, str) and re.fullmatch(r"https?://[^\s/]\S*", value):
        return value.rstrip("/")
    raise ValueError("wanted a URL such as https://prometheus:9090")


def _name(value: object) -> str:
    if isinstance(value, str) and re.fullmatch(NAME_PATTERN, value):
        return value
    raise ValueError("wanted a name: letters, digits, - . _ inside, at most 63 of them")


def _text(pattern: str, *examples: object) -> WithJsonSchema:
    return WithJsonSchema({"type": "string", "pattern": pattern, "examples": list(examples)})


Duration = Annotated[float, _wanted(units.parse_duration), _text(units.DURATION_PATTERN, "15s", "1m30s")]
Stretch = Annotated[
    float, _wanted(_longer(units.parse_duration)), _text(units.DURATION_PATTERN, "15s", "1m30s")
]
Percentage = Annotated[float, _wanted(units.parse_percentage), _text(units.PERCENT_PATTERN, "10%")]
Points = Annotated[float, _wanted(units.parse_points), _text(units.POINTS_PATTERN, "0.5pp")]
Rate = Annotated[
    float,
    _wanted(units.parse_rate),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "number", "exclusiveMinimum": 0, "maximum": 0.5},
                {"type": "string", "pattern": units.PERCENT_PATTERN},
            ],
            "examples": [0.01, "1%"],
        }
    ),
]
Weight = Annotated[
    float,
    _wanted(units.parse_weight),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 100},
                {"type": "string", "pattern": units.PERCENT_PATTERN},
            ],
            "examples": [10, "10%"],
        }
    ),
]
Ratio = Annotated[float, _wanted(_ratio), WithJsonSchema({"type": "number", "minimum": 1})]
Address = Annotated[tuple[str, int], _wanted(units.parse_address), _text("^.+:[0-9]{1,5}$", "127.0.0.1:8080")]
UrlPath = Annotated[str, _wanted(_path_of_url), _text(r"^/\S*$", "/health")]
Url = Annotated[str, _wanted(_url), _text("^https?://.+", "https://prometheus:9090")]
Name = Annotated[str, _wanted(_name), _text(NAME_PATTERN, "shop")]
Text = Annotated[str, _wanted(_argument), WithJsonSchema({"type": "string", "minLength": 1})]
Word = Annotated[str, _wanted(_word), WithJsonSchema({"type": "string"})]
Command = Annotated[list[Word], _wanted(_command), Field(min_length=1)]


class Section(BaseModel):
    """A mapping of the file: nothing unknown in it, nothing converted silently."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)


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


class Controller(Section):
    """The driver as a Job in the cluster, for `canary start --in-cluster`."""

    image: Text | None = Field(None, description="Left out: `canary` with the tag of this version.")
    service_account: Name = Field("canary", description="What it runs as; see `canary rbac --for driver`.")
    pull_policy: Literal["Always", "IfNotPresent", "Never"] = Field(
        "IfNotPresent", description="When its image is pulled."
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
    controller: Controller | None = Field(
        None, description="The driver as a Job in the cluster (Kubernetes)."
    )
