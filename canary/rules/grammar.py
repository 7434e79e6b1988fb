"""The grammar of conditions, and the faults of texts that are none.

    memory_usage > 90% for 30s
    error_rate > 5% and request_rate >= 10
    (cpu_usage > 95% or restarts > 1) for 1m
    not ready_pods >= 2

`not` binds tightest, then `for`, then `and`, then `or`.
"""

import difflib
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from canary.rules import quantity
from canary.rules.condition import All, Compare, Condition, Fact, Held, Not, Some, Vocabulary
from canary.rules.quantity import Kind, QuantityError

if TYPE_CHECKING:
    from lark import Lark, Token, Tree
    from lark.exceptions import UnexpectedInput

GRAMMAR = r"""
?start: either
?either: both ("or" both)*
?both: held ("and" held)*
?held: negated ["for" QUANTITY]
?negated: "not" negated -> no
        | NAME OPERATOR QUANTITY -> compare
        | NAME -> fact
        | "(" either ")"

NAME: /(?!(?:and|or|not|for)\b)[A-Za-z_][A-Za-z0-9_.-]*/
OPERATOR: ">=" | "<=" | "==" | "!=" | ">" | "<"
QUANTITY: /[-+]?[0-9][0-9.]*(?:[A-Za-z%][A-Za-z0-9.%]*|[ \t]+(?:%|(?!(?:and|or|not|for)\b)[A-Za-z]+))?/

%ignore /\s+/
"""

_WORDS = {
    "NAME": "the name of a metric",
    "QUANTITY": "a number",
    "OPERATOR": "one of > >= < <= == !=",
    "LPAR": "(",
    "RPAR": ")",
    "FOR": "for",
    "AND": "and",
    "OR": "or",
    "NOT": "not",
    "$END": "its end",
}
LONGEST = 2000
"""Characters of a condition."""
DEEPEST = 40
"""Parts within parts of a condition."""


class ConditionError(ValueError):
    """A text that is no condition.

    Attributes:
        text: the whole condition. column: where the fault is, from 1; one past the end for what is missing.
        said: what was found there and what is wanted.
    """

    def __init__(self, text: str, column: int, said: str) -> None:
        super().__init__(f"column {column}: {said}")
        self.text = " ".join(text.split("\n"))
        self.column = column
        self.said = said

    @property
    def pointed(self) -> str:
        """What is wrong, the condition under it, and a caret under the place: three lines."""
        begin = max(0, self.column - 60)
        shown = self.text[begin : begin + 90]
        return f"column {self.column}: {self.said}\n    {shown}\n    {' ' * (self.column - 1 - begin)}^"


def parse(text: str, vocabulary: Vocabulary) -> Condition:
    """Read a condition.

    Args:
        text: as people write it.
        vocabulary: the names that mean something here.

    Raises:
        ConditionError: it cannot be read, a name is unknown, or a threshold is not of its metric's kind.
    """
    from lark.exceptions import UnexpectedInput

    if not text.strip():
        raise ConditionError(text, 1, "found nothing, wanted a condition such as memory_usage > 90% for 30s")
    if len(text) > LONGEST:
        raise ConditionError(text, LONGEST, f"found {len(text)} characters, wanted at most {LONGEST}")
    try:
        tree = _parser().parse(text)
    except UnexpectedInput as fault:
        raise _misread(text, fault) from None
    return _Reader(text, vocabulary).read(tree)


@lru_cache(maxsize=1)
def _parser() -> "Lark":
    # Loaded late: most commands read no condition.
    from lark import Lark

    return Lark(GRAMMAR, parser="lalr", maybe_placeholders=False)


def _misread(text: str, fault: "UnexpectedInput") -> ConditionError:
    place = fault.pos_in_stream if fault.pos_in_stream is not None else len(text)
    token = getattr(fault, "token", None)
    expected = set(getattr(fault, "accepts", None) or getattr(fault, "expected", None) or ())
    expected |= set(getattr(fault, "allowed", None) or ())
    at_end = token is not None and token.type == "$END"
    if at_end:
        place = len(text.rstrip())
    rest = text[place:].split()
    found = f"`{rest[0]}`" if rest and not at_end else "the end"
    wanted = ", ".join(_WORDS[one] for one in _WORDS if one in expected) or "a condition"
    return ConditionError(text, place + 1, f"found {found}, wanted {wanted}")


class _Reader:
    """Makes a condition of a tree of the parser."""

    def __init__(self, text: str, vocabulary: Vocabulary) -> None:
        self._text = text
        self._vocabulary = vocabulary

    def read(self, tree: "Tree[Token]", depth: int = 0) -> Condition:
        """The condition that a tree stands for, which lies so deep in another."""
        if depth > DEEPEST:
            raise ConditionError(self._text, 1, f"its parts lie more than {DEEPEST} deep in one another")
        parts: list[Any] = tree.children
        match str(tree.data):
            case "no":
                return Not(self.read(parts[0], depth + 1))
            case "fact":
                return self._fact(parts[0])
            case "compare":
                return self._compare(*parts)
            case "held":
                return self._held(self.read(parts[0], depth + 1), parts[1])
            case "both":
                return All(tuple(self.read(part, depth + 1) for part in parts))
        return Some(tuple(self.read(part, depth + 1) for part in parts))

    def _fact(self, name: "Token") -> Fact:
        kind = self._kind(name)
        if kind is not Kind.FLAG:
            wanted = f"wanted a comparison such as {name} > {quantity.WANTED[kind].split()[-1]}"
            if kind in (Kind.SECONDS, Kind.BYTES):
                wanted = f"wanted a comparison of it with {quantity.WANTED[kind]}"
            raise self._fault(name, f"found {name} alone, which is {kind}; {wanted}")
        return Fact(str(name))

    def _compare(self, name: "Token", operator: "Token", threshold: "Token") -> Compare:
        kind = self._kind(name)
        if kind is Kind.FLAG:
            raise self._fault(operator, f"found `{operator}`, but {name} is so or is not: write it alone")
        try:
            value = quantity.parse(str(threshold), kind)
        except QuantityError as fault:
            raise self._fault(threshold, f"found {threshold}, but {name} is {kind}: {fault}") from None
        return Compare(str(name), str(operator), value, kind, str(threshold))

    def _held(self, of: Condition, time: "Token") -> Held:
        try:
            for_s = quantity.parse(str(time), Kind.SECONDS)
        except QuantityError as fault:
            raise self._fault(time, f"found {time}, {fault}") from None
        if for_s <= 0:
            raise self._fault(time, f"found {time}, wanted a time above 0s; or leave `for` out")
        return Held(of, for_s, str(time))

    def _kind(self, name: "Token") -> Kind:
        if (found := self._vocabulary.get(str(name))) is not None:
            return found.kind
        near = difflib.get_close_matches(str(name), self._vocabulary, n=1, cutoff=0.6)
        meant = f"did you mean {near[0]}?" if near else f"wanted one of {', '.join(sorted(self._vocabulary))}"
        raise self._fault(name, f"{name} is not known here; {meant}")

    def _fault(self, token: "Token", said: str) -> ConditionError:
        place = token.start_pos if token.start_pos is not None else 0
        return ConditionError(self._text, place + 1, said)
