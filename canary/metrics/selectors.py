"""Series selectors, `name{label="x",other=~"re"}`, as Prometheus writes them. Pure."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

from canary.errors import InvalidError

_NAME = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*")
_MATCHER = re.compile(r'\s*([a-zA-Z_][a-zA-Z0-9_]*)\s*(=~|!~|!=|=)\s*"((?:[^"\\]|\\.)*)"\s*(,|$)')
_ESCAPES = {"\\\\": "\\", '\\"': '"', "\\n": "\n"}


@dataclass(frozen=True)
class Matcher:
    """One condition on a label. A label that a series does not have is the empty text.

    Attributes:
        label: its name. op: `=`, `!=`, `=~` or `!~`. value: text, or a regular expression that
            must match the whole label.
    """

    label: str
    op: str
    value: str

    def accepts(self, labels: Mapping[str, str]) -> bool:
        """Whether a series with these labels is meant."""
        found = labels.get(self.label, "")
        matched = bool(_regex(self.value).fullmatch(found)) if "~" in self.op else found == self.value
        return matched != self.op.startswith("!")

    def __str__(self) -> str:
        value = self.value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
        return f'{self.label}{self.op}"{value}"'


@dataclass(frozen=True)
class Selector:
    """The series of one name that fulfil all matchers."""

    name: str
    matchers: tuple[Matcher, ...] = ()

    def accepts(self, labels: Mapping[str, str]) -> bool:
        """Whether a series of this name with these labels is meant."""
        return all(matcher.accepts(labels) for matcher in self.matchers)

    def __str__(self) -> str:
        return f"{self.name}{{{','.join(map(str, self.matchers))}}}" if self.matchers else self.name


@lru_cache(maxsize=512)
def parse_selector(text: str) -> Selector:
    """Read a selector as a person writes it.

    Raises:
        InvalidError: it is not a plain selector of counters; says where and what is wanted.
    """
    stripped = text.strip()
    name = _NAME.match(stripped)
    if name is None:
        raise _fault(text, "it does not begin with the name of a metric")
    rest = stripped[name.end() :].strip()
    if not rest:
        return Selector(name.group())
    if not (rest.startswith("{") and rest.endswith("}")):
        raise _fault(text, f"after {name.group()} there is {rest!r}")
    return Selector(name.group(), _matchers(text, rest[1:-1]))


def _matchers(text: str, inside: str) -> tuple[Matcher, ...]:
    matchers = []
    while inside.strip():
        found = _MATCHER.match(inside)
        if found is None:
            raise _fault(text, f"{inside.strip()!r} is not a matcher")
        label, op, quoted = found.group(1), found.group(2), found.group(3)
        value = re.sub(r'\\[\\"n]', lambda escape: _ESCAPES[escape.group()], quoted)
        if "~" in op:
            _check_regex(text, value)
        matchers.append(Matcher(label, op, value))
        inside = inside[found.end() :]
    return tuple(matchers)


def _check_regex(text: str, value: str) -> None:
    try:
        _regex(value)
    except re.error as error:
        raise _fault(text, f"{value!r} is not a regular expression: {error}") from error


def _fault(text: str, found: str) -> InvalidError:
    return InvalidError(
        f"the series selector {text!r} cannot be read: {found}",
        remedy='Write a counter\'s name with plain matchers, as in  checkout_failed_total{kind=~"a|b"}  '
        "without functions, ranges or sums: canary takes the differences itself.",
    )


@lru_cache(maxsize=512)
def _regex(text: str) -> re.Pattern[str]:
    return re.compile(text, re.DOTALL)
