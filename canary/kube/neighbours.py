"""What others in the namespace ask of a target: autoscalers, disruption budgets, quotas. Pure."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Any

from canary.core.observation import Bound, Budget

Json = Mapping[str, Any]
Parse = Callable[[str], Decimal]
"""A quantity as the API writes it (`250m`, `64Mi`), as a number."""

UNCOUNTED = ("Terminating", "BestEffort", "PriorityClass", "CrossNamespacePodAffinity")
"""Scopes of quotas that do not count a usual pod, or of which it is not known."""


def scaler(autoscalers: Sequence[Json], deployment: str) -> str:
    """Which autoscaler sets the Deployment's replicas, in words; empty: none does."""
    for one in autoscalers:
        spec = one["spec"]
        target = spec["scaleTargetRef"]
        if target.get("kind") == "Deployment" and target.get("name") == deployment:
            least, most = spec.get("minReplicas", 1), spec["maxReplicas"]
            return f"HorizontalPodAutoscaler {one['metadata']['name']}, {least} to {most}"
    return ""


def budgets(documents: Sequence[Json], labels: Mapping[str, str]) -> tuple[Budget, ...]:
    """What the disruption budgets that select pods with these labels ask for."""
    found = []
    for one in documents:
        spec = one["spec"]
        if not matches(spec.get("selector"), labels):
            continue
        ready, missing = spec.get("minAvailable"), spec.get("maxUnavailable")
        name = f"PodDisruptionBudget {one['metadata']['name']}"
        found.append(
            Budget(
                name,
                ready=bound(ready, up=True) if ready is not None else None,
                missing=bound(missing, up=True) if missing is not None else None,
            )
        )
    return tuple(found)


def bound(value: int | str, *, up: bool) -> Bound:
    """A number of pods as the API has it: `2` or `"25%"`."""
    if isinstance(value, int):
        return Bound(value)
    return Bound(part=int(str(value).rstrip("%")) / 100, up=up)


def matches(selector: Json | None, labels: Mapping[str, str]) -> bool:
    """Whether a label selector selects these labels. An empty one selects all, a missing one none."""
    if selector is None:
        return False
    if any(labels.get(key) != value for key, value in (selector.get("matchLabels") or {}).items()):
        return False
    return all(_meets(one, labels) for one in selector.get("matchExpressions") or [])


def _meets(expression: Json, labels: Mapping[str, str]) -> bool:
    key, values = expression["key"], expression.get("values") or []
    match expression["operator"]:
        case "Exists":
            return key in labels
        case "DoesNotExist":
            return key not in labels
        case "In":
            return labels.get(key) in values
        case _:
            return labels.get(key) not in values


def no_room(quotas: Sequence[Json], pod: Json, more: int, parse: Parse) -> str:
    """Why so many more pods like this one would not fit under a quota, in words; empty: they do.

    Args:
        quotas: of the namespace. pod: the template's spec. more: pods beyond those there are now.
        parse: see `Parse`.
    """
    needs = dict(_needs(pod, parse))
    for quota in quotas:
        spec, status = quota["spec"], quota.get("status", {})
        if spec.get("scopeSelector") or set(spec.get("scopes") or []) & set(UNCOUNTED):
            continue
        used = status.get("used") or {}
        for resource, hard in (status.get("hard") or spec.get("hard") or {}).items():
            each = needs.get(resource, Decimal(0))
            left = parse(str(hard)) - parse(str(used.get(resource, "0")))
            if each and each * more > left:
                fits = max(0, int(left // each))
                return (
                    f"ResourceQuota {quota['metadata']['name']} leaves room for {fits} more of its pods "
                    f"({resource}: {used.get(resource, 0)} of {hard} used), and {more} are needed"
                )
    return ""


def _needs(pod: Json, parse: Parse) -> Iterator[tuple[str, Decimal]]:
    """What one pod counts for in a quota, by the quota's names."""
    yield from ((name, Decimal(1)) for name in ("pods", "count/pods"))
    for kind in ("requests", "limits"):
        running = _summed(pod.get("containers") or [], kind, parse)
        # One after the other, and before the others start.
        for one in pod.get("initContainers") or []:
            for resource, amount in _summed([one], kind, parse).items():
                running[resource] = max(running.get(resource, Decimal(0)), amount)
        for resource, amount in running.items():
            yield f"{kind}.{resource}", amount
            if kind == "requests":
                yield resource, amount


def _summed(containers: Sequence[Json], kind: str, parse: Parse) -> dict[str, Decimal]:
    found: dict[str, Decimal] = {}
    for one in containers:
        resources = one.get("resources") or {}
        # What is limited and not requested counts as requested.
        asked = {**(resources.get("limits") or {}), **(resources.get(kind) or {})}
        for resource, amount in (asked if kind == "requests" else resources.get(kind) or {}).items():
            found[resource] = found.get(resource, Decimal(0)) + parse(str(amount))
    return found
