"""Network isolation of pods: what the NetworkPolicies that select them leave open."""

from collections.abc import Sequence

from canary.preflight.facts import Json, Pods, Policy
from canary.preflight.finding import Part, Parts, Unseen, bad, good

WAYS = (("Ingress", "ingress", "from"), ("Egress", "egress", "to"))
"""Policy type, its key, and the key of its peers."""
ANYWHERE = ("0.0.0.0/0", "::/0")


def network(pods: Pods) -> Parts:
    """Both ways are covered, for the target's pods and its canary's, and no rule lets everything through."""
    if isinstance(pods.policies, Unseen):
        yield pods.policies.part
        return
    for kind, key, peers in WAYS:
        yield from _way(pods.policies, kind, key, peers)


def _way(policies: Sequence[Policy], kind: str, key: str, peers: str) -> Parts:
    mine = [one for one in policies if kind in _types(one.document)]
    covering = [one.name for one in mine if one.target]
    fix = f"Make a NetworkPolicy that selects the pods, with `policyTypes: [{kind}]` and only what is needed."
    if not covering:
        yield bad(f"no NetworkPolicy covers {kind.lower()} of the pods", fix)
        return
    if not any(one.canary for one in mine):
        yield bad(
            f"no NetworkPolicy covers {kind.lower()} of canary pods (label canary.track)",
            "Have its selector select them, too: they have all labels of the target's.",
        )
    open_ = [told for one in mine if one.target or one.canary for told in _open(one, key, peers)]
    for told in open_:
        yield bad(told, "Name the peers and ports that are needed; an empty rule allows everything.")
    if not open_:
        yield _closed(kind, covering)


def _closed(kind: str, names: Sequence[str]) -> Part:
    return good(
        f"{kind.lower()} is closed but for what is named, by NetworkPolicy {', '.join(sorted(names))}"
    )


def _types(policy: Json) -> Sequence[str]:
    """Left out: Ingress always, Egress when there are rules of it (as the API has it)."""
    spec = policy["spec"]
    return spec.get("policyTypes") or ["Ingress", *(["Egress"] if spec.get("egress") else [])]


def _open(policy: Policy, key: str, peers: str) -> Sequence[str]:
    found = []
    for i, rule in enumerate(policy.document["spec"].get(key) or []):
        if not rule.get("ports") and _anybody(rule.get(peers)):
            found.append(f"NetworkPolicy {policy.name}: {key}[{i}] lets everything through")
    return found


def _anybody(peers: Sequence[Json] | None) -> bool:
    """No peers named is everybody, and so are all addresses and all pods of all namespaces."""
    return not peers or any(_every(one) for one in peers)


def _every(peer: Json) -> bool:
    block = peer.get("ipBlock") or {}
    if block:
        return block.get("cidr") in ANYWHERE and not block.get("except")
    return peer.get("namespaceSelector") == {} and not peer.get("podSelector")
