"""YAML of others, as plain values."""

from typing import Any

import yaml


def values(text: str) -> Any:  # noqa: ANN401 - whatever YAML holds
    """What a document says.

    Raises:
        ValueError: it is no YAML.
    """
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError as fault:
        raise ValueError(f"it is no YAML: {fault}") from fault
