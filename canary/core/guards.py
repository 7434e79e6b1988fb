"""The guards of a release: what they read, and how they stand. Pure and incremental; acts nowhere.

Guards that speak of scrapes are looked at when those are there, from the start of the release on: a
driver that begins anew reads the same scrapes and comes to the same. Those that speak only of what is seen
without scrapes (`vocabulary.LIVE`) are looked at at each tick, and begin anew with a new driver.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from math import floor, inf

from canary.core.assessed import GuardEvent, GuardState
from canary.core.figures import Pods
from canary.core.gates import handed_on
from canary.core.observation import Arm, Observation, Pod
from canary.core.release import ArmFacts, Phase, PodFact, Release, Stage
from canary.core.samples import MetricsQuery, Sample, Scrapes
from canary.core.strategy import Guard, Metric, Strategy
from canary.core.vocabulary import LIVE, vocabulary
from canary.rules import engine, grammar
from canary.rules.condition import longest_s, names
from canary.rules.engine import Event, Figure, Figures, Rule

GAP_SCRAPES = 3
GAP_S = 10.0
"""A gap is a longer time than so many scrape intervals, and than this, between two observations."""
OVERLAP_SCRAPES = 2
TURN = 0.25
"""Scrapes within this part of a scrape interval are looked at together: of a hundred pods one by one, an hour
that is read again would take longer than the term of a lease."""
SEEN_AT_MOST = 500
"""What was seen without scrapes is remembered for so many ticks, to be set beside scrapes that come late."""

WATCHED = frozenset({Phase.PROGRESSING, Phase.PROMOTING, Phase.BAKING})


@dataclass(frozen=True)
class Watch:
    """What the guards of a release have seen.

    Attributes:
        release: its id. pods: the scrapes so far.
        scraped, live: the rules that speak of scrapes, and those that do not.
        pending: scrapes that are not settled yet. newest, read_to: unix seconds of the latest scrape, and up
            to which the source was read.
        seen: (unix seconds, figures) of the last ticks.
        first: guard -> its first firing. told: guard -> unix seconds of the last event told.
        known: names that had a figure when last looked at.
        settled: unix seconds up to which all scrapes are in.
    """

    release: str
    pods: Pods
    scraped: engine.State
    live: engine.State
    pending: tuple[Sample, ...] = ()
    newest: float | None = None
    read_to: float | None = None
    seen: tuple[tuple[float, Figures], ...] = ()
    first: Mapping[str, Event] = field(default_factory=dict)
    told: Mapping[str, float] = field(default_factory=dict)
    known: frozenset[str] = frozenset()
    settled: float = -inf


@lru_cache(maxsize=64)
def _rules(
    guards: tuple[Guard, ...], counted: tuple[Metric, ...], gauges: tuple[Metric, ...]
) -> tuple[Rule, ...]:
    words = vocabulary(counted, gauges)
    return tuple(Rule(guard.name, grammar.parse(guard.condition, words)) for guard in guards)


def rules(strategy: Strategy) -> tuple[Rule, ...]:
    """The guards as rules.

    Raises:
        ConditionError: a condition cannot be read; those of a configuration file were, when it was loaded.
    """
    return _rules(strategy.guards, strategy.counted, strategy.gauges)


def gap_s(strategy: Strategy) -> float:
    """Observations further apart than this leave a gap, seconds."""
    return max(GAP_SCRAPES * strategy.scrape_interval_s, GAP_S)


def without_past(strategy: Strategy, *, keeps_history: bool) -> tuple[str, ...]:
    """The guards with a `for` whose past a new driver cannot read again.

    Args:
        strategy: of the release.
        keeps_history: scrapes can be read again.
    """
    unread = LIVE - {"runtime"}
    return tuple(
        rule.name
        for rule in rules(strategy)
        if longest_s(rule.condition) > 0 and (not keeps_history or names(rule.condition) & unread)
    )


def watching(release: Release) -> bool:
    """Whether guards are looked at now: from the first canary pod on, while it is ours to decide."""
    return bool(release.strategy.guards) and release.phase in WATCHED and not handed_on(release)


def begin(release: Release) -> Watch:
    """Guards that have seen nothing yet."""
    strategy, found = release.strategy, rules(release.strategy)
    longest_s = gap_s(strategy)

    def some(*, live: bool) -> engine.State:
        mine = [rule for rule in found if (names(rule.condition) <= LIVE) is live]
        return engine.begin(mine, gap_s=longest_s, unseen_after_s=longest_s, since=release.since)

    scraped = some(live=False)
    wanted = frozenset(name for rule in scraped.rules for name in names(rule.condition))
    return Watch(release.id, Pods(strategy, release.since, wanted), scraped, some(live=True))


def anew(watch: Watch, release: Release) -> Watch:
    """All scrapes are going to be read again; what was seen without them stays."""
    return replace(begin(release), live=watch.live, seen=watch.seen, first=watch.first, told=watch.told)


def query(release: Release, watch: Watch, seen: Observation) -> MetricsQuery:
    """What has to be read for guards alone, when the analysis reads nothing."""
    strategy = release.strategy
    start = release.since
    if watch.newest is not None:
        start = max(start, watch.newest - OVERLAP_SCRAPES * strategy.scrape_interval_s)
    pods = {(fact.name, fact.uid): fact for fact in release.pods_of(Arm.CANARY)}
    pods |= {(pod.name, pod.uid): PodFact(pod.name, pod.uid, pod.born) for pod in _pods(release, seen)}
    revision = (release.canary.hash,)
    # Promoted pods belong to the target: a source that goes by workload finds them there.
    stable = ArmFacts(revision) if release.phase is not Phase.PROGRESSING else ArmFacts()
    arms = {Arm.CANARY: ArmFacts(revision, tuple(pods.values())), Arm.STABLE: stable}
    return MetricsQuery(strategy.read, strategy.exclude, arms, start, seen.at)


def advance(
    release: Release, watch: Watch, seen: Observation, scrapes: Scrapes | None
) -> tuple[Watch, tuple[GuardEvent, ...]]:
    """Take in what was seen, and what was read.

    Args:
        release: the record.
        watch: before; not changed.
        seen: now.
        scrapes: everything since the last read, with some overlap; None: nothing was read.

    Returns:
        The watch after it, and the guards that fired or cleared, in order.
    """
    events: list[Event] = []
    figures = _live(release, seen)
    live, found = engine.observe(watch.live, seen.at, {**figures, **_runtime(release, seen.at)})
    events += found
    watch = replace(watch, live=live, seen=_remembered(release, watch, seen.at, figures))
    if scrapes is not None and scrapes.anew:
        watch = anew(watch, release)
    if scrapes is not None and scrapes.reachable:
        watch, more = _scraped(release, watch, seen, scrapes)
        events += more
    first = dict(watch.first)
    for one in events:
        if one.fired:
            first.setdefault(one.rule, one)
    events = [one for one in events if one.at > watch.told.get(one.rule, -inf)]
    told = {**watch.told, **{one.rule: one.at for one in events}}
    return replace(watch, first=first, told=told), tuple(
        GuardEvent(one.rule, one.fired, one.at, one.since, one.told) for one in events
    )


def _scraped(
    release: Release, watch: Watch, seen: Observation, scrapes: Scrapes
) -> tuple[Watch, list[Event]]:
    """Pass every scrape that is settled, in order of time."""
    arms = {Arm.CANARY} if release.phase is Phase.PROGRESSING else {Arm.CANARY, Arm.STABLE}
    settled = min(scrapes.settled_until, seen.at)
    waiting = {
        (one.pod, one.at): one
        for one in (*watch.pending, *scrapes.samples)
        if one.arm in arms and one.at > max(release.since, watch.pods.last(one.pod))
    }
    turn = _turns(release)
    whole = turn(settled)
    due = sorted((one for one in waiting.values() if turn(one.at) < whole), key=lambda one: (one.at, one.pod))
    pods, state, events = watch.pods.clone(), watch.scraped, list[Event]()
    pods.bounds(scrapes.edges)
    known = watch.known
    for place, sample in enumerate(due):
        pods.feed(sample)
        if place + 1 < len(due) and turn(due[place + 1].at) == turn(sample.at):
            continue
        figures = {**_at(watch.seen, sample.at, gap_s(release.strategy)), **_runtime(release, sample.at)}
        figures |= pods.figures(sample.at)
        known = frozenset(figures)
        state, found = engine.observe(state, sample.at, figures)
        events += found
    newest = max((one.at for one in scrapes.samples if one.arm in arms), default=watch.newest)
    pending = tuple(one for one in waiting.values() if turn(one.at) >= whole)
    after = replace(watch, pods=pods, scraped=state, pending=pending, newest=newest, known=known)
    return replace(after, read_to=seen.at, settled=settled), events


def _turns(release: Release) -> Callable[[float], int]:
    """Unix seconds -> the turn that a scrape belongs to; one is looked at when it is over.

    Shorter than a scrape interval, so that no pod has two scrapes in it.
    """
    each_s = TURN * release.strategy.scrape_interval_s
    return lambda at: floor((at - release.since) / each_s)


def states(release: Release, watch: Watch, at: float) -> tuple[GuardState, ...]:
    """How every guard stands at a time, in the order in which they are configured."""
    conditions = {rule.name: names(rule.condition) for rule in rules(release.strategy)}
    found = []
    for guard in release.strategy.guards:
        live = conditions[guard.name] <= LIVE
        state = watch.live if live else watch.scraped
        one, first = state.of(guard.name), watch.first.get(guard.name)
        found.append(
            GuardState(
                guard=guard,
                firing=one.firing,
                fired=first is not None,
                truth=one.truth,
                since=one.since if one.since is not None or first is None else first.since,
                told=one.told if one.firing or first is None else first.told,
                unseen="" if live else _unseen(release, watch, guard.name, at, conditions[guard.name]),
            )
        )
    return tuple(found)


def _unseen(release: Release, watch: Watch, name: str, at: float, wanted: Iterable[str]) -> str:
    """What has not been known for too long, in words; nothing while a step is only being reached."""
    if release.stage is not Stage.HOLDING and release.phase is Phase.PROGRESSING:
        return ""
    longest_s = gap_s(release.strategy)
    # Some sources tell of a scrape late. One that tells nothing at all is not waited for.
    until = watch.settled if at - watch.settled <= 2 * longest_s else at
    begun = release.steps_at[0] if release.steps_at else at
    if watch.scraped.unseen_s(name, until) is None or until - begun <= longest_s:
        return ""
    missing = sorted(one for one in wanted if one not in watch.known and one not in LIVE)
    return f"no figure for {', '.join(missing)}" if missing else "not known"


def _pods(release: Release, seen: Observation) -> list[Pod]:
    """The pods that run the new version now, whichever workload they are of."""
    if seen.world is None:
        return []
    arms = (seen.world.canary, seen.world.stable)
    pods = (pod for one in arms if one is not None for pod in one.pods)
    return [pod for pod in pods if pod.revision == release.canary.hash]


def _live(release: Release, seen: Observation) -> Figures:
    """What is seen without scrapes. Pods are not counted while a step or the promotion is on its way."""
    pods = _pods(release, seen)
    figures: dict[str, tuple[Figure, ...]] = {
        "restarts": tuple(Figure.of(float(pod.restarts), pod.name) for pod in pods)
    }
    there = release.phase is Phase.BAKING or release.stage is Stage.HOLDING
    if seen.world is not None and there and release.phase is not Phase.PROMOTING:
        figures["ready_pods"] = (Figure.of(float(sum(pod.ready for pod in pods))),)
    return figures


def _runtime(release: Release, at: float) -> Figures:
    return {"runtime": (Figure.of(at - release.since),)}


def _remembered(
    release: Release, watch: Watch, at: float, figures: Figures
) -> tuple[tuple[float, Figures], ...]:
    """The last ticks that a scrape which comes late may still be set beside."""
    if not watch.scraped.rules:
        return ()
    oldest = min(at, max(watch.scraped.at, at - 600.0)) - gap_s(release.strategy)
    kept = tuple(one for one in watch.seen if one[0] >= oldest)
    return (*kept, (at, figures))[-SEEN_AT_MOST:]


def _at(seen: Iterable[tuple[float, Figures]], at: float, most_s: float) -> Figures:
    """What was seen last before a time, if that is not too long before."""
    found: Figures = {}
    for when, figures in seen:
        if when > at:
            break
        found = figures if at - when <= most_s else {}
    return found
