"""The Job that drives a release inside the cluster, as a document. Pure.

It carries everything itself: the configuration is an annotation of its pods, mounted as a file, so there is
no second object to keep in step with it.
"""

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from canary.kube.objects import MAX_NAME, labels

Json = dict[str, Any]

CONFIG = "canary.config"
RELEASE = "canary.release"
FOLDER = "/etc/canary"
FILE = "canary.yaml"
CONTAINER = "canary"
POD_NAME = "CANARY_DRIVER_POD"
POD_UID = "CANARY_DRIVER_POD_UID"
"""Variables that tell the driver which pod it is in."""
USER = 65532
KEPT_S = 24 * 3600
RETRIES = 6
SETTLED = (1, 2, 3, 4, 5, 6, 7, 9)
"""Exit codes after which another try would change nothing. 8 is out of reach, 130 and up are signals."""
SPARE_S = 900.0
"""A Job may last so much longer than the release: pods that wait for a node, a slow way back."""


@dataclass(frozen=True)
class Drive:
    """What a Job is to drive.

    Attributes:
        target, version: of the release. release: its id, by which a later pod knows it.
        config: text of the configuration file. arguments: further ones of the command.
        image, pull_policy, account: of the pods. lasts_s: longest time of the release, seconds.
        actor: who started it. objects: configuration of the version, `configmap/NAME-HASH`, which is there.
        seal: name of the Secret with the key that seals the ledger, and the folder it is mounted at.
    """

    target: str
    version: str
    release: str
    config: str
    image: str
    account: str
    pull_policy: str
    lasts_s: float
    actor: str
    arguments: tuple[str, ...] = ()
    objects: tuple[str, ...] = ()
    seal: tuple[str, str] | None = None

    @property
    def name(self) -> str:
        """Of the Job."""
        return job_name(self.target, self.version, self.objects)


def job_name(target: str, version: str, objects: Sequence[str] = ()) -> str:
    """The same for every try of this release, so that a retry finds it."""
    plain = re.sub(r"[^a-z0-9-]+", "-", f"canary-{target}-{version}".lower()).strip("-")
    told = hashlib.sha256("/".join((target, version, *objects)).encode()).hexdigest()[:6]
    return f"{plain[: MAX_NAME - 8].rstrip('-')}-{told}"


def document(drive: Drive, namespace: str) -> Json:
    """The Job; admitted where PodSecurity is `restricted`."""
    marks = labels(drive.target)
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {
            "name": drive.name,
            "namespace": namespace,
            "labels": marks,
            "annotations": {RELEASE: drive.release},
        },
        "spec": {
            "backoffLimit": RETRIES,
            "activeDeadlineSeconds": int(drive.lasts_s + SPARE_S),
            "ttlSecondsAfterFinished": KEPT_S,
            "podFailurePolicy": {"rules": _failure_rules()},
            "template": {
                "metadata": {"labels": marks, "annotations": {CONFIG: drive.config}},
                "spec": _pod(drive, namespace),
            },
        },
    }


def _failure_rules() -> list[Json]:
    return [
        {"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]},
        {
            "action": "FailJob",
            "onExitCodes": {"containerName": CONTAINER, "operator": "In", "values": list(SETTLED)},
        },
    ]


def _pod(drive: Drive, namespace: str) -> Json:
    field = {"fieldPath": f"metadata.annotations['{CONFIG}']"}
    context: Json = {
        "runAsNonRoot": True,
        "runAsUser": USER,
        "runAsGroup": USER,
        "seccompProfile": {"type": "RuntimeDefault"},
    }
    # The files of a Secret belong to root: it is their group that lets this user read them, and nobody else.
    grouped = {"fsGroup": USER} if drive.seal else {}
    return {
        "restartPolicy": "Never",
        "serviceAccountName": drive.account,
        "securityContext": {**context, **grouped},
        "containers": [_container(drive, namespace)],
        "volumes": [
            {"name": "config", "downwardAPI": {"items": [{"path": FILE, "fieldRef": field}]}},
            {"name": "tmp", "emptyDir": {"sizeLimit": "64Mi"}},
            *_sealing(drive),
        ],
    }


def _sealing(drive: Drive) -> list[Json]:
    if drive.seal is None:
        return []
    # Optional: a driver that does not find its key says so and ends, a pod that waits for a Secret hangs.
    secret = {"secretName": drive.seal[0], "defaultMode": 0o440, "optional": True}
    return [{"name": "seal", "secret": secret}]


def _container(drive: Drive, namespace: str) -> Json:
    where = ("-f", f"{FOLDER}/{FILE}", "-n", namespace)
    # Names alone: what a Secret holds is nothing for a Job to carry.
    given = [part for one in drive.objects for part in ("--config-object", one)]
    return {
        "name": CONTAINER,
        "image": drive.image,
        "imagePullPolicy": drive.pull_policy,
        "args": ["run", drive.version, "--release", drive.release, *where, *drive.arguments, *given],
        "env": [
            {"name": "CANARY_ACTOR", "value": drive.actor},
            {"name": POD_NAME, "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
            {"name": POD_UID, "valueFrom": {"fieldRef": {"fieldPath": "metadata.uid"}}},
        ],
        # The last words of a pod that failed are then told by the API, without a right to read logs.
        "terminationMessagePolicy": "FallbackToLogsOnError",
        # No local storage is asked for: some nodes do not tell theirs, and the one folder has its limit.
        "resources": {
            "requests": {"cpu": "50m", "memory": "160Mi"},
            "limits": {"memory": "512Mi"},
        },
        "securityContext": {
            "readOnlyRootFilesystem": True,
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
        },
        "volumeMounts": [
            {"name": "config", "mountPath": FOLDER, "readOnly": True},
            {"name": "tmp", "mountPath": "/tmp"},  # noqa: S108 - a folder of the pod's own
            *([{"name": "seal", "mountPath": drive.seal[1], "readOnly": True}] if drive.seal else []),
        ],
    }


def finished(job: Mapping[str, Any]) -> str | None:
    """`Complete` or `Failed` when it is over, with why; None while it goes on."""
    for one in job.get("status", {}).get("conditions") or []:
        if one.get("status") == "True" and one.get("type") in ("Complete", "Failed"):
            told = " ".join(str(one.get("message", "")).split())
            return f"{one['type']}: {told}" if told else str(one["type"])
    return None


def last_words(pod: Mapping[str, Any]) -> tuple[int, str] | None:
    """Exit code and last words of the driver in a pod that ended; None while it has not."""
    for one in pod.get("status", {}).get("containerStatuses") or []:
        ended = (one.get("state") or {}).get("terminated")
        if one.get("name") == CONTAINER and ended:
            return int(ended.get("exitCode", 1)), str(ended.get("message", "")).strip()
    return None
