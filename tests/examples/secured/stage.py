"""The example on the real node: a copy of it, in a hurry; both environments, as its README installs them."""

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

import httpx
import yaml

from tests import tools
from tests.cluster import Cluster, build
from tests.cluster.kubectl import get, kubectl
from tests.command import ROOT
from tests.examples.secured import volumes
from tests.examples.secured.provided import APP
from tests.examples.secured.readme import SECURED, block

PRODUCTION, STAGING = "project-ai-prod", "project-ai-staging"
ENVIRONMENTS = {PRODUCTION: "production", STAGING: "staging"}
RPS = 60.0
NOTHING: Mapping[str, str] = MappingProxyType({})


@dataclass(frozen=True)
class Said:
    """What came of a block of commands, and how long it took."""

    code: int
    text: str
    took_s: float


def ended(process: "subprocess.Popen[str]", patience_s: float) -> str:
    """What it said; fails, and leaves nothing running, when it does not end."""
    try:
        return process.communicate(timeout=patience_s)[0]
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        raise AssertionError(f"it does not end; it said: {process.communicate()[0][-3000:]}") from None


@dataclass
class Secured:
    """Everything of it. `folder`: with `examples/secured/`, as in a checkout."""

    cluster: Cluster
    folder: Path
    environment: dict[str, str] = field(default_factory=dict)

    def begin(
        self, script: str, namespace: str = PRODUCTION, more: Mapping[str, str] = NOTHING
    ) -> "subprocess.Popen[str]":
        """These commands, with the settings that the README names for this namespace."""
        settings = {"NAMESPACE": namespace, "ENVIRONMENT": ENVIRONMENTS[namespace]}
        return subprocess.Popen(
            ["bash", "-euo", "pipefail", "-c", script],
            cwd=self.folder, env={**self.environment, **settings, **more}, stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True,
        )  # fmt: skip

    def run(
        self,
        script: str,
        namespace: str = PRODUCTION,
        more: Mapping[str, str] = NOTHING,
        patience_s: float = 300.0,
    ) -> Said:
        begun = time.monotonic()
        text = ended(process := self.begin(script, namespace, more), patience_s)
        return Said(process.returncode, text, time.monotonic() - begun)

    def done(self, name: str, namespace: str = PRODUCTION, more: Mapping[str, str] = NOTHING) -> Said:
        """A block of the README, which has to go well."""
        said = self.run(block(name), namespace, more)
        assert said.code == 0, said.text
        return said

    def kubectl(self, *arguments: str, namespace: str = PRODUCTION) -> str:
        return kubectl(self.cluster.kubeconfig, "-n", namespace, *arguments)

    def get(self, *arguments: str, namespace: str = PRODUCTION) -> dict[str, Any]:
        return get(self.cluster.kubeconfig, "-n", namespace, *arguments)

    def url(self, namespace: str = PRODUCTION) -> str:
        ports = self.get("service", "project-ai-outside", namespace=namespace)["spec"]["ports"]
        return f"http://127.0.0.1:{ports[0]['nodePort']}"

    def image(self, namespace: str = PRODUCTION) -> str:
        found = self.get("deployment", "project-ai-api", namespace=namespace)
        return str(found["spec"]["template"]["spec"]["containers"][0]["image"])

    def users(self) -> list[str]:
        """The names of all users, in their order."""
        found: list[dict[str, Any]] = []
        while True:
            after = found[-1]["id"] if found else 0
            page = httpx.get(f"{self.url()}/users?limit=1000&after={after}", timeout=10, trust_env=False)
            if not (users := page.raise_for_status().json()["users"]):
                return [one["name"] for one in found]
            found += users

    def adds(self, name: str) -> bool:
        """Whether a user could be stored now."""
        try:
            answer = httpx.post(f"{self.url()}/users", json={"name": name}, timeout=5, trust_env=False)
        except httpx.HTTPError:
            return False
        return answer.status_code == 201

    @contextmanager
    def load(self, rps: float = RPS) -> Iterator[Counter[str]]:
        """Users from outside; in the end, how often each answer was given, such as `v1.0.0 200`."""
        command = [sys.executable, "-m", "project_ai", "load", "--url", self.url(), "--rps", str(rps)]
        where = {**os.environ, "PYTHONPATH": str(ROOT / "examples" / "app")}
        answers: Counter[str] = Counter()
        crowd = subprocess.Popen(command, env=where, stdout=subprocess.PIPE, text=True)
        try:
            yield answers
        finally:
            crowd.terminate()
            told = json.loads(crowd.communicate(timeout=60)[0])
            answers.update({name: n for name, n in told.items() if name not in ("seconds", "sent")})


def failed(answers: Counter[str]) -> dict[str, int]:
    """Those that are the service's fault."""
    return {name: n for name, n in answers.items() if name.startswith("failed") or name.split()[-1] >= "500"}


@contextmanager
def deployed(cluster: Cluster, folder: Path) -> Iterator[Secured]:
    """Both environments, installed as the README has it; gone in the end."""
    secured = Secured(cluster, folder, _environment(cluster, folder))
    _copy(secured)
    forget(secured)
    volumes.fresh(6)
    try:
        installs = [secured.begin(block("install"), namespace) for namespace in ENVIRONMENTS]
        said = [ended(one, 300.0) for one in installs]
        assert [one.returncode for one in installs] == [0, 0], said
        yield secured
    finally:
        forget(secured)


FORGET = """
kubectl delete deployments,statefulsets,cronjobs,jobs --all -n $NAMESPACE
kubectl delete pods --all --now -n $NAMESPACE
kubectl delete namespace $NAMESPACE --ignore-not-found
"""
"""A namespace with pods left is looked at again only after half their grace period: they go first."""


def forget(secured: Secured) -> None:
    ends = [secured.begin(FORGET, namespace) for namespace in ENVIRONMENTS]
    said = [ended(one, 180.0) for one in ends]
    assert [one.returncode for one in ends] == [0, 0], said
    volumes.forget()


def _environment(cluster: Cluster, folder: Path) -> dict[str, str]:
    """With `kubectl`, `canary` and `age` on PATH, whatever this machine has."""
    assert tools.provide("age"), "there is no age, and Debian's package cannot be fetched"
    programs = folder / "bin"
    programs.mkdir()
    for name, command in (
        ("kubectl", f'{build.built(build.KUBE)} kubectl "$@"'),
        ("canary", f'{sys.executable} -m canary "$@"'),
    ):
        (programs / name).write_text(f"#!/bin/sh\nexec {command}\n")
        (programs / name).chmod(0o755)
    return {
        **os.environ,
        "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT),
        "KUBECONFIG": str(cluster.kubeconfig),
        "OVERLAYS": "examples/secured/overlays/node",
        "IMAGE": APP,
    }


def _copy(secured: Secured) -> None:
    """The example where a release may write into its overlays; judged in seconds, by this node's Prometheus.

    Only what is waited for is shorter, and the margins are wider: good and bad versions of the service are
    far apart. Both rates that are promised are the defaults.
    """
    target = secured.folder / "examples" / "secured"
    subprocess.run(["cp", "-r", str(SECURED), str(target)], check=True)
    for name, margin in (("canary.yaml", "2pp"), ("staging.yaml", "4pp")):
        document = yaml.safe_load((target / name).read_text())
        analysis = document["analysis"]
        analysis["source"]["prometheus"] |= {"url": secured.cluster.prometheus, "scrape_interval": "1s"}
        analysis |= {"interval": "2s", "warm_up": {"min": "4s", "max": "12s"}}
        for metric in ("errors", "latency"):
            analysis["metrics"][0][metric]["margin"] = {"abs": margin}
        analysis["metrics"][0]["latency"]["slower_than"] = "2500ms"  # this node has two cores
        document |= {"image": APP, "hold": {"min": "4s", "max": "2m"}, "deadline": "6m"}
        document |= {"bake": "4s"} if "bake" in document else {}
        (target / name).write_text(yaml.safe_dump(document))
