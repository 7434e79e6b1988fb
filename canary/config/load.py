"""From a file to settings, or to all its faults at once, each with line, field and what is wanted."""

import difflib
import types
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Union, cast, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from canary.config.checks import CHECKS
from canary.config.document import MAX_BYTES, Document, Fault, Place, parse, parse_all
from canary.config.resolve import resolve
from canary.config.schema import File
from canary.config.schema_document import schema_document
from canary.config.settings import Settings
from canary.errors import CanaryError, DeniedError, InvalidError, MissingError

__all__ = ["documents", "load", "schema_document"]

NOT_YET = frozenset({"budget", "hooks"})
"""Keys that a later version will understand."""


def load(path: Path) -> Settings:
    """The settings that a configuration file resolves to. Paths in it are relative to the file.

    Raises:
        InvalidError: every fault of the file, one line each: `canary.yaml:12: analysis.interval: found 15,
            wanted a duration such as 15s`.
        MissingError: there is no such file. DeniedError: it may not be read.
    """
    document = parse(text_of(path))
    faults = list(document.faults)
    file, found = _validated(document)
    faults += found
    raise_faults(path, faults, "Correct the file and try again; `canary schema` describes every key.")
    # Without faults there is a file.
    return resolve(path, cast(File, file))


def documents(path: Path) -> list[Document]:
    """The YAML documents of another file than the configuration, with their faults.

    Raises:
        MissingError: there is no such file. DeniedError: it may not be read. InvalidError: it cannot be, or
            is larger than 16 MiB.
    """
    return parse_all(text_of(path, 64 * MAX_BYTES, "--config"))


def text_of(path: Path, most: int = MAX_BYTES, option: str = "-f") -> str:
    """The text of a file of at most so many bytes, which was named by this option."""
    try:
        with path.open("rb") as stream:
            data = stream.read(most + 1)
    except FileNotFoundError as fault:
        how = "Write one with `canary init`, or name" if option == "-f" else "Name"
        raise MissingError(f"there is no file {path}", remedy=f"{how} another with {option}.") from fault
    except OSError as fault:
        raise _unreadable(path, fault, option) from fault
    if len(data) > most:
        raise InvalidError(
            f"{path} is larger than {most} bytes", remedy=f"Name the right file with {option}."
        )
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as fault:
        line = data[: fault.start].count(b"\n") + 1
        raise InvalidError(
            f"{path} has a fault",
            faults=[f"{path}:{line}: this is not UTF-8 text"],
            remedy="Save the file as UTF-8.",
        ) from fault


def _unreadable(path: Path, fault: OSError, option: str) -> CanaryError:
    if isinstance(fault, PermissionError):
        return DeniedError(
            f"{path} may not be read by this user",
            remedy=f"Let this user read it, or name another with {option}.",
        )
    return InvalidError(f"{path} cannot be read: {fault.strerror}", remedy=f"Name a file with {option}.")


def raise_faults(path: Path, faults: Sequence[Fault], remedy: str) -> None:
    """Tell all faults of a file at once, by their lines; nothing when there are none.

    Raises:
        InvalidError: there are some.
    """
    if not faults:
        return
    lines = [_line(path, fault) for fault in sorted(faults, key=lambda one: (one.line, str(one.place)))]
    many = f"{len(lines)} faults" if len(lines) > 1 else "a fault"
    raise InvalidError(f"{path} has {many}", faults=list(dict.fromkeys(lines)), remedy=remedy)


def _line(path: Path, fault: Fault) -> str:
    field = _field(fault.place)
    return f"{path}:{fault.line}: {field}: {fault.text}" if field else f"{path}:{fault.line}: {fault.text}"


def _field(place: Place) -> str:
    text = ""
    for part in place:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text


def _validated(document: Document) -> tuple[File | None, list[Fault]]:
    """The file if its shape is right, and what is wrong with it."""
    if not isinstance(document.values, dict):
        return None, []
    # What could not even be read is told once, not as missing as well.
    spoilt = {fault.place for fault in document.faults if fault.place}
    try:
        file = File.model_validate(document.values)
    except ValidationError as wrong:
        details = wrong.errors(include_url=False)
        faults = [told(document, one) for one in details if tuple(one["loc"]) not in spoilt]
        file, doubtful = _sound_part(document.values, details)
        return None, [*faults, *_checked(document, file, doubtful | spoilt)]
    return file, _checked(document, file, spoilt)


def _sound_part(values: dict[str, Any], details: list[ErrorDetails]) -> tuple[File, set[Place]]:
    """The file without what is wrong in shape, so that the rest is checked at once; and what to leave out."""
    values = {key: dict(value) if isinstance(value, dict) else value for key, value in values.items()}
    doubtful: set[Place] = set()
    while details:
        for detail in details:
            doubtful.add(_take_out(values, detail))
        values.setdefault("target", {"local": "unknown"})
        try:
            return File.model_validate(values), doubtful
        except ValidationError as wrong:
            details = wrong.errors(include_url=False)
    return File.model_validate(values), doubtful


def _take_out(values: dict[str, Any], detail: ErrorDetails) -> Place:
    place: Place = tuple(detail["loc"])
    top, section = str(place[0]), values.get(str(place[0]))
    if len(place) > 1 and isinstance(section, dict) and place[1] in section:
        del section[str(place[1])]
        place = place[:2]
    else:
        values.pop(top, None)
        place = (top,)
    if detail["type"] == "extra_forbidden" and (meant := _meant(tuple(detail["loc"]))):
        return (*place[:-1], meant)
    return place


def _checked(document: Document, file: File, doubtful: set[Place]) -> list[Fault]:
    return [
        Fault(document.line(place), place, text)
        for reads, check in CHECKS
        if not any(_overlap(tuple(read.split(".")), one) for read in reads for one in doubtful)
        for place, text in check(file)
    ]


def _overlap(one: Place, other: Place) -> bool:
    return all(left == right for left, right in zip(one, other, strict=False))


def told(document: Document, detail: ErrorDetails, model: type[BaseModel] = File) -> Fault:
    """What pydantic has found, as a fault of the file that a model describes."""
    place: Place = tuple(detail["loc"])
    kind = detail["type"]
    if kind == "missing":
        text = f"is missing, wanted: {_description(place, model)}"
    elif kind == "extra_forbidden":
        text = _unknown(place, model)
    else:
        text = f"found {_found(document, detail, place)}, {_wanted(detail)}"
    return Fault(document.line(place), place, text)


def _found(document: Document, detail: ErrorDetails, place: Place) -> str:
    value = detail["input"]
    if isinstance(value, dict):
        return "a mapping"
    if isinstance(value, list):
        return "a list" if value else "an empty list"
    return document.found.get(place, repr(value))


_PLAIN = {
    "int_type": "wanted a whole number",
    "int_from_float": "wanted a whole number",
    "greater_than_equal": "wanted at least {ge}",
    "less_than_equal": "wanted at most {le}",
    "too_short": "wanted at least {min_length} in it",
    "bool_type": "wanted true or false",
    "list_type": "wanted a list, such as [a, b]",
    "dict_type": "wanted a mapping, such as {{key: value}}",
    "model_type": "wanted a mapping, such as {{key: value}}",
}


def _wanted(detail: ErrorDetails) -> str:
    kind, context = detail["type"], detail.get("ctx", {})
    if kind == "wanted":
        return str(context["text"])
    if kind == "literal_error":
        return _one_of(str(context["expected"]), detail["input"])
    if kind in _PLAIN:
        return _PLAIN[kind].format(**context)
    return f"wanted something else: {detail['msg'].lower()}"


def _one_of(expected: str, found: object) -> str:
    words = expected.replace(" or ", ", ").replace("'", "").replace("True", "true").split(", ")
    close = difflib.get_close_matches(str(found), words, n=1)
    return f"wanted one of {', '.join(words)}" + (f"; did you mean {close[0]}?" if close else "")


def _unknown(place: Place, model: type[BaseModel] = File) -> str:
    """What an unknown key may have been meant for."""
    key = str(place[-1])
    if model is File and len(place) == 1 and key in NOT_YET:
        return "is not supported yet by this version: take it out"
    known = list(_section(place[:-1], model).model_fields)
    if meant := _meant(place, model):
        return f"is not a known key; did you mean `{meant}`?"
    elsewhere = [path for path in _paths(model) if path.split(".")[-1] == key]
    if len(elsewhere) == 1:
        return f"is not a known key here; did you mean `{elsewhere[0]}`?"
    return f"is not a known key; wanted one of {', '.join(known)}"


def _meant(place: Place, model: type[BaseModel] = File) -> str | None:
    known = list(_section(place[:-1], model).model_fields)
    close = difflib.get_close_matches(str(place[-1]), known, n=1, cutoff=0.6)
    return close[0] if close else None


def _description(place: Place, model: type[BaseModel]) -> str:
    field = _section(place[:-1], model).model_fields[str(place[-1])]
    return field.description or str(place[-1])


def _section(place: Place, model: type[BaseModel]) -> type[BaseModel]:
    """The model that stands at a place of another."""
    for part in place:
        if isinstance(part, str):
            model = _models(model.model_fields[part].annotation)[0]
    return model


def _models(annotation: object) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    if get_origin(annotation) in (list, Union, types.UnionType):
        return [model for one in get_args(annotation) for model in _models(one)]
    return []


def _paths(model: type[BaseModel], above: str = "") -> Iterator[str]:
    for name, field in model.model_fields.items():
        yield f"{above}{name}"
        for inner in _models(field.annotation):
            yield from _paths(inner, f"{above}{name}.")
