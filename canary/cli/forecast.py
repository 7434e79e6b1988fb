"""What a promotion would need at today's traffic, before anything is started."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from canary.cli.session import Session
from canary.core.observation import Observation, World
from canary.core.release import ArmFacts, PodFact, Release
from canary.core.strategy import Margin, Metric, MetricKind, Strategy
from canary.errors import CanaryError, InvalidError
from canary.view import words

RECENT_S = 600.0
"""The traffic is taken from so much of the stable's past at most."""
GOLDEN = (math.sqrt(5) - 1) / 2


def forecast(session: Session, world: World, share: float) -> dict[str, Any]:
    """Traffic now, and per metric the requests and seconds until its safety is expected to be seen.

    Args:
        session: gives the metrics source and the strategy.
        world: as it is now.
        share: of the requests that the canary gets at the last step, in (0, 1).

    Raises:
        InvalidError: it cannot be told where the metrics are.
    """
    strategy = session.settings.strategy
    try:
        looks, edges, note = _history(session, world)
    except InvalidError:
        raise
    except CanaryError as fault:
        return _unknown(fault.message)
    if looks is None:
        return _unknown(note, warning=note)
    if not looks and not session.ports.metrics.keeps_history:
        return _unknown(note or "the pods' own pages tell of no past; it shows once a release runs")
    requests = _requests(looks, strategy)
    if not requests:
        return _unknown(note or "no request was counted in the last minutes; is the service under load?")
    per_s = requests / (len(looks) * strategy.interval_s)
    found = [_needs(metric, strategy, looks, edges, share, per_s) for metric in strategy.metrics]
    slow = [need for need in found if need["seconds"] and need["seconds"] > strategy.deadline_s]
    return {
        "requests_per_s": per_s,
        "note": note,
        "metrics": found,
        "warning": _warning(slow, strategy),
    }


def requests_needed(rate: float, margin: Margin, share: float, limit: float) -> float:
    """Requests of both arms until a canary as good as the stable is expected to be seen as such.

    The expected growth of the safety e-process per request is the divergence of the truth (both arms at
    `rate`) from the nearest point at which the canary is worse than the margin. Learning the rate costs
    more on top: real releases took up to twice as many.

    Args:
        rate: share of bad requests, in (0, 1).
        margin: worse by more than the larger of the two must be ruled out.
        share: of the requests that the canary gets, in (0, 1).
        limit: the evidence that is wanted, above 1.

    Returns:
        A count, above 0; infinite where the margin rules out nothing.

    Source:
        ANALYSIS d (ETA) and c: I = n_c KL(q || p_c) + n_s KL(q || p_s), minimised over the null.
    """

    def growth(stable: float) -> float:
        canary = min(max(margin.ratio * stable, stable + margin.abs), 1 - 1e-12)
        return share * _divergence(rate, canary) + (1 - share) * _divergence(rate, stable)

    low, high = 1e-12, rate
    while high - low > 1e-9 * rate:
        left, right = high - GOLDEN * (high - low), low + GOLDEN * (high - low)
        low, high = (low, right) if growth(left) < growth(right) else (left, high)
    found = growth((low + high) / 2)
    return math.log(limit) / found if found > 0 else math.inf


def _divergence(q: float, p: float) -> float:
    """Kullback-Leibler, of Bernoulli(q) from Bernoulli(p), in nats."""
    return q * math.log(q / p) + (1 - q) * math.log((1 - q) / (1 - p))


Look = Mapping[str, Mapping[str, Sequence[float]]]
Edges = Mapping[str, tuple[float, ...]]


def _history(session: Session, world: World) -> tuple[Sequence[Look] | None, Edges, str]:
    """The stable's past as the live loop would read it: looks of pod -> metric -> counts per category.

    None when the source does not answer.
    """
    from canary.core import assess

    now = session.ports.clock.now()
    strategy = session.settings.strategy
    strategy = replace(strategy, history_s=min(strategy.history_s, RECENT_S))
    revision = world.stable.revision
    pods = tuple(PodFact(pod.name, pod.uid, pod.born) for pod in world.stable.pods)
    imagined = Release(
        target=session.target,
        id="plan",
        version=revision.version,
        strategy=strategy,
        stable=revision,
        canary=replace(revision, hash="none"),
        replicas=world.stable.replicas,
        since=now,
        arms={"stable": ArmFacts((revision.hash,), pods)},
    )
    begun = assess.begin(imagined)
    scrapes = session.ports.metrics.read(assess.query(imagined, begun, now))
    if not scrapes.reachable:
        return None, {}, f"the metrics source does not answer: {scrapes.note}"
    _, state = assess.advance(imagined, begun, scrapes, Observation(now, world))
    return state.history, state.edges, scrapes.note


def _requests(looks: Iterable[Look], strategy: Strategy) -> float:
    """All requests, by the metric that counts most of them."""
    counted = list(looks)
    return max((sum(_total(counted, metric.name)) for metric in strategy.metrics), default=0.0)


def _total(looks: Iterable[Look], metric: str) -> list[float]:
    total: list[float] = []
    for look in looks:
        for metrics in look.values():
            counts = metrics.get(metric, ())
            total = [a + b for a, b in zip(total or [0.0] * len(counts), counts, strict=True)] or total
    return total


def _needs(
    metric: Metric, strategy: Strategy, looks: Sequence[Look], edges: Edges, share: float, per_s: float
) -> dict[str, Any]:
    total = _total(looks, metric.name)
    bad = _bad(metric, total, edges.get(metric.name, ()))
    if bad is None:
        return _not_known(metric, "it was not seen in the last minutes")
    # Nothing bad at all in few requests does not mean a rate of zero.
    rate = (bad + 0.5) / (sum(total) + 1)
    if not 0 < rate < 1:
        return _not_known(metric, "all of its requests were bad")
    needs = requests_needed(rate, metric.margin, share, 1 / strategy.false_promotion_rate)
    return {
        "name": metric.name,
        "base": bad / sum(total),
        "requests": needs,
        "seconds": needs / per_s,
        "note": "",
    }


def _bad(metric: Metric, total: Sequence[float], bounds: Sequence[float]) -> float | None:
    """Bad requests among all; of a histogram those above the user's threshold, or above about its p90."""
    if not total or not sum(total):
        return None
    if metric.kind is MetricKind.RATIO:
        return total[1]
    wanted = metric.slower_than_s
    first = next((i for i, bound in enumerate(bounds) if wanted is not None and bound >= wanted), None)
    if first is not None:
        return sum(total[first + 1 :])
    tails = [sum(total[i + 1 :]) for i in range(len(total) - 1)]
    return next((tail for tail in tails if tail <= 0.1 * sum(total)), 0.0)


def _warning(slow: Sequence[Mapping[str, Any]], strategy: Strategy) -> str:
    if not slow:
        return ""
    worst = max(slow, key=lambda need: float(need["seconds"]))
    return (
        f"at this traffic {worst['name']} is not expected to be seen safe by the deadline "
        f"({words.duration(strategy.deadline_s)}): set `deadline` above {words.duration(worst['seconds'])}, "
        f"or widen the margin of {worst['name']}"
    )


def _unknown(note: str, *, warning: str = "") -> dict[str, Any]:
    return {"requests_per_s": None, "note": note, "metrics": [], "warning": warning}


def _not_known(metric: Metric, note: str) -> dict[str, Any]:
    return {"name": metric.name, "base": None, "requests": None, "seconds": None, "note": note}
