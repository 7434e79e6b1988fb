"""What one release asks of an API server: at most 38 requests, and once it is settled none.

    python -m bench.api_requests [RUNS]

One Deployment of 10 replicas with the rolling update that Kubernetes gives it (25 % more, 25 % fewer), the
steps 10, 30 and 50 %, short holds, scripted metrics, promoted in the end. The driver is a service account of
its own with the printed Role; its requests are counted in the audit log of a real API server, each once: a
watch is one, however long it lasts. Renewing the lease is counted apart: it goes by time, once in 3 s, and
not by what a release does. Exits 1 when more were made, or any in the 10 s afterwards.

Argo Rollouts made 76 and Flagger 186 for the same recipe, counted in the same way.
"""

import json
import os
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from canary.kube.rbac import Account, role
from tests import cluster
from tests.kube.live import a_namespace
from tests.kube.scripted import Traffic
from tests.kube.stage import Stage, a_stage

PROMISED = 38
OTHERS = {"Argo Rollouts": 76, "Flagger": 186}
REPLICAS = 10
STEPS = [10, 30, 50]
ROLLING = {"maxSurge": "25%", "maxUnavailable": "25%"}
AFTERWARDS_S = 10.0
ACCOUNT = "driver"
AGENT = "canary"


@dataclass(frozen=True)
class AuditLog:
    """What one user asked, from `start` (a position in the file) on."""

    path: Path
    user: str
    start: int

    def asked(self) -> Counter[str]:
        """Requests by `verb resource`, each once."""
        seen: dict[str, str] = {}
        with self.path.open(encoding="utf-8") as file:
            file.seek(self.start)
            for line in file:
                # The last line may still be in the writing; it belongs to a request that was not answered.
                event = json.loads(line) if line.endswith("\n") else {}
                if event.get("userAgent") == AGENT and event["user"]["username"] == self.user:
                    seen[event["auditID"]] = _named(event)
        return Counter(seen.values())


def _named(event: dict[str, dict[str, str]]) -> str:
    about = event["objectRef"]
    return f"{event['verb']} " + "/".join(
        about[part] for part in ("resource", "subresource") if about.get(part)
    )


@contextmanager
def driven(found: cluster.Cluster, folder: Path) -> Iterator[tuple[Stage, str]]:
    """A stage whose commands are run by an account with the driver's Role, and that account's name."""
    os.environ["KUBECONFIG"] = str(found.kubeconfig)
    strategy = {"type": "RollingUpdate", "rollingUpdate": ROLLING}
    with (
        a_namespace(found.kubeconfig) as place,
        a_stage(place, folder, {"v2": Traffic()}, replicas=REPLICAS, strategy=strategy) as stage,
    ):
        printed = role(Account.DRIVER, "web", place.namespace)
        found.kubectl("apply", "-f", "-", send=json.dumps(printed))
        to = f"--serviceaccount={place.namespace}:{ACCOUNT}"
        kubeconfig = found.service_account(place.namespace, ACCOUNT)
        granted = ("create", "rolebinding", ACCOUNT, f"--role={printed['metadata']['name']}", to)
        found.kubectl("-n", place.namespace, *granted)
        stage.configure(steps=STEPS, hold={"min": "2s", "max": "60s"}, deadline="5m")
        try:
            yield (
                replace(stage, environment={"KUBECONFIG": str(kubeconfig)}),
                f"system:serviceaccount:{place.namespace}:{ACCOUNT}",
            )
        finally:
            kubeconfig.unlink()


def once(found: cluster.Cluster, audit_log: Path) -> bool:
    """Measure one release and print it; whether it kept what is promised."""
    with (
        tempfile.TemporaryDirectory(prefix="canary-bench-") as folder,
        driven(found, Path(folder)) as (stage, user),
    ):
        log = AuditLog(audit_log, user, audit_log.stat().st_size)
        began = time.monotonic()
        ran = stage.run("start", "v2")
        took = time.monotonic() - began
        asked = log.asked()
        time.sleep(AFTERWARDS_S)
        afterwards = sum(log.asked().values()) - sum(asked.values())
    if ran.code != 0:
        print(f"not promoted (exit {ran.code}):\n{ran.text}")
        return False
    leases = {name: count for name, count in asked.items() if name.endswith(" leases")}
    counted = sum(asked.values()) - sum(leases.values())
    for name, count in sorted(asked.items(), key=lambda item: (item[0] in leases, -item[1], item[0])):
        print(f"  {count:>4}  {name}{'   (apart)' if name in leases else ''}")
    print(f"{counted} requests for one release of {REPLICAS} replicas in {len(STEPS)} steps, {took:.0f} s;")
    print(f"  promised at most {PROMISED}; {', '.join(f'{name} {count}' for name, count in OTHERS.items())}")
    print(f"{sum(leases.values())} more for the lease; {afterwards} in the {AFTERWARDS_S:g} s afterwards")
    return 0 < counted <= PROMISED and afterwards == 0


def main(runs: int) -> int:
    """Bring a control plane up, unless one stands, and measure; 0 when every run kept what is promised."""
    try:
        with cluster.running() as found:
            if found.audit_log is None:
                print("skipped: the cluster of CANARY_TEST_KUBECONFIG is not ours, and shows no audit log")
                return 0
            kept = [once(found, found.audit_log) for _ in range(runs)]
    except cluster.LackingError as fault:
        print(f"skipped: there is no test cluster here: {fault}")
        return 0
    return 0 if all(kept) else 1


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else 1))
