"""A release as a script: what a reporter is told, tick by tick.

`python -m tests.view.scripted bad 0.3` shows it live, with `--plain` as lines.
"""

import math
import sys
import time
from collections.abc import Iterator
from dataclasses import replace

from analysis.words import Evidence, Interval, MetricEvidence
from canary.core.actions import Act, Decision, Move, Scale, Wait
from canary.core.assessed import Assessed, Hold, Look
from canary.core.observation import Arm, Observation, Pod, Workload, World
from canary.core.release import Outcome, Pause, Phase, Release, Stage
from canary.core.revision import Revision
from canary.core.strategy import Strategy
from canary.ports import Recorded
from canary.view.lines import Lines
from canary.view.live import LiveView

START = 1_767_225_600.0
OLD = Revision("aaaa000000", "v1.0.0", {"command": ["serve"]}, number=1)
NEW = Revision("bbbb111111", "v1.1.0", {"command": ["serve"]}, number=2)

Told = tuple[Recorded, Observation, Assessed, Decision]


def a_release(**changes: object) -> Release:
    """A release of `shop` at its first step."""
    release = Release(
        target="shop",
        id="shop-v1.1.0-1",
        version="v1.1.0",
        strategy=Strategy(
            steps=(25.0, 50.0), hold_min_s=10, deadline_s=600, interval_s=1, scrape_interval_s=1
        ),
        stable=OLD,
        canary=NEW,
        replicas=4,
        since=START,
        phase=Phase.PROGRESSING,
        phase_since=START + 1,
        step_since=START + 3,
        steps_at=(START + 3,),
        stage=Stage.HOLDING,
        actor="ann@laptop",
    )
    return replace(release, **changes)  # type: ignore[arg-type]


def pods(revision: Revision, count: int, ready: int | None = None) -> tuple[Pod, ...]:
    """`count` pods of a revision, the first `ready` of them ready."""
    serving = count if ready is None else ready
    return tuple(
        Pod(f"shop-{revision.hash[:4]}-{i}", f"{revision.hash}{i}", revision.hash, i < serving, i < serving)
        for i in range(count)
    )


def a_world(stable: int = 3, canary: int = 1, *, ready: int | None = None) -> World:
    """Stable on the old, canary on the new revision."""
    on_trial = Workload(NEW, canary, pods(NEW, canary, ready)) if canary else None
    return World(Workload(OLD, stable, pods(OLD, stable)), on_trial)


def a_metric(name: str = "errors", **changes: object) -> MetricEvidence:
    """Errors of both arms, much alike, or with changes."""
    found = MetricEvidence(
        name=name,
        harm=1.2,
        safety=1.0,
        safety_pooled=1.4,
        canary_bad=12,
        canary_all=3802,
        stable_bad=38,
        stable_all=12204,
        ratio=Interval(0.42, 2.31),
    )
    return replace(found, **changes)  # type: ignore[arg-type]


def assessed(*metrics: MetricEvidence, harm: float = 1.2, looks: int = 14, **changes: object) -> Assessed:
    """What is known, with one look more than before."""
    evidence = Evidence(looks, float(looks), harm, max(harm, 1.5), 100.0, 50.0, metrics=metrics)
    look = Look(looks, START + looks, {"errors": (1.0, 90.0)}, {"errors": (2.0, 270.0)}, evidence)
    found = Assessed(
        evidence,
        START + looks,
        (look,),
        share=0.241,
        rates={"stable": 122.0, "canary": 38.1},
        step_requests=500,
    )
    return replace(found, **changes)  # type: ignore[arg-type]


def two_metrics(seconds: float, *, bad: bool, deciding: bool) -> Assessed:
    """Evidence after some seconds: intervals that close in, processes that grow."""
    many = 40.0 * (seconds + 1)
    width = 3.2 / math.sqrt(seconds + 1)
    centre = 6.0 if bad else 1.0
    harm = min(1e9, 1.35**seconds) if bad else 0.9
    safety = 0.2 if bad else min(400.0, 1.25 ** max(0.0, seconds - 20)) if deciding else 1.0
    errors = a_metric(
        harm=harm,
        safety=safety,
        canary_all=many,
        canary_bad=(0.02 if bad else 0.003) * many,
        stable_all=3 * many,
        stable_bad=0.003 * 3 * many,
        ratio=Interval(centre * math.exp(-width), centre * math.exp(width)),
    )
    latency = a_metric(
        "latency",
        safety=safety,
        edge=0.25,
        canary_all=many,
        canary_bad=0.011 * many,
        stable_all=3 * many,
        stable_bad=0.031 * many,
        ratio=Interval(math.exp(-width), math.exp(width)),
        warming=seconds < 6,
    )
    return assessed(errors, latency, harm=0.6 * harm, looks=int(seconds) + 1)


def script(*, bad: bool) -> Iterator[Told]:
    """A whole release: of a canary with errors, or of a good one with a pause in the midst."""
    release = a_release(
        phase=Phase.PENDING, stage=Stage.SCALING, step_since=0.0, steps_at=(), phase_since=START
    )
    scaling = replace(a_release(), stage=Stage.SCALING, steps_at=())
    yield (
        Recorded(release, "1"),
        Observation(START, a_world(4, 0)),
        Assessed(two_metrics(0, bad=False, deciding=False).evidence),
        Move(scaling, "start step 1 of 2"),
    )
    act = Act((Scale(Arm.CANARY, 1),), "step 1: 25 % asked")
    yield (
        Recorded(scaling, "1"),
        Observation(START + 1, a_world(4, 1, ready=0)),
        assessed(looks=0, looked_at=None),
        act,
    )
    last = 22 if bad else 45
    for second in range(3, last):
        step = int(second > 20)
        held = a_release(step=step, step_since=START + (21 if step else 3))
        if not bad and 8 < second < 14:
            held = replace(
                held, pause=Pause("ann@laptop", START + 9, START + 3609, "having a look at the graphs")
            )
        found = two_metrics(second, bad=bad, deciding=step == 1)
        world = a_world(3 - step, 1 + step)
        yield (Recorded(held, str(second)), Observation(START + second, world), found, _waiting(held, found))
    yield from (_back(last) if bad else _forth(last))


def _waiting(held: Release, found: Assessed) -> Decision:
    if held.pause:
        return Wait(f"paused by {held.pause.by}: {held.pause.reason} (3590 s left)", Hold.PAUSED_BY)
    if found.evidence.harm > 5:
        return Wait(f"amber: evidence {found.evidence.harm:.3g} against the canary", Hold.AMBER)
    if held.last_step:
        return Wait("not yet seen to be safe: errors 1 of 50; latency 1 of 50", Hold.TOO_LITTLE_EVIDENCE)
    return Wait("held 4 s of at least 10 s")


def _told(release: Release, second: float, world: World, found: Assessed, reason: str) -> Told:
    seen = Observation(START + second, world)
    return (Recorded(release, str(second)), seen, found, Wait(reason))


def _back(second: float) -> Iterator[Told]:
    why = (
        "v1.1.0 is worse than tolerated: errors: 2.00% (17 of 880) bad in the canary against "
        "0.30% (7 of 2640) in the stable, evidence 248 >= 100"
    )
    release = a_release().moved(Phase.ROLLING_BACK, at=START + second, outcome=Outcome.REGRESSION, reason=why)
    found = two_metrics(second, bad=True, deciding=False)
    yield _told(release, second, a_world(3, 1), found, "scale the canary down")
    yield _told(release, second + 1, a_world(4, 0), found, "rolled back")
    done = release.moved(Phase.ROLLED_BACK, at=START + second + 2)
    yield _told(done, second + 2, a_world(4, 0), found, "already rolled_back")


def _forth(second: float) -> Iterator[Told]:
    promoting = a_release(step=1).moved(
        Phase.PROMOTING, at=START + second, reason="every metric is seen to be safe"
    )
    found = two_metrics(second, bad=False, deciding=True)
    for new in range(5):
        stable = Workload(NEW, 4, pods(NEW, new) + pods(OLD, 4 - new))
        world = World(stable, Workload(NEW, 2 if new < 4 else 0, pods(NEW, 2 if new < 4 else 0)))
        yield _told(promoting, second + new, world, found, "the target's pods are rolling")
    done = promoting.moved(Phase.PROMOTED, at=START + second + 6, outcome=Outcome.PROMOTED)
    yield _told(done, second + 6, World(Workload(NEW, 4, pods(NEW, 4)), None), found, "promoted")


def show(how: str, pace_s: float) -> None:
    """Play the script on this terminal."""
    plain = "--plain" in sys.argv
    view = Lines(sys.stderr, time.time) if plain else LiveView(sys.stderr, time.time)
    view.note("nobody drove for 12 s: taking over from ann@laptop")
    release = a_release()
    try:
        for told in script(bad=how == "bad"):
            view.tick(*told)
            release = told[0].release
            time.sleep(pace_s)
        view.end(release)
    finally:
        view.close()


if __name__ == "__main__":
    show(sys.argv[1], float(sys.argv[2]) if len(sys.argv) > 2 else 0.3)
