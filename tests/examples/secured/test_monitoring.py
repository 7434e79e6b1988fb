"""What `canary preflight` says of the cluster's own rules and routes, in servers that are real."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.cluster import build
from tests.cluster.kubectl import kubectl
from tests.examples.monitored import Monitored, copied, monitored
from tests.examples.secured.readme import SECURED
from tests.examples.secured.stage import PRODUCTION
from tests.examples.secured.test_validated import alerts, rendered

pytestmark = pytest.mark.control_plane


@pytest.fixture
def production(namespace: Path, tmp_path: Path) -> Iterator[Monitored]:
    """The service on a real API server, where Prometheus looks for its pods, which are simulated."""
    folder = copied(SECURED, tmp_path)

    def change(prometheus: dict[str, Any]) -> None:
        (pods,) = [job for job in prometheus["scrape_configs"] if job["job_name"] == "pods"]
        pods["kubernetes_sd_configs"][0]["kubeconfig_file"] = str(namespace)

    kubectl(namespace, "create", "namespace", PRODUCTION, "--save-config")
    documents = yaml.safe_load_all(rendered(SECURED / "overlays" / "production"))
    service = [one for one in documents if one["kind"] in ("ServiceAccount", "Service", "Deployment")]
    kubectl(namespace, "apply", "-f", "-", send=yaml.safe_dump_all(service))
    # Debian's cannot find pods.
    program = str(build.built(build.PROMETHEUS))
    with monitored(folder, {"KUBECONFIG": str(namespace)}, change, prometheus=program) as found:
        configuration = yaml.safe_load(found.file.read_text())
        configuration["analysis"]["source"]["prometheus"]["url"] = found.urls[0]
        found.file.write_text(yaml.safe_dump(configuration))
        yield found


def test_before_a_release_its_alerts_are_seen_to_get_to_somebody(production: Monitored) -> None:
    held = production.becomes("pass")
    mine = [one for one in alerts() if PRODUCTION in f"{one['expr']} {one['labels']}"]
    assert len(mine) > 8
    assert f"{len(mine)} alert rules on it are healthy" in str(held["evidence"])
    assert f"alerts go to {production.urls[1]}, and from there to " in str(held["evidence"])

    def silent(alertmanager: dict[str, Any]) -> None:
        (on_call,) = [one for one in alertmanager["receivers"] if one["name"] == "on-call"]
        del on_call["webhook_configs"]

    def no_rules(prometheus: dict[str, Any]) -> None:
        prometheus["rule_files"] = []

    def nobody(prometheus: dict[str, Any]) -> None:
        del prometheus["alerting"]

    with production.without(production.alertmanager, silent):
        production.becomes("fail", "is routed to on-call, which tells nobody")
    production.becomes("pass")
    with production.without(production.prometheus, no_rules):
        production.becomes("fail", "none of the 0 alert rules")
    with production.without(production.prometheus, nobody):
        production.becomes("fail", "has no active Alertmanager")
