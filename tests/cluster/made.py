"""A cluster as the tests get it."""

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path

from tests.cluster.faults import ClusterError
from tests.cluster.kubectl import get, kubectl, write_kubeconfig
from tests.cluster.place import CACHE, write

VARIABLE = "CANARY_TEST_KUBECONFIG"


@dataclass(frozen=True)
class Cluster:
    """A cluster that answers.

    Args:
        kubeconfig: of its administrator.
        server: the API server's URL.
        audit_log: a line of JSON for each request, whoever made it; None if the cluster is not ours.
        node: whether containers really run.
        prometheus: the URL of one that scrapes its pods, if there is one.
    """

    kubeconfig: Path
    server: str
    audit_log: Path | None
    node: bool
    prometheus: str | None

    def kubectl(self, *arguments: str, send: str | None = None) -> str:
        """Run `kubectl` as the administrator and return what it printed."""
        return kubectl(self.kubeconfig, *arguments, send=send)

    def service_account(self, namespace: str, name: str) -> Path:
        """A kubeconfig with a token, good for a day, of a service account; made if it does not exist."""
        if not kubectl(self.kubeconfig, "get", "sa", name, "-n", namespace, "--ignore-not-found"):
            kubectl(self.kubeconfig, "create", "sa", name, "-n", namespace)
        token = kubectl(self.kubeconfig, "create", "token", name, "-n", namespace, "--duration=24h").strip()
        path = self.kubeconfig.parent / f"service-account-{namespace}-{name}.yaml"
        if self.audit_log is None:  # not ours: nothing is written beside a person's own file
            path = CACHE / "run" / "given" / path.name
        config = json.loads(
            kubectl(self.kubeconfig, "config", "view", "--minify", "--flatten", "--raw", "-o", "json")
        )
        cluster = config["clusters"][0]["cluster"]
        account = f"system:serviceaccount:{namespace}:{name}"
        write_kubeconfig(path, cluster=cluster, account=account, token=token)
        return path

    def save(self, path: Path) -> None:
        """Keep it for later commands."""
        write(path, json.dumps(asdict(self), default=str))


def load(path: Path) -> Cluster:
    """What `save` has kept."""
    found = json.loads(path.read_text())
    log = found["audit_log"]
    return Cluster(
        kubeconfig=Path(found["kubeconfig"]),
        server=found["server"],
        audit_log=None if log is None else Path(log),
        node=found["node"],
        prometheus=found["prometheus"],
    )


def given() -> Cluster | None:
    """The cluster of `CANARY_TEST_KUBECONFIG`, if it is set: a real one, to which a person has the keys."""
    if not (named := os.environ.get(VARIABLE)):
        return None
    kubeconfig = Path(named).absolute()
    if not kubeconfig.is_file():
        raise ClusterError(f"{VARIABLE} names {kubeconfig}, and there is no such file")
    view = kubectl(kubeconfig, "config", "view", "--minify", "-o", "json")
    get(kubeconfig, "namespaces", "default")  # fails here, and says why, when it does not answer
    return Cluster(
        kubeconfig=kubeconfig,
        server=json.loads(view)["clusters"][0]["cluster"]["server"],
        audit_log=None,
        node=True,
        prometheus=os.environ.get("CANARY_TEST_PROMETHEUS"),
    )
