"""The points on a real API server: a target for which all holds, and each flaw planted in it in turn."""

import json
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from canary.errors import DeniedError
from canary.kube.rbac import PREFLIGHT, Account, Rule
from canary.kube.session import Json, Session
from canary.preflight.restricted import breaches
from tests.kube.accounts import Bound, printed
from tests.kube.live import Place, a_namespace, gone, wait_for
from tests.kube.stage import Stage, a_stage
from tests.metrics.alerting import Servers
from tests.metrics.loopback import loopback
from tests.preflight.flaws import ALLOWED, FLAWS
from tests.preflight.seen import POLICY, template

pytestmark = pytest.mark.control_plane

UNSEALED = ("--skip", "audit", "--reason", "sealed elsewhere")
"""Heads are sealed by a key that these stages have none of."""


# ── the profile, as the API server itself enforces it


@pytest.fixture(scope="module")
def restricted(kubeconfig: Path) -> Iterator[Session]:
    with a_namespace(kubeconfig, **{"pod-security.kubernetes.io/enforce": "restricted"}) as place:
        session = place.session()
        path = session.path("v1", "serviceaccounts", "default")
        wait_for(lambda: not gone(lambda: session.get(path)), "the namespace has its service account")
        yield session


def refused(session: Session, document: Mapping[str, Any]) -> str:
    """What the admission says of such a pod, which is not made; empty: it may be."""
    body = {"metadata": {"generateName": "x-", **document["metadata"]}, "spec": document["spec"]}
    try:
        session.create(f"{session.path('v1', 'pods')}?dryRun=All", body)
    except DeniedError as fault:
        return fault.message
    return ""


@pytest.mark.parametrize("name", FLAWS)
def test_what_is_told_as_a_breach_is_refused_by_the_api_server_too(restricted: Session, name: str) -> None:
    _, document = FLAWS[name]
    assert breaches(document)
    assert "violates PodSecurity" in refused(restricted, document)


@pytest.mark.parametrize("name", ALLOWED)
def test_what_is_no_breach_is_let_in_by_the_api_server_too(restricted: Session, name: str) -> None:
    assert not breaches(ALLOWED[name])
    assert refused(restricted, ALLOWED[name]) == ""


# ── a target for which all holds


def now(ago_s: float = 0.0) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() - ago_s))


def a_cronjob(session: Session, name: str, kind: str, last: str, **marks: str) -> Json:
    pod = {"restartPolicy": "Never", "containers": [{"name": "c", "image": "shop/tool:v1"}]}
    body = {
        "apiVersion": "batch/v1",
        "kind": "CronJob",
        "metadata": {
            "name": name,
            "labels": {"canary/evidence": kind},
            "annotations": {"canary/target": "web", **marks},
        },
        "spec": {"schedule": "0 2 1 1 *", "jobTemplate": {"spec": {"template": {"spec": pod}}}},
    }
    made = session.create(session.path("batch/v1", "cronjobs"), body)
    made["status"] = {"lastSuccessfulTime": last, "lastScheduleTime": last}
    return session.replace(session.path("batch/v1", "cronjobs", name, "status"), made)


def a_run(session: Session, cronjob: Json, took_s: float) -> None:
    """A Job of the CronJob that went well a minute ago."""
    meta = cronjob["metadata"]
    owner = {
        "apiVersion": "batch/v1",
        "kind": "CronJob",
        "name": meta["name"],
        "uid": meta["uid"],
        "controller": True,
    }
    body: Json = {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": f"{meta['name']}-1", "ownerReferences": [owner]},
        # Whoever has another manager is left alone by the controller, which would want pods.
        "spec": {**cronjob["spec"]["jobTemplate"]["spec"], "managedBy": "canary.test/by-hand"},
    }
    made = session.create(session.path("batch/v1", "jobs"), body)
    true = {"status": "True", "lastProbeTime": now(60), "lastTransitionTime": now(60)}
    made["status"] = {
        "startTime": now(60 + took_s),
        "completionTime": now(60),
        "succeeded": 1,
        "uncountedTerminatedPods": {},
        "conditions": [{"type": "SuccessCriteriaMet", **true}, {"type": "Complete", **true}],
    }
    session.replace(session.path("batch/v1", "jobs", body["metadata"]["name"], "status"), made)


@contextmanager
def secured(place: Place, folder: Path, alerting: Servers) -> Iterator[Stage]:
    """Everything holds of this web but the seal of its ledger."""
    with a_stage(place, folder, {}, template=template()) as stage:
        session = stage.session
        session.create(session.path("networking.k8s.io/v1", "networkpolicies"), POLICY)
        a_cronjob(session, "backup", "backup", now(3600))
        drill = a_cronjob(session, "drill", "restore-drill", now(60), **{"canary/rto-target": "5m"})
        a_run(session, drill, 90.0)
        stage.configure(preflight={"prometheus": {"url": alerting.server.url}})
        yield stage


@pytest.fixture(scope="module")
def alerting() -> Iterator[Servers]:
    with loopback() as server:
        yield Servers(server)


@pytest.fixture(scope="module")
def stage(kubeconfig: Path, tmp_path_factory: pytest.TempPathFactory, alerting: Servers) -> Iterator[Stage]:
    folder = tmp_path_factory.mktemp("secured")
    with a_namespace(kubeconfig) as place, secured(place, folder, alerting) as found:
        yield found


@pytest.fixture(scope="module")
def bound(stage: Stage) -> Bound:
    return Bound(stage, "checker")


@pytest.fixture(scope="module")
def checker(stage: Stage, bound: Bound) -> Stage:
    """Commands are run by an account that may do what the printed Role says, and nothing else."""
    return bound.granted(printed(stage, Account.PREFLIGHT))


def checked(stage: Stage, *arguments: str) -> tuple[int, dict[str, Json]]:
    """The exit code, and the points by id."""
    ran = stage.run("preflight", "-o", "json", *(arguments or UNSEALED))
    assert ran.out, ran.text
    return ran.code, {one["id"]: one for one in json.loads(ran.out)["points"]}


def stopping(points: Mapping[str, Json]) -> dict[str, str]:
    return {
        name: one["status"]
        for name, one in points.items()
        if one["status"] in ("fail", "unknown") and not one["skipped"]
    }


def test_a_target_for_which_all_holds_passes_every_point_with_what_was_seen(checker: Stage) -> None:
    code, points = checked(checker)

    assert (code, stopping(points)) == (0, {}), points
    told = {name: " / ".join(one["evidence"]) for name, one in points.items()}
    assert "last good backup 60m ago: CronJob backup" in told["backup"]
    assert "recovery time (RTO) 90s of at most 5m, measured by CronJob drill" in told["recovery"]
    assert "alert rules on it are healthy: WebErrors" in told["monitoring"]
    assert "PodSecurity restricted" in told["hardening"]
    assert "ingress is closed but for what is named, by NetworkPolicy web" in told["network"]
    assert points["audit"]["skipped"] == "sealed elsewhere"


def test_the_role_that_is_printed_only_reads() -> None:
    assert {verb for rule in PREFLIGHT for verb in rule.verbs} <= {"get", "list"}


def operation(path: str, value: object, op: str = "replace") -> Json:
    return {"op": op, "path": path, "value": value}


POD = "/spec/template/spec"
CONTAINER = f"{POD}/containers/0"
ENV = [{"name": "API", "valueFrom": {"secretKeyRef": {"name": "keys", "key": "api"}}}]
PLANTED: dict[str, tuple[str, str, list[Json]]] = {
    "backup": ("batch/v1/cronjobs/backup", "is suspended", [operation("/spec/suspend", True)]),
    "recovery": (
        "batch/v1/cronjobs/drill",
        "recovery time (RTO) 90s of at most 60s",
        [operation("/metadata/annotations/canary~1rto-target", "60s")],
    ),
    "hardening": (
        "apps/v1/deployments/web",
        "containers[0].securityContext.allowPrivilegeEscalation: found true, wanted false",
        [operation(f"{CONTAINER}/securityContext/allowPrivilegeEscalation", True)],
    ),
    "upgrade": (
        "apps/v1/deployments/web",
        "revisionHistoryLimit is 0",
        [operation("/spec/revisionHistoryLimit", 0)],
    ),
    "secrets": ("apps/v1/deployments/web", "comes from Secret keys", [operation(f"{CONTAINER}/env", ENV)]),
    "limits": (
        "apps/v1/deployments/web",
        "containers[0].resources.limits: no memory",
        [operation(f"{CONTAINER}/resources/limits", {"cpu": "1"})],
    ),
    "network": (
        "networking.k8s.io/v1/networkpolicies/web",
        "egress[0] lets everything through",
        [operation("/spec/egress", [{}])],
    ),
}
"""By the point that it fails: the object, what is told, and the change."""


@contextmanager
def planted(session: Session, where: str, operations: list[Json]) -> Iterator[None]:
    group, _, rest = where.rpartition("/")[0].rpartition("/")
    path = session.path(group, rest, where.rpartition("/")[2])
    before = session.get(path)
    session.patch(path, operations)
    try:
        yield
    finally:
        after = session.get(path)
        session.replace(
            path,
            {
                **before,
                "metadata": {**before["metadata"], "resourceVersion": after["metadata"]["resourceVersion"]},
            },
        )


@pytest.mark.parametrize("point", PLANTED)
def test_each_flaw_alone_fails_exactly_its_point(stage: Stage, checker: Stage, point: str) -> None:
    where, told, operations = PLANTED[point]
    with planted(stage.session, where, operations):
        code, points = checked(checker)

    assert (code, stopping(points)) == (1, {point: "fail"}), points
    assert told in points[point]["evidence"][0]
    assert points[point]["fix"]


def test_alerts_that_reach_nobody_fail_the_monitoring_alone(checker: Stage, alerting: Servers) -> None:
    alerting.managers, before = [], alerting.managers
    try:
        assert stopping(checked(checker)[1]) == {"monitoring": "fail"}
    finally:
        alerting.managers = before


def test_a_token_whose_account_is_bound_to_something_fails_the_access_alone(
    stage: Stage, checker: Stage
) -> None:
    session = stage.session
    reference = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "edit"}
    subject = {"kind": "ServiceAccount", "name": "default", "namespace": stage.place.namespace}
    path = session.path("rbac.authorization.k8s.io/v1", "rolebindings")
    on = [operation(f"{POD}/automountServiceAccountToken", True)]
    with planted(session, "apps/v1/deployments/web", on):
        code, points = checked(checker)
        assert (code, stopping(points)) == (1, {"access": "unknown"}), points
        assert "clusterrolebindings" in points["access"]["evidence"][0]
        session.create(path, {"metadata": {"name": "b"}, "roleRef": reference, "subjects": [subject]})
        try:
            code, points = checked(checker)
        finally:
            session.delete(f"{path}/b")
    assert (code, stopping(points)) == (1, {"access": "fail"}), points
    assert "ClusterRole edit by binding b" in points["access"]["evidence"][0]


def test_an_administrator_fails_the_access_since_he_may_do_everything(stage: Stage) -> None:
    code, points = checked(stage)
    assert (code, stopping(points)) == (1, {"access": "fail"})
    assert "our own account may do everything there" in points["access"]["evidence"][0]


UNKNOWN_WITHOUT = {
    "networkpolicies": {"network": "unknown"},
    "cronjobs": {"backup": "unknown", "recovery": "unknown"},
    "jobs": {"recovery": "unknown"},
    "limitranges": {},
}


@pytest.mark.parametrize("rule", PREFLIGHT, ids=lambda rule: rule.resource)
def test_without_a_right_its_point_is_unknown_and_the_right_is_named(
    stage: Stage, checker: Stage, bound: Bound, rule: Rule
) -> None:
    whole = printed(stage, Account.PREFLIGHT)
    kept = [one for one in whole["rules"] if one["resources"] != [rule.resource]]
    assert len(kept) == len(whole["rules"]) - 1
    on = [operation(f"{POD}/automountServiceAccountToken", None)]
    wanted: Mapping[str, str] = UNKNOWN_WITHOUT.get(rule.resource, {"access": "unknown"})
    with planted(stage.session, "apps/v1/deployments/web", [] if rule.resource in UNKNOWN_WITHOUT else on):
        bound.change({**whole, "rules": kept})
        try:
            code, points = checked(checker)
        finally:
            bound.change(whole)
    assert (code, stopping(points)) == (int(bool(wanted)), wanted), points
    said = json.dumps([points[name] for name in wanted])
    assert not wanted or rule.resource in said or rule.resource == "jobs"


# ── releases that depend on it


def test_a_strict_release_is_refused_before_anything_is_touched_and_goes_on_when_all_holds(
    kubeconfig: Path, tmp_path: Path, alerting: Servers
) -> None:
    with a_namespace(kubeconfig) as place, secured(place, tmp_path, alerting) as stage:
        driver = Bound(stage, "driver").granted(printed(stage, Account.DRIVER, "--with", "preflight"))
        where, _, operations = PLANTED["network"]
        with planted(stage.session, where, operations):
            ran = driver.run("start", "v2", "--strict", *UNSEALED)
        assert ran.code == 2, ran.text
        assert "network (FAIL): NetworkPolicy web: egress[0] lets everything through" in ran.text
        assert stage.recorded() is None
        assert stage.deployment("web-canary") is None

        ran = driver.run("start", "v2", "--strict", *UNSEALED)
        assert ran.code == 0, ran.text
        assert stage.image() == "shop/web:v2"
        ledger = [json.loads(line) for line in driver.run("audit", "export").out.splitlines()]
        started = next(one for one in ledger if one["kind"] == "start")
        assert started["body"]["preflight"]["network"] == "pass"
        assert started["body"]["preflight"]["audit"].endswith("sealed elsewhere")
        told = checked(driver)[1]["upgrade"]["evidence"]
        assert "1 earlier revisions are kept, the last is v1 (revision 1)" in told
