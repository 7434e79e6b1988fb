"""The test cluster is what it claims to be: real where it says real, and played where it says so."""

import json
import os
import secrets
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests import cluster
from tests.cluster import made, netpol, network, node, processes, upkeep
from tests.cluster.images import BASE
from tests.cluster.kubectl import apply, get, kubectl
from tests.cluster.place import REAL, Place

pytestmark = [
    pytest.mark.cluster,
    pytest.mark.skipif(bool(os.environ.get(made.VARIABLE)), reason="a cluster was given: these test our own"),
]
PATIENCE_S = 60.0
"""Far above what anything here takes."""

SERVE = """
import http.server
class Answer(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Type", "text/plain")
        self.end_headers()
        self.wfile.write(b"tries_total 7\\n")
http.server.HTTPServer(("", 8080), Answer).serve_forever()
"""
ASK = """
import os, ssl, urllib.error, urllib.request
place = "/var/run/secrets/kubernetes.io/serviceaccount/"
trust = ssl.create_default_context(cafile=place + "ca.crt")
server = "https://%(KUBERNETES_SERVICE_HOST)s:%(KUBERNETES_SERVICE_PORT)s" % os.environ
inside = "namespaces/" + open(place + "namespace").read()
for path in (f"apis/apps/v1/{inside}/deployments", f"api/v1/{inside}/secrets"):
    ask = urllib.request.Request(f"{server}/{path}")
    ask.add_header("Authorization", "Bearer " + open(place + "token").read())
    try:
        print(urllib.request.urlopen(ask, context=trust).status)
    except urllib.error.HTTPError as refused:
        print(refused.code)
"""


def until(what: Callable[[], Any], wanted: Any) -> None:
    end = time.monotonic() + PATIENCE_S
    while (found := what()) != wanted:
        assert time.monotonic() < end, f"not within {PATIENCE_S:g} s: {wanted}; found {found}"
        time.sleep(0.2)


@pytest.fixture(scope="module")
def simulated() -> Iterator[cluster.Cluster]:
    yield from standing(node=False)


@pytest.fixture(scope="module")
def stood() -> bool:
    """Whether the real node was up before these tests."""
    return upkeep.standing(REAL) is not None


@pytest.fixture(scope="module")
def before(stood: bool) -> set[str]:
    """What was there already: a machine may have containers of its own."""
    return set() if stood else set(traces())


@pytest.fixture(scope="module")
def real(before: set[str]) -> Iterator[cluster.Cluster]:
    yield from standing(node=True)


def standing(*, node: bool) -> Iterator[cluster.Cluster]:
    try:
        with cluster.running(node) as found:
            yield found
    except cluster.LackingError as lacking:
        pytest.skip(str(lacking))


@pytest.fixture
def namespace(request: pytest.FixtureRequest) -> Iterator[str]:
    name = f"test-{secrets.token_hex(3)}"
    found: cluster.Cluster = request.getfixturevalue(
        "real" if "real" in request.fixturenames else "simulated"
    )
    found.kubectl("create", "namespace", name)
    yield name
    found.kubectl("delete", "namespace", name, "--wait=false")


def a_deployment(namespace: str, tag: str, replicas: int = 3) -> dict[str, Any]:
    labels = {"app": tag}
    container = {"name": "it", "image": f"example/it:{tag}"}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": tag, "namespace": namespace},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": {"containers": [container]}},
        },
    }


def a_pod(namespace: str, script: str, **metadata: Any) -> dict[str, Any]:
    """A pod that would be let into a namespace of the strictest kind."""
    shut = {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "it", "namespace": namespace, "labels": {"app": "it"}, **metadata},
        "spec": {
            "restartPolicy": "Never",
            "terminationGracePeriodSeconds": 0,
            "securityContext": {
                "runAsNonRoot": True,
                "runAsUser": 65532,
                "seccompProfile": {"type": "RuntimeDefault"},
            },
            "containers": [
                {
                    "name": "it",
                    "image": BASE,
                    "imagePullPolicy": "Never",
                    "command": ["python3", "-u", "-c", script],
                    "securityContext": shut,
                }
            ],
        },
    }


def test_a_deployment_becomes_ready_on_simulated_nodes(simulated: cluster.Cluster, namespace: str) -> None:
    apply(simulated.kubeconfig, [a_deployment(namespace, "v1")])
    ready = ("deployment", "v1", "-n", namespace)
    until(lambda: get(simulated.kubeconfig, *ready)["status"].get("readyReplicas"), 3)


@pytest.mark.parametrize(
    ("tag", "waiting"), [("never", None), ("pull", "ImagePullBackOff"), ("crash", "CrashLoopBackOff")]
)
def test_the_tag_of_an_image_plays_a_failure(
    simulated: cluster.Cluster, namespace: str, tag: str, waiting: str | None
) -> None:
    apply(simulated.kubeconfig, [a_deployment(namespace, tag, replicas=1)])

    def seen() -> tuple[Any, ...]:
        for pod in get(simulated.kubeconfig, "pods", "-n", namespace)["items"]:
            for container in pod["status"].get("containerStatuses", []):
                return container["ready"], container["state"].get("waiting", {}).get("reason")
        return ()

    until(seen, (False, waiting))


def test_a_service_account_may_do_only_what_it_was_granted(
    simulated: cluster.Cluster, namespace: str
) -> None:
    robot = simulated.service_account(namespace, "robot")
    with pytest.raises(cluster.ClusterError, match=r"cannot list resource .*pods"):
        kubectl(robot, "get", "pods", "-n", namespace)
    simulated.kubectl(
        "create",
        "rolebinding",
        "robot",
        "-n",
        namespace,
        "--clusterrole=view",
        f"--serviceaccount={namespace}:robot",
    )

    def listed() -> Any:
        with suppress(cluster.ClusterError):  # the server takes note of a grant a moment later
            return get(robot, "pods", "-n", namespace)["items"]

    until(listed, [])
    assert simulated.audit_log is not None
    asked = [json.loads(line) for line in simulated.audit_log.read_text().splitlines()]
    codes = {each["responseStatus"]["code"] for each in asked if each["user"]["username"].endswith(":robot")}
    assert {200, 403} <= codes


def test_a_cluster_whose_processes_were_all_killed_comes_up_again() -> None:
    place = Place("killed", "127.0.0.1")
    try:
        upkeep.stand(place, nodes=1)
        pids = processes.running(place)
        for pid in pids.values():
            os.killpg(pid, signal.SIGKILL)
        until(lambda: upkeep.standing(place), None)
        upkeep.stand(place, nodes=1)
        assert processes.running(place).keys() == pids.keys()
    finally:
        upkeep.down(place)
    assert not place.folder.exists()


def test_a_pid_that_another_process_has_got_is_left_alone(tmp_path: Path) -> None:
    place = Place("reused", "127.0.0.1", tmp_path)
    processes.start(place, "sleep", ["sleep", "60"])
    file = place.folder / "pids" / "sleep.pid"
    own = file.read_text()
    pid = int(own.split()[0])
    file.write_text(f"{pid} 1\n")
    assert processes.stop_all(place) == []
    os.kill(pid, 0)
    file.write_text(own)
    assert processes.stop_all(place) == ["sleep"]


def test_a_container_answers_through_a_node_port_and_prometheus_sees_it(
    real: cluster.Cluster, namespace: str
) -> None:
    asks = {"prometheus.io/scrape": "true", "prometheus.io/port": "8080", "prometheus.io/path": "/metrics"}
    ports = [{"port": 80, "targetPort": 8080}]
    outside = {"type": "NodePort", "selector": {"app": "it"}, "ports": ports}
    service = a_document("v1", "Service", namespace, outside)
    apply(real.kubeconfig, [a_pod(namespace, SERVE, annotations=asks), service])
    port = get(real.kubeconfig, "service", "it", "-n", namespace)["spec"]["ports"][0]["nodePort"]

    def answer() -> str:
        try:
            return httpx.get(f"http://127.0.0.1:{port}/", timeout=2, trust_env=False).text
        except httpx.HTTPError as fault:
            return repr(fault)

    until(answer, "tries_total 7\n")

    def series() -> Any:
        ask = {"query": "tries_total"}
        found = httpx.get(f"{real.prometheus}/api/v1/query", params=ask, trust_env=False).json()["data"][
            "result"
        ]
        return [(each["metric"]["namespace"], each["metric"]["pod"], each["value"][1]) for each in found]

    until(series, [(namespace, "it", "7")])


def test_a_pod_reaches_the_api_server_and_is_held_to_its_rights(
    real: cluster.Cluster, namespace: str
) -> None:
    real.kubectl("label", "namespace", namespace, "pod-security.kubernetes.io/enforce=restricted")
    real.kubectl("create", "role", "reader", "-n", namespace, "--verb=list", "--resource=deployments.apps")
    real.kubectl(
        "create",
        "rolebinding",
        "reader",
        "-n",
        namespace,
        "--role=reader",
        f"--serviceaccount={namespace}:default",
    )
    until(lambda: real.kubectl("get", "sa", "default", "-n", namespace, "--ignore-not-found") != "", True)
    apply(real.kubeconfig, [a_pod(namespace, ASK)])
    until(lambda: get(real.kubeconfig, "pod", "it", "-n", namespace)["status"]["phase"], "Succeeded")
    assert real.kubectl("logs", "it", "-n", namespace).split() == ["200", "403"]


FIND = """
import socket, time
for _ in range(200):
    try:
        socket.create_connection(("it", 80), timeout=2).close()
        print("found")
        time.sleep(3600)
    except OSError:
        time.sleep(0.2)
"""
REACH = "import socket; socket.create_connection(('it', 80), timeout=2)"


def test_a_pod_finds_a_service_by_its_name_and_policies_hold_while_they_are_enforced(
    real: cluster.Cluster, namespace: str
) -> None:
    ports = [{"port": 80, "targetPort": 8080}]
    service = a_document("v1", "Service", namespace, {"selector": {"app": "it"}, "ports": ports})
    asker = a_pod(namespace, FIND)
    asker["metadata"] |= {"name": "asker", "labels": {"app": "asker"}}
    apply(real.kubeconfig, [a_pod(namespace, SERVE), service, asker])
    until(lambda: real.kubectl("logs", "asker", "-n", namespace, "--ignore-errors"), "found\n")

    def reached() -> bool:
        try:
            real.kubectl("exec", "asker", "-n", namespace, "--", "python3", "-c", REACH)
        except cluster.ClusterError:
            return False
        return True

    closed = {"podSelector": {"matchLabels": {"app": "it"}}, "policyTypes": ["Ingress"]}
    apply(real.kubeconfig, [a_document("networking.k8s.io/v1", "NetworkPolicy", namespace, closed)])
    until(reached, True)
    with netpol.enforced():
        until(reached, False)
    until(reached, True)
    assert not network.has_policies()


def a_document(version: str, kind: str, namespace: str, spec: dict[str, Any]) -> dict[str, Any]:
    metadata = {"name": "it", "namespace": namespace}
    return {"apiVersion": version, "kind": kind, "metadata": metadata, "spec": spec}


def traces() -> list[str]:
    """What a node could leave in the machine. (Debian's plugins have a file of their own in /etc/cni.)"""
    links = [
        path.name for path in Path("/sys/class/net").iterdir() if path.name.startswith(("canary-", "veth"))
    ]
    rules = [
        line
        for tool in ("iptables", "ip6tables")
        for line in subprocess.run([f"{tool}-save"], capture_output=True, text=True, check=True).stdout.split(
            "\n"
        )
        if "KUBE-" in line or "CNI-" in line
    ]
    mounts = [line for line in Path("/proc/mounts").read_text().splitlines() if str(REAL.folder) in line]
    folders = [
        name for name in node.HELD if "cni" not in name and Path(name).is_dir() and any(Path(name).iterdir())
    ]
    named = subprocess.run(["ipset", "list", "-name"], capture_output=True, text=True, check=True).stdout
    sets = [name for name in named.split() if network.POLICY_SET.match(name)]
    return [*links, *rules, *sets, *mounts, *folders, *map(str, Path("/sys/fs/cgroup").rglob("kubepods"))]


def test_a_node_that_was_killed_comes_up_again_and_leaves_nothing(
    stood: bool, before: set[str], real: cluster.Cluster
) -> None:
    if stood:
        pytest.skip("the node stood before these tests, and is not theirs to kill")
    apply(real.kubeconfig, [a_pod("default", SERVE)])
    until(lambda: get(real.kubeconfig, "pod", "it")["status"]["phase"], "Running")
    for pid in processes.running(REAL).values():
        os.killpg(pid, signal.SIGKILL)
    until(lambda: upkeep.standing(REAL), None)
    assert cluster.up(node=True).node
    upkeep.down(REAL)
    assert set(traces()) - before == set()
