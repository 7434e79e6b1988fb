"""Configuration that is released with a version: named by its content, and referred to by that name. Pure.

A ConfigMap or Secret of a file becomes an object that never changes, under a name that ends in a hash of what
it holds. A template that refers to that name is a revision of code and configuration; another content is
another name, and so another template. An older revision refers to the older names, which are still there.
"""

import copy
import hashlib
import json
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from canary.errors import InvalidError
from canary.kube.objects import PART_OF, is_ours, labels

Json = dict[str, Any]

CONFIG = "canary.config-object"
"""Label of such an object; the record and the ledger are ConfigMaps, too, and have it not."""
PLAIN = "canary.config-name"
"""Annotation: the name in the file."""
DIGITS = 10
_HASHED = re.compile(rf"(.+)-[0-9a-f]{{{DIGITS}}}")


class Kind(StrEnum):
    """What can be released with a version."""

    CONFIG_MAP = "configmap"
    SECRET = "secret"  # noqa: S105 - a word

    @property
    def resource(self) -> str:
        """As paths and Roles have it."""
        return f"{self.value}s"

    @property
    def word(self) -> str:
        """As documents have it."""
        return "ConfigMap" if self is Kind.CONFIG_MAP else "Secret"


@dataclass(frozen=True, order=True)
class Named:
    """An object by kind and name; `configmap/settings-0123456789` as text."""

    kind: Kind
    name: str

    def __str__(self) -> str:
        return f"{self.kind.value}/{self.name}"

    @property
    def plain(self) -> "Named | None":
        """Without the hash that its name ends in; None when it ends in none."""
        found = _HASHED.fullmatch(self.name)
        return Named(self.kind, found[1]) if found else None


def named(text: str) -> Named:
    """What `str` of a `Named` with a hash gives.

    Raises:
        InvalidError: it is something else.
    """
    kind, _, name = text.partition("/")
    if kind in set(Kind) and _HASHED.fullmatch(name):
        return Named(Kind(kind), name)
    raise InvalidError(
        f"found {text!r}, wanted configmap/NAME or secret/NAME with a name that ends in {DIGITS} hex digits",
        remedy="`canary start --in-cluster --config FILE` makes these names.",
    )


@dataclass(frozen=True)
class ConfigObject:
    """A ConfigMap or Secret as a file gives it.

    Attributes:
        plain: kind and name in the file. target: whose releases it belongs to.
        data: text of a ConfigMap, base64 of a Secret. binary: base64, of a ConfigMap. type: of a Secret.
        namespace: that the file names; empty for none. place: file and number of the document.
    """

    plain: Named
    target: str
    data: Mapping[str, str] = field(repr=False)
    binary: Mapping[str, str] = field(repr=False)
    type: str = ""
    namespace: str = ""
    place: str = ""

    @property
    def named(self) -> Named:
        """Its name in the cluster. The target counts, too: no two targets share an object."""
        held = [self.target, self.plain.kind, self.type, dict(self.data), dict(self.binary)]
        text = json.dumps(held, sort_keys=True, separators=(",", ":"))
        return Named(
            self.plain.kind, f"{self.plain.name}-{hashlib.sha256(text.encode()).hexdigest()[:DIGITS]}"
        )

    def document(self, namespace: str) -> Json:
        """As it is made. Labels and annotations of the file are not taken over."""
        parts = {"data": dict(self.data), "binaryData": dict(self.binary), "type": self.type}
        return {
            "apiVersion": "v1",
            "kind": self.plain.kind.word,
            "immutable": True,
            "metadata": {
                "name": self.named.name,
                "namespace": namespace,
                "labels": {**labels(self.target), CONFIG: "true"},
                "annotations": {PLAIN: self.plain.name},
            },
            **{key: value for key, value in parts.items() if value},
        }

    def is_held_by(self, document: Mapping[str, Any]) -> bool:
        """Whether an object of the cluster holds just this, for ever."""
        return (
            bool(document.get("immutable"))
            and (document.get("data") or {}) == self.data
            and (document.get("binaryData") or {}) == self.binary
            and document.get("type", "") == self.type
        )


def belongs_to(document: Mapping[str, Any], target: str) -> bool:
    """Whether an object of the cluster is such an object of this target."""
    meta = document["metadata"]
    marks = meta.get("labels") or {}
    return is_ours(document) and CONFIG in marks and marks.get(PART_OF) == labels(target)[PART_OF]


def selector(target: str) -> str:
    """Finds the objects of a target."""
    marks = {**labels(target), CONFIG: "true"}
    return ",".join(f"{key}={value}" for key, value in marks.items())


@dataclass(frozen=True)
class Reference:
    """A place of a template that refers to an object: `containers[app].envFrom[0]`."""

    place: str
    to: Named


def references(template: Mapping[str, Any]) -> tuple[Reference, ...]:
    """All of them, in order."""
    return tuple(Reference(one.place, one.to) for one in _found(template))


def hashed(*templates: Mapping[str, Any]) -> frozenset[Named]:
    """The objects these refer to whose names end like ours."""
    return frozenset(one.to for template in templates for one in _found(template) if one.to.plain is not None)


def earlier(template: Mapping[str, Any], wanted: Collection[Named]) -> frozenset[Named]:
    """The names in a template that would be earlier ones of `wanted`, if they are ours: to be looked up."""
    plains = {one.plain for one in wanted}
    return frozenset(one for one in hashed(template) - set(wanted) - plains if one.plain in plains)


def rewritten(template: Mapping[str, Any], wanted: Sequence[Named], ours: Collection[Named]) -> Json:
    """The template with every reference to an object of `wanted`, by its plain or an earlier name, renewed.

    Args:
        template: of pods; not changed. wanted: names with hashes.
        ours: those of `earlier` that canary made.

    Raises:
        InvalidError: the template refers to one of them nowhere; all such are named.
    """
    new: Json = copy.deepcopy(dict(template))
    by_plain = {one.plain: one for one in wanted}
    used = set()
    for found in _found(new):
        to = found.to if found.to in wanted else by_plain.get(found.to)
        if to is None and found.to in ours:
            to = by_plain.get(found.to.plain)
        if to is not None:
            found.holder[found.key] = to.name
            used.add(to)
    if unused := [one for one in wanted if one not in used]:
        raise _unreferenced(unused, template)
    return new


def _unreferenced(unused: Sequence[Named], template: Mapping[str, Any]) -> InvalidError:
    there = ", ".join(sorted({str(one.to) for one in _found(template)})) or "none"
    names = ", ".join(str(one.plain) for one in unused)
    return InvalidError(
        f"the pod template refers nowhere to {names}; it refers to: {there}",
        remedy="Refer to it first by its plain name (a volume, envFrom, valueFrom or imagePullSecrets of the "
        "Deployment), or take it out of --config.",
    )


@dataclass(frozen=True)
class _Found:
    """A reference and the mapping that holds its name under `key`."""

    place: str
    to: Named
    holder: Json
    key: str


_CONFIG_MAPS = ("configMap", "configMapRef", "configMapKeyRef")
_SECRETS = ("secret", "secretRef", "secretKeyRef", "nodePublishSecretRef", "azureFile")


def _found(template: Mapping[str, Any]) -> Iterator[_Found]:
    spec = template.get("spec") or {}
    for kind in ("containers", "initContainers"):
        for one in spec.get(kind) or []:
            yield from _in_container(f"{kind}[{one.get('name', '')}]", one)
    for volume in spec.get("volumes") or []:
        yield from _in_volume(f"volumes[{volume.get('name', '')}]", volume)
    for number, one in enumerate(spec.get("imagePullSecrets") or []):
        yield from _held(f"imagePullSecrets[{number}]", Kind.SECRET, one)


def _in_container(place: str, container: Json) -> Iterator[_Found]:
    for number, one in enumerate(container.get("envFrom") or []):
        yield from _in_source(f"{place}.envFrom[{number}]", one)
    for one in container.get("env") or []:
        yield from _in_source(f"{place}.env[{one.get('name', '')}]", one.get("valueFrom") or {})


def _in_volume(place: str, volume: Json) -> Iterator[_Found]:
    yield from _in_source(place, volume)
    for number, one in enumerate((volume.get("projected") or {}).get("sources") or []):
        yield from _in_source(f"{place}.projected[{number}]", one)
    # Drivers of storage that take their credentials from a Secret.
    for driver in ("csi", "flexVolume", "cephfs", "rbd", "iscsi", "scaleIO", "storageos"):
        yield from _in_source(f"{place}.{driver}", volume.get(driver) or {})


def _in_source(place: str, source: Json) -> Iterator[_Found]:
    for kind, keys in ((Kind.CONFIG_MAP, _CONFIG_MAPS), (Kind.SECRET, _SECRETS)):
        for key in keys:
            if isinstance(source.get(key), dict):
                yield from _held(place, kind, source[key])


def _held(place: str, kind: Kind, holder: Json) -> Iterator[_Found]:
    key = "secretName" if "secretName" in holder else "name"
    if name := holder.get(key):
        yield _Found(place, Named(kind, str(name)), holder, key)


def changes(before: Mapping[str, Any], after: Mapping[str, Any]) -> tuple[tuple[Reference, Reference], ...]:
    """The references of a template that are others in the one made of it."""
    pairs = zip(references(before), references(after), strict=True)
    return tuple((old, new) for old, new in pairs if old != new)
