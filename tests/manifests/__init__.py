"""Manifests that others wrote, as they wrote them, and what a test has to bring with them."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.cluster.kubectl import kubectl

PROJECT_AI = Path(__file__).parent / "project-ai"
NAMESPACE = "project-ai-prod"
TARGET = "project-ai-api"


@contextmanager
def applied(kubeconfig: Path, *arguments: str) -> Iterator[None]:
    """Apply these (`-f FILE`, `-k FOLDER`); on leaving they are gone, and the namespace is free again."""
    forgotten(kubeconfig)
    kubectl(kubeconfig, "apply", *arguments)
    try:
        yield
    finally:
        forgotten(kubeconfig)


def forgotten(kubeconfig: Path) -> None:
    """Remove what this run, or one that was killed, has applied; returns when it is gone."""
    kubectl(kubeconfig, "delete", "namespace", NAMESPACE, "--ignore-not-found", patience_s=120.0)
    kubectl(kubeconfig, "delete", "persistentvolume", "project-ai-data", "--ignore-not-found")
