"""JSON text of plain values."""

import json
import math
from collections.abc import Mapping


def dumps(value: object, *, indent: int | None = None) -> str:
    """JSON text of plain values; what JSON cannot hold (infinity, NaN) is null."""
    return json.dumps(finite(value), indent=indent, ensure_ascii=False, allow_nan=False)


def finite(value: object) -> object:
    """The value with None for infinities and NaN, lists for tuples, all the way down."""
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, Mapping):
        return {str(key): finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [finite(item) for item in value]
    return value
