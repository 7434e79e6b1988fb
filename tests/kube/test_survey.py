"""What surrounds a Deployment, read from an API server that answers from a table."""

import copy
from collections.abc import Mapping
from typing import Any

import pytest

from canary.errors import CanaryError, DeniedError, InvalidError, MissingError, TransientError
from canary.kube.session import Body, Json, Session
from canary.kube.survey import KubeSurvey
from canary.preflight.facts import Kind, Proof
from canary.preflight.finding import Unseen
from tests.kube.documents import a_deployment
from tests.preflight.seen import POLICY

REFUSED = DeniedError("this account may not list it", remedy="Its Role needs a rule.")


class Api(Session):
    """Answers from `found`, by kind and name as in a path: documents, or a fault to raise."""

    def __init__(self, **found: Any) -> None:
        self.namespace = "prod"
        self.found: dict[str, Any] = {"deployments": [a_deployment()], **found}
        self.asked: list[str] = []

    def _call(
        self, method: str, path: str, body: Body, within_s: float, query: Mapping[str, Any] | None = None
    ) -> Json:
        key = path.partition(f"/namespaces/{self.namespace}/")[2] or path.rpartition("/")[2]
        self.asked.append(key)
        answer = self.found.get(key, MissingError(f"there is no {key}") if "/" in key else [])
        if isinstance(answer, CanaryError):
            raise answer
        return copy.deepcopy(answer) if isinstance(answer, dict) else {"items": copy.deepcopy(answer)}


def survey(**found: Any) -> KubeSurvey:
    return KubeSurvey(Api(**found), "web")


def a_cronjob(name: str, kind: str, **changes: Any) -> Json:
    meta = {"name": name, "uid": f"uid-{name}", "labels": {"canary/evidence": kind}}
    meta |= {"annotations": {"canary/target": "web", **changes.pop("annotations", {})}}
    meta["labels"] |= changes.pop("labels", {})
    status = {"lastSuccessfulTime": "2026-01-02T03:04:05Z"} | changes.pop("status", {})
    return {"metadata": meta, "spec": {"suspend": False, **changes}, "status": status}


def a_job(owner: str, start: str, end: str | None) -> Json:
    reference = {"kind": "CronJob", "uid": f"uid-{owner}", "controller": True}
    status = {"startTime": start, **({"completionTime": end} if end else {})}
    return {"metadata": {"name": "j", "ownerReferences": [reference]}, "status": status}


# ── backups and drills


def test_cronjobs_of_the_target_tell_when_they_last_went_well() -> None:
    drill = a_cronjob("drill", "restore-drill", annotations={"canary/rto-target": "5m"})
    jobs = [
        a_job("drill", "2026-01-01T03:00:00Z", "2026-01-01T03:09:00Z"),
        a_job("drill", "2026-01-02T03:00:00Z", "2026-01-02T03:01:30Z"),
        a_job("drill", "2026-01-03T03:00:00Z", None),
        a_job("other", "2026-01-03T03:00:00Z", "2026-01-03T03:00:01Z"),
    ]
    found = survey(cronjobs=[a_cronjob("backup", "backup"), drill], jobs=jobs).proofs()
    assert found == (
        Proof(Kind.BACKUP, "CronJob backup", 1767323045.0),
        Proof(Kind.DRILL, "CronJob drill", 1767323045.0, rto_s=90.0, rto_target_s=300.0),
    )


def test_a_suspended_cronjob_and_one_that_never_went_well_are_told_as_they_are() -> None:
    never = a_cronjob("never", "backup")
    never["status"] = {}
    found = survey(cronjobs=[a_cronjob("paused", "backup", suspend=True), never]).proofs()
    assert [(one.stopped, one.at) for one in found if isinstance(one, Proof)] == [
        ("is suspended", 1767323045.0),
        ("", None),
    ]


@pytest.mark.parametrize(
    ("changes", "mine"),
    [
        ({}, True),
        ({"annotations": {"canary/target": "other"}}, False),
        ({"annotations": {"canary/target": "other"}, "labels": {"app": "web"}}, False),
        ({"labels": {"canary/evidence": "something"}}, False),
    ],
)
def test_a_cronjob_is_about_the_target_that_it_names(changes: Any, mine: bool) -> None:
    assert (len(survey(cronjobs=[a_cronjob("b", "backup", **changes)]).proofs()) == 1) is mine


@pytest.mark.parametrize("key", ["app", "app.kubernetes.io/name", "canary/target"])
def test_a_cronjob_may_name_its_target_by_a_label(key: str) -> None:
    one = a_cronjob("b", "backup", labels={key: "web"})
    del one["metadata"]["annotations"]
    assert len(survey(cronjobs=[one]).proofs()) == 1


def test_a_goal_that_is_no_duration_is_a_fault_of_the_drill() -> None:
    drill = a_cronjob("drill", "restore-drill", annotations={"canary/rto-target": "300"})
    found = survey(cronjobs=[drill]).proofs()[0]
    assert isinstance(found, Proof)
    assert found.fault.startswith("annotation canary/rto-target: found 300, wanted a duration")


def test_jobs_that_may_not_be_listed_leave_the_time_of_a_drill_unknown() -> None:
    found = survey(cronjobs=[a_cronjob("drill", "restore-drill")], jobs=REFUSED).proofs()[0]
    assert isinstance(found, Proof)
    assert found.rto_s is None


# ── the pods


def test_policies_are_told_with_whom_they_select_of_target_and_canary() -> None:
    mine = copy.deepcopy(POLICY)
    every = {"metadata": {"name": "all"}, "spec": {}}
    stable = copy.deepcopy(POLICY)
    stable["metadata"]["name"] = "stable"
    stable["spec"]["podSelector"] = {
        "matchExpressions": [{"key": "canary.track", "operator": "DoesNotExist"}]
    }
    others = {"metadata": {"name": "db"}, "spec": {"podSelector": {"matchLabels": {"app": "db"}}}}
    found = survey(networkpolicies=[mine, every, stable, others]).place().policies
    assert not isinstance(found, Unseen)
    assert [(one.name, one.target, one.canary) for one in found] == [
        ("web", True, True),
        ("all", True, True),
        ("stable", True, False),
        ("db", False, False),
    ]


def test_bindings_are_asked_for_only_where_pods_get_a_token() -> None:
    quiet = a_deployment()
    quiet["spec"]["template"]["spec"]["automountServiceAccountToken"] = False
    api = Api(deployments=[quiet])
    assert KubeSurvey(api, "web").place().bindings == ()
    assert not {"rolebindings", "clusterrolebindings", "serviceaccounts/default"} & set(api.asked)

    api = Api(
        **{
            "serviceaccounts/default": {
                "metadata": {"name": "default"},
                "automountServiceAccountToken": False,
            }
        }
    )
    assert KubeSurvey(api, "web").place().bindings == ()
    assert "rolebindings" not in api.asked


ACCOUNT = {"serviceaccounts/default": {"metadata": {"name": "default"}}}


def a_binding(role: str, **subject: str) -> Json:
    return {
        "metadata": {"name": f"to-{role}"},
        "roleRef": {"kind": "Role", "name": role},
        "subjects": [subject],
    }


@pytest.mark.parametrize(
    ("subject", "bound"),
    [
        ({"kind": "ServiceAccount", "name": "default", "namespace": "prod"}, True),
        ({"kind": "ServiceAccount", "name": "default"}, True),
        ({"kind": "ServiceAccount", "name": "default", "namespace": "other"}, False),
        ({"kind": "ServiceAccount", "name": "other", "namespace": "prod"}, False),
        ({"kind": "Group", "name": "system:serviceaccounts:prod"}, True),
        ({"kind": "Group", "name": "system:serviceaccounts"}, True),
        ({"kind": "Group", "name": "system:authenticated"}, False),
        ({"kind": "User", "name": "default"}, False),
    ],
)
@pytest.mark.parametrize("where", ["rolebindings", "clusterrolebindings"])
def test_what_the_account_of_the_pods_is_bound_to_is_told(
    where: str, subject: dict[str, str], bound: bool
) -> None:
    found = survey(**ACCOUNT, **{where: [a_binding("edit", **subject)]}).place().bindings
    assert found == (("Role edit by binding to-edit",) if bound else ())


def test_what_every_cluster_lets_all_accounts_read_is_no_binding_of_theirs() -> None:
    usual = a_binding("system:service-account-issuer-discovery", kind="Group", name="system:serviceaccounts")
    assert survey(**ACCOUNT, clusterrolebindings=[usual]).place().bindings == ()


def test_configmaps_that_fill_variables_are_read_for_their_keys_alone() -> None:
    document = a_deployment()
    containers = document["spec"]["template"]["spec"]["containers"]
    containers[0]["envFrom"] = [{"configMapRef": {"name": "a"}}, {"configMapRef": {"name": "gone"}}]
    settings = {"data": {"LOG_LEVEL": "info", "API_KEY": "hunter2"}, "binaryData": {"B": "eA=="}}
    found = survey(deployments=[document], **{"configmaps/a": settings}).place()
    assert found.settings == {"a": ("API_KEY", "B", "LOG_LEVEL"), "gone": ()}
    assert "hunter2" not in repr(found)


def test_the_namespaces_quotas_and_limit_ranges_are_named() -> None:
    named = [{"metadata": {"name": "all"}}]
    assert survey(resourcequotas=named, limitranges=named).place().bounds == (
        "ResourceQuota all",
        "LimitRange all",
    )


def test_the_rules_of_our_own_account_are_told() -> None:
    rule = {"verbs": ["get"], "resources": ["pods"], "apiGroups": [""]}
    answer = {"status": {"resourceRules": [rule], "incomplete": False}}
    assert survey(selfsubjectrulesreviews=answer).place().rights == (rule,)
    partly = {"status": {"resourceRules": [rule], "incomplete": True, "evaluationError": "webhook"}}
    assert isinstance(survey(selfsubjectrulesreviews=partly).place().rights, Unseen)


@pytest.mark.parametrize(
    ("kind", "field"),
    [
        ("networkpolicies", "policies"),
        ("serviceaccounts/default", "account"),
        ("limitranges", "bounds"),
        ("selfsubjectrulesreviews", "rights"),
        ("rolebindings", "bindings"),
        ("clusterrolebindings", "bindings"),
    ],
)
@pytest.mark.parametrize("fault", [REFUSED, MissingError("no such kind"), InvalidError("no")])
def test_what_is_refused_or_not_served_is_unseen_with_the_right_that_is_needed(
    kind: str, field: str, fault: CanaryError
) -> None:
    found = getattr(survey(**{**ACCOUNT, kind: fault}).place(), field)
    assert isinstance(found, Unseen)
    assert found.why == fault.message
    assert "canary rbac --for preflight" in found.fix


def test_cronjobs_that_may_not_be_listed_are_unseen() -> None:
    assert [type(one) for one in survey(cronjobs=REFUSED).proofs()] == [Unseen]


@pytest.mark.parametrize("kind", ["networkpolicies", "cronjobs", "deployments"])
def test_a_server_that_does_not_answer_is_a_fault_and_no_finding(kind: str) -> None:
    found = survey(**{kind: TransientError("no answer")})
    with pytest.raises(TransientError):
        (found.place(), found.proofs())


def test_a_target_that_is_not_there_is_told() -> None:
    with pytest.raises(MissingError, match="there is no Deployment web in namespace prod"):
        survey(deployments=[]).place()


@pytest.mark.parametrize(("spec", "kept"), [({}, 10), ({"revisionHistoryLimit": 0}, 0)])
def test_how_many_old_revisions_are_kept_is_read(spec: Any, kept: int) -> None:
    assert survey(deployments=[a_deployment(**spec)]).kept() == kept
