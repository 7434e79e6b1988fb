"""What was seen: the workloads as they are, with the time of seeing. Never recorded, only seen again."""

from dataclasses import dataclass
from enum import StrEnum

from canary.core.revision import Revision


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
class World:
    """Both workloads of a target and the room they have.

    Attributes:
        stable: the target. canary: None while there is none.
        surge: pods allowed above `replicas`. unavailable: pods allowed to be missing.
        probe_rate: requests per second that the runtime's own health checks make to a pod of the target,
            beyond those that the strategy knows of.
        others: names of things seen that are neither (a stray writer, a second canary), in words.
    """

    stable: Workload
    canary: Workload | None
    surge: int = 1
    unavailable: int = 0
    others: tuple[str, ...] = ()
    probe_rate: float = 0.0


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
    """

    at: float
    world: World | None
    attended_at: float | None = None
    window_lost: bool = False
    unproved: str = ""
