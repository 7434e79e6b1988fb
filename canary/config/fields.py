"""The kinds of values in `canary.yaml`, and what is said of one that is none of its kind."""

import re
import shlex
from collections.abc import Callable
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema
from pydantic_core import PydanticCustomError

from canary.config import units
from canary.rules import quantity
from canary.rules.quantity import Kind

NAME_PATTERN = "^[A-Za-z0-9]([-._A-Za-z0-9]{0,61}[A-Za-z0-9])?$"


def wanted(parse: Callable[[object], Any]) -> BeforeValidator:
    """Parse a quantity; what is wanted goes into the error's text."""

    def validate(value: object) -> object:
        try:
            return parse(value)
        except ValueError as fault:
            raise PydanticCustomError("wanted", "{text}", {"text": str(fault)}) from fault

    return BeforeValidator(validate)


def _longer(parse: Callable[[object], float]) -> Callable[[object], float]:
    def positive(value: object) -> float:
        seconds = parse(value)
        if seconds <= 0:
            raise ValueError("wanted a duration above 0s")
        return seconds

    return positive


def _ratio(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not value >= 1:
        raise ValueError("wanted a number of at least 1, such as 1.5")
    return float(value)


def _word(value: object) -> str:
    # A number is not taken for its text: 1.10 would have become 1.1 on the way.
    if isinstance(value, str):
        return value
    quotes = "" if isinstance(value, list | dict) else ": put it in quotes"
    raise ValueError(f"wanted text{quotes}")


def _argument(value: object) -> str:
    if value == "":
        raise ValueError("wanted text that is not empty")
    return _word(value)


def _command(value: object) -> object:
    if isinstance(value, str):
        try:
            words = ", ".join(f'"{word}"' for word in shlex.split(value))
        except ValueError:
            words = '"python", "-m", "service"'
        raise ValueError(f"wanted a list of words: [{words}]")
    return value


def _path_of_url(value: object) -> str:
    if isinstance(value, str) and value.startswith("/") and not any(one.isspace() for one in value):
        return value
    raise ValueError("wanted a path that begins with /, such as /health")


def _url(value: object) -> str:
    if isinstance(value, str) and re.fullmatch(r"https?://[^\s/]\S*", value):
        return value.rstrip("/")
    raise ValueError("wanted a URL such as https://prometheus:9090")


def _name(value: object) -> str:
    if isinstance(value, str) and re.fullmatch(NAME_PATTERN, value):
        return value
    raise ValueError("wanted a name: letters, digits, - . _ inside, at most 63 of them")


def _size(value: object) -> float:
    try:
        size = quantity.parse(value, Kind.BYTES) if isinstance(value, str) else 0.0
    except quantity.QuantityError:
        size = 0.0
    if size <= 0:
        raise ValueError(f"wanted {quantity.WANTED[Kind.BYTES]}")
    return size


def _cores(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not value > 0:
        raise ValueError("wanted a number of cores above 0, such as 0.5")
    return float(value)


def _text(pattern: str, *examples: object) -> WithJsonSchema:
    return WithJsonSchema({"type": "string", "pattern": pattern, "examples": list(examples)})


Duration = Annotated[float, wanted(units.parse_duration), _text(units.DURATION_PATTERN, "15s", "1m30s")]
Stretch = Annotated[
    float, wanted(_longer(units.parse_duration)), _text(units.DURATION_PATTERN, "15s", "1m30s")
]
Percentage = Annotated[float, wanted(units.parse_percentage), _text(units.PERCENT_PATTERN, "10%")]
Points = Annotated[float, wanted(units.parse_points), _text(units.POINTS_PATTERN, "0.5pp")]
Rate = Annotated[
    float,
    wanted(units.parse_rate),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "number", "exclusiveMinimum": 0, "maximum": 0.5},
                {"type": "string", "pattern": units.PERCENT_PATTERN},
            ],
            "examples": [0.01, "1%"],
        }
    ),
]
Weight = Annotated[
    float,
    wanted(units.parse_weight),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 100},
                {"type": "string", "pattern": units.PERCENT_PATTERN},
            ],
            "examples": [10, "10%"],
        }
    ),
]
Ratio = Annotated[float, wanted(_ratio), WithJsonSchema({"type": "number", "minimum": 1})]
Address = Annotated[tuple[str, int], wanted(units.parse_address), _text("^.+:[0-9]{1,5}$", "127.0.0.1:8080")]
UrlPath = Annotated[str, wanted(_path_of_url), _text(r"^/\S*$", "/health")]
Url = Annotated[str, wanted(_url), _text("^https?://.+", "https://prometheus:9090")]
Name = Annotated[str, wanted(_name), _text(NAME_PATTERN, "shop")]
Text = Annotated[str, wanted(_argument), WithJsonSchema({"type": "string", "minLength": 1})]
Word = Annotated[str, wanted(_word), WithJsonSchema({"type": "string"})]
Size = Annotated[float, wanted(_size), _text("^[0-9].*$", "512MiB")]
Cores = Annotated[
    float, wanted(_cores), WithJsonSchema({"type": "number", "exclusiveMinimum": 0, "examples": [0.5]})
]
Command = Annotated[list[Word], wanted(_command), Field(min_length=1)]


class Section(BaseModel):
    """A mapping of the file: nothing unknown in it, nothing converted silently."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)
