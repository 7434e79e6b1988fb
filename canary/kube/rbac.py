"""The Role that each kind of account needs, and nothing more. Pure.

Names are given wherever the API can hold them to one object: it cannot for `create`, nor for lists of pods.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from canary.kube.configs import Kind
from canary.kube.objects import canary_name, labels, record_name

Json = dict[str, Any]


class Account(StrEnum):
    """Who needs a Role."""

    DRIVER = "driver"
    STARTER = "starter"
    VIEWER = "viewer"
    PREFLIGHT = "preflight"


@dataclass(frozen=True)
class Rule:
    """One rule of a Role. `names`: of objects; empty for all of the namespace. `why`: for people."""

    group: str
    resource: str
    verbs: tuple[str, ...]
    why: str
    names: tuple[str, ...] = ()

    def document(self) -> Json:
        """As a Role has it."""
        found: Json = {"apiGroups": [self.group], "resources": [self.resource], "verbs": list(self.verbs)}
        return {**found, "resourceNames": list(self.names)} if self.names else found


PREFLIGHT = (
    Rule("networking.k8s.io", "networkpolicies", ("list",), "check which ways to the pods are closed"),
    Rule("batch", "cronjobs", ("list",), "check when the last backup and restore drill went well"),
    Rule("batch", "jobs", ("list",), "check how long the last drill took"),
    Rule("", "serviceaccounts", ("get",), "check whether pods get a token"),
    Rule("rbac.authorization.k8s.io", "rolebindings", ("list",), "check what that token is good for"),
    Rule("", "limitranges", ("list",), "check how the namespace is bounded"),
)
"""What the checks before a release look at, beyond what a release itself sees. Nothing of it writes."""


def rules(
    account: Account,
    target: str,
    config: Collection[Kind] = (),
    *,
    preflight: bool = False,
    events: bool = False,
) -> tuple[Rule, ...]:
    """What this account does to this target.

    Args:
        config: kinds of configuration released with a version. preflight: it checks the points, too.
        events: seals of the ledger are copied to events.
    """
    found = (*_rules(account, target), *_for_config(account, target, config))
    found += _beside(found) if preflight or account is Account.PREFLIGHT else ()
    return found + (_for_events(account) if events else ())


def _beside(found: Sequence[Rule]) -> tuple[Rule, ...]:
    """The rules of the checks that these do not give anyway."""

    def has(one: Rule) -> bool:
        same = (
            other
            for other in found
            if (other.group, other.resource, other.names) == (one.group, one.resource, ())
        )
        return any(set(one.verbs) <= set(other.verbs) for other in same)

    return tuple(one for one in PREFLIGHT if not has(one))


def _rules(account: Account, target: str) -> tuple[Rule, ...]:
    record, both = record_name(target), (target, canary_name(target))
    reading = (
        Rule("apps", "deployments", ("list", "watch"), "see the target and its canary"),
        Rule("apps", "replicasets", ("list", "watch"), "tell whose pods are whose"),
        Rule("", "pods", ("list", "watch"), "see which pods are ready, and why others are not"),
        Rule(
            "autoscaling",
            "horizontalpodautoscalers",
            ("list", "watch"),
            "leave the target's replicas to its autoscaler",
        ),
        Rule("policy", "poddisruptionbudgets", ("list", "watch"), "keep as many pods ready as they ask for"),
        Rule("", "resourcequotas", ("list",), "tell before the start whether there is room"),
        Rule("", "configmaps", ("list", "watch"), "read the record", (record,)),
        Rule("", "configmaps", ("get",), "read earlier parts of the ledger"),
        Rule("coordination.k8s.io", "leases", ("get",), "see who drives", (record,)),
        Rule("", "services", ("list",), "prove a rollback: which Services select the target"),
        Rule("discovery.k8s.io", "endpointslices", ("list",), "prove a rollback: whom they send requests to"),
    )
    if account in (Account.VIEWER, Account.PREFLIGHT):
        return reading
    if account is Account.STARTER:
        return (
            Rule("batch", "jobs", ("get", "list", "watch", "create", "delete"), "start the driver as a Job"),
            Rule("", "pods", ("list", "watch"), "say why its pod does not come up"),
            Rule("", "configmaps", ("list", "watch"), "read the verdict in the record", (record,)),
        )
    return (
        *reading,
        Rule("", "configmaps", ("create",), "begin a record, and put parts of the ledger away"),
        Rule("", "configmaps", ("update",), "write the record", (record,)),
        Rule("coordination.k8s.io", "leases", ("create",), "make the lease"),
        Rule("coordination.k8s.io", "leases", ("update",), "hold the lease", (record,)),
        Rule("apps", "deployments", ("create",), "make the canary"),
        Rule("apps", "deployments", ("get", "patch"), "promote, and bring back", both),
        Rule("apps", "deployments", ("delete",), "take the canary away", (canary_name(target),)),
        Rule("apps", "deployments/scale", ("update",), "shift replicas", both),
    )


def _for_config(account: Account, target: str, config: Collection[Kind]) -> tuple[Rule, ...]:
    """What configuration that is released with a version needs besides. No name is known beforehand."""
    if account in (Account.VIEWER, Account.PREFLIGHT) or not config:
        return ()
    found = []
    for kind in sorted(config):
        make = Rule("", kind.resource, ("create",), f"make the {kind.word}s of a version, before it starts")
        read = Rule("", kind.resource, ("get",), f"see that a {kind.word} of a version is there and is ours")
        clear = Rule("", kind.resource, ("list", "delete"), f"take away {kind.word}s that no revision needs")
        found += [make, read] if account is Account.STARTER else [make, read, clear]
    if account is Account.STARTER:
        found.append(Rule("apps", "deployments", ("get",), "see that the target refers to them", (target,)))
    # Those that it has anyway, for the record and the ledger, are not said twice.
    have = {(one.resource, one.verbs, one.names) for one in _rules(account, target)}
    return tuple(one for one in found if (one.resource, one.verbs, one.names) not in have)


def _for_events(account: Account) -> tuple[Rule, ...]:
    """What an account needs besides, where seals of the ledger are copied to events."""
    if account is Account.DRIVER:
        return (Rule("", "events", ("create",), "tell the seals of the ledger as events"),)
    if account is Account.VIEWER:
        return (Rule("", "events", ("list",), "compare the ledger with its seals among the events"),)
    return ()


def role(account: Account, target: str, namespace: str, granted: Sequence[Rule] | None = None) -> Json:
    """The Role as a document to apply. `granted`: None for what the account does to any target."""
    every = rules(account, target) if granted is None else granted
    return {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "Role",
        "metadata": {
            "name": f"{record_name(target)}-{account}",
            "namespace": namespace,
            "labels": labels(target),
        },
        "rules": [rule.document() for rule in every],
    }


def explained(account: Account, target: str, namespace: str, granted: Sequence[Rule] | None = None) -> str:
    """The same as YAML, with what each rule is for; to be piped into `kubectl apply -f -`."""
    every = rules(account, target) if granted is None else granted
    name = f"{record_name(target)}-{account}"
    head = [
        f"# What the {account} of {target} needs, and nothing more. Bind it, for instance:",
        f"#   kubectl -n {namespace} create rolebinding {name} --role={name} \\",
        f"#     --serviceaccount={namespace}:canary",
        "apiVersion: rbac.authorization.k8s.io/v1",
        "kind: Role",
        "metadata:",
        f"  name: {name}",
        f'  namespace: "{namespace}"',
        "  labels:",
        *(f'    {key}: "{value}"' for key, value in labels(target).items()),
        "rules:",
    ]
    return "\n".join([*head, *(line for rule in every for line in _lines(rule))])


def _lines(rule: Rule) -> Sequence[str]:
    # A name may look like a number or a truth to YAML.
    names = ", ".join(f'"{name}"' for name in rule.names)
    return [
        f"  # {rule.why}",
        f'  - apiGroups: ["{rule.group}"]',
        f"    resources: [{rule.resource}]",
        f"    verbs: [{', '.join(rule.verbs)}]",
        *([f"    resourceNames: [{names}]"] if names else []),
    ]
