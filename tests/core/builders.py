"""Values for the core's tests: a release, a world, an assessment, each with only what a test is about."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from analysis.words import Evidence, Interval, MetricEvidence
from canary.core.assessed import Assessed
from canary.core.observation import Arm, Observation, Pod, Workload, World
from canary.core.release import ArmFacts, Phase, PodFact, Release, Stage
from canary.core.revision import Revision
from canary.core.strategy import Strategy

V1 = Revision("aaaa", "v1.0.0", {"image": "v1.0.0"}, number=1)
V2 = Revision("bbbb", "v1.1.0", {"image": "v1.1.0"})
V3 = Revision("cccc", "v9.9.9", {"image": "v9.9.9"})
START = 1_700_000_000.0
STRATEGY = Strategy(steps=(25.0, 50.0), hold_min_s=60, hold_max_s=600, deadline_s=3600)


def pods(revision: Revision, count: int, *, arm: str = "stable", **fields: Any) -> tuple[Pod, ...]:
    """Ready pods of a revision."""
    fields = {"ready": True, "was_ready": True, **fields}
    return tuple(
        Pod(f"{arm}-{revision.hash}-{i}", f"uid-{arm}-{revision.hash}-{i}", revision.hash, **fields)
        for i in range(count)
    )


def workload(revision: Revision, count: int, *, arm: str = "stable", **fields: Any) -> Workload:
    """A workload that runs exactly what it is asked to."""
    return Workload(revision, count, pods(revision, count, arm=arm, **fields))


def world(stable: Workload | None = None, canary: Workload | None = None, **fields: Any) -> World:
    """Four stable pods, surge 1, unless told otherwise."""
    return World(stable or workload(V1, 4), canary, **{"surge": 1, "unavailable": 0, **fields})


def at_step(step: int = 1) -> World:
    """The world as the steps of STRATEGY want it: 25 % is 1 of 4, 50 % is 2 of 4."""
    canary = (1, 2)[step]
    return world(workload(V1, (3, 2)[step]), workload(V2, canary, arm="canary"))


def seen(found: World | None, *, after_s: float = 0.0, **fields: Any) -> Observation:
    """The world, so many seconds after the start."""
    return Observation(START + after_s, found, **fields)


def release(phase: Phase = Phase.PROGRESSING, *, step: int = 1, **fields: Any) -> Release:
    """A release of v1.1.0 that holds a step since its start, unless told otherwise."""
    known = at_step(step)
    canary = known.canary or workload(V2, 0)
    arms: dict[str, ArmFacts] = {
        Arm.STABLE: ArmFacts((V1.hash,), tuple(PodFact(p.name, p.uid) for p in pods(V1, 9))),
        Arm.CANARY: ArmFacts((V2.hash,), tuple(PodFact(p.name, p.uid) for p in canary.pods)),
    }
    made = Release(
        target="shop",
        id="shop-1",
        version="v1.1.0",
        strategy=STRATEGY,
        stable=V1,
        canary=V2,
        replicas=4,
        since=START,
        phase=phase,
        phase_since=START,
        step=step,
        stage=Stage.HOLDING,
        step_since=START,
        steps_at=(START,) * (step + 1),
        arms=arms,
        actor="ann@laptop",
        touched=phase is not Phase.PENDING,
    )
    return replace(made, **fields)


def metric(name: str = "errors", **fields: Any) -> MetricEvidence:
    """A metric that says nothing yet."""
    base: dict[str, Any] = {
        "harm": 1.0,
        "safety": 1.0,
        "safety_pooled": 1.0,
        "canary_bad": 3.0,
        "canary_all": 1000.0,
        "stable_bad": 9.0,
        "stable_all": 3000.0,
        "ratio": Interval(0.2, 5.0),
    }
    return MetricEvidence(name, **{**base, **fields})


def assessed(
    *,
    harm: float = 1.0,
    safety: float | Mapping[str, float] = 1.0,
    without: Mapping[str, float] | None = None,
    peak: float | None = None,
    **fields: Any,
) -> Assessed:
    """What was found at a look five minutes after the start, with traffic, unless told otherwise."""
    safe = safety if isinstance(safety, Mapping) else {"errors": safety, "latency": safety}
    evidence = Evidence(
        looks=40,
        t=300.0,
        harm=harm,
        harm_peak=max(harm, peak or 0.0),
        harm_limit=100.0,
        safety_limit=50.0,
        harm_without=without or {},
        metrics=tuple(metric(name, safety=value) for name, value in safe.items()),
    )
    base: dict[str, Any] = {"looked_at": START + 300, "step_requests": 500.0, "share": 0.5}
    return Assessed(evidence, **{**base, **fields})
