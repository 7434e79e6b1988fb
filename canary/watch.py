"""The guards of a release over the metrics port: what is read for them, and how they stand at a tick."""

from dataclasses import replace

from canary.core import guards
from canary.core.assessed import Assessed
from canary.core.guards import Watch
from canary.core.observation import Observation
from canary.core.release import Release
from canary.core.samples import Scrapes
from canary.ports import Metrics


def watched(  # noqa: PLR0913 - what one tick has found, each named
    metrics: Metrics,
    release: Release,
    seen: Observation,
    assessed: Assessed,
    before: Watch | None,
    *,
    scrapes: Scrapes | None,
    read_each_s: float | None,
) -> tuple[Assessed, Watch | None]:
    """The assessment with how the guards stand now, and what they have seen.

    Args:
        metrics: where scrapes come from.
        release: the record.
        seen: the world now.
        assessed: what is known of the evidence.
        before: what the guards had seen; None: nothing, or of another release.
        scrapes: what was read for the evidence in this tick; None: nothing was.
        read_each_s: without them, the guards read for themselves at most so often; None: never.
    """
    if not guards.watching(release):
        return assessed, None
    watch = before if before is not None and before.release == release.id else guards.begin(release)
    if scrapes is None and read_each_s is not None and _due(watch, seen.at, read_each_s):
        scrapes = metrics.read(guards.query(release, watch, seen))
    watch, events = guards.advance(release, watch, seen, scrapes)
    return replace(assessed, guards=guards.states(release, watch, seen.at), events=events), watch


def _due(watch: Watch, at: float, each_s: float) -> bool:
    """Whether anything new can be there. Guards without scrapes in them read nothing."""
    return bool(watch.scraped.rules) and (watch.read_to is None or not 0 <= at - watch.read_to < each_s)


def forgotten(release: Release, before: Watch | None, after: Watch | None, metrics: Metrics) -> str:
    """What a driver that takes over cannot know any more of how long guards were true; empty: nothing.

    Args:
        release: the record.
        before: what this process knew before this tick. after: what it knows now.
        metrics: where scrapes come from.
    """
    if before is not None or after is None or not release.steps_at:
        return ""
    lost = guards.without_past(release.strategy, keeps_history=metrics.keeps_history)
    return f"for how long guards have been true counts anew: {', '.join(lost)}" if lost else ""
