"""A shop of real containers behind a NodePort, under real load, scraped by a real Prometheus."""

import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from canary.kube.session import Json, Session
from canary.local.demo.tally import Summary, read_summary
from tests.cluster import Cluster, images, node
from tests.cluster.place import REAL
from tests.command import ROOT, Ran, begun, ended
from tests.kube.live import Place, a_namespace, a_target, wait_for

HERE = Path(__file__).parent
CONTROLLER = "localhost/canary:test"
VERSIONS = ("good", "better", "errors", "slow", "crash", "broken")
RPS = 120
PATIENCE_S = 300.0


def provide_images() -> None:
    """The controller's own image from the project's Dockerfile, and on it one image for each version.

    Made once for a node, and again when what is in them has changed.
    """
    had = REAL.folder / "shop-images"
    stamp = _stamp()
    if had.exists() and had.read_text() == stamp:
        return
    node.load(images.built_on_base(ROOT, CONTROLLER))
    for version in VERSIONS:
        with tempfile.TemporaryDirectory() as folder:
            # A file tells the versions apart: layers kept from another build argument would be taken again.
            shutil.copy(HERE / "shop" / "Dockerfile", folder)
            (Path(folder) / "version").write_text(version)
            arguments = ("--build-arg", f"BASE={CONTROLLER}")
            node.load(images.built_on_base(Path(folder), f"localhost/shop:{version}", arguments))
    had.write_text(stamp)


def _stamp() -> str:
    """Of all that goes into the images."""
    whole = [path for name in ("canary", "analysis") for path in (ROOT / name).rglob("*.py")]
    whole += [ROOT / "Dockerfile", ROOT / "requirements.lock", HERE / "shop" / "Dockerfile"]
    digest = hashlib.sha256()
    for path in sorted(whole):
        digest.update(str(path.relative_to(ROOT)).encode() + path.read_bytes())
    return digest.hexdigest()


def a_shop(namespace: str, version: str = "good", replicas: int = 3) -> Json:
    """The Deployment: surge 1, no pod missing, a readiness probe, a pause before it ends."""
    probe = {"httpGet": {"path": "/health/ready", "port": 8080}, "periodSeconds": 1, "failureThreshold": 2}
    container = {
        "name": "shop",
        "image": f"localhost/shop:{version}",
        "imagePullPolicy": "Never",
        "ports": [{"containerPort": 8080}],
        "readinessProbe": probe,
        # Requests still come for a moment after a pod has left its Services.
        "lifecycle": {"preStop": {"sleep": {"seconds": 2}}},
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
            "runAsNonRoot": True,
            "runAsUser": 65532,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "resources": {"requests": {"cpu": "20m", "memory": "48Mi"}, "limits": {"memory": "256Mi"}},
    }
    asks = {"prometheus.io/scrape": "true", "prometheus.io/port": "8080", "prometheus.io/path": "/metrics"}
    template = {
        "metadata": {"labels": {"app": "shop"}, "annotations": asks},
        "spec": {"containers": [container], "terminationGracePeriodSeconds": 15},
    }
    return {
        "metadata": {"name": "shop", "namespace": namespace},
        "spec": {
            "replicas": replicas,
            "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}},
            "selector": {"matchLabels": {"app": "shop"}},
            "template": template,
        },
    }


@dataclass
class Shop:
    """The shop, its load, and the real command for it."""

    cluster: Cluster
    place: Place
    session: Session
    folder: Path
    port: int
    load: "subprocess.Popen[bytes] | None" = None

    @property
    def live(self) -> Path:
        return self.folder / "load.json"

    def configure(self, **changes: Any) -> None:
        source = {"prometheus": {"url": self.cluster.prometheus, "scrape_interval": "1s"}}
        document = {
            "target": {"namespace": self.place.namespace, "deployment": "shop"},
            "steps": [25, 50],
            "hold": {"min": "4s", "max": "60s"},
            "deadline": "4m",
            "analysis": {
                "source": source,
                "interval": "2s",
                "warm_up": {"min": "4s", "max": "12s"},
                "metrics": [{"preset": "http", "latency": {"slower_than": "250ms"}, "errors": {}}],
            },
            "controller": {"image": CONTROLLER, "pull_policy": "Never"},
        }
        (self.folder / "canary.yaml").write_text(json.dumps({**document, **changes}))

    def begin(self, *arguments: str) -> "subprocess.Popen[str]":
        return begun(self.folder, {"KUBECONFIG": str(self.place.kubeconfig)}, *arguments)

    def run(self, *arguments: str, patience_s: float = PATIENCE_S) -> Ran:
        return ended(self.begin(*arguments), patience_s)

    def books(self) -> Summary:
        found = read_summary(self.live)
        assert found is not None
        return found

    def deployment(self, name: str = "shop") -> Json | None:
        found = self.session.get(self.session.path("apps/v1", "deployments")).get("items") or []
        return next((one for one in found if one["metadata"]["name"] == name), None)

    def image(self) -> str:
        found = self.deployment()
        assert found is not None
        return str(found["spec"]["template"]["spec"]["containers"][0]["image"])

    def is_whole(self, replicas: int = 3) -> bool:
        found = self.deployment()
        assert found is not None
        ready = found["status"].get("readyReplicas", 0), found["status"].get("replicas", 0)
        return ready == (replicas, replicas) and self.deployment("shop-canary") is None


@contextmanager
def a_running_shop(
    cluster: Cluster, folder: Path, *, rps: int = RPS, history_s: float = 15.0
) -> Iterator[Shop]:
    """Whole, behind its NodePort, under load for so long that it has a past."""
    with a_namespace(cluster.kubeconfig) as place:
        session = place.session()
        a_target(session, a_shop(place.namespace))
        spec = {"type": "NodePort", "selector": {"app": "shop"}, "ports": [{"port": 80, "targetPort": 8080}]}
        made = session.create(session.path("v1", "services"), {"metadata": {"name": "shop"}, "spec": spec})
        shop = Shop(cluster, place, session, folder, int(made["spec"]["ports"][0]["nodePort"]))
        shop.configure()
        wait_for(shop.is_whole, "the shop is whole", 90.0)
        wait_for(lambda: answers(shop.port), "the NodePort answers", 60.0)
        with loaded(shop, rps):
            if rps:
                wait_for(
                    lambda: shop.live.exists() and shop.books().answered > rps * history_s, "a past", 90.0
                )
            yield shop


def answers(port: int) -> bool:
    """Whether requests come through: rules for a new Service take kube-proxy a moment.

    Asked from an address that the load does not have. Until the rules are there a connection is rejected, and
    the kernel remembers it, untranslated, for the two minutes that it waits for an answer to a SYN. A later one
    from the same port would be taken for it and be refused: seen for 1 in 14 000 requests.
    """
    elsewhere = httpx.HTTPTransport(local_address="127.0.0.2")
    try:
        with httpx.Client(transport=elsewhere, timeout=2, trust_env=False) as client:
            return client.get(f"http://127.0.0.1:{port}/health/ready").is_success
    except httpx.HTTPError:
        return False


@contextmanager
def loaded(shop: Shop, rps: int) -> Iterator[None]:
    """Requests from outside, through the NodePort, on a connection each; none at all for a rate of 0."""
    if not rps:
        yield
        return
    command = [sys.executable, "-m", "canary.local.demo.load", "--url", f"http://127.0.0.1:{shop.port}"]
    bounds = ["--rps", str(rps), "--seconds", "1800", "--seed", "7", "--live", str(shop.live)]
    with (shop.folder / "load.log").open("wb") as log:
        shop.load = subprocess.Popen(
            [*command, *bounds], cwd=shop.folder, env={**os.environ, "PYTHONPATH": str(ROOT)},
            stdout=log, stderr=log,
        )  # fmt: skip
    try:
        yield
    finally:
        shop.load.terminate()
        shop.load.wait(30)
