"""Whole releases by accounts that have the printed Role and nothing else, on a server that enforces it."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from canary.kube.objects import record_name
from canary.kube.rbac import Account, Rule, rules
from canary.kube.session import Json
from tests.kube.accounts import Bound, printed
from tests.kube.live import Place, a_namespace, gone, wait_for
from tests.kube.scripted import Traffic
from tests.kube.stage import Stage, a_stage

pytestmark = pytest.mark.control_plane

RBAC = "rbac.authorization.k8s.io/v1"
DRIVER = rules(Account.DRIVER, "web")


@pytest.fixture
def stage(place: Place, tmp_path: Path) -> Iterator[Stage]:
    with a_stage(place, tmp_path, {"bad": Traffic(errors=0.03)}) as found:
        yield found


@pytest.fixture
def driver(stage: Stage) -> Stage:
    return Bound(stage, "driver").granted(printed(stage, Account.DRIVER))


@pytest.fixture
def viewer(stage: Stage) -> Stage:
    return Bound(stage, "viewer").granted(printed(stage, Account.VIEWER))


def test_a_promotion_needs_nothing_but_the_drivers_role(stage: Stage, driver: Stage) -> None:
    ran = driver.run("start", "v2")

    assert ran.code == 0, ran.text
    assert "may not" not in ran.text
    assert stage.image() == "shop/web:v2"
    assert stage.is_whole()


def test_a_rollback_and_its_proof_need_nothing_but_the_drivers_role(stage: Stage, driver: Stage) -> None:
    ran = driver.run("start", "bad")

    assert ran.code == 3, ran.text
    assert "may not" not in ran.text
    assert "not proved" not in ran.text
    assert stage.image() == "shop/web:v1"
    assert stage.is_whole()


def test_an_undo_and_what_people_ask_need_nothing_but_the_drivers_role(stage: Stage, driver: Stage) -> None:
    assert driver.run("start", "v2").code == 0
    undone = driver.run("undo")

    assert undone.code == 0, undone.text
    assert stage.image() == "shop/web:v1"
    assert stage.is_whole()
    for asked in (("plan", "v2"), ("status",), ("history",), ("audit", "export")):
        assert driver.run(*asked).code == 0, asked


def test_an_abort_from_another_process_needs_nothing_but_the_drivers_role(
    stage: Stage, driver: Stage
) -> None:
    driver.configure(hold={"min": "40s", "max": "90s"})
    driving = driver.begin("start", "v2")
    wait_for(lambda: stage.deployment("web-canary"), "the canary is there")

    assert driver.run("abort").code == 0
    assert driver.ended(driving).code == 5
    assert stage.is_whole()


@pytest.mark.parametrize(("version", "code"), [("v2", 0), ("bad", 3)])
def test_a_viewer_follows_a_release_to_its_end_and_reads_what_it_left(
    stage: Stage, viewer: Stage, version: str, code: int
) -> None:
    driving = stage.begin("start", version)
    wait_for(lambda: stage.recorded(), "the release has begun")
    watching = viewer.begin("watch")
    status = viewer.run("status", "-o", "json")

    assert stage.ended(driving).code == code
    watched = viewer.ended(watching)
    assert watched.code == code, watched.text
    assert "may not" not in watched.text
    assert json.loads(status.out)["release"]["version"] == version, status.text
    past = json.loads(viewer.run("history", "-o", "json").out)
    assert [one["version"] for one in past["releases"]] == [version]
    ledger = viewer.run("audit", "export")
    assert ledger.code == 0, ledger.text
    assert '"kind":"end"' in ledger.out
    assert viewer.run("status").code == 0


@pytest.mark.parametrize("asked", [("status",), ("history",)])
def test_a_viewer_may_look_before_anything_was_released(viewer: Stage, asked: tuple[str, ...]) -> None:
    ran = viewer.run(*asked)

    assert ran.code == 0, ran.text


def test_a_viewer_is_refused_a_release_before_anything_is_touched(stage: Stage, viewer: Stage) -> None:
    before = stage.deployment()

    ran = viewer.run("start", "v2")

    assert ran.code == 2, ran.text
    for missing in (
        "create configmaps (",
        "update configmaps canary-web (",
        "create leases (",
        "patch deployments web (",
        "delete deployments web-canary (",
        "update deployments/scale web-canary (",
    ):
        assert missing in ran.text
    assert "canary rbac --for driver" in ran.text
    nothing_was_touched(stage, before)


@pytest.mark.parametrize("asked", ["abort", "undo", "pause", "promote"])
def test_a_viewer_is_refused_to_steer_a_release(stage: Stage, viewer: Stage, asked: str) -> None:
    stage.configure(hold={"min": "40s", "max": "90s"})
    driving = stage.begin("start", "v2")
    wait_for(lambda: stage.deployment("web-canary"), "the canary is there")

    ran = viewer.run(asked)

    assert ran.code == 2, ran.text
    assert "this account may not update configmaps canary-web" in ran.text
    release = stage.recorded()
    assert release is not None
    assert release.requests == ()
    assert stage.run("abort").code == 0
    assert stage.ended(driving).code == 5


def nothing_was_touched(stage: Stage, before: Json | None) -> None:
    session = stage.session
    assert before is not None
    after = stage.deployment()
    assert after is not None
    assert after["spec"] == before["spec"]
    assert after["metadata"]["generation"] == before["metadata"]["generation"]
    assert stage.deployment("web-canary") is None
    name = record_name("web")
    assert gone(lambda: session.get(session.path("v1", "configmaps", name)))
    assert gone(lambda: session.get(session.path("coordination.k8s.io/v1", "leases", name)))


@pytest.fixture(scope="module")
def lacking(kubeconfig: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Stage, Bound]]:
    """One stage for all that are refused: none of them may touch it. Commands are run by the account."""
    with a_namespace(kubeconfig) as place, a_stage(place, tmp_path_factory.mktemp("lacking"), {}) as stage:
        bound = Bound(stage, "lacking")
        yield bound.granted(printed(stage, Account.DRIVER)), bound


@contextmanager
def without(bound: Bound, kept: list[Json]) -> Iterator[None]:
    role = printed(bound.stage, Account.DRIVER)
    bound.change({**role, "rules": kept})
    try:
        yield
    finally:
        bound.change(role)


def named(rule: Rule) -> str:
    return "-".join((*rule.verbs, rule.resource.replace("/", "-"), *rule.names))


@pytest.mark.parametrize("rule", DRIVER, ids=named)
def test_without_any_one_rule_nothing_is_begun_and_the_right_is_named(
    lacking: tuple[Stage, Bound], rule: Rule
) -> None:
    stage, bound = lacking
    before = stage.deployment()
    with without(bound, [one.document() for one in DRIVER if one != rule]):
        ran = stage.run("start", "v2")

    assert ran.code == 2, ran.text
    for word in (*rule.verbs[:1], rule.resource, *rule.names):
        assert word in ran.text, ran.text
    assert "canary rbac" in ran.text
    nothing_was_touched(bound.stage, before)


SECOND = [rule for rule in DRIVER if len(rule.verbs) > 1 or len(rule.names) > 1]


@pytest.mark.parametrize("rule", SECOND, ids=named)
def test_without_the_last_verb_or_name_of_a_rule_nothing_is_begun_either(
    lacking: tuple[Stage, Bound], rule: Rule
) -> None:
    stage, bound = lacking
    before = stage.deployment()
    verbs, names = rule.verbs, rule.names
    less = replace(rule, verbs=verbs[:-1]) if len(verbs) > 1 else replace(rule, names=names[:-1])
    with without(bound, [(less if one == rule else one).document() for one in DRIVER]):
        ran = stage.run("start", "v2")

    assert ran.code == 2, ran.text
    missing = verbs[-1] if len(verbs) > 1 else names[-1]
    assert missing in ran.text, ran.text
    assert rule.resource in ran.text
    assert "canary rbac" in ran.text
    nothing_was_touched(bound.stage, before)
