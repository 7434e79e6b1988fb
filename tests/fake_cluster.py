"""Workloads in memory: pods that start, fail and serve at exact times of the shared virtual clock.

Nothing is random: what a pod has counted is a function of the time it has served.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import count

from canary.core.actions import Action, Remove, Scale, SetRevision
from canary.core.observation import Arm, Budget, Pod, Workload, World
from canary.core.release import Release
from canary.core.revision import Limits, Revision, template_hash
from canary.core.strategy import MetricKind
from canary.errors import ConflictError, DeniedError, InvalidError, TransientError
from tests.fakes import FakeClock

EDGES = (0.1, 0.25, 0.5, 1.0)


@dataclass(frozen=True)
class Behaviour:
    """How the pods of one version fare.

    Attributes:
        start_s: from birth to ready. never_ready: not even then; `trouble` then says why.
        crash_after_s: it crashes this long after it became ready, and starts again.
        error_rate: share of requests that fail. overload: `(rate, error_rate)`: a pod that gets more
            requests a second than this fails at that rate instead.
        latency: shares of requests per bucket of EDGES and above, summing to 1.
        shows: further series on its page, by its age in seconds.
    """

    start_s: float = 2.0
    never_ready: bool = False
    trouble: str = "crash loop: exit code 1"
    crash_after_s: float | None = None
    error_rate: float = 0.003
    overload: tuple[float, float] | None = None
    latency: tuple[float, ...] = (0.6, 0.3, 0.08, 0.015, 0.005)
    shows: Callable[[float], Mapping[str, float]] = lambda age_s: {}


@dataclass
class FakePod:
    """A pod and its counters, as its own process would keep them."""

    name: str
    arm: Arm
    revision: Revision
    behaviour: Behaviour
    born: float
    started: float
    ready_at: float | None = None
    restarts: int = 0
    was_ready: bool = False
    ended: float | None = None
    requests: float = 0.0
    errors: float = 0.0
    served_since: float = 0.0

    def ready(self, at: float) -> bool:
        return self.ready_at is not None and self.ready_at <= at and self.ended is None

    def seen(self, at: float) -> Pod:
        stuck = self.behaviour.never_ready and at >= self.born + self.behaviour.start_s
        return Pod(
            self.name,
            uid=f"uid-{self.name}",
            revision=self.revision.hash,
            ready=self.ready(at),
            was_ready=self.was_ready,
            restarts=self.restarts,
            trouble=self.behaviour.trouble if stuck else None,
            born=self.born,
        )

    def counters(self) -> dict[MetricKind, tuple[float, ...]]:
        """Whole numbers, as a process counts."""
        total = float(int(self.requests))
        below, buckets = 0.0, []
        for share in self.behaviour.latency[:-1]:
            below += share
            buckets.append(float(int(total * below + 1e-9)))
        return {
            MetricKind.RATIO: (float(int(self.errors + 1e-9)), total),
            MetricKind.HISTOGRAM: (*buckets, total),
        }


@dataclass
class _Deployment:
    revision: Revision
    replicas: int


class FakeCluster:
    """`ports.Workloads` in memory: two Deployments with a rolling update, under real rules of surge.

    Args:
        clock: the shared virtual time.
        behaviours: by version; an unknown version fares as `Behaviour()`.
        rate: requests a second, spread evenly over all ready pods of both arms.

    Attributes:
        pods: every pod that ever was, in order of birth.
        fewest_ready, most_pods: over all time since `watch` was called, of both arms together.
        unserved: requests that came while no pod was ready.
        out_of_reach, refused: while True, every call raises TransientError, or DeniedError.
        touched: every action applied, in order. prepared: configuration asked for. tidied: ids of releases.
        scaler, budgets, full: what others ask for; `full`: why there is no room for more pods.
        limits: of each pod.
    """

    def __init__(
        self,
        clock: FakeClock,
        version: str = "v1",
        replicas: int = 4,
        *,
        behaviours: Mapping[str, Behaviour] | None = None,
        rate: float = 40.0,
    ) -> None:
        self.clock = clock
        self.behaviours = dict(behaviours or {})
        self.rate = rate
        self.surge, self.unavailable = 1, 0
        self.scaler = self.full = ""
        self.budgets: tuple[Budget, ...] = ()
        self.limits = Limits()
        self.pods: list[FakePod] = []
        self.unserved = 0.0
        self.out_of_reach = False
        self.refused = False
        self.touched: list[Action] = []
        self.prepared: list[tuple[str, ...]] = []
        self.tidied: list[str] = []
        self._numbers = count(1)
        self._at = clock.now()
        template = {"image": f"web:{version}"}
        first = Revision(template_hash(template), version, template, number=1)
        self._history = [first]
        self._workloads: dict[Arm, _Deployment] = {Arm.STABLE: _Deployment(first, replicas)}
        self._reconcile()
        for pod in self.pods:
            pod.born = pod.started = pod.ready_at = pod.served_since = self._at - 3600.0
            pod.was_ready = True
        self.watch()

    def watch(self) -> None:
        """Begin anew to note how few pods were ready and how many there were."""
        self.fewest_ready = len(self._ready())
        self.most_pods = len(self._living())

    def observe(self) -> World | None:
        self._reach()
        if Arm.STABLE not in self._workloads:
            return None
        stable = self._seen(Arm.STABLE)
        assert stable is not None
        canary = self._seen(Arm.CANARY)
        world = World(stable, canary, self.surge, self.unavailable, budgets=self.budgets, scaler=self.scaler)
        return replace(world, limits=self.limits)

    def apply(self, action: Action, *, within_s: float) -> None:
        self._reach()
        if within_s <= 0:
            raise TransientError("no time left to ask")
        match action:
            case Scale(arm, replicas):
                self._scale(arm, replicas)
            case SetRevision():
                self._set(action)
            case Remove(arm):
                self._remove(arm)
        self.touched.append(action)
        self._settle()

    def revise(self, base: Revision, version: str, config: Sequence[str] = ()) -> Revision:
        if not version or "/" in version:
            raise InvalidError(f"{version!r} is not a version")
        template = {**base.template, "image": f"web:{version}"}
        if config:
            template["config"] = list(config)
        return Revision(template_hash(template, base.config), version, template, base.config)

    def no_room(self, more: int) -> str:
        return self.full if more > 0 else ""

    def prepare(self, config: Sequence[str] = ()) -> None:
        self._reach()
        if config:
            self.prepared.append(tuple(config))

    def tidy(self, release: Release, left: Callable[[], float]) -> tuple[str, ...]:
        self.tidied.append(release.id)
        return ()

    def unproved(self) -> str:
        return ""

    def history(self) -> tuple[Revision, ...]:
        self._reach()
        return tuple(self._history)

    def kill(self, name: str) -> None:
        """The pod's process dies; it is started again in its place."""
        self.catch_up()
        for pod in self._living():
            if pod.name == name:
                self._restart(pod)
        self._settle()

    def delete(self, name: str) -> None:
        """The pod is deleted; its Deployment makes another."""
        self.catch_up()
        self._end([pod for pod in self._living() if pod.name == name])
        self._settle()

    def someone_else_sets(self, version: str) -> None:
        """A stray writer changes the target's template."""
        self.catch_up()
        stable = self._workloads[Arm.STABLE]
        stable.revision = self.revise(stable.revision, version)
        self._settle()

    def an_autoscaler_sets(self, replicas: int) -> None:
        """Whoever owns the target's size changes it."""
        self.catch_up()
        self._workloads[Arm.STABLE].replicas = replicas
        self._settle()

    def someone_else_deletes_the_target(self) -> None:
        """A stray hand removes the Deployment; its pods go with it."""
        self.catch_up()
        del self._workloads[Arm.STABLE]
        self._settle()

    def catch_up(self) -> None:
        """Let all happen that is due by now."""
        end = self.clock.now()
        while (due := self._next_event()) is not None and due <= end:
            self._serve_until(due)
            self._happen(due)
            self._settle()
        self._serve_until(end)

    def _reach(self) -> None:
        self.catch_up()
        if self.refused:
            raise DeniedError("this account may not list pods")
        if self.out_of_reach:
            raise TransientError("the API server does not answer", remedy="Wait for it.")

    def _living(self, arm: Arm | None = None) -> list[FakePod]:
        return [pod for pod in self.pods if pod.ended is None and arm in (None, pod.arm)]

    def _ready(self, arm: Arm | None = None) -> list[FakePod]:
        return [pod for pod in self._living(arm) if pod.ready(self._at)]

    def _seen(self, arm: Arm) -> Workload | None:
        workload = self._workloads.get(arm)
        if workload is None:
            return None
        pods = tuple(pod.seen(self._at) for pod in self._living(arm))
        return Workload(workload.revision, workload.replicas, pods)

    def _scale(self, arm: Arm, replicas: int) -> None:
        if arm in self._workloads:
            self._workloads[arm].replicas = replicas
        elif replicas:
            raise ConflictError(f"there is no {arm} to scale")

    def _set(self, action: SetRevision) -> None:
        workload = self._workloads.get(action.arm)
        if workload is None:
            self._workloads[action.arm] = _Deployment(action.revision, action.replicas)
            return
        if workload.revision.hash == action.revision.hash:
            return
        if action.arm is Arm.STABLE:
            if action.expected is not None and workload.revision.hash != action.expected:
                raise ConflictError(f"the target runs {workload.revision.hash}, not {action.expected}")
            kept = [one for one in self._history if one.hash != action.revision.hash]
            self._history = [*kept, replace(action.revision, number=(self._history[-1].number or 0) + 1)]
        workload.revision = action.revision

    def _remove(self, arm: Arm) -> None:
        if arm is Arm.STABLE:
            raise InvalidError("the target is never removed")
        self._workloads.pop(arm, None)

    def _settle(self) -> None:
        self._reconcile()
        self.fewest_ready = min(self.fewest_ready, len(self._ready()))
        self.most_pods = max(self.most_pods, len(self._living()))

    def _reconcile(self) -> None:
        before, after = (-1, -1), (0, 0)
        while before != after:
            before = after
            self._pass()
            after = (len(self.pods), len(self._living()))

    def _pass(self) -> None:
        for arm in (Arm.STABLE, Arm.CANARY):
            workload = self._workloads.get(arm)
            if workload is None:
                self._end(self._living(arm))
            else:
                self._roll(arm, workload)

    def _roll(self, arm: Arm, workload: _Deployment) -> None:
        """One pass of a Deployment's controller: new pods within the surge, old ones within the floor."""
        surge, unavailable = self.surge, self.unavailable or (0 if self.surge else 1)
        living = self._living(arm)
        new = [pod for pod in living if pod.revision.hash == workload.revision.hash]
        old = [pod for pod in living if pod.revision.hash != workload.revision.hash]
        self._end(_surplus(new, workload.replicas, self._at))
        room = workload.replicas + (surge if old else 0) - len(living)
        for _ in range(min(max(0, workload.replicas - len(new)), max(0, room))):
            self._begin(arm, workload.revision)
        spare = len(self._ready(arm)) - max(0, workload.replicas - unavailable)
        for pod in sorted(old, key=lambda one: one.ready(self._at)):
            if not pod.ready(self._at) or spare > 0:
                spare -= pod.ready(self._at)
                self._end([pod])

    def _begin(self, arm: Arm, revision: Revision) -> None:
        number = next(self._numbers)
        behaviour = self.behaviours.get(revision.version, Behaviour())
        name = f"web-{arm}-{revision.hash[:4]}-{number}"
        pod = FakePod(name, arm, revision, behaviour, self._at, self._at)
        if not behaviour.never_ready:
            pod.ready_at = pod.served_since = self._at + behaviour.start_s
        self.pods.append(pod)

    def _end(self, pods: list[FakePod]) -> None:
        for pod in pods:
            pod.ended = self._at

    def _restart(self, pod: FakePod) -> None:
        pod.restarts += 1
        pod.started = self._at
        pod.requests = pod.errors = 0.0
        pod.ready_at = pod.served_since = self._at + pod.behaviour.start_s

    def _next_event(self) -> float | None:
        times = []
        for pod in self._living():
            if pod.ready_at is None:
                continue
            if pod.ready_at > self._at:
                times.append(pod.ready_at)
            elif pod.behaviour.crash_after_s is not None:
                times.append(pod.ready_at + pod.behaviour.crash_after_s)
        return min(times, default=None)

    def _happen(self, at: float) -> None:
        for pod in self._living():
            if pod.ready(at):
                pod.was_ready = True
                lasts = pod.behaviour.crash_after_s
                if lasts is not None and pod.ready_at is not None and at >= pod.ready_at + lasts:
                    self._restart(pod)

    def _serve_until(self, at: float) -> None:
        """Spread the requests of the time since the last event; who is ready did not change in it."""
        passed, ready = at - self._at, self._ready()
        if passed > 0 and ready:
            each = self.rate / len(ready)
            for pod in ready:
                limit = pod.behaviour.overload
                rate = limit[1] if limit and each > limit[0] else pod.behaviour.error_rate
                pod.requests += each * passed
                pod.errors += each * passed * rate
        elif passed > 0:
            self.unserved += self.rate * passed
        self._at = max(self._at, at)


def _surplus(pods: list[FakePod], wanted: int, at: float) -> list[FakePod]:
    """Which to end, as a ReplicaSet chooses: the unready first, then the youngest."""
    ordered = sorted(pods, key=lambda pod: (not pod.ready(at), pod.born), reverse=True)
    return ordered[: max(0, len(pods) - wanted)]
