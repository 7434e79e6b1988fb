"""ConfigMaps and Secrets out of files, or all that is wrong with these, each with its place. Pure."""

import base64
import binascii
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from canary.config.document import Document
from canary.errors import InvalidError
from canary.kube.configs import DIGITS, ConfigObject, Kind, Named

Json = dict[str, Any]

MAX_NAME = 253
MAX_BYTES = 1024 * 1024
"""Of all that one object holds; the API server takes no more."""
_LABEL = r"[a-z0-9](?:[-a-z0-9]*[a-z0-9])?"
_NAME = re.compile(rf"{_LABEL}(?:\.{_LABEL})*")
_KEY = re.compile(r"[-._a-zA-Z0-9]{1,253}")
_KINDS = {kind.word: kind for kind in Kind}
_KEYS = {
    Kind.CONFIG_MAP: ("data", "binaryData"),
    Kind.SECRET: ("data", "stringData", "type"),
}
_ALWAYS = ("apiVersion", "kind", "metadata", "immutable")


@dataclass
class _Reading:
    """One document while it is read. Faults are collected with their places."""

    file: str
    number: int
    document: Document
    faults: list[str] = field(default_factory=list)

    @property
    def place(self) -> str:
        return f"{self.file}: document {self.number}"

    def fault(self, text: str, *place: str | int, line: int = 0) -> None:
        where = f"{self.place}, line {line or self.document.line(place)}"
        said = ".".join(map(str, place))
        self.faults.append(f"{where}: {said}: {text}" if said else f"{where}: {text}")


def objects(files: Sequence[tuple[str, Sequence[Document]]], target: str) -> tuple[ConfigObject, ...]:
    """The objects of these files, in order. Empty documents are passed over.

    Args:
        files: name and documents of each. target: whose releases they belong to.

    Raises:
        InvalidError: all that is wrong, by file, number of the document (from 1) and line.
    """
    found: list[ConfigObject] = []
    faults: list[str] = []
    for file, documents in files:
        before = len(found), len(faults)
        for number, document in enumerate(documents, 1):
            if document.values is None and not document.faults:
                continue
            reading = _Reading(file, number, document)
            one = _object(reading, target)
            if one is not None and any(one.plain == other.plain for other in found):
                reading.fault(f"{one.plain} is given twice: keep one", "metadata", "name")
            found += [one] if one is not None else []
            faults += reading.faults
        if before == (len(found), len(faults)):
            faults.append(f"{file}: holds no document, wanted a ConfigMap or a Secret")
    if faults:
        many = f"{len(faults)} faults" if len(faults) > 1 else "a fault"
        raise InvalidError(
            f"the configuration to release has {many}; nothing was touched",
            faults=faults,
            remedy="Correct it and start again; it takes ConfigMaps and Secrets as `kubectl apply` does.",
        )
    return tuple(found)


def in_namespace(found: Sequence[ConfigObject], namespace: str) -> None:
    """See that none of them names another namespace.

    Raises:
        InvalidError: some do; each with its place.
    """
    faults = [
        f"{one.place}: metadata.namespace: found {one.namespace}, wanted {namespace}, that of the target"
        for one in found
        if one.namespace not in ("", namespace)
    ]
    if faults:
        raise InvalidError(
            "the configuration to release is for another namespace; nothing was touched",
            faults=faults,
            remedy="Take `namespace` out of the file, or name it with -n.",
        )


def _object(reading: _Reading, target: str) -> ConfigObject | None:
    """The object of a document; None when something is wrong with it."""
    for one in reading.document.faults:
        # An empty time of creation is what `kubectl create --dry-run -o yaml` writes.
        if one.place != ("metadata", "creationTimestamp"):
            reading.fault(one.text, *one.place, line=one.line)
    if reading.faults:
        return None
    values = reading.document.values
    kind = _kind(reading, values)
    if kind is None:
        return None
    for key in values:
        if key not in (*_ALWAYS, *_KEYS[kind]):
            wanted = ", ".join(_KEYS[kind])
            reading.fault(f"a {kind.word} has no such key, only {wanted}", key)
    name, namespace = _meta(reading, values.get("metadata"))
    data, binary = _held(reading, kind, values)
    if reading.faults:
        return None
    type_ = str(values.get("type", "Opaque")) if kind is Kind.SECRET else ""
    return ConfigObject(Named(kind, name), target, data, binary, type_, namespace, reading.place)


def _kind(reading: _Reading, values: object) -> Kind | None:
    if not isinstance(values, Mapping):
        reading.fault(f"found {_told(values)}, wanted a mapping with `kind: ConfigMap` or `kind: Secret`")
        return None
    kind = values.get("kind")
    if kind not in _KINDS:
        found = "no kind" if kind is None else f"{kind}"
        reading.fault(f"found {found}, wanted ConfigMap or Secret", "kind")
        return None
    if values.get("apiVersion") != "v1":
        reading.fault(f"found {values.get('apiVersion', 'nothing')}, wanted v1", "apiVersion")
    return _KINDS[kind]


def _meta(reading: _Reading, meta: object) -> tuple[str, str]:
    """Name and namespace."""
    if not isinstance(meta, Mapping) or not meta.get("name"):
        reading.fault("there is no name, wanted the one that the Deployment refers to", "metadata", "name")
        return "", ""
    name, namespace = meta["name"], meta.get("namespace", "")
    room = MAX_NAME - DIGITS - 1
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        reading.fault(
            f"found {name!r}, wanted small letters, digits, - and . between letters or digits",
            "metadata",
            "name",
        )
    elif len(name) > room:
        reading.fault(
            f"found {len(name)} characters, wanted {room} at most: a hash is added", "metadata", "name"
        )
    if not isinstance(namespace, str):
        reading.fault(f"found {namespace!r}, wanted text", "metadata", "namespace")
    return str(name), str(namespace)


def _held(reading: _Reading, kind: Kind, values: Json) -> tuple[dict[str, str], dict[str, str]]:
    """What goes into `data` and `binaryData`."""
    data, binary = dict(_entries(reading, values, "data")), dict(_entries(reading, values, "binaryData"))
    if kind is Kind.SECRET:
        data = _decoded(reading, "data", data)
        texts = dict(_entries(reading, values, "stringData"))
        # As the API server does: what is given as text wins.
        data |= {key: base64.b64encode(text.encode()).decode() for key, text in texts.items()}
    else:
        binary = _decoded(reading, "binaryData", binary)
        for key in data.keys() & binary.keys():
            reading.fault("is in `data`, too: keep one", "binaryData", key)
    size = sum(len(key) + len(text.encode()) for key, text in (*data.items(), *binary.items()))
    if size > MAX_BYTES:
        reading.fault(f"holds {size} bytes, wanted {MAX_BYTES} at most", "data")
    return data, binary


def _entries(reading: _Reading, values: Json, part: str) -> Iterator[tuple[str, str]]:
    found = values.get(part, {})
    if not isinstance(found, Mapping):
        reading.fault(f"found {_told(found)}, wanted a mapping of keys and text", part)
        return
    for key, text in found.items():
        if not _KEY.fullmatch(key):
            reading.fault("wanted a key of letters, digits, -, _ and .", part, key)
        elif not isinstance(text, str):
            reading.fault(f"found {_told(text)}, wanted text: put it in quotes", part, key)
        else:
            yield key, text


def _decoded(reading: _Reading, part: str, entries: Mapping[str, str]) -> dict[str, str]:
    """The same bytes in base64, written in one way. What is held is never told: it may be secret."""
    found = {}
    for key, text in entries.items():
        try:
            held = base64.b64decode("".join(text.split()), validate=True)
        except (binascii.Error, ValueError):
            hint = "; plain text goes into `stringData`" if part == "data" else ""
            reading.fault(f"this is not base64{hint}", part, key)
            continue
        found[key] = base64.b64encode(held).decode()
    return found


def _told(value: object) -> str:
    if isinstance(value, Mapping):
        return "a mapping"
    if isinstance(value, list):
        return "a list"
    if isinstance(value, bool):
        return f"{value}".lower()
    return "nothing" if value is None else f"{value}"
