"""A shop of real containers behind a NodePort, under real load, scraped by a real Prometheus."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from canary.core.release import Release
from canary.kube.records import KubeRecords, Shelf
from canary.kube.session import Json, Session
from canary.local.demo.tally import Summary, read_summary
from tests.cluster import Cluster
from tests.command import ROOT, Ran, begun, ended
from tests.kube.live import Place, a_namespace, a_target, wait_for
from tests.node.provided import CONTROLLER, SHOP

RPS = 120
PATIENCE_S = 300.0


@dataclass(frozen=True)
class Kind:
    """A service that is released.

    Attributes:
        image: without its tag. port: where it listens. ready: the path of its readiness probe.
        failures: after how many failed probes in a row it is not ready.
        paths: what the load asks for; the shop's pages if there are none.
    """

    image: str = SHOP
    port: int = 8080
    ready: str = "/health/ready"
    failures: int = 2
    paths: tuple[str, ...] = ()


DEMO = Kind()


def a_shop(namespace: str, kind: Kind, version: str = "good", replicas: int = 3) -> Json:
    """The Deployment: surge 1, no pod missing, a readiness probe, a pause before it ends."""
    probe = {"path": kind.ready, "port": kind.port}
    container = {
        "name": "shop",
        "image": f"{kind.image}:{version}",
        "imagePullPolicy": "Never",
        "ports": [{"containerPort": kind.port}],
        "readinessProbe": {"httpGet": probe, "periodSeconds": 1, "failureThreshold": kind.failures},
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
    asks = {"scrape": "true", "port": str(kind.port), "path": "/metrics"}
    template = {
        "metadata": {
            "labels": {"app": "shop"},
            "annotations": {f"prometheus.io/{key}": value for key, value in asks.items()},
        },
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
    """The shop, its load, and the real command for it. `name`: of its Deployment."""

    cluster: Cluster
    place: Place
    session: Session
    folder: Path
    port: int
    name: str = "shop"
    load: "subprocess.Popen[bytes] | None" = None

    @property
    def live(self) -> Path:
        return self.folder / "load.json"

    def configure(self, **changes: Any) -> None:
        source = {"prometheus": {"url": self.cluster.prometheus, "scrape_interval": "1s"}}
        # Wider than usual: that a good version is not worse shows in seconds, at this rate, not in minutes.
        errors = {"margin": {"abs": "1pp"}}
        latency = {"slower_than": "250ms", "margin": {"abs": "2pp"}}
        document = {
            "target": {"namespace": self.place.namespace, "deployment": self.name},
            "steps": [25, 50],
            "hold": {"min": "4s", "max": "60s"},
            "deadline": "4m",
            "analysis": {
                "source": source,
                "interval": "2s",
                "warm_up": {"min": "4s", "max": "12s"},
                "metrics": [{"preset": "http", "latency": latency, "errors": errors}],
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

    def record(self) -> Release | None:
        shelf = Shelf(self.session, self.name)
        try:
            found = KubeRecords(shelf).load(self.name)
        finally:
            shelf.close()
        return found.release if found else None

    def recorded(self) -> Release:
        found = self.record()
        assert found is not None
        return found

    def deployment(self, name: str = "") -> Json | None:
        found = self.session.get(self.session.path("apps/v1", "deployments")).get("items") or []
        return next((one for one in found if one["metadata"]["name"] == (name or self.name)), None)

    def canary(self) -> Json | None:
        return self.deployment(f"{self.name}-canary")

    def pods(self, selector: str) -> list[Json]:
        found = self.session.get(self.session.path("v1", "pods"), labelSelector=selector)
        return list(found.get("items") or [])

    def image(self) -> str:
        found = self.deployment()
        assert found is not None
        return str(found["spec"]["template"]["spec"]["containers"][0]["image"])

    def is_whole(self, replicas: int = 3) -> bool:
        """The target alone, at its size, all ready, on one template."""
        found = self.deployment()
        assert found is not None
        status = found["status"]
        same = {status.get(key, 0) for key in ("replicas", "updatedReplicas", "readyReplicas")}
        seen = status.get("observedGeneration") == found["metadata"]["generation"]
        return seen and same == {replicas} and self.canary() is None


def as_it_is(session: Session, shop: Json) -> Json:
    """The shop's Deployment without anything of its own."""
    return shop


@contextmanager
def a_running_shop(
    cluster: Cluster,
    folder: Path,
    *,
    kind: Kind = DEMO,
    rps: int = RPS,
    history_s: float = 15.0,
    made: Callable[[Session, Json], Json] = as_it_is,
) -> Iterator[Shop]:
    """Whole, behind its NodePort, under load for so long that it has a past.

    `made`: makes what the Deployment needs besides, and says how it is to be.
    """
    with a_namespace(cluster.kubeconfig) as place:
        session = place.session()
        a_target(session, made(session, a_shop(place.namespace, kind)))
        ports = [{"port": 80, "targetPort": kind.port}]
        spec = {"type": "NodePort", "selector": {"app": "shop"}, "ports": ports}
        service = session.create(session.path("v1", "services"), {"metadata": {"name": "shop"}, "spec": spec})
        shop = Shop(cluster, place, session, folder, int(service["spec"]["ports"][0]["nodePort"]))
        with under_load(shop, kind, rps=rps, history_s=history_s):
            yield shop


@contextmanager
def under_load(shop: Shop, kind: Kind = DEMO, *, rps: int = RPS, history_s: float = 15.0) -> Iterator[None]:
    """Once it is whole and answers, ask it `rps` times a second; on leaving, no more."""
    shop.configure()
    wait_for(shop.is_whole, "the shop is whole", 90.0)
    wait_for(lambda: answers(shop.port, kind.ready), "the NodePort answers", 60.0)
    with loaded(shop, rps, kind.paths):
        if rps:
            wait_for(lambda: shop.live.exists() and shop.books().answered > rps * history_s, "a past", 90.0)
        yield


def answers(port: int, path: str) -> bool:
    """Whether requests come through: rules for a new Service take kube-proxy a moment.

    Asked from an address that the load does not have. Until the rules are there a connection is rejected,
    and the kernel remembers it, untranslated, for the two minutes that it waits for an answer to a SYN. A
    later one from the same port would be taken for it and be refused: seen for 1 in 14 000 requests.
    """
    elsewhere = httpx.HTTPTransport(local_address="127.0.0.2")
    try:
        with httpx.Client(transport=elsewhere, timeout=2, trust_env=False) as client:
            return client.get(f"http://127.0.0.1:{port}{path}").is_success
    except httpx.HTTPError:
        return False


@contextmanager
def loaded(shop: Shop, rps: int, paths: Sequence[str] = ()) -> Iterator[None]:
    """Requests from outside, through the NodePort, on a connection each; none at all for a rate of 0."""
    if not rps:
        yield
        return
    command = [sys.executable, "-m", "canary.local.demo.load", "--url", f"http://127.0.0.1:{shop.port}"]
    bounds = ["--rps", str(rps), "--seconds", "1800", "--seed", "7", "--live", str(shop.live)]
    asked = [word for path in paths for word in ("--path", path)]
    with (shop.folder / "load.log").open("wb") as log:
        shop.load = subprocess.Popen(
            [*command, *bounds, *asked], cwd=shop.folder, env={**os.environ, "PYTHONPATH": str(ROOT)},
            stdout=log, stderr=log,
        )  # fmt: skip
    try:
        yield
    finally:
        shop.load.terminate()
        shop.load.wait(30)
