"""A Prometheus on the machine that scrapes, each second, all pods of the real node that ask for it."""

from pathlib import Path

import httpx
import yaml

from tests.cluster import build, processes
from tests.cluster.kubectl import apply
from tests.cluster.place import Place, write

META = "__meta_kubernetes_pod"
ASKED = f"{META}_annotation_prometheus_io"
REACHES = {
    "apiVersion": "rbac.authorization.k8s.io/v1",
    "kind": "ClusterRoleBinding",
    "metadata": {"name": "prometheus-reads-pods"},
    "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "view"},
    "subjects": [{"kind": "User", "apiGroup": "rbac.authorization.k8s.io", "name": "prometheus"}],
}
RELABEL: list[dict[str, object]] = [
    {"action": "keep", "source_labels": [f"{ASKED}_scrape"], "regex": "true"},
    {"action": "keep", "source_labels": [f"{META}_phase"], "regex": "Running"},
    {"source_labels": [f"{ASKED}_path"], "regex": "(.+)", "target_label": "__metrics_path__"},
    {
        "source_labels": [f"{META}_ip", f"{ASKED}_port"],
        "separator": ":",
        "regex": "(.+:.+)",
        "target_label": "__address__",
    },
    {"source_labels": ["__meta_kubernetes_namespace"], "target_label": "namespace"},
    {"source_labels": [f"{META}_name"], "target_label": "pod"},
]
"""As is usual: the annotations `prometheus.io/scrape`, `/port` and `/path` of a pod say what is wanted."""


def start(place: Place) -> str:
    """Start it; its URL, when it answers."""
    apply(place.kubeconfig("admin"), [REACHES])
    found = {"role": "pod", "kubeconfig_file": str(place.kubeconfig("prometheus"))}
    pods = {"job_name": "pods", "kubernetes_sd_configs": [found], "relabel_configs": RELABEL}
    config = {"global": {"scrape_interval": "1s", "scrape_timeout": "1s"}, "scrape_configs": [pods]}
    write(place.folder / "prometheus.yaml", yaml.safe_dump(config, sort_keys=False))
    # Where pods reach it as well: a driver may be one of them.
    address = f"{place.address}:{place.port('prometheus')}"
    command: list[str | Path] = [
        build.built(build.PROMETHEUS),
        f"--config.file={place.folder / 'prometheus.yaml'}",
        f"--storage.tsdb.path={place.folder / 'prometheus'}",
        f"--web.listen-address={address}",
    ]
    processes.start(place, "prometheus", command)
    url = f"http://{address}"
    processes.until(lambda: _ready(url), "Prometheus", place=place)
    return url


def _ready(url: str) -> bool:
    try:
        return httpx.get(f"{url}/-/ready", timeout=2, trust_env=False).status_code == 200
    except httpx.HTTPError:
        return False
