"""What to ask a Prometheus server, and how to read its answer. Pure text and values.

Asked for are raw samples with their own timestamps, never `rate()` or `increase()`, which extrapolate.
All series that a release needs come in one answer, so that they belong together.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from math import isnan
from typing import Any

from canary.core.observation import Arm
from canary.core.samples import MetricsQuery
from canary.core.strategy import Metric
from canary.core.vocabulary import PROCESS
from canary.metrics.extract import PROCESS_START, Exposition, Labels, Reading
from canary.metrics.presets import series_of
from canary.metrics.selectors import Matcher

REVISION_LABEL = "revision"
EVERYBODYS = frozenset({PROCESS_START, *(gauge.gauge or "" for gauge in PROCESS.values())})
"""What every process shows, a sidecar too: it does not say whose page is the service's."""
_SPECIAL = re.compile(r"[\\.+*?()|\[\]{}^$]")


def raw_query(
    metrics: Sequence[Metric],
    pods: Iterable[str],
    *,
    pod_label: str,
    selector: Mapping[str, str],
    range_ms: int,
) -> str:
    """The one query for all raw samples of these pods in a range that ends at the time of evaluation.

    Args:
        metrics: what will be counted.
        pods: names of the pods.
        pod_label: the target label that holds a pod's name.
        selector: further target labels, each matched as plain text.
        range_ms: length of the range in milliseconds, > 0.

    Raises:
        InvalidError: unknown preset, or a selector that cannot be read.
    """
    names = {found.name for metric in metrics for found in series_of(metric)} | {PROCESS_START}
    matchers = (
        Matcher("__name__", "=~", _one_of(names)),
        Matcher(pod_label, "=~", _one_of(pods)),
        *(Matcher(label, "=", value) for label, value in sorted(selector.items())),
    )
    return f"{{{','.join(map(str, matchers))}}}[{range_ms}ms]"


def _one_of(words: Iterable[str]) -> str:
    return "|".join(_SPECIAL.sub(r"\\\g<0>", word) for word in sorted(words))


def to_ms(at: float) -> int:
    """Milliseconds, as Prometheus keeps time."""
    return round(at * 1000)


@dataclass(frozen=True)
class Answer:
    """Readings of one answer.

    Attributes:
        readings: one a scrape of a pod, in any order.
        doubled: pods whose series come from several scrape targets, with the target that was taken.
    """

    readings: tuple[Reading, ...] = ()
    doubled: Mapping[str, str] = field(default_factory=dict)


_Target = tuple[str, str]
_Pages = dict[int, list[tuple[str, Labels, float]]]


def read_answer(
    result: Sequence[Mapping[str, Any]], query: MetricsQuery, *, pod_label: str, after_ms: int
) -> Answer:
    """Put the series of a range answer together to readings, one for each pod and timestamp.

    A scrape that holds something that is not a number counts as none.

    Args:
        result: `data.result` of an instant query of a range selector.
        query: whose pods belong to which arm.
        pod_label: the target label that holds a pod's name.
        after_ms: samples at or before this are left out. Up to 2.x a range contains its left end, from
            3 on it does not; left out here, both read the same.

    Raises:
        KeyError, TypeError, ValueError: it is no such answer.
    """
    arms = {fact.name: Arm(arm) for arm, facts in query.arms.items() for fact in facts.pods}
    found: dict[str, dict[_Target, _Pages]] = {}
    for series in result:
        labels = dict(series["metric"])
        pod, name = labels.get(pod_label, ""), labels.pop("__name__", "")
        if pod not in arms or _is_of_another_arm(labels, arms[pod], query):
            continue
        pages = found.setdefault(pod, {}).setdefault((labels.get("job", ""), labels.get("instance", "")), {})
        kept = tuple(sorted(labels.items()))
        for at, value in series.get("values", ()):
            if to_ms(at) > after_ms:
                pages.setdefault(to_ms(at), []).append((name, kept, float(value)))
    readings, doubled = list[Reading](), dict[str, str]()
    for pod, targets in found.items():
        target, telling = _chosen(targets)
        if telling > 1:
            doubled[pod] = "/".join(target)
        # Of several targets that show nothing of the service, none can be said to be its own.
        own = telling > 0 or len(targets) == 1
        readings += [
            Reading(pod, arms[pod], at_ms / 1000, _exposition(page, own=own))
            for at_ms, page in targets[target].items()
            if not any(isnan(value) for _, _, value in page)
        ]
    return Answer(tuple(readings), doubled)


def _is_of_another_arm(labels: Mapping[str, str], arm: Arm, query: MetricsQuery) -> bool:
    # A name may be used again by another revision. A label of this name that holds none of our
    # revisions is somebody else's and says nothing.
    revision = labels.get(REVISION_LABEL)
    mine = query.arms[arm].revisions
    others = {known for facts in query.arms.values() for known in facts.revisions} - set(mine)
    return revision in others


def _chosen(targets: Mapping[_Target, _Pages]) -> tuple[_Target, int]:
    """The target that shows the metrics, and how many do.

    A sidecar has its own target with its own process start; a pod scraped by two jobs would count twice.
    """
    telling = [
        target
        for target, pages in targets.items()
        if any(name not in EVERYBODYS for page in pages.values() for name, _, _ in page)
    ]
    return min(telling or targets), len(telling)


def _exposition(page: Sequence[tuple[str, Labels, float]], *, own: bool) -> Exposition:
    """What a scrape said. `own`: it is surely the service's own page, so its process is the service's."""
    started = next((value for name, _, value in page if name == PROCESS_START), None)
    shown = [one for one in page if own or one[0] == PROCESS_START or one[0] not in EVERYBODYS]
    return Exposition(tuple(sorted(shown)), started)


Remembered = Mapping[tuple[str, float], Exposition]


def remembered(readings: Iterable[Reading], *, after: float, until: float) -> Remembered:
    """What the next answer must agree with: (pod, unix seconds) -> what it said, in (after, until]."""
    inside = range(to_ms(after) + 1, to_ms(until) + 1)
    return {(one.pod, one.at): one.exposition for one in readings if to_ms(one.at) in inside}


def disagreement(before: Remembered, readings: Iterable[Reading], pods: Iterable[str]) -> str | None:
    """In words where an answer contradicts an earlier one, or None.

    A scrape that came in late agrees; one that changed or vanished shows another server's history.
    """
    now, asked = {(one.pod, one.at): one.exposition for one in readings}, set(pods)
    for (pod, at), exposition in sorted(before.items(), key=lambda item: item[0][1]):
        if pod in asked and now.get((pod, at)) != exposition:
            what = "says something else than" if (pod, at) in now else "is no longer there, as it was when"
            return f"the scrape of {pod} at {at:.3f} {what} read before"
    return None
