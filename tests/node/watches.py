"""Who gets traffic while a release goes on: what the EndpointSlices of a Service say."""

import threading
import time
from dataclasses import dataclass, field

from canary.kube.session import Json, Session, Watch

NAMED = "kubernetes.io/service-name"


@dataclass
class Endpoints:
    """Follows the EndpointSlices of a Service.

    Attributes:
        pods: whose endpoints are counted: those of pods whose names begin so.
        seen: unix seconds of an event, and how many of them were ready then.
    """

    session: Session
    service: str
    pods: str
    seen: list[tuple[float, int]] = field(default_factory=list)
    _watch: Watch | None = None

    def __enter__(self) -> "Endpoints":
        self._thread = threading.Thread(target=self._follow, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._watch is not None:
            self._watch.stop()
        self._thread.join(10)

    def left_at(self) -> float:
        """When the last of them was taken out of the slices; fails when there was none, or one is left."""
        falls = [
            at for (_, before), (at, now) in zip(self.seen, self.seen[1:], strict=False) if before and not now
        ]
        assert falls, self.seen
        assert self.seen[-1][1] == 0, self.seen
        return falls[-1]

    def _follow(self) -> None:
        path, query = self.session.path("discovery.k8s.io/v1", "endpointslices"), f"{NAMED}={self.service}"
        found = self.session.get(path, labelSelector=query)
        slices = {one["metadata"]["uid"]: one for one in found.get("items") or []}
        self._watch = self.session.watch(path, found["metadata"]["resourceVersion"], 600, labelSelector=query)
        for event in self._watch:
            if event["type"] != "BOOKMARK":
                slices[event["object"]["metadata"]["uid"]] = event["object"]
                if event["type"] == "DELETED":
                    slices.pop(event["object"]["metadata"]["uid"])
                self.seen.append((time.time(), sum(self._ready(one) for one in slices.values())))

    def _ready(self, one: Json) -> int:
        return sum(
            each["conditions"].get("ready", False) and each["targetRef"]["name"].startswith(self.pods)
            for each in one.get("endpoints") or []
        )
