"""What there is of a target: copies of its objects that follow the server, and the world that they show."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from canary.config.settings import KubernetesTarget
from canary.core.observation import Pod, Workload, World
from canary.core.revision import Limits
from canary.kube import neighbours, objects, pages
from canary.kube.mirror import Mirror
from canary.kube.pods import alive, pod_of
from canary.kube.session import Json, Session, quantity

DEPLOYMENTS = ("apps/v1", "deployments")
REPLICA_SETS = ("apps/v1", "replicasets")
PODS = ("v1", "pods")
AUTOSCALERS = ("autoscaling/v2", "horizontalpodautoscalers")
BUDGETS = ("policy/v1", "poddisruptionbudgets")


@dataclass(frozen=True)
class Seen:
    """The documents of one look. `sets`: ReplicaSets by uid."""

    target: Json
    canary: Json | None
    sets: Mapping[str, Json]
    pods: tuple[Json, ...]


class Sight:
    """Sees a Deployment, its canary, their pods, and who else has a say in them.

    Args:
        session: with the API server, in the target's namespace.
        target: which Deployment. now: unix seconds.
        changed: called, from another thread, when something is new.

    Attributes:
        deployments: of the namespace. sets, pods: those that the target's selector finds; None before a look.
    """

    def __init__(
        self,
        session: Session,
        target: KubernetesTarget,
        now: Callable[[], float],
        changed: Callable[[], None] = lambda: None,
    ) -> None:
        self._session = session
        self._target = target
        self._now = now
        self._changed = changed
        self.deployments = Mirror(session, session.path(*DEPLOYMENTS), changed=changed)
        # What others ask for changes what is done next, and need not be acted on at once.
        self._scalers = Mirror(session, session.path(*AUTOSCALERS))
        self._budgets = Mirror(session, session.path(*BUDGETS))
        self.sets: Mirror | None = None
        self.pods: Mirror | None = None
        self._ready_before: dict[str, bool] = {}

    def look(self) -> Seen | None:
        """The documents as they are now; None when the target does not exist."""
        deployments = self.deployments.objects()
        target = deployments.get(self._target.deployment)
        if target is None:
            return None
        canary = deployments.get(objects.canary_name(self._target.deployment))
        sets, pods = self._followed(target)
        return Seen(
            target,
            canary,
            {one["metadata"]["uid"]: one for one in sets.objects().values()},
            tuple(one for one in pods.objects().values() if alive(one)),
        )

    def world(self) -> World | None:
        """Both workloads as they are now, and what others ask of them; None without the target."""
        seen = self.look()
        if seen is None:
            return None
        stable = self._workload(seen.target, seen)
        canary = self._workload(seen.canary, seen) if seen.canary is not None else None
        template = objects.template_of(seen.target)
        labels = template["metadata"]["labels"]
        world = World(
            stable,
            canary,
            bounds=objects.bounds(seen.target["spec"]),
            budgets=neighbours.budgets(list(self._budgets.objects().values()), labels),
            scaler=neighbours.scaler(list(self._scalers.objects().values()), self._target.deployment),
            probe_rate=pages.probe_rate(template, self._target.container),
            limits=limits(template, self._target.container),
        )
        surge, unavailable = world.room(stable.replicas)
        return replace(world, surge=surge, unavailable=unavailable)

    def refresh(self, since: str | None = None) -> None:
        """Read everything anew at the next look: another driver may have written, see `Mirror.refresh`."""
        for mirror in self._mirrors():
            mirror.refresh(since)

    def close(self) -> None:
        """Follow the server no more."""
        for mirror in self._mirrors():
            mirror.close()

    def _mirrors(self) -> Iterator[Mirror]:
        own = (self.deployments, self._scalers, self._budgets, self.sets, self.pods)
        yield from (mirror for mirror in own if mirror is not None)

    def _followed(self, target: Json) -> tuple[Mirror, Mirror]:
        """Copies of the ReplicaSets and pods that the target's selector finds, the canary's among them."""
        if self.sets is None or self.pods is None:
            query = {"labelSelector": objects.selector_text(target["spec"]["selector"])}
            self.sets, self.pods = (
                Mirror(self._session, self._session.path(*kind), query, self._changed)
                for kind in (REPLICA_SETS, PODS)
            )
        return self.sets, self.pods

    def _workload(self, document: Json, seen: Seen) -> Workload:
        uid = document["metadata"]["uid"]
        mine = {key: one for key, one in seen.sets.items() if objects.owned_by(one, uid)}
        revision = objects.revision_of(document, self._target.container)
        pods = []
        for one in seen.pods:
            owner = next((ref["uid"] for ref in one["metadata"].get("ownerReferences") or []), "")
            if owner in mine:
                pods.append(self._pod(one, objects.revision_of(mine[owner], self._target.container).hash))
        replicas = int(document["spec"].get("replicas", 1))
        status = document.get("status", {})
        return Workload(
            revision,
            replicas,
            tuple(sorted(pods, key=lambda pod: pod.name)),
            observed=all(map(_observed, (document, *mine.values()))) and _made(mine, replicas),
            trouble=objects.failure(status.get("conditions") or []),
        )

    def _pod(self, document: Json, revision: str) -> Pod:
        name = self._target.container or ""
        pod = pod_of(document, revision, self._now(), name, self._target.schedule_s)
        # What was seen ready by this process was, whatever the conditions still tell.
        before = self._ready_before.get(pod.uid, False) or pod.was_ready
        self._ready_before[pod.uid] = before
        return replace(pod, was_ready=before)


def limits(template: Json, container: str | None) -> Limits:
    """What the released container of a pod may use at most."""
    found = (objects.container_of(template, container).get("resources") or {}).get("limits") or {}
    memory, cpu = (float(quantity(str(found[key]))) if key in found else 0.0 for key in ("memory", "cpu"))
    return Limits(memory or None, cpu or None)


def _observed(document: Json) -> bool:
    status: dict[str, Any] = document.get("status", {})
    return int(status.get("observedGeneration", 0)) >= int(document["metadata"].get("generation", 0))


def _made(sets: Mapping[str, Json], replicas: int) -> bool:
    """Its ReplicaSets have been scaled to what is asked; one may still be missing for a moment."""
    return sum(int(one["spec"].get("replicas", 0)) for one in sets.values()) >= min(replicas, 1)
