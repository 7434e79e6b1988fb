"""A session with a server in memory, which keeps objects and compares versions, and a witness of its kind."""

from dataclasses import dataclass, field
from typing import Any, cast

from canary.errors import ConflictError, MissingError
from canary.kube.session import Json, Session


class Kept:
    """Objects by path; `session` is what reads and writes them."""

    namespace = "shop"

    def __init__(self, document: Json | None = None) -> None:
        self.objects: dict[str, Json] = {}
        self.version = 41
        if document is not None:
            self.objects["coordination.k8s.io/v1/leases/canary-web"] = document

    @property
    def session(self) -> Session:
        return cast("Session", self)

    def path(self, *parts: str) -> str:
        return "/".join(part for part in parts if part)

    def get(self, path: str, *_: Any) -> Json:
        if path not in self.objects:
            raise MissingError(path)
        return self.objects[path]

    def create(self, path: str, body: Json, *_: Any) -> Json:
        name = self.path(path, body["metadata"]["name"])
        if name in self.objects:
            raise ConflictError(name)
        return self._put(name, body)

    def replace(self, path: str, body: Json, *_: Any) -> Json:
        if self.get(path)["metadata"]["resourceVersion"] != body["metadata"]["resourceVersion"]:
            raise ConflictError(path)
        return self._put(path, body)

    def _put(self, path: str, body: Json) -> Json:
        self.version += 1
        self.objects[path] = {**body, "metadata": {**body["metadata"], "resourceVersion": str(self.version)}}
        return self.objects[path]


@dataclass
class SaidToHaveEnded:
    """`ports.Witness` that knows what it is told."""

    own: str
    kind: str = "process"
    ended_marks: set[str] = field(default_factory=set)
    asked: list[str] = field(default_factory=list)

    def mark(self) -> str:
        return self.own

    def ended(self, mark: str) -> bool:
        self.asked.append(mark)
        return mark in self.ended_marks
