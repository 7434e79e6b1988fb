"""Whether this account has the rights that a release needs, asked before anything is touched."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from canary.errors import CanaryError, DeniedError
from canary.kube.configs import Kind
from canary.kube.rbac import Rule
from canary.kube.session import Session

REVIEWS = "/apis/authorization.k8s.io/v1/selfsubjectrulesreviews"


def check(session: Session, wanted: Sequence[Rule], config: Collection[Kind] = ()) -> None:
    """Ask the API server what this account may do in the namespace; one request.

    Args:
        wanted: rules of a driver's Role. config: the kinds of configuration that it was printed for.

    Raises:
        DeniedError: rights are missing; each is named. Not when the server cannot tell them all.
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
    if status.get("incomplete"):
        return
    kinds = "".join(f" --with {kind.value}" for kind in sorted(config))
    if missing := lacking(wanted, status.get("resourceRules") or []):
        raise DeniedError(
            f"this account lacks rights in namespace {session.namespace}: {'; '.join(missing)}",
            remedy=f"Somebody who may grant them: `canary rbac --for driver{kinds} | kubectl apply -f -`, "
            "and a RoleBinding for this account.",
        )


def lacking(wanted: Sequence[Rule], granted: Sequence[Mapping[str, Any]]) -> tuple[str, ...]:
    """The rights that no granted rule gives, in words: `update deployments/scale web (shift replicas)`."""
    found = []
    for rule in wanted:
        for verb in rule.verbs:
            for name in rule.names or ("",):
                if not any(_gives(one, rule, verb, name) for one in granted):
                    told = " ".join(part for part in (verb, rule.resource, name) if part)
                    found.append(f"{told} ({rule.why})")
    return tuple(found)


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
