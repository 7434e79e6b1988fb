"""A target for which every point holds, to plant one flaw at a time in."""

import copy
from collections.abc import Mapping
from typing import Any

from canary.preflight.facts import (
    Alert,
    Alerts,
    Asked,
    Facts,
    History,
    Host,
    Kept,
    Kind,
    Ledger,
    Pods,
    Policy,
    Proof,
    Receiver,
    Replica,
    Route,
    Unit,
)

NOW = 1_800_000_000.0
HOUR_S, DAY_S = 3600.0, 86400.0
Json = dict[str, Any]

SPEC: Json = {
    "automountServiceAccountToken": False,
    "securityContext": {
        "runAsNonRoot": True,
        "runAsUser": 1000,
        "seccompProfile": {"type": "RuntimeDefault"},
    },
    "containers": [
        {
            "name": "app",
            "image": "shop/web:v1",
            "env": [
                {"name": "LOG_LEVEL", "value": "info"},
                {"name": "DATABASE_PASSWORD_FILE", "value": "/run/secrets/db/password"},
            ],
            "ports": [{"containerPort": 8000}],
            "readinessProbe": {"httpGet": {"path": "/health/ready", "port": 8000}},
            "resources": {
                "requests": {"cpu": "50m", "memory": "64Mi"},
                "limits": {"cpu": "1", "memory": "256Mi"},
            },
            "securityContext": {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            },
        }
    ],
    "volumes": [{"name": "db", "secret": {"secretName": "db"}}, {"name": "tmp", "emptyDir": {}}],
}

POLICY: Json = {
    "metadata": {"name": "web"},
    "spec": {
        "podSelector": {"matchLabels": {"app": "web"}},
        "policyTypes": ["Ingress", "Egress"],
        "ingress": [{"from": [{"podSelector": {"matchLabels": {"app": "edge"}}}], "ports": [{"port": 8000}]}],
        "egress": [{"to": [{"namespaceSelector": {}}], "ports": [{"protocol": "UDP", "port": 53}]}],
    },
}


def template(**spec: Any) -> Json:
    found = copy.deepcopy({**SPEC, **spec})
    return {"metadata": {"labels": {"app": "web"}}, "spec": found}


def container(**changes: Any) -> Json:
    """The template with its container changed; a securityContext is added to the one there is."""
    one = copy.deepcopy(SPEC["containers"][0])
    context = {**one["securityContext"], **changes.pop("securityContext", {})}
    found = template(containers=[{**one, **changes, "securityContext": context}])
    return found


def a_policy(target: bool = True, canary: bool = True, **spec: Any) -> Policy:
    document = copy.deepcopy(POLICY)
    document["spec"].update(spec)
    return Policy(document, target, canary)


def pods(**changes: Any) -> Pods:
    usual: dict[str, Any] = {
        "namespace": "shop",
        "template": template(),
        "policies": (a_policy(),),
        "account": {"metadata": {"name": "web"}},
        "bindings": (),
        "settings": {},
        "bounds": ("ResourceQuota all",),
        "rights": ({"verbs": ["list"], "resources": ["pods"], "apiGroups": [""]},),
    }
    return Pods(**{**usual, **changes})


LIMITS: Mapping[str, str] = {
    "memory": "memory.max 536870912",
    "cpu": "cpu.max 100000 100000",
    "tasks": "pids.max 64",
}


def a_replica(**changes: Any) -> Replica:
    usual: dict[str, Any] = {"name": "web-1 (process 7)", "user": "shop", "root": False, "limits": LIMITS}
    return Replica(**{**usual, **changes})


def a_unit(exposure: Any = 1.9, **settings: str) -> Unit:
    return Unit("shop.service", settings, exposure)


def host(**changes: Any) -> Host:
    usual: dict[str, Any] = {
        "listen": ("127.0.0.1", 8080),
        "replicas": (a_replica(),),
        "unit": a_unit(),
        "kept": ("/var/lib/shop", "/etc/shop/canary.yaml"),
        "open": (),
    }
    return Host(**{**usual, **changes})


BACKUP = Proof(Kind.BACKUP, "CronJob backup", NOW - 5 * HOUR_S)
DRILL = Proof(Kind.DRILL, "CronJob drill", NOW - 20 * DAY_S, rto_s=90.0, rpo_s=6 * HOUR_S, rto_target_s=300.0)
ALERT = Alert("WebErrors", 'rate(http_requests_total{namespace="shop",code="500"}[5m]) > 1')
ALERTS = Alerts(
    "http://prometheus:9090", (ALERT,), ("http://alerts:9093",), Route(Receiver("on-call", ("pagerduty",)))
)
HISTORY = History(Kept(3, "v1.1.0"), (Kept(2, "v1.0.0"), Kept(1, "v0.9.0")), limit=10)


def facts(**changes: Any) -> Facts:
    usual: dict[str, Any] = {
        "target": "web",
        "namespace": "shop",
        "file": "canary.yaml",
        "now": NOW,
        "asked": Asked(),
        "proofs": (BACKUP, DRILL),
        "alerts": ALERTS,
        "history": HISTORY,
        "ledger": Ledger(12, last=NOW - HOUR_S),
        "place": pods(),
    }
    return Facts(**{**usual, **changes})
