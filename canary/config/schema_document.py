"""The JSON Schema of `canary.yaml`, for editors and checkers."""

from typing import Any

from pydantic.json_schema import GenerateJsonSchema

from canary.config import units
from canary.config.schema import File

_Node = dict[str, Any]


def schema_document() -> dict[str, Any]:
    """JSON Schema, draft 2020-12, of the file as people write it: durations are `15s`, not 15."""
    document = File.model_json_schema()
    _tidy(document)
    for definition in document["$defs"].values():
        _tidy(definition)
    return {
        "$schema": GenerateJsonSchema.schema_dialect,
        **document,
        "title": "canary.yaml",
    }


def _tidy(section: _Node) -> None:
    for name, field in section.get("properties", {}).items():
        section["properties"][name] = _field(field)


def _field(field: _Node) -> _Node:
    """Without titles that repeat the key; null is left out, because no key may be null."""
    field = {key: value for key, value in field.items() if key != "title"}
    options = [one for one in field.get("anyOf", []) if one != {"type": "null"}]
    if len(options) == 1:
        field = {**options[0], **{key: value for key, value in field.items() if key != "anyOf"}}
    default = field.pop("default", None)
    if default is not None and (written := _written(field, default)) is not None:
        field["default"] = written
    return field


def _written(field: _Node, default: object) -> object:
    """A default as it would stand in the file; None for sections, whose keys have their own."""
    if "$ref" in field or isinstance(default, dict):
        return None
    pattern = field.get("pattern")
    if isinstance(default, float) and pattern == units.DURATION_PATTERN:
        return units.format_duration(default)
    if isinstance(default, float) and pattern == units.PERCENT_PATTERN:
        return f"{100 * default:g}%"
    if isinstance(default, list) and len(default) == 2 and isinstance(default[0], str):
        return f"{default[0]}:{default[1]}"
    if isinstance(default, list):
        return [_bare(one) for one in default]
    return default


def _bare(value: object) -> object:
    if isinstance(value, dict):
        return {key: one for key, one in value.items() if one is not None}
    return value
