"""What a real API server, kube-score and promtool say of the secured example."""

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests import tools
from tests.cluster import build, place
from tests.cluster.kubectl import get, kubectl
from tests.command import begun, ended
from tests.examples.secured.readme import SECURED
from tests.examples.secured.stage import PRODUCTION
from tests.examples.secured.test_files import SCRIPTS
from tests.kube.live import wait_for

pytestmark = pytest.mark.control_plane

MONITORING = SECURED / "monitoring"
OVERLAYS = ("production", "staging", "node/production", "node/staging")
OPERATOR = "github.com/external-secrets/external-secrets"
STANDARDS = (
    "--enable-optional-test",
    "container-seccomp-profile",
    "--enable-optional-test",
    "container-ports-check",
)


def rendered(folder: Path) -> str:
    command = [str(build.built(build.KUBE)), "kubectl", "kustomize", str(folder)]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def promtool(*arguments: str) -> "subprocess.CompletedProcess[str]":
    command = [str(build.built(build.PROMTOOL)), *arguments]
    return subprocess.run(command, cwd=MONITORING, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_the_policy_checker_has_nothing_to_say_but_what_is_excused_with_a_reason(overlay: str) -> None:
    said = scored(rendered(SECURED / "overlays" / overlay))
    # Images that are there are never pulled, that node has no limits on local storage, and a port of its own.
    excused = {
        "container-image-pull-policy",
        "container-ephemeral-storage-request-and-limit",
        "service-type",
    }
    wanted = excused if overlay.startswith("node/") else set()
    assert {check for check, _ in said} <= wanted, said


def test_the_policy_checker_finds_what_is_planted() -> None:
    text = rendered(SECURED / "overlays" / "production").replace(
        "readOnlyRootFilesystem: true", "readOnlyRootFilesystem: false"
    )
    assert {check for check, _ in scored(text)} == {"container-security-context-readonlyrootfilesystem"}


def scored(text: str) -> list[tuple[str, str]]:
    """What kube-score criticises: the check, and of what."""
    command = [str(build.built(build.KUBE_SCORE)), "score", "--output-format", "json", *STANDARDS, "-"]
    done = subprocess.run(command, input=text, capture_output=True, text=True, check=False)
    found = json.loads(done.stdout)
    return [
        (check["check"]["id"], one["object_name"])
        for one in found
        for check in one["checks"]
        if not check["skipped"] and check["grade"] < 10
    ]


def test_the_api_server_takes_all_of_production_and_lets_its_pods_in(namespace: Path, tmp_path: Path) -> None:
    kubectl(namespace, "create", "namespace", PRODUCTION, "--save-config")
    overlay = SECURED / "overlays" / "production"
    command = [
        str(build.built(build.KUBE)),
        "kubectl",
        "--kubeconfig",
        str(namespace),
        "apply",
        "-k",
        str(overlay),
    ]
    for more in (["--dry-run=server"], []):
        done = subprocess.run([*command, *more], capture_output=True, text=True, check=False)
        assert (done.returncode, done.stderr) == (0, ""), done.stderr

    def pods() -> set[str]:
        found = get(namespace, "pods", "-n", PRODUCTION)["items"]
        return {one["metadata"]["labels"]["app"] for one in found}

    wait_for(lambda: pods() == {"project-ai-api", "postgresql"}, "pods are let in", 30.0)
    for name in ("database-backup", "database-restore-drill", "project-ai-migrate", "project-ai-smoke"):
        kubectl(namespace, "create", "job", name, "--from", f"cronjob/{name}", "-n", PRODUCTION)
    wait_for(lambda: len(pods()) == 6, "pods of Jobs are let in", 30.0)

    def ready() -> bool:
        status = get(namespace, "deployment", "project-ai-api", "-n", PRODUCTION)["status"]
        return bool(status.get("readyReplicas") == 3)

    wait_for(ready, "the service is whole", 60.0)
    ran = ended(
        begun(tmp_path, {"KUBECONFIG": str(namespace)}, "plan", "v1.1.1", "-f", str(SECURED / "canary.yaml")),
        60.0,
    )
    assert ran.code == 0, ran.text
    assert "gives 25 % instead of 10 %" in ran.out


def test_the_api_server_refuses_a_pod_of_it_that_is_not_hardened(namespace: Path) -> None:
    documents = list(yaml.safe_load_all(rendered(SECURED / "overlays" / "production")))
    before = [one for one in documents if one["kind"] in ("Namespace", "ServiceAccount")]
    deployment = next(one for one in documents if one["kind"] == "Deployment")
    deployment["spec"]["template"]["spec"]["containers"][0]["securityContext"]["capabilities"] = {}
    kubectl(namespace, "apply", "-f", "-", send=yaml.safe_dump_all([*before, deployment]))

    def refused() -> bool:
        return "violates PodSecurity" in kubectl(namespace, "get", "events", "-n", PRODUCTION)

    wait_for(refused, "its pods are refused", 30.0)


@pytest.fixture(scope="module")
def operator() -> Path:
    """The definitions of the External Secrets Operator, from its module, whose hash is pinned."""
    done = subprocess.run(
        ["go", "mod", "download", "-json", OPERATOR],
        cwd=place.HERE / "go" / "crds",
        env=os.environ | {"GOFLAGS": "-mod=mod", "GOWORK": "off"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return Path(json.loads(done.stdout)["Dir"]) / "config" / "crds" / "bases"


def test_the_components_for_vaults_are_taken_by_the_definitions_of_what_they_are_for(
    namespace: Path, operator: Path, tmp_path: Path
) -> None:
    names = ("externalsecrets", "secretstores")
    files = [operator / f"external-secrets.io_{name}.yaml" for name in names]
    crds = [f"crd/{name}.external-secrets.io" for name in names]
    kubectl(namespace, "create", "namespace", PRODUCTION, "--save-config")
    try:
        for file in files:
            kubectl(namespace, "apply", "--server-side", "-f", str(file))
        kubectl(namespace, "wait", *crds, "--for", "condition=Established", "--timeout", "30s")
        said = kubectl(
            namespace, "apply", "--dry-run=server", "-f", "-", send=rendered(with_vaults(tmp_path))
        )
    finally:
        kubectl(namespace, "delete", *crds, "--ignore-not-found")
    assert "externalsecret.external-secrets.io/project-ai-database created (server dry run)" in said
    assert "networkpolicy.networking.k8s.io/vault created (server dry run)" in said


def with_vaults(folder: Path) -> Path:
    """Production with both components, as its README says to add them."""
    subprocess.run(["cp", "-r", str(SECURED), str(folder / "secured")], check=True)
    overlay = folder / "secured" / "overlays" / "production"
    document = yaml.safe_load((overlay / "kustomization.yaml").read_text())
    document["components"] += ["../../components/external-secrets", "../../components/vault-agent"]
    (overlay / "kustomization.yaml").write_text(yaml.safe_dump(document))
    return overlay


def test_every_secret_that_is_mounted_comes_from_the_vault_as_well() -> None:
    documents: list[dict[str, Any]] = list(yaml.safe_load_all(rendered(SECURED / "overlays" / "production")))
    mounted = set()
    for one in documents:
        spec = one.get("spec", {})
        template = spec.get("jobTemplate", {}).get("spec", spec).get("template", {})
        mounted |= {
            volume["secret"]["secretName"]
            for volume in template.get("spec", {}).get("volumes", [])
            if "secret" in volume
        }
    fetched = yaml.safe_load_all((SECURED / "components" / "external-secrets" / "secrets.yaml").read_text())
    assert {one["metadata"]["name"] for one in fetched} == mounted


def test_shellcheck_has_nothing_to_say_of_any_script() -> None:
    if not tools.provide("shellcheck"):
        pytest.skip("shellcheck is missing, and there is no apt to fetch it")
    # What a sourced file sets for the others, and they for it.
    command = ["shellcheck", "--shell", "bash", "--exclude", "SC1091,SC2034,SC2154", *map(str, SCRIPTS)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_the_alerts_fire_for_what_they_are_there_for() -> None:
    assert promtool("check", "rules", "rules.yaml").returncode == 0
    assert promtool("check", "config", "prometheus.yaml").returncode == 0
    done = promtool("test", "rules", "rules_test.yaml")
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_alert_that_wakes_somebody_is_tested() -> None:
    tested = (MONITORING / "rules_test.yaml").read_text()
    paged = [one["alert"] for one in alerts() if one["labels"]["severity"] == "page"]
    assert len(paged) == 4
    assert [name for name in paged if f"alertname: {name}" not in tested] == []


@pytest.mark.parametrize(
    ("severity", "receiver"), [("page", "on-call"), ("ticket", "tickets"), ("heartbeat", "heartbeat")]
)
def test_each_alert_gets_to_those_it_is_for(severity: str, receiver: str) -> None:
    if not tools.provide("prometheus-alertmanager"):
        pytest.skip("amtool is missing, and there is no apt to fetch it")
    file = str(MONITORING / "alertmanager.yaml")
    assert subprocess.run(["amtool", "check-config", file], check=False).returncode == 0
    ask = ["amtool", "config", "routes", "test", "--config.file", file, f"severity={severity}"]
    done = subprocess.run(ask, capture_output=True, text=True, check=False)
    assert done.stdout.strip() == receiver
    assert severity in {one["labels"]["severity"] for one in alerts()}


def alerts() -> list[dict[str, Any]]:
    rules = yaml.safe_load((MONITORING / "rules.yaml").read_text())
    return [one for group in rules["groups"] for one in group["rules"] if "alert" in one]


def test_every_query_of_the_dashboard_parses(tmp_path: Path) -> None:
    dashboard = json.loads((MONITORING / "dashboard.json").read_text())
    queries = [target["expr"] for panel in dashboard["panels"] for target in panel["targets"]]
    assert len(queries) > 8
    rules = [
        {"record": f"query_{number}", "expr": query.replace("$namespace", PRODUCTION)}
        for number, query in enumerate(queries)
    ]
    (tmp_path / "queries.yaml").write_text(
        yaml.safe_dump({"groups": [{"name": "dashboard", "rules": rules}]})
    )
    done = promtool("check", "rules", str(tmp_path / "queries.yaml"))
    assert done.returncode == 0, done.stdout + done.stderr
