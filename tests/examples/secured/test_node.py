"""The secured example on a real node: every command of its README, and its drills from nothing, twice."""

import json
import re
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import httpx
import pytest
import yaml

from tests.cluster.node import NAME
from tests.examples.secured import volumes
from tests.examples.secured.provided import APP, BAD, FIRST, GOOD
from tests.examples.secured.readme import SECURED, block
from tests.examples.secured.stage import STAGING, Secured, ended, failed
from tests.kube.live import wait_for

pytestmark = pytest.mark.node

RTO_S = 300.0
"""Promised by the document: five minutes."""


def production(accounts: dict[str, str]) -> dict[str, str]:
    """For `canary` itself."""
    return {"KUBECONFIG": accounts["PRODUCTION_KUBECONFIG"]}


def whole(secured: Secured, version: str) -> bool:
    """Three pods of this version, and no canary."""
    status = secured.get("deployment", "project-ai-api")["status"]
    counts = {status.get(key, 0) for key in ("replicas", "updatedReplicas", "readyReplicas")}
    names = [one["metadata"]["name"] for one in secured.get("deployments")["items"]]
    return secured.image() == f"{APP}:{version}" and counts == {3} and names == ["project-ai-api"]


def test_a_version_gets_from_staging_to_production_without_a_failed_request_and_is_undone(
    secured: Secured, accounts: dict[str, str]
) -> None:
    assert secured.adds("Ada")  # a user of before: v1.1.1 has to cope with one who has no address
    with secured.load() as answers:
        said = secured.run("examples/secured/release.sh v1.1.1", more=accounts, patience_s=600.0)
        assert said.code == 0, said.text
        wait_for(lambda: whole(secured, GOOD), "v1.1.1 is whole", 60.0)
        assert secured.image(STAGING) == f"{APP}:{GOOD}"
        undone = secured.done("undo", more=production(accounts))
        assert "UNDONE" in undone.text
        assert "not proved" not in undone.text
        wait_for(lambda: whole(secured, FIRST), "v1.0.0 is whole", 60.0)
    assert answers[f"{GOOD} 200"] > 100
    assert failed(answers) == {}, answers
    assert f"newTag: {GOOD}" in overlay(secured, "staging")
    assert f"newTag: {GOOD}" in overlay(secured, "production")
    secured.done("overlay")
    assert f"newTag: {FIRST}" in overlay(secured, "production")


def overlay(secured: Secured, environment: str) -> str:
    """What it says of the version."""
    folder = secured.folder / "examples" / "secured" / "overlays" / environment / "release"
    return (folder / "kustomization.yaml").read_text()


def test_a_bad_version_that_staging_let_through_is_taken_back_and_serves_few(
    secured: Secured, accounts: dict[str, str]
) -> None:
    with secured.load() as answers:
        said = secured.run(f"examples/secured/release.sh {BAD} production", more=accounts)
    assert said.code == 3, said.text
    wait_for(lambda: whole(secured, FIRST), "v1.0.0 is whole", 60.0)
    assert set(failed(answers)) <= {f"{BAD} 500"}, answers
    assert sum(failed(answers).values()) < 0.2 * sum(answers.values())


def test_a_release_is_ended_by_hand(secured: Secured, accounts: dict[str, str]) -> None:
    release = secured.begin(f"examples/secured/release.sh {GOOD} production", more=accounts)
    try:
        wait_for(lambda: len(secured.get("deployments")["items"]) == 2, "there is a canary", 90.0)
        secured.done("abort", more=production(accounts))
    finally:
        text = ended(release, 90.0)
    assert release.returncode == 5, text
    wait_for(lambda: whole(secured, FIRST), "v1.0.0 is whole", 60.0)


def primary(secured: Secured) -> str:
    selector = secured.get("service", "postgresql")["spec"]["selector"]
    return str(selector["statefulset.kubernetes.io/pod-name"])


@pytest.mark.parametrize("time_", ["first", "second"])
def test_the_service_goes_on_with_the_standby_when_the_primary_is_lost(secured: Secured, time_: str) -> None:
    lost = primary(secured)
    name = f"kept over the {time_} failover"
    assert secured.adds(name)
    wait_for(lambda: caught_up(secured, lost), "the standby has it", 30.0)

    begun = time.monotonic()
    with away(secured):  # nothing starts on the node: the primary does not come back
        secured.kubectl("delete", "pod", lost, "--force", "--grace-period=0", "--wait=false")
        failover = secured.begin(block("failover"))
        wait_for(lambda: secured.adds(f"after the {time_} failover"), "users are stored again", 90.0)
        took_s = time.monotonic() - begun
    text = ended(failover, 120.0)

    assert failover.returncode == 0, text
    print(f"the {time_} failover: users are stored again after {took_s:.0f} s\n{text}")
    assert primary(secured) != lost
    assert {name, f"after the {time_} failover"} <= set(secured.users())
    wait_for(lambda: ready(secured, lost), "the former primary is a standby", 60.0)


def test_applying_the_overlay_again_moves_neither_the_primary_nor_a_pod(secured: Secured) -> None:
    said = secured.done("failover")  # to a primary that no manifest names
    assert "is a hot standby again" in said.text
    before = primary(secured), generations(secured)
    secured.done("again")
    assert (primary(secured), generations(secured)) == before
    assert secured.adds("after applying again")


def generations(secured: Secured) -> list[int]:
    """They grow when what is wanted changes."""
    found = secured.get("deployments,statefulsets")["items"]
    return [one["metadata"]["generation"] for one in found]


@contextmanager
def away(secured: Secured) -> Iterator[None]:
    """The node takes no new pods for a while."""
    secured.kubectl("cordon", NAME)
    try:
        yield
    finally:
        secured.kubectl("uncordon", NAME)


def ready(secured: Secured, pod: str) -> bool:
    conditions = secured.get("pod", pod)["status"].get("conditions", [])
    return any(one["type"] == "Ready" and one["status"] == "True" for one in conditions)


def caught_up(secured: Secured, at: str) -> bool:
    """Whether the standby has replayed all that the primary has."""
    asked = "SELECT count(*) FROM pg_stat_replication WHERE replay_lsn = pg_current_wal_lsn()"
    psql = ["psql", "-XAtq", "-h", "/run/postgresql", "-d", "postgres", "-c", asked]
    return secured.kubectl("exec", at, "-c", "postgresql", "--", *psql).strip() == "1"


@pytest.mark.parametrize("time_", ["first", "second"])
def test_the_database_is_destroyed_and_comes_back_from_its_encrypted_backup(
    secured: Secured, time_: str
) -> None:
    secured.kubectl("delete", "jobs", "--all")
    assert secured.adds(f"of before the {time_} backup")
    drill = json.loads(secured.done("backup").text.splitlines()[-1])
    assert drill["ok"] is True
    users = secured.users()
    assert secured.adds(f"after the {time_} backup")  # what is lost: the RPO
    volumes.fresh(2)

    begun = time.monotonic()
    backed_up = time.time() - drill["rpo_s"]
    said = secured.done("restore")
    wait_for(lambda: users_of(secured) == users, "the same users", 60.0)
    wait_for(lambda: secured.adds("new"), "users are stored again", 60.0)
    rto_s = time.monotonic() - begun
    print(f"the {time_} restore: RTO {rto_s:.0f} s, RPO {begun_at(begun) - backed_up:.0f} s\n{said.text}")

    assert rto_s <= RTO_S
    assert successes(secured).keys() >= {"database-backup", "database-restore-drill"}


def users_of(secured: Secured) -> list[str] | None:
    """None: nobody answers yet."""
    try:
        return secured.users()
    except httpx.HTTPError:
        return None


def begun_at(monotonic: float) -> float:
    """The same moment by the clock."""
    return time.time() - (time.monotonic() - monotonic)


def successes(secured: Secured) -> dict[str, str]:
    """When each CronJob was last successful, as alerts and `canary preflight` see it."""
    found = secured.get("cronjobs", "-l", "canary/evidence")["items"]
    return {
        one["metadata"]["name"]: one["status"]["lastSuccessfulTime"]
        for one in found
        if one["status"].get("lastSuccessfulTime")
    }


def test_data_go_back_in_a_database_that_stands(secured: Secured) -> None:
    secured.kubectl("delete", "jobs", "--all")
    secured.done("backup")
    users = secured.users()
    assert secured.adds("a mistake")
    said = secured.done("replace")
    assert secured.users() == users, said.text
    assert secured.adds("after it went back")


def test_before_a_release_all_points_hold_but_alerts_that_are_not_loaded(
    secured: Secured, accounts: dict[str, str]
) -> None:
    said = secured.done("preflight", more=production(accounts)).text
    found = {point: status for status, point in re.findall(r"^(\w+) +(\w+)", said, re.MULTILINE)}
    nine = ("backup", "hardening", "upgrade", "recovery", "access", "secrets", "network", "limits", "audit")
    assert {point: found.get(point) for point in nine} == dict.fromkeys(nine, "pass"), said
    assert found.get("monitoring") in ("FAIL", "UNKNOWN")
    assert "exit code 1" in said


def test_the_ledger_of_all_releases_agrees_with_its_seals_and_their_copies(secured: Secured) -> None:
    said = secured.done("verify").text
    assert "good seals" in said
    assert "copies of seals agree with it" in said


def test_a_restore_touches_nothing_unless_it_is_meant(secured: Secured) -> None:
    users = secured.users()
    said = secured.run("examples/secured/restore.sh project-ai-prod", more={"CONFIRM": "project-ai-staging"})
    assert said.code == 2, said.text
    assert "nothing was touched" in said.text
    # Nor is a database that has tables overwritten.
    job = "job/into-a-full-one"
    secured.kubectl("create", "job", "into-a-full-one", "--from", "cronjob/database-restore")
    secured.kubectl("wait", job, "--for", "condition=Failed", "--timeout", "90s")
    assert "nothing is touched" in secured.kubectl("logs", job)
    assert secured.users() == users


def test_the_database_lets_nobody_in_who_is_not_meant_to_be(secured: Secured) -> None:
    inside = ("exec", primary(secured), "-c", "postgresql", "--", "bash", "-c")
    to = "host=postgresql user=project_ai dbname=project_ai sslrootcert=/run/secrets/postgresql-tls/ca.crt"

    def asked(said: str, password: str) -> str:
        return secured.kubectl(
            *inside, f'PGPASSWORD="$(cat {password})" psql -XAtc "SELECT 1" "{to} {said}" 2>&1 || true'
        )

    right = "/run/secrets/project-ai-database/password"
    assert asked("sslmode=verify-full", right).strip() == "1"
    assert "no encryption" in asked("sslmode=disable", right)
    assert "authentication failed" in asked("sslmode=verify-full", "/run/secrets/postgresql-backup/password")
    refused = asked("sslmode=verify-full user=postgres dbname=postgres", right)
    assert "no pg_hba.conf entry" in refused
    refused = asked("sslmode=verify-full ssl_max_protocol_version=TLSv1.2", right)
    assert "protocol version" in refused


def environment_of(pod: dict[str, Any]) -> list[str]:
    return [
        variable
        for container in pod["spec"]["containers"]
        for variable in container.get("env", [])
        if "secretKeyRef" in json.dumps(variable)
    ]


def test_no_secret_is_in_the_environment_of_any_process(secured: Secured) -> None:
    secret = secured.get("secret", "project-ai-database")["data"]["password"]
    plain = subprocess.run(["base64", "-d"], input=secret, capture_output=True, text=True, check=True).stdout
    for pod in secured.get("pods")["items"]:
        assert environment_of(pod) == [], pod["metadata"]["name"]
    seen = secured.kubectl("exec", "deploy/project-ai-api", "--", "cat", "/proc/1/environ")
    assert plain not in seen
    assert "DATABASE_PASSWORD_FILE" in seen


def test_the_account_of_a_release_can_read_no_secret_and_end_no_pod(
    secured: Secured, accounts: dict[str, str]
) -> None:
    where = production(accounts)
    for question in (
        "get secrets",
        "delete pods",
        "create pods",
        "create pods/exec",
        "get nodes",
        "get pods -A",
    ):
        place = "" if "-A" in question else "-n $NAMESPACE"
        said = secured.run(f"kubectl auth can-i {question} {place} || true", more=where)
        assert said.text.splitlines()[-1] == "no", question
    assert secured.run("kubectl auth can-i create jobs -n $NAMESPACE", more=where).code == 0


def test_the_alerts_see_the_series_that_are_there_and_wake_nobody(secured: Secured) -> None:
    def answers(query: str) -> bool:
        url = f"{secured.cluster.prometheus}/api/v1/query"
        answer = httpx.get(url, params={"query": query}, timeout=10, trust_env=False).raise_for_status()
        return bool(answer.json()["data"]["result"])

    def silent(query: str) -> bool:
        return not answers(query)

    groups = yaml.safe_load((SECURED / "monitoring" / "rules.yaml").read_text())["groups"]
    alerts = {one["alert"]: one["expr"] for group in groups for one in group["rules"] if "alert" in one}
    # Where neither recording rules nor kube-state-metrics run.
    here = {name: expr for name, expr in alerts.items() if not re.search(r"kube_|project_ai:|vector", expr)}
    assert len(here) == 6
    named = {name for expr in here.values() for name in re.findall(r"(\w+)\{", expr)}
    assert named >= {"project_ai_ready", "pg_up", "pg_replication_is_replica"}
    for name in named:
        wait_for(partial(answers, f'{name}{{namespace="project-ai-prod"}}'), f"{name} is scraped", 60.0)
    for name, expr in here.items():
        wait_for(partial(silent, expr), f"{name} is silent", 60.0)
