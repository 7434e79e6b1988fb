"""The profile `restricted`: each control, by one breach of it; and fields that are allowed."""

import pytest

from canary.preflight.restricted import breaches
from tests.preflight.flaws import ALLOWED, FLAWS
from tests.preflight.seen import container, template


@pytest.mark.parametrize("name", FLAWS)
def test_each_breach_is_found_alone_and_where_it_lies(name: str) -> None:
    place, document = FLAWS[name]
    assert [one.place for one in breaches(document)] == [place]


@pytest.mark.parametrize("name", ALLOWED)
def test_what_the_profile_allows_is_no_breach(name: str) -> None:
    assert breaches(ALLOWED[name]) == ()


def test_a_breach_says_what_was_found_and_what_is_wanted() -> None:
    found = breaches(container(securityContext={"capabilities": {"drop": ["NET_RAW"]}}))
    assert str(found[0]) == "containers[0].securityContext.capabilities.drop: found NET_RAW, wanted [ALL]"
    found = breaches(container(securityContext={"privileged": True}))
    assert str(found[0]) == "containers[0].securityContext.privileged: found true, wanted false"


def test_a_pod_that_says_nothing_breaks_four_controls_in_each_container() -> None:
    bare = {"metadata": {}, "spec": {"containers": [{"name": "a"}, {"name": "b"}]}}
    fields = ("allowPrivilegeEscalation", "runAsNonRoot", "capabilities.drop", "seccompProfile.type")
    wanted = [f"containers[{i}].securityContext.{field}" for i in (0, 1) for field in fields]
    assert [one.place for one in breaches(bare)] == wanted


def test_an_annotation_may_not_switch_apparmor_off() -> None:
    document = template()
    key = "container.apparmor.security.beta.kubernetes.io/app"
    document["metadata"]["annotations"] = {key: "unconfined"}
    assert [one.place for one in breaches(document)] == [f"annotation {key}"]
    document["metadata"]["annotations"] = {key: "runtime/default"}
    assert breaches(document) == ()


@pytest.mark.parametrize("place", ["pod", "container"])
def test_a_windows_host_process_is_a_breach(place: str) -> None:
    options = {"windowsOptions": {"hostProcess": True}}
    context = {**template()["spec"]["securityContext"], **options}
    document = template(securityContext=context) if place == "pod" else container(securityContext=options)
    prefix = "" if place == "pod" else "containers[0]."
    assert [one.place for one in breaches(document)] == [
        f"{prefix}securityContext.windowsOptions.hostProcess"
    ]


def test_a_privileged_container_may_gain_more_rights_too_and_both_are_told() -> None:
    document = container(securityContext={"privileged": True, "allowPrivilegeEscalation": True})
    fields = ("privileged", "allowPrivilegeEscalation")
    assert [one.place for one in breaches(document)] == [
        f"containers[0].securityContext.{one}" for one in fields
    ]


def test_another_proc_mount_is_a_breach() -> None:
    document = container(securityContext={"procMount": "Unmasked"})
    assert [one.place for one in breaches(document)] == ["containers[0].securityContext.procMount"]
