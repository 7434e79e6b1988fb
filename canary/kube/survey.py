"""What surrounds a Deployment, for the checks before a release: one request for each kind of object."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from functools import partial
from typing import Any, TypeVar

from canary.config.units import parse_duration
from canary.errors import CanaryError, DeniedError, InvalidError, MissingError
from canary.kube.neighbours import matches
from canary.kube.objects import OURS, TRACK, owned_by
from canary.kube.rights import REVIEWS
from canary.kube.session import TIMEOUT_S, Json, Session
from canary.preflight.facts import Kind, Pods, Policy, Proof
from canary.preflight.finding import Unseen

EVIDENCE = "canary/evidence"
"""Label of CronJobs that make backups or drill a restore: `backup` or `restore-drill`."""
TARGET = "canary/target"
"""Annotation or label of them: the target whose data it is."""
TARGET_LABELS = (TARGET, "app", "app.kubernetes.io/name")
GOALS = ("canary/rto-target", "canary/rpo-target")
"""Annotations of a drill: what it is to stay within, as durations such as `5m`."""
RBAC = "rbac.authorization.k8s.io/v1"
EVERYBODY = "system:serviceaccounts"
ISSUER = "system:service-account-issuer-discovery"
"""What every cluster lets all service accounts read: how tokens are checked."""
DEFAULT_HISTORY = 10

Found = TypeVar("Found")


class KubeSurvey:
    """Implements `ports.Surroundings` for a Deployment.

    Args:
        session: in its namespace. deployment: its name.
    """

    def __init__(self, session: Session, deployment: str) -> None:
        self._session = session
        self._name = deployment
        self._document: Json | None = None

    def kept(self) -> int:
        """How many old ReplicaSets it keeps."""
        return int(self._deployment()["spec"].get("revisionHistoryLimit", DEFAULT_HISTORY))

    def place(self) -> Pods:
        """Its pods, and what surrounds them.

        Raises:
            MissingError: there is no such Deployment. TransientError: the API server does not answer.
        """
        template = self._deployment()["spec"]["template"]
        account = self._account(template)
        return Pods(
            namespace=self._session.namespace,
            template=template,
            policies=_seen(lambda: self._policies(template)),
            account=account,
            bindings=self._bindings(template, account),
            settings={name: _seen(partial(self._keys, name)) for name in _named(template)},
            bounds=_seen(self._bounds),
            rights=_seen(self._rights),
        )

    def proofs(self) -> tuple[Proof | Unseen, ...]:
        """What CronJobs with the label `canary/evidence` tell, those of this target."""
        found = _seen(lambda: self._list("batch/v1", "cronjobs", labelSelector=EVIDENCE))
        if isinstance(found, Unseen):
            return (found,)
        mine = [one for one in found if _is_about(one, self._name)]
        drills = any(_label(one) == Kind.DRILL for one in mine)
        jobs = _seen(lambda: self._list("batch/v1", "jobs")) if drills else ()
        return tuple(_proof(one, () if isinstance(jobs, Unseen) else jobs) for one in mine)

    def _deployment(self) -> Json:
        if self._document is None:
            found = self._list("apps/v1", "deployments", fieldSelector=f"metadata.name={self._name}")
            if not found:
                raise MissingError(
                    f"there is no Deployment {self._name} in namespace {self._session.namespace}",
                    remedy="Look with `kubectl get deployments -A`; name another namespace with -n.",
                )
            self._document = found[0]
        return self._document

    def _list(self, group: str, kind: str, **query: str) -> tuple[Json, ...]:
        return tuple(
            self._session.get(self._session.path(group, kind), TIMEOUT_S, **query).get("items") or ()
        )

    def _policies(self, template: Json) -> tuple[Policy, ...]:
        labels = template["metadata"].get("labels") or {}
        found = []
        for one in self._list("networking.k8s.io/v1", "networkpolicies"):
            # Left out, it selects every pod, as an empty one does.
            selector = one["spec"].get("podSelector") or {}
            canary = matches(selector, {**labels, TRACK: OURS})
            found.append(Policy(one, matches(selector, labels), canary))
        return tuple(found)

    def _account(self, template: Json) -> Json | Unseen:
        spec = template["spec"]
        name = spec.get("serviceAccountName") or "default"
        if spec.get("automountServiceAccountToken") is False:
            return {"metadata": {"name": name}}
        return _seen(lambda: self._session.get(self._session.path("v1", "serviceaccounts", name)))

    def _bindings(self, template: Json, account: Json | Unseen) -> tuple[str, ...] | Unseen:
        """What the pods' account is bound to; nothing is asked when its pods get no token."""
        if isinstance(account, Unseen):
            return ()
        mounts = template["spec"].get("automountServiceAccountToken")
        mounts = account.get("automountServiceAccountToken", True) if mounts is None else mounts
        if not mounts:
            return ()
        name = account["metadata"]["name"]
        inside = _seen(lambda: self._list(RBAC, "rolebindings"))
        if isinstance(inside, Unseen):
            return inside
        if bound := self._bound(inside, name):
            return bound
        whole = _seen(
            lambda: tuple(self._session.get(f"/apis/{RBAC}/clusterrolebindings").get("items") or ())
        )
        return whole if isinstance(whole, Unseen) else self._bound(whole, name)

    def _bound(self, bindings: Sequence[Json], name: str) -> tuple[str, ...]:
        namespace = self._session.namespace

        def is_it(subject: Json, role: str) -> bool:
            if subject.get("kind") == "ServiceAccount":
                return subject.get("name") == name and subject.get("namespace", namespace) == namespace
            group = subject.get("name") if subject.get("kind") == "Group" else None
            return group == f"{EVERYBODY}:{namespace}" or (group == EVERYBODY and role != ISSUER)

        return tuple(
            f"{one['roleRef']['kind']} {one['roleRef']['name']} by binding {one['metadata']['name']}"
            for one in bindings
            if any(is_it(subject, one["roleRef"]["name"]) for subject in one.get("subjects") or [])
        )

    def _keys(self, name: str) -> tuple[str, ...]:
        try:
            found = self._session.get(self._session.path("v1", "configmaps", name))
        except MissingError:
            return ()
        return tuple(sorted({**(found.get("data") or {}), **(found.get("binaryData") or {})}))

    def _bounds(self) -> tuple[str, ...]:
        kinds = (("ResourceQuota", "resourcequotas"), ("LimitRange", "limitranges"))
        return tuple(
            f"{word} {one['metadata']['name']}" for word, kind in kinds for one in self._list("v1", kind)
        )

    def _rights(self) -> tuple[Json, ...]:
        body = {
            "apiVersion": "authorization.k8s.io/v1",
            "kind": "SelfSubjectRulesReview",
            "spec": {"namespace": self._session.namespace},
        }
        status = self._session.create(REVIEWS, body).get("status") or {}
        if status.get("incomplete"):
            raise InvalidError(
                f"the API server cannot list all rights of this account: {status.get('evaluationError', '')}",
                remedy="Look at the Role of this account yourself, and skip the point with the reason.",
            )
        return tuple(status.get("resourceRules") or ())


def _seen(look: Callable[[], Found]) -> Found | Unseen:
    """What was seen, or why not. Out of reach is an error all the same: nothing is known then."""
    try:
        return look()
    except (DeniedError, MissingError, InvalidError) as fault:
        return _unseen(fault)


def _unseen(fault: CanaryError) -> Unseen:
    how = f"{fault.remedy} `canary rbac --for preflight` prints all that is needed.".strip()
    return Unseen(fault.message, how)


def _named(template: Json) -> Iterator[str]:
    """ConfigMaps that fill variables as a whole."""
    spec = template["spec"]
    every = [*(spec.get("initContainers") or []), *spec["containers"]]
    references = [one.get("configMapRef") for container in every for one in container.get("envFrom") or []]
    yield from dict.fromkeys(str(one["name"]) for one in references if one)


def _label(document: Mapping[str, Any]) -> str:
    return str((document["metadata"].get("labels") or {}).get(EVIDENCE, ""))


def _is_about(document: Json, target: str) -> bool:
    meta = document["metadata"]
    labels = meta.get("labels") or {}
    if _label(document) not in set(Kind):
        return False
    said = (meta.get("annotations") or {}).get(TARGET)
    return said == target if said is not None else target in [labels.get(key) for key in TARGET_LABELS]


def _proof(document: Json, jobs: Sequence[Json]) -> Proof:
    meta, spec, status = document["metadata"], document["spec"], document.get("status") or {}
    kind = Kind(_label(document))
    at = status.get("lastSuccessfulTime")
    goals, fault = _goals(meta.get("annotations") or {})
    return Proof(
        kind,
        f"CronJob {meta['name']}",
        _seconds(at) if at else None,
        fault=fault,
        stopped="is suspended" if spec.get("suspend") else "",
        rto_s=_took(jobs, meta["uid"]) if kind is Kind.DRILL else None,
        rto_target_s=goals[0],
        rpo_target_s=goals[1],
    )


def _goals(marks: Mapping[str, str]) -> tuple[list[float | None], str]:
    found: list[float | None] = []
    for key in GOALS:
        try:
            found.append(parse_duration(marks[key]) if key in marks else None)
        except ValueError as fault:
            return [None, None], f"annotation {key}: found {marks[key]}, {fault}"
    return found, ""


def _took(jobs: Sequence[Json], uid: str) -> float | None:
    """How long the last good run of a CronJob took, from its start to its end, seconds; None: not known."""
    done = [
        one["status"]
        for one in jobs
        if owned_by(one, uid) and (one.get("status") or {}).get("completionTime")
    ]
    if not done:
        return None
    last = max(done, key=lambda one: _seconds(one["completionTime"]))
    return _seconds(last["completionTime"]) - _seconds(last["startTime"])


def _seconds(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()
