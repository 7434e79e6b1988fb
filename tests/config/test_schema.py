"""The JSON schema says of a file what loading it says."""

from pathlib import Path
from typing import Any, get_args

import jsonschema
import pytest
import yaml

from canary.config import schema
from canary.config.load import load
from canary.config.schema_document import schema_document
from canary.config.template import init_template
from canary.errors import InvalidError
from canary.metrics.presets import PRESETS
from tests.config.fault_table import GOOD


def valid(text: str) -> bool:
    document = schema_document()
    return bool(jsonschema.Draft202012Validator(document).is_valid(yaml.safe_load(text)))


def test_the_schema_is_one() -> None:
    document = schema_document()
    jsonschema.Draft202012Validator.check_schema(document)

    assert document["$schema"] == "https://json-schema.org/draft/2020-12/schema"


@pytest.mark.parametrize(
    "text",
    [
        GOOD,
        init_template(),
        "target: {namespace: a, deployment: b}\nanalysis: {source: {prometheus: {url: 'https://p:9090'}}}\n",
        "target: {deployment: b}\nanalysis: {source: {pods: {port: 80, path: /m, scrape: 5s}}}\n",
    ],
)
def test_a_good_file_is_good_by_the_schema_too(tmp_path: Path, text: str) -> None:
    path = tmp_path / "canary.yaml"
    path.write_text(text)
    load(path)

    assert valid(text)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("deadline: 1h", "deadline: 15"),
        ("deadline: 1h", "deadline: 5x"),
        ("deadline: 1h", "deadline: null"),
        ("deadline: 1h", "deadlin: 1h"),
        ("deadline: 1h", "hooks: []"),
        ("deadline: 1h", "on_inconclusive: wait"),
        ("[10, 25%, 50]", "[0]"),
        ("[10, 25%, 50]", "[100]"),
        ("[10, 25%, 50]", "[]"),
        ("{local: shop}", "{}"),
        ("{local: shop}", "{local: shop, namespace: a, deployment: b}"),
        ("tolerance: 10%", "tolerance: 0.1"),
        ("abs: 0.5pp", "abs: 0.5%"),
        ("ratio: 1.5", "ratio: 0.5"),
        ("replicas: 4", "replicas: '4'"),
        ("replicas: 4", "listen: 8080"),
        ("preset: http", "preset: other"),
        ("name: checkout\n", "preset: http\n"),
    ],
)
def test_a_bad_file_is_bad_by_the_schema_too(tmp_path: Path, old: str, new: str) -> None:
    assert old in GOOD
    text = GOOD.replace(old, new)
    path = tmp_path / "canary.yaml"
    path.write_text(text)
    with pytest.raises(InvalidError):
        load(path)

    assert not valid(text)


def fields(document: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    sections = [document, *document["$defs"].values()]
    return [pair for section in sections for pair in section.get("properties", {}).items()]


def test_every_key_says_what_it_means() -> None:
    assert [
        name for name, field in fields(schema_document()) if not {"description", "$ref"} & set(field)
    ] == []


def test_defaults_are_written_as_one_would_write_them() -> None:
    document = schema_document()
    for _, field in fields(document):
        if "default" in field:
            jsonschema.Draft202012Validator({"$defs": document["$defs"], **field}).validate(field["default"])
    defaults = {name: field.get("default") for name, field in fields(document)}

    assert defaults["deadline"] == "1h"
    assert defaults["listen"] == "127.0.0.1:8080"
    assert defaults["bake"] == "0s"


def test_every_preset_is_known_by_name() -> None:
    annotation = schema.Metric.model_fields["preset"].annotation
    known = {name for one in get_args(annotation) for name in get_args(one)}

    assert known == set(PRESETS)
