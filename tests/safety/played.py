"""A sandbox played by the clock: looks at 1 Hz, and what is decided, without any container."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from canary.rules.engine import Figure, Figures
from canary.rules.grammar import parse
from canary.safety.orders import Ended, Order, Sight
from canary.safety.rule import Action, SafetyRule
from canary.safety.vocabulary import SafetyWords
from canary.safety.watching import Watch, begin, step

DOCUMENT = {
    "egress": ("network_connections > 0", "kill_container"),
    "cpu": ("cpu_usage > 95% for 30s", "throttle"),
    "memory": ("memory_usage > 90%", "kill_container"),
    "time": ("runtime > 3600s", "graceful_shutdown"),
    "privileges": ("process_privileges_changed", "kill_container"),
    "laws": ("four_laws_violation_detected", "kill_container"),
}
"""The rules of the user's document."""
CALM = {
    "cpu_usage": 0.3,
    "cpu_cores": 0.15,
    "memory_usage": 0.4,
    "memory_bytes": 5e7,
    "runtime": 0.0,
    "processes": 3.0,
    "network_connections": 0.0,
    "process_privileges_changed": 0.0,
}


def rule(name: str, condition: str, action: str, *, alert: bool = True) -> SafetyRule:
    return SafetyRule(name, condition, parse(condition, SafetyWords()), Action(action), alert)


def rules(written: Mapping[str, tuple[str, str]] = DOCUMENT) -> tuple[SafetyRule, ...]:
    return tuple(rule(name, condition, action) for name, (condition, action) in written.items())


def figures(**changed: float) -> Figures:
    return {name: (Figure.of(value),) for name, value in {**CALM, **changed}.items()}


@dataclass
class Played:
    """A watch, its clock, and all that it has asked for."""

    watch: Watch
    at: float = 1000.0
    orders: list[tuple[float, Order]] = field(default_factory=list)

    def see(self, sight: Sight) -> tuple[Order, ...]:
        """One moment."""
        self.at = sight.at
        self.watch, orders = step(self.watch, sight)
        self.orders += [(sight.at, one) for one in orders]
        return orders

    def look(self, after_s: float = 1.0, **changed: float) -> tuple[Order, ...]:
        """One look, so long after the last moment."""
        at = self.at + after_s
        return self.see(Sight(at=at, figures=figures(**{"runtime": at - 1000.0} | changed)))

    def looks(self, number: int, of: Callable[[int], Mapping[str, float]] = lambda _: {}) -> None:
        for n in range(number):
            self.look(**of(n))

    def end(self, exit_code: int = 137, after_s: float = 0.2) -> tuple[Order, ...]:
        at = self.at + after_s
        return self.see(Sight(at=at, ended=Ended(at, exit_code)))

    def times(self, kind: type) -> list[float]:
        """When something of a kind was asked for, seconds from the beginning."""
        return [round(at - 1000.0, 6) for at, order in self.orders if isinstance(order, kind)]


def played(of: Iterable[SafetyRule] | None = None, **options: float) -> Played:
    return Played(begin(tuple(of) if of is not None else rules(), **options))
