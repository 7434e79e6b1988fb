"""Releases with configuration by accounts that have the Role printed for it, and by such that have less."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from canary.kube.configs import Kind
from canary.kube.rbac import Account, role, rules
from tests.kube.accounts import Bound, printed
from tests.kube.live import Place
from tests.kube.scripted import Traffic
from tests.kube.stage import Stage, a_stage
from tests.kube.test_config_releases import PASSWORD, SETTINGS, a_template, objects, refers, write

FILES = ("--config", "settings.yaml", "--config", "password.yaml")
WITH = ("--with", "configmap", "--with", "secret")


def verbs(account: Account, *kinds: Kind) -> set[str]:
    """What it may do with objects of no certain name."""
    return {
        f"{verb} {rule.resource}"
        for rule in rules(account, "web", kinds)
        for verb in rule.verbs
        if rule.resource in ("configmaps", "secrets") and not rule.names
    }


def test_a_role_has_rights_to_secrets_only_when_they_are_asked_for() -> None:
    plain = {"get configmaps", "create configmaps"}

    assert verbs(Account.DRIVER) == plain
    assert verbs(Account.DRIVER, Kind.CONFIG_MAP) == plain | {"list configmaps", "delete configmaps"}
    assert verbs(Account.DRIVER, Kind.SECRET) == plain | {
        f"{verb} secrets" for verb in ("create", "get", "list", "delete")
    }


def test_whoever_starts_a_job_may_make_and_read_and_not_delete() -> None:
    assert verbs(Account.STARTER) == set()
    assert verbs(Account.STARTER, *Kind) == {
        f"{verb} {kind}" for verb in ("create", "get") for kind in ("configmaps", "secrets")
    }
    assert not any(
        set(rule.verbs) - {"get"}
        for rule in rules(Account.STARTER, "web", list(Kind))
        if rule.resource == "deployments"
    )


def test_a_viewer_gets_no_more() -> None:
    assert rules(Account.VIEWER, "web", list(Kind)) == rules(Account.VIEWER, "web")


@pytest.mark.parametrize("account", list(Account))
def test_no_rule_is_said_twice(account: Account) -> None:
    said = [
        json.dumps(rule) for rule in role(account, "web", "shop", rules(account, "web", list(Kind)))["rules"]
    ]

    assert len(said) == len(set(said))


@pytest.fixture
def stage(place: Place, tmp_path: Path) -> Iterator[Stage]:
    session = place.session()
    session.create(session.path("v1", "configmaps"), {**SETTINGS, "data": {"mode": "plain"}})
    session.create(session.path("v1", "secrets"), {**PASSWORD, "stringData": {"word": "plain"}})
    with a_stage(place, tmp_path, {"bad": Traffic(errors=0.03)}, template=a_template()) as found:
        write(found, "settings.yaml", {**SETTINGS, "data": {"mode": "one"}})
        write(found, "password.yaml", {**PASSWORD, "stringData": {"word": "one"}})
        yield found


@pytest.mark.control_plane
def test_a_release_its_undo_and_a_rollback_need_nothing_but_the_role(stage: Stage) -> None:
    driver = Bound(stage, "driver").granted(printed(stage, Account.DRIVER, *WITH))

    promoted = driver.run("start", "v2", *FILES)
    assert promoted.code == 0, promoted.text
    kept = objects(stage)
    assert refers(stage) == sorted(kept, reverse=True)
    undone = driver.run("undo")
    assert undone.code == 0, undone.text
    write(stage, "settings.yaml", {**SETTINGS, "data": {"mode": "two"}})
    back = driver.run("start", "bad", *FILES)
    assert back.code == 3, back.text

    assert objects(stage) == kept
    for ran in (promoted, undone, back):
        assert "may not" not in ran.text
        assert "may be left" not in ran.text


@pytest.mark.control_plane
def test_without_the_rights_for_it_nothing_is_made_and_they_are_named(stage: Stage) -> None:
    driver = Bound(stage, "driver").granted(printed(stage, Account.DRIVER, "--with", "configmap"))

    ran = driver.run("start", "v2", *FILES)

    assert ran.code == 2, ran.text
    assert "create secrets (make the Secrets of a version, before it starts)" in ran.text
    assert "canary rbac --for driver --with configmap --with secret" in ran.text
    assert (objects(stage), stage.recorded()) == ([], None)
    leases = stage.session.get(stage.session.path("coordination.k8s.io/v1", "leases"))
    assert not leases.get("items")


@pytest.mark.control_plane
def test_a_plain_release_after_one_with_configuration_needs_no_more_than_the_plain_role(stage: Stage) -> None:
    assert stage.run("start", "v2", *FILES).code == 0
    driver = Bound(stage, "driver").granted(printed(stage, Account.DRIVER))

    ran = driver.run("start", "v3")

    assert ran.code == 0, ran.text
    assert "configuration that no revision needs may be left: this account may not list" in ran.text
    assert refers(stage) == sorted(objects(stage), reverse=True)


@pytest.mark.control_plane
def test_whoever_starts_a_job_needs_nothing_but_the_starters_role(stage: Stage) -> None:
    stage.session.create(stage.session.path("v1", "serviceaccounts"), {"metadata": {"name": "canary"}})
    starter = Bound(stage, "starter").granted(printed(stage, Account.STARTER, *WITH))

    for _ in range(2):
        ran = starter.run("start", "v2", "--in-cluster", "--detach", *FILES)
        assert ran.code == 0, ran.text

    assert len(objects(stage)) == 2
    assert len(stage.session.get(stage.session.path("batch/v1", "jobs"))["items"]) == 1
