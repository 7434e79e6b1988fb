"""What a guard of a release can speak of, and where each figure comes from. Pure."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType

from canary.core.strategy import Metric, MetricKind
from canary.rules.condition import Meaning
from canary.rules.quantity import Kind

MEMORY, CPU = "memory_bytes", "cpu_seconds"
"""Names of the gauges that every process may show."""
PROCESS: Mapping[str, Metric] = MappingProxyType(
    {
        MEMORY: Metric(MEMORY, MetricKind.GAUGE, gauge="process_resident_memory_bytes"),
        CPU: Metric(CPU, MetricKind.GAUGE, gauge="process_cpu_seconds_total"),
    }
)
NEEDS = {"memory_bytes": MEMORY, "memory_usage": MEMORY, "cpu_cores": CPU, "cpu_usage": CPU}
"""Figure -> the process gauge that it is made of."""
OF_LIMIT = {"memory_usage": "memory", "cpu_usage": "cpu"}
"""Figure -> the limit that it is a part of."""
LIVE = frozenset({"runtime", "restarts", "ready_pods"})
"""Figures that are seen without any scrape."""
QUANTILES = {"p50": 0.50, "p90": 0.90, "p95": 0.95, "p99": 0.99}

ALWAYS: Mapping[str, Meaning] = MappingProxyType(
    {
        "memory_usage": Meaning(Kind.SHARE, "resident memory of the pod's process, of its memory limit"),
        "memory_bytes": Meaning(Kind.BYTES, "resident memory of the pod's process"),
        "cpu_usage": Meaning(
            Kind.SHARE, "CPU time of the pod's process between two scrapes, of its CPU limit"
        ),
        "cpu_cores": Meaning(Kind.NUMBER, "CPU time of the pod's process between two scrapes, in cores"),
        "restarts": Meaning(Kind.NUMBER, "how often the pod's process was started again"),
        "ready_pods": Meaning(Kind.NUMBER, "pods of the new version that are ready, once a step is reached"),
        "runtime": Meaning(Kind.SECONDS, "time since the release began"),
    }
)
RESERVED = frozenset({*ALWAYS, CPU, "error_rate", "request_rate"})
"""Names that no gauge of the user's own may have."""


def vocabulary(counted: Sequence[Metric], gauges: Sequence[Metric]) -> dict[str, Meaning]:
    """Name -> what it means, for the guards of a release.

    Args:
        counted: ratios and histograms that are read.
        gauges: of the user's own; those of the process may be among them.
    """
    found = dict(ALWAYS)
    for metric in counted:
        found |= _of(metric)
    if counted:
        found["request_rate"] = Meaning(Kind.NUMBER, "requests per second to the canary in the last minute")
    for gauge in gauges:
        if gauge.name not in PROCESS:
            kind = kind_of(gauge.gauge or "")
            found[gauge.name] = Meaning(kind, f"the gauge {gauge.gauge} of the pod")
    return found


def figure_of(ratio: Metric) -> str:
    """What guards call the share of bad ones of a ratio metric."""
    return "error_rate" if ratio.preset is not None else ratio.name


def _of(metric: Metric) -> dict[str, Meaning]:
    if metric.kind is MetricKind.RATIO:
        told = f"bad among all requests of the canary in the last minute ({metric.name})"
        return {figure_of(metric): Meaning(Kind.SHARE, told)}
    return {
        f"{metric.name}_{name}": Meaning(
            Kind.SECONDS, f"{share:.0%} of the canary's requests in the last minute were no slower"
        )
        for name, share in QUANTILES.items()
    }


def kind_of(selector: str) -> Kind:
    """What sort of number a gauge is, by its name as Prometheus' conventions have it."""
    name = selector.partition("{")[0].strip()
    for ending, kind in (("_bytes", Kind.BYTES), ("_seconds", Kind.SECONDS), ("_ratio", Kind.SHARE)):
        if name.endswith(ending):
            return kind
    return Kind.NUMBER
