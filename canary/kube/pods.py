"""A pod's document as the core sees a pod: ready or not, and in words why it is not coming up. Pure."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from canary.core.observation import Pod

Json = Mapping[str, Any]

UNSCHEDULABLE_S = 30.0
"""A pod that finds no node for so long is in trouble: a scheduler answers in milliseconds, an autoscaler may
need longer (`target.schedule`)."""

FATAL = frozenset(
    {
        "ImagePullBackOff",
        "ErrImageNeverPull",
        "InvalidImageName",
        "ImageInspectError",
        "RegistryUnavailable",
        "SignatureValidationFailed",
        "CreateContainerConfigError",
        "CreateContainerError",
        "RunContainerError",
        "PreCreateHookError",
        "PreStartHookError",
        "PostStartHookError",
    }
)
"""Reasons a container waits for that time alone does not mend. `ErrImagePull` becomes `ImagePullBackOff` when
it was no hiccup of the registry."""


def seconds(stamp: str | None) -> float | None:
    """Unix seconds of a time as the API writes it; None for none."""
    if not stamp:
        return None
    try:
        return datetime.fromisoformat(stamp).timestamp()
    except ValueError:
        return None


def alive(document: Json) -> bool:
    """Whether its ReplicaSet counts it: neither going nor over."""
    going = "deletionTimestamp" in document["metadata"]
    return not going and document.get("status", {}).get("phase") not in ("Succeeded", "Failed")


def pod_of(
    document: Json, revision: str, now: float, container: str = "", schedule_s: float = UNSCHEDULABLE_S
) -> Pod:
    """The pod as the core sees it.

    Args:
        document: raw JSON. revision: hash of the template that it runs.
        now: unix seconds. container: whose image is released; the first one if empty.
        schedule_s: it may be without a node for so long.
    """
    meta, status = document["metadata"], document.get("status", {})
    conditions = {one["type"]: one for one in status.get("conditions") or []}
    ready = conditions.get("Ready", {}).get("status") == "True"
    born = seconds(meta.get("creationTimestamp"))
    statuses = list(_statuses(status))
    return Pod(
        name=meta["name"],
        uid=meta["uid"],
        revision=revision,
        ready=ready,
        was_ready=ready or _turned(conditions.get("Ready", {}), status),
        restarts=sum(int(one.get("restartCount", 0)) for one in status.get("containerStatuses") or []),
        trouble=None if ready else _trouble(statuses, conditions, now, born, schedule_s),
        born=born,
        image=_image(status, container),
    )


def _turned(condition: Json, status: Json) -> bool:
    """Whether it has been ready: since then its readiness has changed, and kept the time of that."""
    changed, began = seconds(condition.get("lastTransitionTime")), seconds(status.get("startTime"))
    if changed is None or began is None:
        return False
    # Both are whole seconds, and the first status is written a moment after the start.
    return changed - began > 2.0 and condition.get("reason") != "PodFailed"


def _image(status: Json, container: str) -> str:
    """The resolved identity of the released container's image; empty while it is not known."""
    for one in status.get("containerStatuses") or []:
        if not container or one.get("name") == container:
            return str(one.get("imageID", ""))
    return ""


def _statuses(status: Json) -> Iterator[Json]:
    yield from status.get("initContainerStatuses") or []
    yield from status.get("containerStatuses") or []


def _trouble(
    statuses: Sequence[Json],
    conditions: Mapping[str, Json],
    now: float,
    born: float | None,
    schedule_s: float,
) -> str | None:
    for one in statuses:
        if told := _of_container(one):
            return told
    scheduled = conditions.get("PodScheduled", {})
    if scheduled.get("status") == "False" and scheduled.get("reason") == "Unschedulable":
        waited = now - (born if born is not None else now)
        if waited >= schedule_s:
            return f"no node takes it for {waited:.0f} s: {_short(scheduled.get('message'))}"
    return None


def _of_container(one: Json) -> str | None:
    name, waiting = one.get("name", ""), (one.get("state") or {}).get("waiting") or {}
    reason = waiting.get("reason", "")
    if reason in FATAL:
        return f"{reason} of container {name} ({one.get('image', '')}): {_short(waiting.get('message'))}"
    # The first restart comes at once; a back-off means that it ended twice.
    if reason == "CrashLoopBackOff" and int(one.get("restartCount", 0)) >= 1:
        ended = (one.get("lastState") or {}).get("terminated") or {}
        return f"container {name} keeps ending: {_ended(ended)}"
    return None


def _ended(terminated: Json) -> str:
    reason = terminated.get("reason", "")
    code = f"exit code {terminated.get('exitCode', '?')}"
    told = f"{reason}, {code}" if reason and reason != "Error" else code
    message = _short(terminated.get("message"))
    return f"{told}: {message}" if message else told


def _short(message: str | None) -> str:
    return " ".join((message or "").split())[:300]
