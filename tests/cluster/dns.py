"""Names of Services, as in any cluster: CoreDNS as a pod, behind the Service `kube-dns`."""

import json
from typing import Any

from tests.cluster import images

ADDRESS = "10.97.0.10"
DOMAIN = "cluster.local"
NAMESPACE = "kube-system"
CONFIG = f"""
.:53 {{
    errors
    ready :8181
    cache 5
    kubernetes {DOMAIN} {{
        ttl 5
    }}
}}
"""
"""The cluster's own names only: nothing in the tests is to depend on others."""

READS = [
    {"apiGroups": [""], "resources": ["services", "pods", "namespaces"], "verbs": ["list", "watch"]},
    {"apiGroups": ["discovery.k8s.io"], "resources": ["endpointslices"], "verbs": ["list", "watch"]},
]


def objects() -> list[dict[str, Any]]:
    """All of it, as manifests. It is ready a second or two after they were made."""
    role = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "dns"}
    account = [{"kind": "ServiceAccount", "name": "dns", "namespace": NAMESPACE}]
    ports = [{"name": f"dns-{one}", "protocol": one.upper(), "port": 53} for one in ("udp", "tcp")]
    service = {"clusterIP": ADDRESS, "selector": {"k8s-app": "kube-dns"}, "ports": ports}
    return [
        _object("v1", "ServiceAccount", "dns"),
        _object("rbac.authorization.k8s.io/v1", "ClusterRole", "dns", rules=READS),
        _object("rbac.authorization.k8s.io/v1", "ClusterRoleBinding", "dns", roleRef=role, subjects=account),
        _object("v1", "ConfigMap", "dns", data={"Corefile": CONFIG}),
        _object("v1", "Service", "kube-dns", spec=service),
        _object("apps/v1", "Deployment", "dns", spec=_deployment()),
    ]


def _object(version: str, kind: str, name: str, **rest: Any) -> dict[str, Any]:
    place = {} if kind.startswith("Cluster") else {"namespace": NAMESPACE}
    return {"apiVersion": version, "kind": kind, "metadata": {"name": name, **place}, **rest}


def _deployment() -> dict[str, Any]:
    container = {
        "name": "dns",
        "image": images.DNS,
        "imagePullPolicy": "Never",
        "args": ["-conf", "/etc/dns/Corefile"],
        "readinessProbe": {"httpGet": {"path": "/ready", "port": 8181}, "periodSeconds": 1},
        "resources": {"requests": {"cpu": "10m", "memory": "24Mi"}},
        "volumeMounts": [{"name": "config", "mountPath": "/etc/dns", "readOnly": True}],
    }
    labels = {"k8s-app": "kube-dns"}
    # What it reads is told as well: another content is another pod.
    told = {"metadata": {"labels": labels, "annotations": {"config": json.dumps(CONFIG)}}}
    volumes = [{"name": "config", "configMap": {"name": "dns"}}]
    # Its own names would be asked of itself.
    pod = {"serviceAccountName": "dns", "dnsPolicy": "Default", "containers": [container], "volumes": volumes}
    return {"replicas": 1, "selector": {"matchLabels": labels}, "template": {**told, "spec": pod}}
