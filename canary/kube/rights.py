"""Whether this account has the rights that a release needs, asked before anything is touched."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from canary.errors import CanaryError, DeniedError
from canary.kube.rbac import Rule
from canary.kube.session import Session

REVIEWS = "/apis/authorization.k8s.io/v1/selfsubjectrulesreviews"
ACCESS = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"


def check(session: Session, wanted: Sequence[Rule], extras: Collection[str] = ()) -> None:
    """Ask the API server what this account may do in the namespace; one request.

    A server whose authorizer cannot list rights (a webhook's, as in some clouds) is asked for each one that
    it did not list.

    Args:
        wanted: rules of a driver's Role. extras: what it is printed with, `canary rbac --with`.

    Raises:
        DeniedError: rights are missing; each is named.
    """
    body = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SelfSubjectRulesReview",
        "spec": {"namespace": session.namespace},
    }
    try:
        status = session.create(REVIEWS, body).get("status") or {}
    except CanaryError:
        # It may not even ask: what is refused later is told then.
        return
    granted = status.get("resourceRules") or []
    refused = _refused if status.get("incomplete") else _not_listed
    printed = "".join(f" --with {one}" for one in sorted(extras))
    if missing := tuple(right.told for right in unlisted(wanted, granted) if refused(session, right)):
        raise DeniedError(
            f"this account lacks rights in namespace {session.namespace}: {'; '.join(missing)}",
            remedy=f"Somebody who may grant them: `canary rbac --for driver{printed} | kubectl apply -f -`, "
            "and a RoleBinding for this account.",
        )


@dataclass(frozen=True)
class Right:
    """One verb on one kind of object, or on one object of a name. `told`: in words, with what it is for."""

    rule: Rule
    verb: str
    name: str = ""

    @property
    def told(self) -> str:
        """As in `update deployments/scale web (shift replicas)`."""
        words = " ".join(part for part in (self.verb, self.rule.resource, self.name) if part)
        return f"{words} ({self.rule.why})"


def lacking(wanted: Sequence[Rule], granted: Sequence[Mapping[str, Any]]) -> tuple[str, ...]:
    """The rights that no granted rule gives, in words: `update deployments/scale web (shift replicas)`."""
    return tuple(right.told for right in unlisted(wanted, granted))


def unlisted(wanted: Sequence[Rule], granted: Sequence[Mapping[str, Any]]) -> tuple[Right, ...]:
    """The rights that no granted rule gives."""
    every = (
        Right(rule, verb, name) for rule in wanted for verb in rule.verbs for name in rule.names or ("",)
    )
    return tuple(
        right
        for right in every
        if not any(_gives(one, right.rule, right.verb, right.name) for one in granted)
    )


def _not_listed(_: Session, right: Right) -> bool:
    return True


def _refused(session: Session, right: Right) -> bool:
    """Whether the server says no to this one right; not when it does not say."""
    resource, _, sub = right.rule.resource.partition("/")
    about = {
        "namespace": session.namespace,
        "verb": right.verb,
        "group": right.rule.group,
        "resource": resource,
        "subresource": sub,
        "name": right.name,
    }
    body = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SelfSubjectAccessReview",
        "spec": {"resourceAttributes": {key: value for key, value in about.items() if value}},
    }
    try:
        status = session.create(ACCESS, body).get("status") or {}
    except CanaryError:
        return False
    return status.get("allowed") is False


def _gives(granted: Mapping[str, Any], rule: Rule, verb: str, name: str) -> bool:
    names = granted.get("resourceNames") or []
    sub = rule.resource.partition("/")[2]
    resources = {"*", rule.resource} | ({f"*/{sub}"} if sub else set())
    return (
        bool({"*", verb} & set(granted.get("verbs") or []))
        and bool({"*", rule.group} & set(granted.get("apiGroups") or []))
        and bool(resources & set(granted.get("resources") or []))
        and (not names or name in names)
    )
