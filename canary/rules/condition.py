"""A condition as a tree: comparisons and facts, joined by `and`, `or`, `not`, and held `for` a time."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from canary.rules.quantity import Kind


@dataclass(frozen=True)
class Meaning:
    """What a name stands for. `told`: in words, for people."""

    kind: Kind
    told: str


Vocabulary = Mapping[str, Meaning]
"""Name -> what it means where the condition is used."""


@dataclass(frozen=True)
class Compare:
    """A figure against a threshold.

    Attributes:
        name: of the figure. operator: one of > >= < <= == !=.
        threshold: in the base unit of `kind`. written: the threshold as it was written.
    """

    name: str
    operator: str
    threshold: float
    kind: Kind
    written: str

    def __str__(self) -> str:
        return f"{self.name} {self.operator} {self.written}"


@dataclass(frozen=True)
class Fact:
    """Something that is so or is not."""

    name: str

    def __str__(self) -> str:
        return self.name


@dataclass(frozen=True)
class Not:
    """The contrary."""

    of: "Condition"

    def __str__(self) -> str:
        return f"not ({self.of})" if isinstance(self.of, All | Some | Held) else f"not {self.of}"


@dataclass(frozen=True)
class All:
    """Every part holds."""

    parts: tuple["Condition", ...]

    def __str__(self) -> str:
        return " and ".join(_inner(part) for part in self.parts)


@dataclass(frozen=True)
class Some:
    """One part holds at least."""

    parts: tuple["Condition", ...]

    def __str__(self) -> str:
        return " or ".join(_inner(part) for part in self.parts)


@dataclass(frozen=True)
class Held:
    """It has held for so long. `written`: the time as it was written; for_s > 0."""

    of: "Condition"
    for_s: float
    written: str

    def __str__(self) -> str:
        of = f"({self.of})" if isinstance(self.of, All | Some | Held) else str(self.of)
        return f"{of} for {self.written}"


Condition = Compare | Fact | Not | All | Some | Held


def _inner(of: Condition) -> str:
    return f"({of})" if isinstance(of, All | Some) else str(of)


def walk(of: Condition) -> Iterator[Condition]:
    """The condition and all its parts, each before its own parts."""
    yield of
    match of:
        case Not(inner) | Held(inner):
            yield from walk(inner)
        case All(parts) | Some(parts):
            for part in parts:
                yield from walk(part)


def names(of: Condition) -> frozenset[str]:
    """The figures and facts that it speaks of."""
    return frozenset(part.name for part in walk(of) if isinstance(part, Compare | Fact))


def longest_s(of: Condition) -> float:
    """How far it looks back at most, seconds."""
    match of:
        case Held(inner, for_s):
            return for_s + longest_s(inner)
        case Not(inner):
            return longest_s(inner)
        case All(parts) | Some(parts):
            return max(longest_s(part) for part in parts)
    return 0.0
