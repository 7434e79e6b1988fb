"""The record's codec: a release as a JSON document, and back. Refuses what it does not know.

The schema number says how to read a document. A newer one is refused: guessing at fields that a newer
program relies on could undo its work. An older one is brought up to date by MIGRATIONS, one step at a time.
"""

import json
from collections.abc import Callable, Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from canary.core.release import SCHEMA, Release
from canary.core.strategy import Strategy
from canary.errors import InvalidError

MAX_BYTES = 256 * 1024
"""A record is smaller than this, in any runtime, so that it always fits into a ConfigMap next to others."""

Document = dict[str, Any]
Migrations = Mapping[int, Callable[[Document], Document]]

MIGRATIONS: Migrations = {}
"""Schema number -> what turns a document of that schema into one of the next. Schema 1 is the first."""


class _Envelope(BaseModel):
    # A plain dataclass carries no pydantic settings of its own: it takes those of the model around it.
    model_config = ConfigDict(strict=True, extra="forbid", allow_inf_nan=False, ser_json_inf_nan="constants")

    release: Release


def dump(release: Release) -> bytes:
    """The release as a JSON document, UTF-8. Floats come back exactly.

    Raises:
        InvalidError: it does not fit into MAX_BYTES, or holds what JSON cannot (NaN, infinity, text
            that is not Unicode).
    """
    whole = _Envelope.model_construct(release=release)
    try:
        document = whole.model_dump(mode="json", warnings=False)["release"]
        text = json.dumps(document, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
        data = text.encode()
    except ValueError as fault:
        raise InvalidError(
            f"the record of {release.target} cannot be written as JSON: {fault}",
            remedy="Look for a number that is not finite, or text that is not UTF-8, in version or template.",
        ) from fault
    if len(data) >= MAX_BYTES:
        raise InvalidError(
            f"the record of {release.target} takes {len(data)} bytes; it must stay under {MAX_BYTES}",
            remedy=f"Most of it is {_largest(document)}: make that smaller.",
        )
    return data


def load(data: bytes, *, migrations: Migrations = MIGRATIONS) -> Release:
    """The release that a document describes.

    Args:
        data: what `dump` wrote, or an older program.
        migrations: see MIGRATIONS.

    Raises:
        InvalidError: not a record, of a newer schema, or with unknown, missing or wrong fields: all named.
    """
    document = _migrated(_parsed(data), migrations)
    try:
        return _Envelope.model_validate_json(json.dumps({"release": document})).release
    except ValidationError as fault:
        faults = [
            f"{'.'.join(map(str, one['loc'][1:]))}: {one['msg']}" for one in fault.errors(include_url=False)
        ]
        raise InvalidError(
            "this is not a release record that can be read",
            faults=faults,
            remedy="If it was edited by hand, put it back; `canary audit export` shows what happened so far.",
        ) from fault


def _parsed(data: bytes) -> Document:
    try:
        document = json.loads(data)
    except ValueError as fault:
        raise InvalidError(
            f"this is not a release record: {fault}", remedy="Put the record back as it was written."
        ) from fault
    if not isinstance(document, dict) or type(document.get("schema")) is not int:
        raise InvalidError(
            "this is not a release record: found no schema number, wanted a JSON object with one",
            remedy="Put the record back as it was written.",
        )
    return document


def _migrated(document: Document, migrations: Migrations) -> Document:
    found: int = document["schema"]
    if found > SCHEMA:
        raise InvalidError(
            f"this record has schema {found}; this canary reads schemas up to {SCHEMA}",
            remedy="A newer canary wrote it: use that version, or a later one, for this target.",
        )
    for number in range(found, SCHEMA):
        if number not in migrations:
            raise InvalidError(
                f"this record has schema {found}, which this canary no longer reads",
                remedy="Settle the release with the canary version that started it, then use this one.",
            )
        document = {**migrations[number](document), "schema": number + 1}
    return document


def _largest(document: Document) -> str:
    sizes = {name: len(json.dumps(value)) for name, value in document.items()}
    name = max(sizes, key=lambda one: sizes[one])
    return f"`{name}` ({sizes[name]} bytes)"


class _StrategyEnvelope(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid", allow_inf_nan=False, ser_json_inf_nan="constants")

    strategy: Strategy


def strategy_document(release: Release) -> Document:
    """A release's strategy as JSON values, as a recording carries it."""
    whole = _StrategyEnvelope.model_construct(strategy=release.strategy)
    found: Document = whole.model_dump(mode="json", warnings=False)["strategy"]
    return found


def strategy_from(document: Mapping[str, Any]) -> Strategy:
    """The strategy that a document describes.

    Raises:
        InvalidError: unknown, missing or wrong fields: all named.
    """
    try:
        return _StrategyEnvelope.model_validate_json(json.dumps({"strategy": document})).strategy
    except ValidationError as fault:
        faults = [
            f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in fault.errors(include_url=False)
        ]
        raise InvalidError(
            "the strategy in this recording cannot be read",
            faults=faults,
            remedy="Name a configuration with -f instead.",
        ) from fault
