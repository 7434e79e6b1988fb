"""What can be told from the files of the secured example alone."""

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from canary.config.load import load
from canary.kube.rbac import Account, role, rules
from tests.examples.secured.readme import SECURED, blocks

BASE = SECURED / "base"
SCRIPTS = sorted(
    [
        *SECURED.glob("*.sh"),
        *(path for path in (SECURED / "database" / "bin").iterdir() if path.suffix != ".sql"),
    ]
)


def objects(folder: Path = BASE) -> list[dict[str, Any]]:
    found = [one for path in sorted(folder.glob("*.yaml")) for one in yaml.safe_load_all(path.read_text())]
    return [one for one in found if one and one.get("kind") != "Kustomization"]


def pods(documents: list[dict[str, Any]]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Name and template of everything that makes pods."""
    for one in documents:
        spec = one.get("spec", {})
        spec = spec.get("jobTemplate", {}).get("spec", spec)
        if "template" in spec:
            yield one["metadata"]["name"], spec["template"]


def named(kind: str, name: str) -> dict[str, Any]:
    return next(one for one in objects() if (one["kind"], one["metadata"]["name"]) == (kind, name))


def test_the_role_of_a_release_is_the_one_that_is_printed() -> None:
    granted = rules(Account.DRIVER, "project-ai-api", preflight=True, events=True)
    printed = role(Account.DRIVER, "project-ai-api", "any", granted)
    printed["metadata"].pop("namespace")
    assert named("Role", "canary-project-ai-api-driver") == printed


def test_the_other_role_has_no_wildcard_and_no_secret() -> None:
    rules = json.dumps(named("Role", "release-jobs"))
    assert "*" not in rules
    assert "secrets" not in rules


def test_no_image_floats() -> None:
    documents = [*objects(), *objects(SECURED / "overlays" / "staging")]
    images = {
        container["image"] for _, template in pods(documents) for container in template["spec"]["containers"]
    }
    assert images == {"project-ai/core:v1.0.0", "project-ai/postgresql:15-1"}


def test_no_secret_reaches_a_variable() -> None:
    for name, template in pods(objects()):
        for container in template["spec"]["containers"]:
            assert "secretKeyRef" not in json.dumps(container), name
            assert "secretRef" not in json.dumps(container), name


def test_every_pod_is_hardened_and_has_no_token() -> None:
    templates = dict(pods(objects()))
    assert len(templates) == 7
    for name, template in templates.items():
        spec = template["spec"]
        assert spec["automountServiceAccountToken"] is False, name
        assert spec["enableServiceLinks"] is False, name
        for container in spec["containers"]:
            security = container["securityContext"]
            assert security["readOnlyRootFilesystem"] is True, name
            assert security["allowPrivilegeEscalation"] is False, name
            assert security["capabilities"] == {"drop": ["ALL"]}, name
            assert set(container["resources"]) == {"requests", "limits"}, name


def test_names_are_asked_over_udp_and_tcp() -> None:
    (rule,) = named("NetworkPolicy", "names")["spec"]["egress"]
    assert {one["protocol"] for one in rule["ports"]} == {"UDP", "TCP"}


def test_no_policy_trusts_a_label_that_anybody_may_set_on_a_namespace() -> None:
    policies = json.dumps([one for one in objects() if one["kind"] == "NetworkPolicy"])
    selected = re.findall(r'"namespaceSelector": \{"matchLabels": \{"([^"]+)"', policies)
    assert selected
    assert set(selected) == {"kubernetes.io/metadata.name"}


def test_backups_and_drills_are_labelled_for_who_looks_for_them() -> None:
    for name, kind in (("database-backup", "backup"), ("database-restore-drill", "restore-drill")):
        metadata = named("CronJob", name)["metadata"]
        assert metadata["labels"]["canary/evidence"] == kind
        assert metadata["annotations"]["canary/target"] == "project-ai-api"


def test_what_is_made_by_hand_never_runs_by_itself() -> None:
    runs = {
        one["metadata"]["name"]: not one["spec"]["suspend"] for one in objects() if one["kind"] == "CronJob"
    }
    assert [name for name, itself in runs.items() if itself] == ["database-backup", "database-restore-drill"]


def test_who_is_the_primary_is_in_no_overlay() -> None:
    names = {(one["kind"], one["metadata"]["name"]) for one in objects()}
    assert ("Service", "postgresql") not in names
    assert ("ConfigMap", "postgresql-primary") not in names


@pytest.mark.parametrize(
    ("file", "namespace"), [("canary.yaml", "project-ai-prod"), ("staging.yaml", "project-ai-staging")]
)
def test_a_release_is_judged_by_the_series_of_its_own_namespace(file: str, namespace: str) -> None:
    found = load(SECURED / file)
    assert found.kubernetes is not None
    assert found.kubernetes.namespace == namespace
    assert found.prometheus is not None
    assert found.prometheus.selector == {"namespace": namespace}
    assert found.strategy.false_rollback_rate == 0.01
    assert found.strategy.false_promotion_rate == 0.02


@pytest.mark.skipif(shutil.which("bash") is None, reason="there is no bash")
@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_every_script_is_bash(script: Path) -> None:
    done = subprocess.run(["bash", "-n", str(script)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_every_command_of_the_readme_has_a_test() -> None:
    folder = Path(__file__).parent
    tests = "\n".join(path.read_text() for path in folder.glob("*.py"))
    told = set(blocks()) - {"settings", "upgrade"}
    assert told == {name for name in told if f'"{name}"' in tests}
    assert blocks()["upgrade"].strip() in tests


def test_every_bit_of_the_layout_in_the_readme_is_there() -> None:
    text = (SECURED / "README.md").read_text()
    for name in re.findall(r"`((?:base|database|monitoring|components|overlays)/[\w./-]*)`", text):
        assert (SECURED / name).exists(), name
