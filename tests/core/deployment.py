"""A modelled cluster: Deployments as Kubernetes' own controllers run them, one small step at a time.

The controllers act in random but seeded order, each on what it can see then: the deployment controller
(proportional scaling, rolling update), the replica set controller (creates pods, deletes those that are
not ready first), the kubelet (pods become ready after a while, crash, come back).

Source: pkg/controller/deployment/{sync,rolling}.go, util/deployment_util.go, controller_utils.go
(ActivePodsWithRanks) of kubernetes v1.30.
"""

import random
from dataclasses import dataclass, field, replace
from math import floor

from canary.core.actions import Action, Remove, Scale, SetRevision
from canary.core.observation import Arm, Pod, Workload, World
from canary.core.revision import Revision


@dataclass
class ReplicaSet:
    """One template's pods.

    `asked_for`, `most`: the deployment's replicas and most pods when last scaled. `seen`: its own
    controller has acted on `replicas`.
    """

    revision: Revision
    number: int
    replicas: int = 0
    asked_for: int = 0
    most: int = 0
    seen: bool = True
    pods: list[Pod] = field(default_factory=list)

    @property
    def available(self) -> int:
        """Never more than asked for: its controller is taken to be quicker than any pod gets ready."""
        return min(self.replicas, sum(pod.ready for pod in self.pods))


class Deployment:
    """One Deployment with its replica sets. `starts(revision)`: whether its pods ever become ready."""

    def __init__(self, name: str, revision: Revision, replicas: int, bounds: tuple[int, int]) -> None:
        self.name = name
        self.revision = revision
        self.replicas = replicas
        self.surge, self.unavailable = bounds
        if bounds == (0, 0):
            self.unavailable = 1
        self.sets: list[ReplicaSet] = []
        self.observed = False
        self.born = 0

    @property
    def most(self) -> int:
        return self.replicas + self.surge if self.replicas else 0

    @property
    def pods(self) -> list[Pod]:
        return [pod for held in self.sets for pod in held.pods]

    @property
    def asked(self) -> int:
        return sum(held.replicas for held in self.sets)

    @property
    def on_top(self) -> int:
        """What a rolling update has above `replicas`; a scaling not yet carried out is not counted."""
        behind = any(held.asked_for != self.replicas for held in self.sets if held.replicas)
        return 0 if behind else max(0, self.asked - self.replicas)

    def reconcile(self) -> None:
        """One sync of the deployment controller."""
        self.observed = True
        active = [held for held in self.sets if held.replicas]
        if any(held.asked_for != self.replicas for held in active):
            self._scale(active)
            return
        new = self._new_set()
        if not self._grow_new(new):
            self._shrink_old(new)

    def _find(self) -> ReplicaSet | None:
        return next((held for held in self.sets if held.revision.hash == self.revision.hash), None)

    def _new_set(self) -> ReplicaSet:
        new = self._find()
        if new is None:
            new = ReplicaSet(self.revision, 0)
            self.sets.append(new)
        # A set that is rolled back to becomes the newest.
        new.number = max(held.number for held in self.sets) + (len(self.sets) > 1)
        return new

    def _set(self, held: ReplicaSet, replicas: int) -> None:
        held.seen = held.seen and held.replicas == replicas
        held.replicas, held.asked_for, held.most = replicas, self.replicas, self.most

    def _scale(self, active: list[ReplicaSet]) -> None:
        """`scale()`: a changed `replicas` is spread over the active replica sets in proportion."""
        new = self._find()
        if len(active) == 1:
            self._set(active[0], self.replicas)
            return
        if new and new.replicas == self.replicas == new.asked_for == new.available:
            for held in active:
                if held is not new:
                    self._set(held, 0)
            return
        to_add = self.most - sum(held.replicas for held in active)
        sign = -1 if to_add > 0 else 1
        ordered = sorted(active, key=lambda held: (-held.replicas, sign * held.number))
        sizes, added = {}, 0
        for held in ordered:
            part = self._proportion(held, to_add, added)
            sizes[held.number] = held.replicas + part
            added += part
        sizes[ordered[0].number] = max(0, sizes[ordered[0].number] + to_add - added)
        for held in ordered:
            self._set(held, sizes[held.number])

    def _proportion(self, held: ReplicaSet, to_add: int, added: int) -> int:
        """`GetReplicaSetProportion`."""
        if to_add == added or not to_add:
            return 0
        scaled = floor(held.replicas * self.most / (held.most or self.most or 1) + 0.5)
        fraction = scaled - held.replicas if self.replicas else -held.replicas
        allowed = to_add - added
        return min(fraction, allowed) if to_add > 0 else max(fraction, allowed)

    def _grow_new(self, new: ReplicaSet) -> bool:
        """`reconcileNewReplicaSet`, `NewRSNewReplicas`."""
        if new.replicas == self.replicas:
            self._set(new, new.replicas)
            return False
        if new.replicas > self.replicas:
            self._set(new, self.replicas)
            return True
        room = self.most - self.asked
        grown = new.replicas + max(0, min(room, self.replicas - new.replicas))
        changed = grown != new.replicas
        self._set(new, grown)
        return changed

    def _shrink_old(self, new: ReplicaSet) -> None:
        """`reconcileOldReplicaSets`: unhealthy ones first, then what availability allows."""
        old = sorted((held for held in self.sets if held is not new), key=lambda held: held.number)
        if not any(held.replicas for held in old):
            return
        least = self.replicas - self.unavailable
        budget = self.asked - least - (new.replicas - new.available)
        if budget <= 0:
            return
        for held in old:
            gone = min(budget, max(0, held.replicas - held.available))
            self._set(held, held.replicas - gone)
            budget -= gone
        budget = sum(held.available for held in self.sets) - least
        for held in old:
            gone = min(max(0, budget), held.replicas)
            self._set(held, held.replicas - gone)
            budget -= gone

    def tend(self, rng: random.Random) -> None:
        """One sync of the replica set controller, for one of the sets that are off."""
        off = [held for held in self.sets if not held.seen or len(held.pods) != held.replicas]
        if not off:
            return
        held = rng.choice(off)
        held.seen = True
        while len(held.pods) < held.replicas:
            self.born += 1
            name = f"{self.name}-{held.revision.version}-{self.born}"
            held.pods.append(Pod(name, name, held.revision.hash, born=float(self.born)))
        excess = len(held.pods) - held.replicas
        if excess:
            going = sorted(held.pods, key=lambda pod: (pod.ready, rng.random()))[:excess]
            held.pods = [pod for pod in held.pods if pod not in going]


class Cluster:
    """A target and its canary. `broken`: versions whose pods never become ready."""

    def __init__(self, stable: Deployment, rng: random.Random, broken: tuple[str, ...] = ()) -> None:
        self.stable = stable
        self.canary: Deployment | None = None
        self.rng = rng
        self.broken = broken
        self.crashes = 0.0
        self.refused = 0
        for _ in range(2):
            stable.reconcile()
            stable.tend(rng)
        self.mature(stable)

    @property
    def deployments(self) -> list[Deployment]:
        return [self.stable] + ([self.canary] if self.canary else [])

    @property
    def ready(self) -> int:
        return sum(pod.ready for deployment in self.deployments for pod in deployment.pods)

    @property
    def asked(self) -> int:
        """Replicas asked for, with those that a rolling update asks for on top."""
        return sum(held.replicas + held.on_top for held in self.deployments)

    def mature(self, deployment: Deployment) -> None:
        """All pods that can be are ready."""
        for held in deployment.sets:
            ready = held.revision.version not in self.broken
            held.pods = [replace(pod, ready=ready, was_ready=ready) for pod in held.pods]

    def world(self) -> World:
        canary = _workload(self.canary) if self.canary else None
        return World(_workload(self.stable), canary, self.stable.surge, self.stable.unavailable)

    def apply(self, action: Action) -> None:
        """What an API server would do; the controllers follow in `step`."""
        match action:
            case Remove():
                self.canary = None
            case Scale(arm, replicas):
                deployment = self.stable if arm is Arm.STABLE else self.canary
                if deployment is not None:
                    deployment.replicas, deployment.observed = replicas, False
            case SetRevision(Arm.STABLE, revision, expected=expected):
                if self.stable.revision.hash != expected:
                    self.refused += 1
                    return
                self.stable.revision, self.stable.observed = revision, False
            case SetRevision(_, revision, replicas):
                bounds = (self.stable.surge, self.stable.unavailable)
                if self.canary is None:
                    self.canary = Deployment("canary", revision, replicas, bounds)
                self.canary.revision, self.canary.observed = revision, False

    def step(self) -> None:
        """One controller does one thing."""
        deployment = self.rng.choice(self.deployments)
        what = self.rng.random()
        if what < 0.3:
            deployment.reconcile()
        elif what < 0.6:
            deployment.tend(self.rng)
        else:
            self._live(deployment)

    def _live(self, deployment: Deployment) -> None:
        for held in deployment.sets:
            if held.pods and held.revision.version not in self.broken:
                spot = self.rng.randrange(len(held.pods))
                up = self.rng.random() >= self.crashes
                pods = range(len(held.pods)) if self.rng.random() < 0.3 and up else [spot]
                for at in pods:
                    held.pods[at] = replace(held.pods[at], ready=up, was_ready=True)


def _workload(deployment: Deployment) -> Workload:
    """Observed as an adapter must mean it: by the deployment's controller and by its replica sets'."""
    observed = deployment.observed and all(held.seen for held in deployment.sets)
    return Workload(deployment.revision, deployment.replicas, tuple(deployment.pods), observed)
