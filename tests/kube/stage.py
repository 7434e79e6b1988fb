"""A target in a namespace of its own, with scripted metrics, and the real `canary` command for it."""

import json
import subprocess
import threading
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Self

from canary.core.release import Release
from canary.kube.pods import alive, pod_of
from canary.kube.records import KubeRecords, Shelf
from canary.kube.session import Json, Session, Watch
from tests.command import Ran, begun, ended
from tests.kube.documents import a_deployment
from tests.kube.live import Place, a_target, wait_for
from tests.kube.scripted import ScriptedPrometheus, Traffic, scripted

SHORT: Json = {
    "steps": [25, 50],
    "hold": {"min": "2s", "max": "60s"},
    "deadline": "2m",
    "interval": "1s",
}


@dataclass
class Followed:
    """Watches all objects of a kind, those of both arms, for as long as it is open."""

    session: Session
    selector: str = "app=web"
    _over: bool = False
    _watch: Watch | None = None
    _fault: Exception | None = None
    kind: ClassVar[tuple[str, str]]

    def __enter__(self) -> Self:
        self._thread = threading.Thread(target=self._follow, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        self._over = True
        if self._watch is not None:
            self._watch.stop()
        self._thread.join(10)
        if kind is None and self._fault is not None:
            raise AssertionError("it was not watched to the end") from self._fault

    def _follow(self) -> None:
        path = self.session.path(*self.kind)
        try:
            while not self._over:
                self._follow_from(path, self.session.get(path, labelSelector=self.selector))
        except Exception as fault:  # noqa: BLE001 - told by the test's own thread
            self._fault = None if self._over else fault

    def _follow_from(self, path: str, found: Json) -> None:
        there = {one["metadata"]["uid"]: one for one in found.get("items") or []}
        self._note(there.values())
        since = found["metadata"]["resourceVersion"]
        self._watch = self.session.watch(path, since, 300, labelSelector=self.selector)
        for event in self._watch:
            if self._over:
                return
            if event["type"] != "BOOKMARK":
                there[event["object"]["metadata"]["uid"]] = event["object"]
                if event["type"] == "DELETED":
                    there.pop(event["object"]["metadata"]["uid"])
                self._note(there.values())

    def _note(self, there: Collection[Json]) -> None:
        raise NotImplementedError


@dataclass
class Floor(Followed):
    """`fewest`: ready pods so far."""

    kind: ClassVar[tuple[str, str]] = ("v1", "pods")
    fewest: int = 10_000

    def _note(self, there: Collection[Json]) -> None:
        ready = sum(pod_of(one, "", 0.0).ready for one in there if alive(one))
        self.fewest = min(self.fewest, ready)


@dataclass
class Ceiling(Followed):
    """`most`: pods asked for so far.

    Not those that are there: on a busy machine one whose ReplicaSet was shrunk lives on for a moment.
    """

    kind: ClassVar[tuple[str, str]] = ("apps/v1", "replicasets")
    most: int = 0

    def _note(self, there: Collection[Json]) -> None:
        self.most = max(self.most, sum(one["spec"]["replicas"] for one in there))


@dataclass
class Stage:
    """Everything a release needs. `environment`: of the commands. `name`: of the target."""

    place: Place
    session: Session
    prometheus: ScriptedPrometheus
    folder: Path
    environment: dict[str, str]
    name: str = "web"

    def configure(self, **changes: Any) -> None:
        asked = {**SHORT, **changes}
        interval = asked.pop("interval")
        target = {"namespace": self.place.namespace, "deployment": self.name, **asked.pop("target", {})}
        source = {"prometheus": {"url": self.prometheus.url, "scrape_interval": "1s"}}
        analysis = {"source": source, "interval": interval, "warm_up": {"min": "1s", "max": "5s"}}
        self.file.write_text(json.dumps({"target": target, "analysis": analysis, **asked}))

    @property
    def file(self) -> Path:
        return self.folder / "canary.yaml"

    def begin(self, *arguments: str) -> "subprocess.Popen[str]":
        return begun(self.folder, self.environment, *arguments)

    def ended(self, process: "subprocess.Popen[str]", patience_s: float = 150.0) -> Ran:
        return ended(process, patience_s)

    def run(self, *arguments: str) -> Ran:
        return self.ended(self.begin(*arguments))

    def deployment(self, name: str = "") -> Json | None:
        found = self.session.get(self.session.path("apps/v1", "deployments")).get("items") or []
        return next((one for one in found if one["metadata"]["name"] == (name or self.name)), None)

    def image(self) -> str:
        found = self.deployment()
        assert found is not None
        return str(found["spec"]["template"]["spec"]["containers"][0]["image"])

    def recorded(self) -> Release | None:
        shelf = Shelf(self.session, self.name)
        try:
            found = KubeRecords(shelf).load(self.name)
        finally:
            shelf.close()
        return found.release if found else None

    def is_whole(self, replicas: int = 4) -> bool:
        """The target alone, at its size, all ready, on one template."""
        found = self.deployment()
        assert found is not None
        status = found["status"]
        same = {status.get(key, 0) for key in ("replicas", "updatedReplicas", "readyReplicas")}
        seen = status["observedGeneration"] == found["metadata"]["generation"]
        return seen and same == {replicas} and self.deployment(f"{self.name}-canary") is None

    def patch(self, *operations: Json, name: str = "") -> None:
        self.session.patch(self.session.path("apps/v1", "deployments", name or self.name), operations)


@contextmanager
def a_stage(
    place: Place, folder: Path, versions: Mapping[str, Traffic], *, replicas: int = 4, **spec: Any
) -> Iterator[Stage]:
    """A web of v1 that is whole, behind a Service, with a past."""
    session = place.session()
    document = a_deployment("web", "shop/web:v1", replicas, **spec)
    document["metadata"] = {"name": "web", "namespace": place.namespace}
    document.pop("status")
    a_target(session, document)
    service = {"selector": {"app": "web"}, "ports": [{"port": 80}]}
    session.create(session.path("v1", "services"), {"metadata": {"name": "web"}, "spec": service})
    with scripted_when_whole(session, versions, replicas) as prometheus:
        stage = Stage(place, session, prometheus, folder, {"KUBECONFIG": str(place.kubeconfig)})
        stage.configure()
        yield stage


@contextmanager
def scripted_when_whole(
    session: Session, versions: Mapping[str, Traffic], replicas: int
) -> Iterator[ScriptedPrometheus]:
    def whole() -> bool:
        found = session.get(session.path("apps/v1", "deployments", "web"))
        return bool(found["status"].get("readyReplicas", 0) == replicas)

    wait_for(whole, "web is whole")
    with scripted(session, versions) as prometheus:
        yield prometheus
