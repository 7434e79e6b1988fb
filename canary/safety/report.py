"""What a workload may say of itself: lines, each a report. Pure.

    report NAME
    report NAME more in its own words

A name is a predicate of the rules, or any other name of that form, which is kept and does nothing. Whatever
else comes is nonsense, and a workload that talks nonsense to its monitor is not trusted any more.
"""

import re
from dataclasses import dataclass

LONGEST = 1000
"""Bytes of a line, without its end."""
MOST_PER_S = 50
"""Lines a second, of all that speak, and as many connections."""
_LINE = re.compile(r"report ([a-z_][a-z0-9_]{0,63})(?: ([^\x00-\x1f\x7f-\x9f]*))?")


@dataclass(frozen=True)
class Report:
    """A predicate that the workload says is so. `detail`: in its own words, not to be trusted."""

    name: str
    detail: str = ""


class NonsenseError(ValueError):
    """A line that is no report; the message says why, and shows its beginning."""


def parse(line: bytes) -> Report:
    """Read a line, without its end.

    Raises:
        NonsenseError: it is none.
    """
    if len(line) > LONGEST:
        raise NonsenseError(f"a line of more than {LONGEST} bytes")
    try:
        text = line.decode("utf-8")
    except UnicodeDecodeError:
        raise NonsenseError(f"{line[:40]!r}, which is not UTF-8") from None
    found = _LINE.fullmatch(text)
    if found is None:
        raise NonsenseError(f"{text[:60]!r}, wanted `report NAME` with an optional text")
    return Report(found[1], found[2] or "")
