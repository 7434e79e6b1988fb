"""A YAML file as plain values that remember where they stand. Strict where YAML is treacherous.

Left out on purpose: `yes` and `on` as booleans, `12:30` as a number, dates, tags and merge keys. A key
given twice, a key without a value and text in place of a mapping are faults, not guesses.
"""

import re
from dataclasses import dataclass, field
from typing import Any

import yaml

Place = tuple[str | int, ...]

MAX_BYTES = 262_144
_MAX_NODES = 20_000


class _Loader(yaml.SafeLoader):
    """Resolves scalars as YAML 1.2's core schema does."""

    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}  # noqa: RUF012 - PyYAML's own


for _tag, _pattern, _first in (
    ("null", r"^(?:~|null|Null|NULL|)$", ["~", "n", "N", ""]),
    ("bool", r"^(?:true|True|TRUE|false|False|FALSE)$", list("tTfF")),
    ("int", r"^[-+]?[0-9]+$", list("-+0123456789")),
    ("float", r"^[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?$", list("-+.0123456789")),
):
    _Loader.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(_pattern), _first)


@dataclass(frozen=True)
class Fault:
    """One thing that is wrong. `line`: from 1. `place`: of the field, `()` for the file. `text`: in words."""

    line: int
    place: Place
    text: str


@dataclass
class Document:
    """What a file says.

    Attributes:
        values: mappings, lists, text, numbers, booleans.
        lines: of each place, from 1. found: how each scalar is written in the file.
        faults: what could not be taken as it stands; left out of `values`.
    """

    values: Any = None
    lines: dict[Place, int] = field(default_factory=dict)
    found: dict[Place, str] = field(default_factory=dict)
    faults: list[Fault] = field(default_factory=list)

    def line(self, place: Place) -> int:
        """The line of a place, or of the nearest thing around it."""
        while place and place not in self.lines:
            place = place[:-1]
        return self.lines.get(place, 1)


def parse(text: str, begins: str = "target") -> Document:
    """Read a YAML text. Never raises: what is wrong is in `faults`.

    Args:
        begins: the key that such a file begins with, for those who give something else.
    """
    document = Document()
    try:
        loader = _Loader(text)
        try:
            node = loader.get_single_node()
        finally:
            loader.dispose()
    except yaml.YAMLError as fault:
        document.faults.append(_unreadable(text, fault))
        return document
    except RecursionError:
        document.faults.append(Fault(1, (), "lists or mappings are nested too deeply"))
        return document
    if node is None:
        document.faults.append(
            Fault(1, (), f"the file is empty, wanted a mapping that begins with `{begins}:`")
        )
    elif not isinstance(node, yaml.MappingNode):
        document.faults.append(
            Fault(_line(node), (), f"found {_kind(node)}, wanted a mapping that begins with `{begins}:`")
        )
    else:
        document.values = _Walk(document).value(node, (), ())
    return document


def parse_all(text: str) -> list[Document]:
    """Read a YAML text of any number of documents; an empty one has no values. Never raises.

    What cannot be read at all is the fault of a document after those that could.
    """
    documents: list[Document] = []
    try:
        loader = _Loader(text)
        try:
            while loader.check_node():
                node = loader.get_node()
                documents.append(Document())
                if node is not None:
                    documents[-1].values = _Walk(documents[-1]).value(node, (), ())
        finally:
            loader.dispose()
    except yaml.YAMLError as fault:
        documents.append(Document(faults=[_unreadable(text, fault)]))
    except RecursionError:
        documents.append(Document(faults=[Fault(1, (), "lists or mappings are nested too deeply")]))
    return documents


class _Walk:
    """Turns nodes into values."""

    def __init__(self, document: Document) -> None:
        self._document = document
        self._seen = 0

    def value(self, node: yaml.Node, place: Place, above: tuple[int, ...]) -> object:
        """The value of a node; `above` are the nodes around it, to tell a loop of aliases."""
        self._seen += 1
        self._document.lines.setdefault(place, _line(node))
        if self._seen == _MAX_NODES:
            self._fault(node, place, f"the file has more than {_MAX_NODES} values")
        if id(node) in above or self._seen >= _MAX_NODES:
            if id(node) in above:
                self._fault(node, place, "this alias contains itself")
            return None
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, place, (*above, id(node)))
        if isinstance(node, yaml.SequenceNode):
            above = (*above, id(node))
            return [self.value(item, (*place, number), above) for number, item in enumerate(node.value)]
        return self._scalar(node, place)

    def _mapping(self, node: yaml.MappingNode, place: Place, above: tuple[int, ...]) -> dict[str, object]:
        values: dict[str, object] = {}
        first: dict[str, int] = {}
        for key_node, value_node in node.value:
            if not isinstance(key_node, yaml.ScalarNode):
                self._fault(key_node, place, f"found {_kind(key_node)} as a key, wanted text")
                continue
            key, here = key_node.value, (*place, key_node.value)
            if key in first:
                self._fault(key_node, here, f"given twice, first on line {first[key]}: keep one")
                continue
            first[key] = _line(key_node)
            self._document.lines[here] = _line(key_node)
            value = self.value(value_node, here, above)
            if value is None:
                self._nothing(value_node, here)
            else:
                values[key] = value
        return values

    def _nothing(self, node: yaml.Node, place: Place) -> None:
        if isinstance(node, yaml.ScalarNode) and node.tag == "tag:yaml.org,2002:null":
            self._fault(node, place, "found nothing: give it a value, or take the key out")

    def _scalar(self, node: yaml.Node, place: Place) -> object:
        text = str(node.value)
        quoted = getattr(node, "style", None) in ("'", '"')
        self._document.found[place] = f'"{text}"' if quoted else text
        match node.tag.removeprefix("tag:yaml.org,2002:"):
            case "str":
                return text
            case "null":
                return None
            case "bool":
                return text.lower() == "true"
            case "int" if len(text) < 300:
                return int(text)
            case "int" | "float":
                return float(text)
        self._fault(node, place, f"found the tag {node.tag}, wanted a plain value")
        return None

    def _fault(self, node: yaml.Node, place: Place, text: str) -> None:
        self._document.faults.append(Fault(_line(node), place, text))


def _line(node: yaml.Node) -> int:
    return int(node.start_mark.line) + 1


def _kind(node: yaml.Node) -> str:
    if isinstance(node, yaml.MappingNode):
        return "a mapping"
    return "a list" if isinstance(node, yaml.SequenceNode) else f"`{node.value}`"


def _unreadable(text: str, fault: yaml.YAMLError) -> Fault:
    mark = getattr(fault, "problem_mark", None) or getattr(fault, "context_mark", None)
    line = mark.line + 1 if mark else 1
    lines = text.splitlines()
    there = lines[line - 1] if line <= len(lines) else ""
    if "\t" in there[: len(there) - len(there.lstrip())]:
        return Fault(line, (), "found a tab in the indentation, wanted spaces")
    problem = getattr(fault, "problem", None) or str(fault).splitlines()[0]
    context = getattr(fault, "context", None)
    return Fault(line, (), f"this is not YAML: {problem}" + (f" ({context})" if context else ""))
