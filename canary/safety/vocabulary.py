"""What a rule of a sandbox can speak of: figures that are observed, and predicates that are reported."""

import difflib
import re
from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import TypeVar, overload

from canary.rules.condition import Condition, Meaning, names
from canary.rules.quantity import Kind

OBSERVED: Mapping[str, Meaning] = MappingProxyType(
    {
        "cpu_usage": Meaning(
            Kind.SHARE,
            "CPU time over one to three looks, whichever is most, of the CPU limit; of one core if none",
        ),
        "cpu_cores": Meaning(Kind.NUMBER, "CPU time over one to three looks, whichever is most, in cores"),
        "memory_usage": Meaning(
            Kind.SHARE, "memory without inactive file cache, of the limit; 100% after a kill for lack of it"
        ),
        "memory_bytes": Meaning(Kind.BYTES, "memory without inactive file cache"),
        "runtime": Meaning(Kind.SECONDS, "time since the container was started"),
        "processes": Meaning(Kind.NUMBER, "processes of the container"),
        "network_connections": Meaning(
            Kind.NUMBER, "connections that leave its own networks, and attempts since the last look"
        ),
        "process_privileges_changed": Meaning(
            Kind.FLAG, "a process has more privileges than it was started with, or runs a setuid file"
        ),
    }
)
OF_LIMIT = frozenset({"memory_usage"})
"""Figures that do not exist without a limit of the container."""
REPORTED = "the workload reported it, once at least"
_PREDICATE = re.compile(r"[a-z_][a-z0-9_]{0,63}")
_ALIKE = 0.8
T = TypeVar("T")


class SafetyWords(Mapping[str, Meaning]):
    """The observed figures, and any other bare name as a predicate that the workload reports.

    A name that is nearly an observed one is no predicate: it would be a rule that never fires.
    """

    def __getitem__(self, name: str) -> Meaning:
        if name in OBSERVED:
            return OBSERVED[name]
        if _PREDICATE.fullmatch(name) and not difflib.get_close_matches(name, OBSERVED, n=1, cutoff=_ALIKE):
            return Meaning(Kind.FLAG, REPORTED)
        raise KeyError(name)

    @overload
    def get(self, key: str, /) -> Meaning | None: ...
    @overload
    def get(self, key: str, /, default: Meaning | T) -> Meaning | T: ...
    def get(self, key: str, /, default: Meaning | T | None = None) -> Meaning | T | None:
        """What a name means; `default` for one that means nothing."""
        try:
            return self[key]
        except KeyError:
            return default

    def __iter__(self) -> Iterator[str]:
        return iter(OBSERVED)

    def __len__(self) -> int:
        return len(OBSERVED)


def predicates(condition: Condition) -> frozenset[str]:
    """The names in a condition that only the workload can tell."""
    return names(condition) - OBSERVED.keys()
