"""The workloads port over two Deployments of a namespace."""

import copy
from collections.abc import Callable, Sequence

from canary.config.settings import KubernetesTarget, PodsSource
from canary.core.actions import Action, Remove, Scale, SetRevision
from canary.core.observation import Arm, World
from canary.core.release import Phase, Release
from canary.core.revision import Revision
from canary.errors import ConflictError, InvalidError, MissingError, TransientError
from canary.kube import configs, neighbours, objects, rights
from canary.kube import pages as pages_of
from canary.kube.config_store import ConfigStore
from canary.kube.configs import ConfigObject, Named
from canary.kube.pods import alive, pod_of
from canary.kube.rbac import Account, rules
from canary.kube.session import Json, Session, quantity
from canary.kube.sight import DEPLOYMENTS, Seen, Sight
from canary.metrics.pods import Page

QUOTAS = ("v1", "resourcequotas")


class KubeWorkloads:
    """Implements `ports.Workloads` for a Deployment and its canary.

    What is observed comes from copies that follow the server; every write names the version it was decided
    on, so a copy that lagged makes a conflict and no harm.

    Args:
        session: with the API server, in the target's namespace.
        target: which Deployment. image: repository to release from; None: that of the container.
        now: unix seconds.
        changed: called, from another thread, when something is new.
        scraped: how the pods' own metrics pages are found, when they are what is read; else None.
        given: configuration that this process can make. events: seals are told as Events.
    """

    def __init__(  # noqa: PLR0913 - what a target's configuration brings, each named
        self,
        session: Session,
        target: KubernetesTarget,
        image: str | None,
        now: Callable[[], float],
        changed: Callable[[], None] = lambda: None,
        *,
        scraped: PodsSource | None = None,
        given: Sequence[ConfigObject] = (),
        events: bool = False,
    ) -> None:
        self._session = session
        self._events = events
        self._scraped = scraped
        self._target = target
        self._image = image
        self._now = now
        self._configs = ConfigStore(session, target.deployment, given)
        self._sight = Sight(session, target, now, changed)
        self._counted_on: frozenset[str] | None = None

    def observe(self) -> World | None:
        """Both workloads as they are now; None when the Deployment does not exist.

        Raises:
            TransientError: the API server does not answer. DeniedError: it refuses.
            InvalidError: the Deployment has no container of the name, or several and no name was given.
        """
        world = self._sight.world()
        if world is not None:
            arms = (world.stable, world.canary)
            ready = (pod.uid for one in arms if one is not None for pod in one.pods if pod.ready)
            self._counted_on = frozenset(ready)
        return world

    def refresh(self, since: str | None = None) -> None:
        """Read everything anew at the next look: another driver may have written, see `Mirror.refresh`."""
        self._sight.refresh(since)

    def close(self) -> None:
        """Follow the server no more."""
        self._sight.close()

    def pages(self) -> dict[str, Page]:
        """Where each pod of the two workloads shows its metrics, by name; those without an address left out.

        Raises:
            InvalidError: it cannot be told where.
        """
        seen = self._sight.look()
        if seen is None or self._scraped is None:
            return {}
        template = seen.target["spec"]["template"]
        name = objects.container_of(template, self._target.container)["name"]
        uids = [one["metadata"]["uid"] for one in (seen.target, seen.canary) if one is not None]
        sets = {key for key, one in seen.sets.items() if any(objects.owned_by(one, uid) for uid in uids)}
        mine = [one for one in seen.pods if any(objects.owned_by(one, key) for key in sets)]
        return pages_of.pages(mine, name, self._scraped)

    def apply(self, action: Action, *, within_s: float) -> None:
        """Ask the API server for one stated end; does not wait for pods.

        Raises:
            ConflictError: what was observed is no longer so, or a workload is missing.
            InvalidError: refused by the API server as it is, or there is a canary that is not ours.
        """
        if within_s <= 0:
            raise TransientError(
                "no time is left to act in this term", remedy="It is tried again in the next."
            )
        match action:
            case Scale():
                self._scale(action, within_s)
            case Remove():
                self._remove(within_s)
            case SetRevision(arm=Arm.STABLE):
                self._set_target(action, within_s)
            case SetRevision(arm=Arm.CANARY):
                self._set_canary(action, within_s)
            case _:
                raise InvalidError(f"there is no {action.arm} workload in Kubernetes")

    def revise(self, base: Revision, version: str, config: Sequence[str] = ()) -> Revision:
        """The revision that runs `version` with this configuration, all else as in `base`. Touches nothing.

        Args:
            config: objects to refer to, `configmap/NAME-HASH`.

        Raises:
            InvalidError: the container cannot be told, or the template refers to one of the objects nowhere.
        """
        found = objects.with_version(base, version, self._target.container, self._image)
        return self._configs.revised(found, config)

    def prepare(self, config: Sequence[str] = ()) -> None:
        """See that a release can be driven, and make its configuration, before it is recorded.

        Raises:
            InvalidError: it cannot be told where its metrics are, the Deployment is paused, or something that
                is not ours has the name of its canary or of a configuration object.
            DeniedError: this account lacks rights for a release.
        """
        seen = self._sight.look()
        if seen is not None:
            _check(seen)
        if self._scraped is not None and seen is not None:
            template = seen.target["spec"]["template"]
            pages_of.check(template, self._target.container, self._scraped)
        kinds = {configs.named(one).kind for one in config}
        wanted = rules(Account.DRIVER, self._target.deployment, kinds, events=self._events)
        extras = {*(kind.value for kind in kinds), *(["events"] if self._events else [])}
        rights.check(self._session, wanted, extras)
        self._configs.provide(config)

    def tidy(self, release: Release, left: Callable[[], float]) -> tuple[str, ...]:
        """Delete the configuration of the target that neither it, a kept ReplicaSet nor the record needs.

        What was made after this release began may belong to one that is to begin: it stays, unless it is
        this release's own.

        Raises:
            TransientError: no time is left, or no answer. DeniedError: refused.
        """
        own = configs.hashed(release.canary.template)
        named = own | configs.hashed(release.stable.template)
        seen = self._sight.look() if named else None
        if seen is None:
            return ()
        keep = [release.stable.template, *self._needed(seen.target["metadata"]["uid"], left)]
        if release.phase is Phase.PROMOTED:
            keep.append(release.canary.template)

        def may_go(one: Named, made: float) -> bool:
            # The API tells that time in whole seconds.
            return one in own or made + 1.0 < release.since

        return self._configs.collect(keep, {one.kind for one in named}, may_go, left)

    def _needed(self, uid: str, left: Callable[[], float]) -> list[Json]:
        """The templates of all Deployments and of the target's ReplicaSets, read live."""
        deployments = self._sight.deployments.list_live(left())
        sets = self._sight.sets.list_live(left()) if self._sight.sets is not None else {}
        mine = [one for one in sets.values() if objects.owned_by(one, uid)]
        return [one["spec"]["template"] for one in (*deployments.values(), *mine)]

    def history(self) -> tuple[Revision, ...]:
        """The target's kept revisions, oldest first, as `kubectl rollout history` numbers them."""
        seen = self._sight.look()
        if seen is None:
            return ()
        found = []
        for one in seen.sets.values():
            number = (one["metadata"].get("annotations") or {}).get(objects.REVISION)
            if number and objects.owned_by(one, seen.target["metadata"]["uid"]):
                found.append(objects.revision_of(one, self._target.container, int(number)))
        return tuple(sorted(found, key=lambda one: one.number or 0))

    def unproved(self) -> str:
        """What is missing in the EndpointSlices of the Services that select the target; empty: nothing."""
        seen = self._sight.look()
        if seen is None:
            return ""
        labels = seen.target["spec"]["template"]["metadata"].get("labels") or {}
        services = self._session.get(self._session.path("v1", "services")).get("items") or []
        slices = self._session.get(self._session.path("discovery.k8s.io/v1", "endpointslices"))
        names = [one["metadata"]["name"] for one in services if objects.selects(one, labels)]
        wanted = {one["metadata"]["uid"] for one in seen.pods if self._is_stable(one, seen)}
        return objects.lacking(names, slices.get("items") or [], wanted)

    def no_room(self, more: int) -> str:
        """Why so many more pods of the target would not fit under the namespace's quotas; empty: they do."""
        seen = self._sight.look()
        if seen is None or more <= 0:
            return ""
        quotas = self._session.get(self._session.path(*QUOTAS)).get("items") or []
        return neighbours.no_room(quotas, seen.target["spec"]["template"]["spec"], more, quantity)

    def _is_stable(self, pod: Json, seen: Seen) -> bool:
        uid = seen.target["metadata"]["uid"]
        owners = [ref["uid"] for ref in pod["metadata"].get("ownerReferences") or []]
        mine = any(objects.owned_by(seen.sets[one], uid) for one in owners if one in seen.sets)
        return mine and pod_of(pod, "", self._now()).ready

    def _document(self, arm: Arm) -> Json:
        deployments = self._sight.deployments.objects()
        name = self._target.deployment
        found = deployments.get(name if arm is Arm.STABLE else objects.canary_name(name))
        if found is None:
            raise ConflictError(f"the {arm} of {name} is not there: somebody removed it")
        return found

    def _scale(self, action: Scale, within_s: float) -> None:
        document = self._document(action.arm)
        now = int(document["spec"].get("replicas", 1))
        if action.replicas == now:
            return
        if action.replicas < now:
            self._is_still_so(within_s)
        meta = document["metadata"]
        path = self._session.path(*DEPLOYMENTS, meta["name"], "scale")
        body = {
            "apiVersion": "autoscaling/v1",
            "kind": "Scale",
            "metadata": {key: meta[key] for key in ("name", "namespace", "resourceVersion", "uid")},
            "spec": {"replicas": action.replicas},
        }
        try:
            answer = self._session.replace(path, body, within_s)
        except MissingError as fault:
            raise ConflictError(f"Deployment {meta['name']} was deleted meanwhile") from fault
        # A Scale is not the Deployment: until its event comes, this is what we know of it.
        known = copy.deepcopy(document)
        known["spec"]["replicas"] = action.replicas
        known["metadata"]["generation"] += 1
        known["metadata"]["resourceVersion"] = answer["metadata"]["resourceVersion"]
        self._sight.deployments.learn(known)

    def _is_still_so(self, within_s: float) -> None:
        """Before capacity is lowered: the pods that were counted on are still ready, read live.

        Raises:
            ConflictError: not all of them are; look again.
        """
        if self._sight.pods is None or self._counted_on is None:
            raise ConflictError("nothing was observed before acting")
        live = self._sight.pods.list_live(within_s)
        ready = {
            one["metadata"]["uid"]
            for one in live.values()
            if alive(one) and pod_of(one, "", self._now()).ready
        }
        if gone := self._counted_on - ready:
            raise ConflictError(f"{len(gone)} pods that were ready are not any more; looking again")

    def _remove(self, within_s: float) -> None:
        deployments = self._sight.deployments.objects()
        found = deployments.get(objects.canary_name(self._target.deployment))
        if found is None:
            return
        _is_ours(found)
        meta = found["metadata"]
        self._session.delete(self._session.path(*DEPLOYMENTS, meta["name"]), meta["uid"], within_s)
        self._sight.deployments.hide(meta["uid"])

    def _set_target(self, action: SetRevision, within_s: float) -> None:
        document = self._document(Arm.STABLE)
        found = objects.revision_of(document, self._target.container)
        if found.hash == action.revision.hash:
            return
        if action.expected is not None and found.hash != action.expected:
            raise ConflictError(
                f"{self._target.deployment} runs {found.version} ({found.hash}), not {action.expected}: "
                "somebody changed it"
            )
        self._patch(
            document, objects.template_patch(document, action.revision.template, action.cause), within_s
        )

    def _set_canary(self, action: SetRevision, within_s: float) -> None:
        target = self._document(Arm.STABLE)
        wanted = objects.canary_deployment(target, action.revision, action.replicas)
        found = self._sight.deployments.objects().get(wanted["metadata"]["name"])
        if found is None:
            self._sight.deployments.learn(
                self._session.create(self._session.path(*DEPLOYMENTS), wanted, within_s)
            )
            return
        _is_ours(found)
        if objects.revision_of(found, self._target.container).hash != action.revision.hash:
            self._patch(found, objects.template_patch(found, wanted["spec"]["template"], ""), within_s)

    def _patch(self, document: Json, operations: list[Json], within_s: float) -> None:
        """Raises ConflictError: its specification was changed since it was seen."""
        path = self._session.path(*DEPLOYMENTS, document["metadata"]["name"])
        try:
            self._sight.deployments.learn(self._session.patch(path, operations, within_s))
        except MissingError as fault:
            raise ConflictError(f"Deployment {document['metadata']['name']} was deleted meanwhile") from fault
        except InvalidError as fault:
            live = self._session.get(path, within_s)
            self._sight.deployments.learn(live)
            if live["metadata"]["generation"] != document["metadata"]["generation"]:
                raise ConflictError(f"{document['metadata']['name']} was changed meanwhile") from fault
            raise


def _is_ours(document: Json) -> None:
    if not objects.is_ours(document):
        name = document["metadata"]["name"]
        raise InvalidError(
            f"there is a Deployment {name} that canary did not make; it is left alone",
            remedy="Rename or remove it: a canary's Deployment needs this name.",
        )


def _check(seen: Seen) -> None:
    """What would keep a release from ending, told before it begins."""
    meta, spec = seen.target["metadata"], seen.target["spec"]
    if spec.get("paused"):
        raise InvalidError(
            f"Deployment {meta['name']} is paused: it would never roll to another version",
            remedy=f"`kubectl rollout resume deployment/{meta['name']}` first.",
        )
    if len(objects.canary_name(meta["name"])) > objects.MAX_NAME:
        raise InvalidError(
            f"{objects.canary_name(meta['name'])} is longer than the {objects.MAX_NAME} characters of a name",
            remedy="The Deployment's name can have 56 characters at most.",
        )
    if seen.canary is not None:
        _is_ours(seen.canary)
