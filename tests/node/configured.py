"""A shop that has configuration, and tells what of it each of its pods sees when it starts."""

import copy
import json
from collections.abc import Mapping
from pathlib import Path

from canary.kube.session import Json, Session
from tests.node.stage import Shop

FOLDER = "/etc/shop"
SAYS = f'echo "file $(cat {FOLDER}/mode), variable $mode, secret $word"'
TELLS = "tells"


def documents(word: str) -> list[Json]:
    """A ConfigMap and a Secret, both of which hold this word."""
    settings = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "settings"}}
    password = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "password"}}
    return [{**settings, "data": {"mode": word}}, {**password, "stringData": {"word": word}}]


def written(folder: Path, word: str) -> Path:
    """The same in a file, as `--config` takes it."""
    path = folder / f"{word}.yaml"
    path.write_text("\n---\n".join(map(json.dumps, documents(word))))
    return path


def configured(session: Session, shop: Json) -> Json:
    """The shop's Deployment with both, as a file and as variables; they are made with the word `plain`."""
    for one, kind in zip(documents("plain"), ("configmaps", "secrets"), strict=True):
        session.create(session.path("v1", kind), one)
    document = copy.deepcopy(shop)
    spec = document["spec"]["template"]["spec"]
    (container,) = spec["containers"]
    container["envFrom"] = [{"configMapRef": {"name": "settings"}}, {"secretRef": {"name": "password"}}]
    container["volumeMounts"] = [{"name": "settings", "mountPath": FOLDER, "readOnly": True}]
    spec["volumes"] = [{"name": "settings", "configMap": {"name": "settings"}}]
    kept = ("image", "imagePullPolicy", "securityContext", "resources", "envFrom", "volumeMounts")
    first = {key: container[key] for key in kept}
    spec["initContainers"] = [{**first, "name": TELLS, "command": ["sh", "-c", SAYS]}]
    return document


def told(shop: Shop) -> Mapping[str, str]:
    """By pod of the shop that is not going: what it saw."""
    names = [one["metadata"] for one in shop.pods("app=shop")]
    staying = [one["name"] for one in names if "deletionTimestamp" not in one]
    where = ("-c", TELLS, "-n", shop.place.namespace)
    return {name: shop.cluster.kubectl("logs", name, *where).strip() for name in staying}


def sees(word: str) -> str:
    """What a pod tells that sees this word everywhere."""
    return f"file {word}, variable {word}, secret {word}"
