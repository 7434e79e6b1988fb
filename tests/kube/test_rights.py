"""Which rights are asked for, and which are found missing; no cluster is needed for either."""

from typing import Any

import pytest
import yaml

from canary.errors import DeniedError, InvalidError, TransientError
from canary.kube import rights
from canary.kube.configs import Kind
from canary.kube.rbac import PREFLIGHT, Account, Rule, explained, role, rules
from canary.kube.session import Body, Json, Session

SCALE = Rule("apps", "deployments/scale", ("update",), "shift replicas", ("web", "web-canary"))
PODS = Rule("", "pods", ("list", "watch"), "see pods")


def granted(group: str, resource: str, *verbs: str, names: tuple[str, ...] = ()) -> Json:
    found: Json = {"apiGroups": [group], "resources": [resource], "verbs": list(verbs)}
    return {**found, "resourceNames": list(names)} if names else found


def test_whoever_has_the_printed_role_lacks_nothing() -> None:
    for account in Account:
        wanted = rules(account, "web")
        assert rights.lacking(wanted, role(account, "web", "shop")["rules"]) == ()


def test_whoever_has_nothing_is_told_each_right_with_its_name_and_what_it_is_for() -> None:
    assert rights.lacking((SCALE, PODS), ()) == (
        "update deployments/scale web (shift replicas)",
        "update deployments/scale web-canary (shift replicas)",
        "list pods (see pods)",
        "watch pods (see pods)",
    )


@pytest.mark.parametrize(
    "rule",
    [
        granted("*", "*", "*"),
        granted("apps", "*", "update"),
        granted("*", "deployments/scale", "update"),
        granted("apps", "deployments/scale", "*"),
        granted("apps", "*/scale", "update"),
        granted("apps", "deployments/scale", "update", names=("web-canary", "web")),
    ],
)
def test_wildcards_and_every_scale_give_the_scale_of_a_deployment(rule: Json) -> None:
    assert rights.lacking((SCALE,), (rule,)) == ()


@pytest.mark.parametrize(
    "rule",
    [
        granted("apps", "deployments", "*"),
        granted("apps", "*/status", "*"),
        granted("extensions", "deployments/scale", "*"),
        granted("", "*", "*"),
        granted("apps", "deployments/scale", "patch", "get"),
        granted("apps", "deployments/scale", "update", names=("other",)),
        granted("apps", "deployments/*", "update"),
        granted("apps", "*/*", "update"),
        {},
    ],
)
def test_the_scale_is_not_given_by_what_the_api_server_would_not_take_for_it(rule: Json) -> None:
    assert len(rights.lacking((SCALE,), (rule,))) == 2


def test_a_right_for_one_name_leaves_the_other_missing() -> None:
    rule = granted("apps", "deployments/scale", "update", names=("web",))

    assert rights.lacking((SCALE,), (rule,)) == ("update deployments/scale web-canary (shift replicas)",)


def test_a_right_for_one_name_is_none_for_all_of_them() -> None:
    assert len(rights.lacking((PODS,), (granted("", "pods", "list", "watch", names=("web-1",)),))) == 2


def test_a_scale_for_all_resources_is_no_right_for_a_resource_itself() -> None:
    assert len(rights.lacking((PODS,), (granted("", "*/scale", "*"),))) == 2


def test_verbs_may_come_from_several_rules_and_names_from_others() -> None:
    rules_ = (
        granted("", "pods", "watch"),
        granted("", "pods", "list"),
        granted("apps", "deployments/scale", "update", names=("web",)),
        granted("apps", "deployments/scale", "update", names=("web-canary",)),
    )

    assert rights.lacking((SCALE, PODS), rules_) == ()


class Answering(Session):
    """A session that answers every creation with one document, or fails with one fault."""

    def __init__(self, answer: Json | Exception) -> None:
        self.namespace = "shop"
        self.sent: list[tuple[str, Body]] = []
        self._answer = answer

    def create(self, path: str, body: Json, within_s: float = 8.0) -> Json:
        self.sent.append((path, body))
        if isinstance(self._answer, Exception):
            raise self._answer
        return self._answer


def test_rights_are_asked_for_by_one_request_about_the_namespace() -> None:
    session = Answering({"status": {"resourceRules": [granted("*", "*", "*")]}})

    rights.check(session, rules(Account.DRIVER, "web"))

    ((path, body),) = session.sent
    assert path == rights.REVIEWS
    assert isinstance(body, dict)
    assert body["spec"] == {"namespace": "shop"}


def test_what_is_missing_is_named_all_at_once_and_so_is_the_remedy() -> None:
    with pytest.raises(DeniedError) as told:
        rights.check(Answering({"status": {"resourceRules": [granted("", "pods", "list")]}}), (SCALE, PODS))

    assert told.value.message == (
        "this account lacks rights in namespace shop: update deployments/scale web (shift replicas); "
        "update deployments/scale web-canary (shift replicas); watch pods (see pods)"
    )
    assert "canary rbac --for driver | kubectl apply -f -" in told.value.remedy


@pytest.mark.parametrize(
    "answer",
    [
        {"status": {"resourceRules": [], "incomplete": True}},
        DeniedError("it may not ask"),
        TransientError("busy"),
        InvalidError("an old server"),
    ],
)
def test_a_server_that_cannot_tell_all_rights_hinders_nobody(answer: Json | Exception) -> None:
    rights.check(Answering(answer), (SCALE,))


@pytest.mark.parametrize("account", list(Account))
def test_no_rule_has_a_wildcard_or_secrets_or_the_right_to_become_another(account: Account) -> None:
    for rule in role(account, "web", "shop")["rules"]:
        words = [word for values in rule.values() for word in values]
        assert not any("*" in word for word in words), rule
        assert not {"secrets", "pods/exec", "pods/log", "serviceaccounts/token", "nodes"} & set(
            rule["resources"]
        )
        # To read one is to see whether its pods get a token; to become one is another right.
        assert "serviceaccounts" not in rule["resources"] or rule["verbs"] == ["get"]
        assert not {"impersonate", "escalate", "bind", "deletecollection"} & set(rule["verbs"])


def test_the_role_of_the_checks_is_a_viewer_s_and_what_they_look_at_besides() -> None:
    assert rules(Account.PREFLIGHT, "web") == (*rules(Account.VIEWER, "web"), *PREFLIGHT)
    assert all(set(one.verbs) <= {"get", "list", "watch"} for one in rules(Account.PREFLIGHT, "web"))


@pytest.mark.parametrize("account", [Account.DRIVER, Account.STARTER, Account.VIEWER])
def test_who_checks_besides_gets_no_rule_twice_and_lacks_none(account: Account) -> None:
    found = rules(account, "web", set(Kind), preflight=True)
    granted_ = role(account, "web", "shop", found)["rules"]
    assert rights.lacking(PREFLIGHT, granted_) == ()
    assert len(set(found)) == len(found)
    more = set(found) - set(rules(account, "web", set(Kind)))
    assert more <= set(PREFLIGHT)
    jobs = next(one for one in PREFLIGHT if one.resource == "jobs")
    assert (jobs in more) is (account is not Account.STARTER)
    assert "rolebindings" in explained(account, "web", "shop", found)
    assert "rolebindings" not in explained(account, "web", "shop")


@pytest.mark.parametrize("account", list(Account))
def test_it_is_a_role_of_one_namespace_and_never_of_the_cluster(account: Account) -> None:
    found = role(account, "web", "shop")

    assert (found["kind"], found["metadata"]["namespace"]) == ("Role", "shop")
    assert found["metadata"]["name"] == f"canary-web-{account}"
    assert not {"namespaces", "persistentvolumes", "clusterroles", "customresourcedefinitions"} & {
        resource for rule in found["rules"] for resource in rule["resources"]
    }


def test_whatever_changes_an_object_is_held_to_names_but_for_making_it() -> None:
    for rule in rules(Account.DRIVER, "web"):
        if set(rule.verbs) & {"update", "patch", "delete"}:
            assert rule.names, rule
            assert set(rule.names) <= {"web", "web-canary", "canary-web"}
        if "delete" in rule.verbs:
            assert rule.names == ("web-canary",)


def test_a_viewer_changes_nothing_and_may_do_what_a_driver_may() -> None:
    viewer = rules(Account.VIEWER, "web")

    assert {verb for rule in viewer for verb in rule.verbs} <= {"get", "list", "watch"}
    assert set(viewer) <= set(rules(Account.DRIVER, "web"))


def test_the_text_is_the_role_and_says_what_each_rule_is_for() -> None:
    for account in Account:
        text = explained(account, "web", "shop")
        parsed: Any = yaml.safe_load(text)
        assert parsed == role(account, "web", "shop")
        for rule in rules(account, "web"):
            assert f"  # {rule.why}\n" in text


def test_the_text_is_the_role_for_names_and_namespaces_that_look_like_something_else() -> None:
    for target, namespace in (("true", "123"), ("1e3", "null"), ("0x1f", "on"), ("2026-01-01", "yes")):
        parsed: Any = yaml.safe_load(explained(Account.DRIVER, target, namespace))
        assert parsed == role(Account.DRIVER, target, namespace)


class Unlisting(Answering):
    """A server that cannot list rights, and says no to what is in `refuses`."""

    def __init__(self, *refuses: str) -> None:
        super().__init__({"status": {"resourceRules": [], "incomplete": True}})
        self.refuses = refuses

    def create(self, path: str, body: Json, within_s: float = 8.0) -> Json:
        if path == rights.REVIEWS:
            return super().create(path, body, within_s)
        asked = body["spec"]["resourceAttributes"]
        found = f"{asked['verb']} {asked['resource']}/{asked.get('subresource', '')}"
        self.sent.append((path, body))
        return {"status": {"allowed": found not in self.refuses}}


def test_a_server_that_cannot_list_rights_is_asked_for_each() -> None:
    rights.check(Unlisting(), (SCALE, PODS))
    with pytest.raises(DeniedError) as refused:
        rights.check(Unlisting("update deployments/scale"), (SCALE, PODS))
    assert "update deployments/scale web-canary (shift replicas)" in str(refused.value)
    assert "list pods" not in str(refused.value)
