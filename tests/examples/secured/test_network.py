"""The network policies of the secured example, enforced by an agent on the real node."""

import json
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.cluster import LackingError, netpol
from tests.cluster.images import BASE
from tests.cluster.kubectl import apply, kubectl
from tests.cluster.place import REAL
from tests.examples.secured.stage import PRODUCTION, Secured
from tests.kube.live import wait_for

pytestmark = pytest.mark.node

API, DATABASE, EXPORTER = "project-ai-api:80", "postgresql:5432", "postgresql-0:9187"
DNS = "10.97.0.10:53"
NOBODY = "nobody"
TRY = """
import socket, sys
for target in sys.argv[1:]:
    host, port = target.rsplit(":", 1)
    try:
        socket.create_connection((host, int(port)), timeout=3).close()
        print(target, "open")
    except socket.gaierror:
        print(target, "unknown")
    except OSError:
        print(target, "closed")
"""

CLIENTS: dict[str, tuple[str, dict[str, str]]] = {
    "stranger": (PRODUCTION, {"app": "stranger"}),
    "smoke": (PRODUCTION, {"app": "project-ai-smoke", "access": "project-ai-api"}),
    "backup": (PRODUCTION, {"app": "database-backup", "access": "postgresql"}),
    "drill": (PRODUCTION, {"app": "database-restore-drill"}),
    "ingress": ("ingress-nginx", {"app.kubernetes.io/name": "ingress-nginx"}),
    "beside-ingress": ("ingress-nginx", {"app": "stranger"}),
    "prometheus": ("monitoring", {"app.kubernetes.io/name": "prometheus"}),
    "same-labels": ("default", {"app": "project-ai-api", "access": "postgresql"}),
}
"""Pods that try: namespace and labels."""


@pytest.fixture(scope="module")
def clients(secured: Secured) -> Iterator[Secured]:
    try:
        with pods(), netpol.enforced():
            wait_for(lambda: tried("stranger", DATABASE) == ["closed"], "policies hold", 60.0)
            yield secured
    except LackingError as lacking:
        pytest.skip(str(lacking))


@contextmanager
def pods() -> Iterator[None]:
    admin = REAL.kubeconfig("admin")
    others = sorted({namespace for namespace, _ in CLIENTS.values()} - {PRODUCTION, "default"})
    apply(admin, [{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": one}} for one in others])
    apply(admin, [a_pod(name) for name in CLIENTS])
    try:
        for name, (namespace, _) in CLIENTS.items():
            kubectl(
                admin, "wait", "-n", namespace, f"pod/{name}", "--for", "condition=Ready", "--timeout", "60s"
            )
        yield
    finally:
        for name, (namespace, _) in CLIENTS.items():
            kubectl(admin, "delete", "pod", "-n", namespace, name, "--now", "--wait=false")
        kubectl(admin, "delete", "namespace", *others)


def a_pod(name: str) -> dict[str, object]:
    namespace, labels = CLIENTS[name]
    container = {
        "name": "try",
        "image": BASE,
        "imagePullPolicy": "Never",
        "command": ["sleep", "600"],
        "resources": {"requests": {"cpu": "5m", "memory": "16Mi"}, "limits": {"cpu": "1", "memory": "64Mi"}},
        "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
    }
    spec = {
        "automountServiceAccountToken": False,
        "terminationGracePeriodSeconds": 0,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": 65532,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "containers": [container],
    }
    metadata = {"name": name, "namespace": namespace, "labels": labels}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}


def tried(name: str, *targets: str) -> list[str]:
    """What became of each connection: open, closed, or unknown where the name is."""
    namespace, _ = CLIENTS[name]
    return told(kubectl(REAL.kubeconfig("admin"), "exec", "-n", namespace, name, "--", *python(targets)))


def python(targets: tuple[str, ...]) -> list[str]:
    return ["python3", "-c", TRY, *targets]


def told(text: str) -> list[str]:
    return [line.split()[1] for line in text.splitlines()]


def elsewhere(target: str) -> str:
    """The full name, for pods of other namespaces."""
    host, port = target.split(":")
    return f"{host}.{PRODUCTION}.svc.cluster.local:{port}"


def test_a_pod_that_nobody_knows_gets_names_and_nothing_else(clients: Secured) -> None:
    assert tried("stranger", API, DATABASE, EXPORTER, DNS) == ["closed", "closed", "closed", "open"]


def test_each_client_reaches_what_it_is_there_for(clients: Secured) -> None:
    assert tried("smoke", API, DATABASE) == ["open", "closed"]
    assert tried("backup", API, DATABASE) == ["closed", "open"]


def test_a_drill_has_no_network_at_all(clients: Secured) -> None:
    address = clients.get("service", "postgresql")["spec"]["clusterIP"]
    assert tried("drill", f"{address}:5432", DNS) == ["closed", "closed"]


def test_from_elsewhere_only_the_ingress_and_prometheus_are_let_in(clients: Secured) -> None:
    api, database, exporter = elsewhere(API), elsewhere(DATABASE), elsewhere(EXPORTER)
    assert tried("ingress", api, database) == ["open", "closed"]
    assert tried("beside-ingress", api) == ["closed"]
    assert tried("prometheus", api, exporter, database) == ["open", "open", "closed"]
    assert tried("same-labels", api, database) == ["closed", "closed"]


def test_the_service_reaches_its_database_and_nothing_else(clients: Secured) -> None:
    server = clients.cluster.server.removeprefix("https://")
    pod = clients.get("pods", "-l", "app=project-ai-api")["items"][0]["metadata"]["name"]
    targets = (DATABASE, server, "kubernetes.default.svc.cluster.local:443", EXPORTER)
    said = clients.kubectl("exec", pod, "--", *python(targets))
    assert told(said) == ["open", "closed", "closed", "closed"], said


def test_the_pods_of_a_canary_are_held_to_the_policies_of_the_service(clients: Secured) -> None:
    """They have the labels of its template, and a policy selects by these: seen on what was rendered."""
    template = clients.get("deployment", "project-ai-api")["spec"]["template"]["metadata"]["labels"]
    canary = {**template, "canary.track": "canary"}
    policies = clients.get("networkpolicies")["items"]
    selecting = {
        one["metadata"]["name"]
        for one in policies
        if (one["spec"]["podSelector"].get("matchLabels") or {}).items() <= canary.items()
    }
    assert selecting >= {"default-deny", "project-ai-api"}, json.dumps(policies)[:500]
    assert "postgresql-clients" not in selecting


def test_the_service_answers_and_its_database_replicates_under_the_policies(clients: Secured) -> None:
    assert clients.adds("under the policies")
    primary = clients.get("service", "postgresql")["spec"]["selector"]["statefulset.kubernetes.io/pod-name"]
    psql = ["psql", "-XAtq", "-h", "/run/postgresql", "-d", "postgres", "-c"]
    asked = [*psql, "SELECT count(*) FROM pg_stat_replication WHERE state = 'streaming'"]
    inside = ("exec", primary, "-c", "postgresql", "--", *asked)
    wait_for(lambda: clients.kubectl(*inside).strip() == "1", "it replicates", 60.0)
