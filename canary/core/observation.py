"""What was seen: the workloads as they are, with the time of seeing. Never recorded, only seen again."""

import math
from dataclasses import dataclass, field
from enum import StrEnum

from canary.core.revision import Limits, Revision


class Arm(StrEnum):
    """A set of pods as the analysis sees it."""

    STABLE = "stable"
    CANARY = "canary"
    BASELINE = "baseline"


@dataclass(frozen=True)
class Pod:
    """One replica.

    Attributes:
        name: what metrics call it; unique over time (a restarted replica keeps its name, a new one
            has a new name).
        uid: identity of this very pod.
        revision: hash of the template it runs.
        ready: receives traffic now.
        was_ready: has been ready at some time of its life.
        restarts: how often its process was started again.
        trouble: in words why it is not coming up (crash loop, image cannot be pulled, port in use),
            or None. Set as soon as it is known, not when a deadline passes.
        born: unix seconds of its creation.
        image: identity of the image that it really runs, as the runtime resolved it; empty: not known, or
            there is no such thing.
    """

    name: str
    uid: str
    revision: str
    ready: bool = False
    was_ready: bool = False
    restarts: int = 0
    trouble: str | None = None
    born: float | None = None
    image: str = ""


@dataclass(frozen=True)
class Workload:
    """A Deployment, or what plays one.

    Attributes:
        revision: the template it is asked to run.
        replicas: how many it is asked to run.
        pods: those that exist now, of any revision, terminating ones left out.
        observed: its controller has seen the latest of what was asked.
        trouble: in words why its pods cannot even be made (a quota, an admission), or None.
    """

    revision: Revision
    replicas: int
    pods: tuple[Pod, ...] = ()
    observed: bool = True
    trouble: str | None = None

    @property
    def ready(self) -> int:
        """Pods that receive traffic, of any revision."""
        return sum(pod.ready for pod in self.pods)

    @property
    def settled(self) -> bool:
        """Runs exactly what was asked: all pods of the wanted revision, all ready, none left over."""
        return (
            self.observed
            and len(self.pods) == self.replicas
            and all(pod.ready and pod.revision == self.revision.hash for pod in self.pods)
        )


@dataclass(frozen=True)
class Bound:
    """A number of pods: `count` of them, or `part` (a fraction) of a workload's size where that is given.

    `up`: a part of a pod counts as a whole one.
    """

    count: int = 0
    part: float | None = None
    up: bool = False

    def of(self, size: int) -> int:
        """Pods, for a workload of `size` pods."""
        if self.part is None:
            return self.count
        # Rounded first: 0.28 of 25 is 7 and a hair.
        exact = round(self.part * size, 6)
        return math.ceil(exact) if self.up else math.floor(exact)


@dataclass(frozen=True)
class Budget:
    """Ready pods that somebody asks for, whoever drives (a PodDisruptionBudget).

    Attributes:
        name: for people. ready: so many are to be ready. missing: or so many may be missing.
    """

    name: str
    ready: Bound | None = None
    missing: Bound | None = None

    def demand(self, size: int) -> int:
        """Ready pods asked for, of `size`; 0 when nothing is."""
        if self.ready is not None:
            return self.ready.of(size)
        return max(0, size - self.missing.of(size)) if self.missing is not None else 0


@dataclass(frozen=True)
class World:
    """Both workloads of a target and the room they have.

    Attributes:
        stable: the target. canary: None while there is none.
        surge: pods allowed above `replicas`. unavailable: pods allowed to be missing. Both of the target as
            it is now, which is what it rolls with by itself.
        bounds: the same two as they were asked for, where they are parts of a size; see `room`.
        budgets: what others ask to be ready.
        scaler: in words who else sets the target's replicas (an autoscaler), or empty. They are not ours
            to write then.
        probe_rate: requests per second that the runtime's own health checks make to a pod of the target,
            beyond those that the strategy knows of.
        limits: what one pod of the target may use at most.
        others: names of things seen that are neither (a stray writer, a second canary), in words.
    """

    stable: Workload
    canary: Workload | None
    surge: int = 1
    unavailable: int = 0
    others: tuple[str, ...] = ()
    bounds: tuple[Bound, Bound] | None = None
    budgets: tuple[Budget, ...] = ()
    scaler: str = ""
    probe_rate: float = 0.0
    limits: Limits = field(default_factory=Limits)

    def room(self, size: int) -> tuple[int, int]:
        """Surge and unavailable of a target of `size` pods, however many it is asked for now."""
        if self.bounds is None:
            return self.surge, self.unavailable
        surge, unavailable = (bound.of(size) for bound in self.bounds)
        return (surge, unavailable) if surge or unavailable else (0, 1)

    def demand(self, size: int) -> int:
        """Ready pods that the budgets ask for, of `size`."""
        return max((budget.demand(size) for budget in self.budgets), default=0)


@dataclass(frozen=True)
class Observation:
    """One look at the world.

    Attributes:
        at: unix seconds of the look. attended_at: last time a driver held the lease before this one,
            or None when this driver already drove.
        window_lost: this driver is new and the metrics source keeps no history: what was seen before
            cannot be read again.
        world: None when the target does not exist.
        unproved: at the end of a way back: why it is not proved that it has ended for requests too.
        late: what a driver that died asked for in its last moment may still come about, and it knew
            nothing of what is being done now.
    """

    at: float
    world: World | None
    attended_at: float | None = None
    window_lost: bool = False
    unproved: str = ""
    late: bool = False
