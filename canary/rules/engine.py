"""What conditions come to over time: true, false, or not known. Pure: state in, state and events out.

An observation has a time and, by name, figures. No figure, or none lately, is not known: that is neither
true nor false, and what follows from it is known only where it does not matter (as Kleene has it).

`X for 30s` is true when X was true at every observation of the last 30 s, these reach back that far, and no
two of them are further apart than `gap_s`. It is false when X was seen to be false within them. Else it is
not known.

A rule fires when its condition becomes true, and clears when it is next seen to be false. While it is not
known it stays as it was; `unseen` tells for how long.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import inf

from canary.rules.condition import All, Compare, Condition, Fact, Held, Not, Some
from canary.rules.quantity import written


@dataclass(frozen=True)
class Figure:
    """A number as it was observed: between `low` and `high`, both included; mostly they are one.

    Attributes:
        subject: whose it is, for people: a pod; empty: of the whole.
    """

    low: float
    high: float
    subject: str = ""

    @classmethod
    def of(cls, value: float, subject: str = "") -> "Figure":
        """A number that is known exactly."""
        return cls(value, value, subject)


Figures = Mapping[str, Sequence[Figure]]
"""Name -> figures, one a subject. A comparison holds when it holds for one of them. Facts are 1 or 0."""


@dataclass(frozen=True)
class Rule:
    """A condition under a name. Names are unique among the rules of a state."""

    name: str
    condition: Condition


@dataclass(frozen=True)
class Run:
    """Of one `for`: the observations so far.

    Attributes:
        began: unix seconds since when it was true at each of them; None: it is not.
        seen: unix seconds of the last one at which it was known. false: of the last at which it was false.
    """

    began: float | None = None
    seen: float = -inf
    false: float = -inf


@dataclass(frozen=True)
class RuleState:
    """How a rule stands.

    Attributes:
        truth: at the last observation; None: not known.
        firing: it came true, and was not seen to be false since.
        since: unix seconds since when it is true, while it fires: a `for` around it all reaches back.
        fired_at: when that was known.
        known_at: unix seconds at which it was last known; the first observation if it never was.
        told: what made it true when it last was, in words: `memory_usage 93% (shop-7f)`.
        runs: of its `for`s, in the order in which they are written.
    """

    truth: bool | None = None
    firing: bool = False
    since: float | None = None
    fired_at: float | None = None
    known_at: float = inf
    told: str = ""
    runs: tuple[Run, ...] = ()


@dataclass(frozen=True)
class Event:
    """A rule fired, or cleared. `since`: unix seconds since when it is true; when it cleared, was true."""

    at: float
    rule: str
    fired: bool
    since: float
    told: str


@dataclass(frozen=True)
class State:
    """The rules and how each stands.

    Attributes:
        gap_s: observations further apart than this leave a gap, > 0.
        unseen_after_s: a rule that was not known for longer than this is unseen; None: never told.
        at: unix seconds of the last observation. begun: of the first.
    """

    rules: tuple[Rule, ...]
    gap_s: float
    unseen_after_s: float | None = None
    at: float = -inf
    begun: float = inf
    states: Mapping[str, RuleState] = field(default_factory=dict)

    def of(self, name: str) -> RuleState:
        """How a rule stands."""
        return self.states.get(name, RuleState())

    def unseen_s(self, name: str, at: float) -> float | None:
        """For how long a rule has not been known at a time, seconds; None: not for longer than asked for."""
        if self.unseen_after_s is None:
            return None
        waited = at - min(self.of(name).known_at, at)
        return waited if waited > self.unseen_after_s else None


def begin(
    rules: Sequence[Rule], *, gap_s: float, unseen_after_s: float | None = None, since: float = inf
) -> State:
    """Rules that have seen nothing yet.

    Args:
        rules: to watch, by unique names.
        gap_s: see `State`.
        unseen_after_s: see `State`.
        since: unix seconds from which on observations are expected; left out: from the first one on.
    """
    states = {rule.name: RuleState(known_at=since) for rule in rules}
    return State(tuple(rules), gap_s, unseen_after_s, states=states)


def observe(state: State, at: float, figures: Figures) -> tuple[State, tuple[Event, ...]]:
    """Take in one observation.

    Args:
        state: before it; not changed.
        at: unix seconds. One that is not later than the last is passed over.
        figures: what was seen.

    Returns:
        The state after it, and what fired or cleared by it.
    """
    if at <= state.at:
        return state, ()
    states, events = {}, list[Event]()
    for rule in state.rules:
        before = state.of(rule.name)
        after = _observed(rule, before, at, figures, state.gap_s)
        states[rule.name] = after
        if after.firing and not before.firing and after.since is not None:
            events.append(Event(at, rule.name, True, after.since, after.told))
        elif before.firing and not after.firing and before.since is not None:
            events.append(Event(at, rule.name, False, before.since, before.told))
    return replace(state, at=at, begun=min(state.begun, at), states=states), tuple(events)


def _observed(rule: Rule, before: RuleState, at: float, figures: Figures, gap_s: float) -> RuleState:
    look = _Look(at, figures, gap_s, before.runs)
    truth = look.truth(rule.condition)
    state = replace(before, truth=truth, runs=tuple(look.after), known_at=min(before.known_at, at))
    if truth is None:
        return state
    state = replace(state, known_at=at)
    if not truth:
        return replace(state, firing=False, since=None, fired_at=None)
    told = look.told(rule.condition)
    if before.firing:
        return replace(state, told=told)
    # The first `for` is that of the whole condition, where that is one.
    began = state.runs[0].began if isinstance(rule.condition, Held) else None
    return replace(state, firing=True, since=at if began is None else began, fired_at=at, told=told)


class _Look:
    """One observation of one condition."""

    def __init__(self, at: float, figures: Figures, gap_s: float, runs: Sequence[Run]) -> None:
        self._at = at
        self._figures = figures
        self._gap_s = gap_s
        self._before = list(runs)
        self.after: list[Run] = []

    def truth(self, of: Condition) -> bool | None:
        """Whether it holds. Every part is looked at, whatever the others say: each `for` has its run."""
        match of:
            case Compare():
                return any_of([_compared(of, one) for one in self._figures.get(of.name, ())], empty=None)
            case Fact(name):
                return any_of([_so(one) for one in self._figures.get(name, ())], empty=None)
            case Not(inner):
                found = self.truth(inner)
                return None if found is None else not found
            case All(parts):
                return all_of([self.truth(part) for part in parts])
            case Some(parts):
                return any_of([self.truth(part) for part in parts], empty=False)
            case Held():
                return self._held(of)

    def _held(self, of: Held) -> bool | None:
        place = len(self.after)
        before = self._before[place] if place < len(self._before) else Run()
        self.after.append(before)
        now = self.truth(of.of)
        run = self.after[place] = _went_on(before, self._at, now, self._gap_s)
        if now is False:
            return False
        if run.began is not None and now and self._at - run.began >= of.for_s:
            return True
        return False if self._at - run.false <= of.for_s else None

    def told(self, of: Condition) -> str:
        """The figures by which it holds, in words."""
        return ", ".join(dict.fromkeys(self._reasons(of)))

    def _reasons(self, of: Condition) -> list[str]:
        match of:
            case Compare(name):
                holding = [one for one in self._figures.get(name, ()) if _compared(of, one)]
                return [_written(of, _worst(of, holding))] if holding else []
            case Fact(name):
                whose = next(
                    (one.subject for one in self._figures.get(name, ()) if _so(one) and one.subject), ""
                )
                return [f"{name} ({whose})" if whose else name]
            case Not():
                return [_negated(of.of, self._figures)]
            case All(parts) | Some(parts):
                return [reason for part in parts for reason in self._reasons(part)]
            case Held(inner):
                return self._reasons(inner)


def _went_on(before: Run, at: float, now: bool | None, gap_s: float) -> Run:
    """A run after one more observation; one at which nothing is known is none."""
    if now is None:
        return before
    if not now:
        return Run(None, at, at)
    unbroken = before.began is not None and at - before.seen <= gap_s
    return Run(before.began if unbroken else at, at, before.false)


def any_of(found: Sequence[bool | None], *, empty: bool | None) -> bool | None:
    """Whether one is true: not known when none is, and one of them is not known. `empty`: of none."""
    if not found:
        return empty
    return True if True in found else None if None in found else False


def all_of(found: Sequence[bool | None]) -> bool | None:
    """Whether all are true: not known when none is false, and one of them is not known."""
    return False if False in found else None if None in found else True


def _compared(of: Compare, figure: Figure) -> bool | None:
    low, high, limit = figure.low, figure.high, of.threshold
    match of.operator:
        case ">":
            return _sure(low > limit, high <= limit)
        case ">=":
            return _sure(low >= limit, high < limit)
        case "<":
            return _sure(high < limit, low >= limit)
        case "<=":
            return _sure(high <= limit, low > limit)
        case "==":
            return _sure(low == high == limit, limit < low or limit > high)
    return _sure(limit < low or limit > high, low == high == limit)


def _sure(yes: bool, no: bool) -> bool | None:
    return True if yes else False if no else None


def _so(figure: Figure) -> bool | None:
    return _sure(figure.low > 0, figure.high <= 0)


def _worst(of: Compare, holding: Sequence[Figure]) -> Figure:
    if of.operator in ("<", "<="):
        return min(holding, key=lambda one: one.high)
    return max(holding, key=lambda one: one.low)


def _written(of: Compare, figure: Figure) -> str:
    whose = f" ({figure.subject})" if figure.subject else ""
    if figure.low == figure.high:
        return f"{of.name} {written(figure.low, of.kind)}{whose}"
    if figure.high == inf:
        return f"{of.name} above {written(figure.low, of.kind)}{whose}"
    return f"{of.name} {written(figure.low, of.kind)} to {written(figure.high, of.kind)}{whose}"


def _negated(inner: Condition, figures: Figures) -> str:
    """Why something is not so: the figures that were compared."""
    if isinstance(inner, Compare) and (found := figures.get(inner.name)):
        return _written(inner, found[0])
    return str(Not(inner))
