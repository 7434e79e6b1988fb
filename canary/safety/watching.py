r"""Decides what becomes of a sandbox: one step takes in what is seen and says what is to be done. Pure.

    watching --graceful_shutdown--> stopping --its grace is over--> killing --it is seen to have ended--> over
        \______________ kill_container, blind, nonsense, ledger, signal ______/

What is decided is told before it is done. Nothing leads back from killing.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any

from canary.rules import engine
from canary.rules.engine import Figure, Figures
from canary.rules.quantity import duration, written
from canary.safety.orders import (
    EXITS,
    Cause,
    Ended,
    Kill,
    Order,
    Over,
    Sight,
    Tell,
    Terminate,
    Throttle,
    Trouble,
)
from canary.safety.rule import Action, SafetyRule
from canary.safety.vocabulary import OBSERVED, predicates

GAP_S = 5.0
"""Looks further apart than this begin each `for` anew."""
AGAIN_S = 1.0
"""What was asked to die and has not is asked again after so long, and then directly."""
LOOK_EVERY_S = 10.0
"""A look is told at least so often, and whenever it differs from the last one told."""
SIGNALS = frozenset({Cause.INTERRUPTED, Cause.TERMINATED})
TELLING = ("processes", "network_connections", "process_privileges_changed")
"""Figures a change of which is told."""


class Phase(StrEnum):
    """How far it has come."""

    WATCHING = "watching"
    STOPPING = "stopping"
    KILLING = "killing"
    OVER = "over"


@dataclass(frozen=True)
class Ending:
    """That it is ended, and why. `at`: seconds, when that was decided."""

    cause: Cause
    told: str
    at: float
    rule: str = ""


@dataclass(frozen=True)
class Watch:
    """How a sandbox stands.

    Attributes:
        rules: unique by name. engine: their conditions over time.
        blind_after_s: a sense that has not worked for longer ends it. grace_s: between asking and killing.
        asked_at: when it was last asked to die. attempts: how often.
        throttled: its CPU is to be halved. reported: predicates that the workload has told.
        looked: when a look was last told, and what it told.
    """

    rules: tuple[SafetyRule, ...]
    engine: engine.State
    blind_after_s: float
    grace_s: float
    phase: Phase = Phase.WATCHING
    ending: Ending | None = None
    asked_at: float = 0.0
    attempts: int = 0
    throttled: bool = False
    reported: Mapping[str, str] = field(default_factory=dict)
    looked: tuple[float, tuple[Any, ...]] | None = None

    @property
    def firing(self) -> tuple[str, ...]:
        """Names of the rules that fire."""
        return tuple(rule.name for rule in self.rules if self.engine.of(rule.name).firing)


def begin(rules: Sequence[SafetyRule], *, blind_after_s: float = 2.0, grace_s: float = 10.0) -> Watch:
    """A sandbox that has just begun.

    Args:
        rules: unique by name. blind_after_s, grace_s: see `Watch`, > 0.
    """
    conditions = [engine.Rule(rule.name, rule.condition) for rule in rules]
    return Watch(tuple(rules), engine.begin(conditions, gap_s=GAP_S), blind_after_s, grace_s)


def step(watch: Watch, sight: Sight) -> tuple[Watch, tuple[Order, ...]]:
    """Take in what is seen at one moment; times must not go back.

    Returns:
        How it stands now, and what is to be done, in this order.
    """
    if watch.phase is Phase.OVER:
        return watch, ()
    moment = _Moment(watch, sight)
    moment.hear()
    moment.judge()
    if sight.ended is not None:
        moment.over(sight.ended)
    else:
        moment.end()
        moment.look()
    return moment.watch, tuple(moment.orders)


class _Moment:
    """One step on its way."""

    def __init__(self, watch: Watch, sight: Sight) -> None:
        self.watch = watch
        self.sight = sight
        self.orders: list[Order] = []
        self._wanted: list[Ending] = []
        self._stops: list[Ending] = []

    def hear(self) -> None:
        """What the workload has reported."""
        for one in self.sight.reports:
            said = f"reported by the workload: {one.name}" + (f" ({one.detail})" if one.detail else "")
            self.orders.append(Tell("report", said, {"name": one.name, "detail": one.detail}))
            self.watch = replace(self.watch, reported={one.name: one.detail} | dict(self.watch.reported))

    def judge(self) -> None:
        """The rules, by the figures of this look."""
        if self.sight.figures is None and not self.sight.reports:
            return
        # What is reported does not wait for the next look.
        figures = {**self._predicates(), **(self.sight.figures or {})}
        state, events = engine.observe(self.watch.engine, self.sight.at, figures)
        self.watch = replace(self.watch, engine=state)
        rules = {rule.name: rule for rule in self.watch.rules}
        for event in events:
            self._fired(rules[event.rule], event)
        throttled = any(rules[name].action is Action.THROTTLE for name in self.watch.firing)
        if throttled != self.watch.throttled and self.watch.phase is Phase.WATCHING:
            self.watch = replace(self.watch, throttled=throttled)
            self._act(
                "its CPU is halved" if throttled else "its CPU is given back",
                "throttle" if throttled else "restore",
            )
            self.orders.append(Throttle(throttled))

    def _predicates(self) -> Figures:
        wanted = {name for rule in self.watch.rules for name in predicates(rule.condition)}
        told = self.watch.reported
        return {name: (Figure.of(float(name in told), told.get(name, "")),) for name in wanted}

    def _fired(self, rule: SafetyRule, event: engine.Event) -> None:
        body = {
            "rule": rule.name,
            "state": "fired" if event.fired else "cleared",
            "condition": rule.text,
            "action": rule.action.value,
            "alert": rule.alerts,
            "for_s": round(event.at - event.since, 3),
            "figures": event.told,
        }
        if not event.fired:
            self.orders.append(Tell("guard", f"cleared: {rule.name}", body, alert=rule.alerts))
            return
        told = f"{rule.name}: {event.told or rule.text}"
        if event.at > event.since:
            told += f", for {duration(event.at - event.since)}"
        self.orders.append(Tell("guard", f"fired: {told}; {rule.action.value}", body, alert=rule.alerts))
        if rule.action is Action.KILL:
            self._wanted.append(Ending(Cause.RULE, told, self.sight.at, rule.name))
        elif rule.action is Action.SHUTDOWN:
            self._stops.append(Ending(Cause.RULE, told, self.sight.at, rule.name))

    def end(self) -> None:
        """Whether it has to end, and how far that has come."""
        if self.watch.phase is not Phase.KILLING:
            self._troubled()
            self._blind()
        if self._wanted and self.watch.phase is not Phase.KILLING:
            self._kill(self._wanted[0])
        elif self._stops and self.watch.phase is Phase.WATCHING:
            self._stop(self._stops[0])
        elif self.watch.phase is Phase.STOPPING and self._since_asked() >= self.watch.grace_s:
            told = f"it has not stopped within {duration(self.watch.grace_s)}"
            self._kill(self.watch.ending or Ending(Cause.RULE, told, self.sight.at), told)
        elif self.watch.phase is Phase.KILLING and self._since_asked() >= AGAIN_S:
            self._again()

    def _since_asked(self) -> float:
        return self.sight.at - self.watch.asked_at

    def _troubled(self) -> None:
        for one in self.sight.troubles:
            self.orders.append(Tell("fault", one.told, {"cause": one.cause.value}, alert=True))
            self._wanted.append(Ending(one.cause, one.told, self.sight.at))

    def _blind(self) -> None:
        for sense, worked in sorted(self.sight.senses.items()):
            silent = self.sight.at - worked
            if silent > self.watch.blind_after_s:
                why = self.sight.faults.get(sense, "no answer")
                told = f"{sense} not seen for {duration(silent)}: {why}"
                cause = Cause.LEDGER if sense == "ledger" else Cause.BLIND
                self.orders.append(Tell("fault", told, {"cause": cause.value, "sense": sense}, alert=True))
                self._wanted.append(Ending(cause, told, self.sight.at))

    def _kill(self, ending: Ending, why: str = "") -> None:
        first = self.watch.ending or ending
        self.watch = replace(
            self.watch, phase=Phase.KILLING, ending=first, asked_at=self.sight.at, attempts=1
        )
        body = {
            "decision": "kill",
            "cause": ending.cause.value,
            "rule": ending.rule,
            "reason": why or ending.told,
        }
        self.orders.append(Tell("decision", f"kill the container: {why or ending.told}", body))
        self.orders.append(Kill())

    def _again(self) -> None:
        attempts = self.watch.attempts + 1
        self.watch = replace(self.watch, asked_at=self.sight.at, attempts=attempts)
        self._act(f"still running: killed again, directly (attempt {attempts})", "kill", attempt=attempts)
        self.orders.append(Kill(directly=True))

    def _stop(self, ending: Ending) -> None:
        self.watch = replace(self.watch, phase=Phase.STOPPING, ending=ending, asked_at=self.sight.at)
        body = {"decision": "stop", "cause": ending.cause.value, "rule": ending.rule, "reason": ending.told}
        grace = duration(self.watch.grace_s)
        said = f"ask the container to stop within {grace}: {ending.told}"
        self.orders.append(Tell("decision", said, {**body, "grace_s": self.watch.grace_s}))
        self.orders.append(Terminate())

    def _act(self, said: str, action: str, **more: object) -> None:
        self.orders.append(Tell("action", said, {"action": action, **more}))

    def over(self, ended: Ended) -> None:
        """It is known to have ended: why, and what the command exits with."""
        if self.watch.phase is not Phase.KILLING:
            self._troubled()
        # A signal asks for the end that is there already.
        wanted = [one for one in (*self._wanted, *self._stops) if one.cause not in SIGNALS]
        ending = self.watch.ending or (wanted[0] if wanted else None)
        code = "" if ended.exit_code is None else f" with exit code {ended.exit_code}"
        took_s = max(0.0, ended.at - ending.at) if ending is not None else 0.0
        if ending is None:
            said = f"the sandbox ended by itself{code}"
        else:
            said = f"the sandbox has ended{code}, {took_s:.1f} s after the decision: {ending.told}"
        body = {
            "cause": ending.cause.value if ending else "itself",
            "rule": ending.rule if ending else "",
            "reason": ending.told if ending else "",
            "exit_code": ended.exit_code,
            "oom_killed": ended.oom_killed,
            **({"took_s": round(took_s, 3)} if ending is not None else {}),
        }
        self.orders.append(Tell("end", said, body, alert=self._matters(ending)))
        exit_code = EXITS[ending.cause] if ending else 0
        self.orders.append(
            Over(exit_code, said, ending.cause if ending else None, ending.rule if ending else "")
        )
        self.watch = replace(self.watch, phase=Phase.OVER, ending=ending)

    def _matters(self, ending: Ending | None) -> bool:
        """Whether people are told of an end: not of its own, nor where a rule says that they are not."""
        if ending is None or ending.cause is not Cause.RULE:
            return ending is not None
        return any(rule.alerts for rule in self.watch.rules if rule.name == ending.rule)

    def look(self) -> None:
        """A look is told now and then, and when something has changed."""
        figures = self.sight.figures
        if figures is None:
            return
        told = (self.watch.firing, *(_low(figures, name) for name in TELLING))
        last = self.watch.looked
        if last is not None and told == last[1] and self.sight.at - last[0] < LOOK_EVERY_S:
            return
        self.watch = replace(self.watch, looked=(self.sight.at, told))
        body = {
            "figures": {name: _low(figures, name) for name in OBSERVED if name in figures},
            "of": {name: figures[name][0].subject for name in OBSERVED if _subject(figures, name)},
            "firing": list(self.watch.firing),
            "throttled": self.watch.throttled,
        }
        self.orders.append(Tell("look", in_words(figures), body))


def _low(figures: Figures, name: str) -> float | None:
    found = figures.get(name, ())
    return round(found[0].low, 6) if found else None


def _subject(figures: Figures, name: str) -> str:
    found = figures.get(name, ())
    return found[0].subject if found else ""


def in_words(figures: Figures) -> str:
    """The figures of a look on one line."""
    parts = []
    for name, meaning in OBSERVED.items():
        if found := figures.get(name, ()):
            whose = f" ({found[0].subject})" if found[0].subject else ""
            parts.append(f"{name} {written(found[0].low, meaning.kind)}{whose}")
    return ", ".join(parts)


__all__ = ["Phase", "Trouble", "Watch", "begin", "in_words", "step"]
