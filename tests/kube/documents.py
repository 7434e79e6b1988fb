"""Documents as an API server gives them, small and whole."""

from typing import Any

Json = dict[str, Any]


def a_deployment(name: str = "web", image: str = "shop/web:v1", replicas: int = 3, **spec: Any) -> Json:
    return {
        "metadata": {
            "name": name,
            "namespace": "prod",
            "uid": f"uid-{name}",
            "generation": 1,
            "resourceVersion": "10",
        },
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": {"app": name}},
            "strategy": {
                "type": "RollingUpdate",
                "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0},
            },
            "template": {
                "metadata": {"creationTimestamp": None, "labels": {"app": name}},
                "spec": {"containers": [{"name": "app", "image": image, "unknownToUs": {"kept": True}}]},
            },
            **spec,
        },
        "status": {"observedGeneration": 1},
    }


def a_pod(*, ready: bool = False, container: Json | None = None, **status: Any) -> Json:
    """A pod born and started at 2026-01-01T00:00:00Z. `container`: its status, over the usual one."""
    usual = {"name": "app", "image": "shop/web:v2", "imageID": "shop/web@sha256:aa", "restartCount": 0}
    condition = {
        "type": "Ready",
        "status": "True" if ready else "False",
        "lastTransitionTime": "2026-01-01T00:00:01Z",
    }
    return {
        "metadata": {"name": "web-1", "uid": "uid-1", "creationTimestamp": "2026-01-01T00:00:00Z"},
        "status": {
            "phase": "Running",
            "startTime": "2026-01-01T00:00:00Z",
            "conditions": [condition],
            "containerStatuses": [{**usual, **(container or {})}],
            **status,
        },
    }
