"""Code and configuration released as one by the real command, against a real API server."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from canary.kube.configs import CONFIG
from canary.kube.objects import MANAGED_BY, OURS
from canary.kube.session import Json
from tests.kube.live import Place, wait_for
from tests.kube.scripted import Traffic
from tests.kube.stage import Stage, a_stage

pytestmark = pytest.mark.control_plane

SETTINGS = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "settings"}}
PASSWORD = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "password"}}


def a_template() -> Json:
    container = {
        "name": "app",
        "image": "shop/web:v1",
        "envFrom": [{"configMapRef": {"name": "settings"}}, {"secretRef": {"name": "password"}}],
    }
    return {"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [container]}}


@pytest.fixture
def stage(place: Place, tmp_path: Path) -> Iterator[Stage]:
    session = place.session()
    session.create(session.path("v1", "configmaps"), {**SETTINGS, "data": {"mode": "plain"}})
    session.create(session.path("v1", "secrets"), {**PASSWORD, "stringData": {"word": "plain"}})
    with a_stage(place, tmp_path, {"bad": Traffic(errors=0.03)}, template=a_template()) as found:
        write(found, "settings.yaml", {**SETTINGS, "data": {"mode": "one"}})
        write(found, "password.yaml", {**PASSWORD, "stringData": {"word": "one"}})
        yield found


def write(stage: Stage, name: str, *documents: Json) -> None:
    (stage.folder / name).write_text("\n---\n".join(map(json.dumps, documents)))


def objects(stage: Stage) -> list[str]:
    """The configuration objects that are ours."""
    session, found = stage.session, []
    for kind in ("configmaps", "secrets"):
        listed = session.get(session.path("v1", kind), labelSelector=f"{MANAGED_BY}={OURS},{CONFIG}")
        found += [one["metadata"]["name"] for one in listed.get("items") or []]
    return sorted(found)


def refers(stage: Stage, name: str = "web") -> list[str]:
    """The objects that a Deployment's container takes its environment from, in order."""
    found = stage.deployment(name)
    assert found is not None
    sources = found["spec"]["template"]["spec"]["containers"][0]["envFrom"]
    return [next(iter(one.values()))["name"] for one in sources]


def test_a_version_and_its_configuration_are_promoted_and_undone_as_one(stage: Stage) -> None:
    ran = stage.run("start", "v2", "--config", "settings.yaml", "--config", "password.yaml")

    assert ran.code == 0, ran.text
    password, settings = objects(stage)
    assert refers(stage) == [settings, password]
    assert settings.startswith("settings-")
    made = stage.session.get(stage.session.path("v1", "configmaps", settings))
    assert (made["data"], made["immutable"]) == ({"mode": "one"}, True)
    assert made["metadata"]["annotations"]["canary.config-name"] == "settings"

    undone = stage.run("undo")

    assert undone.code == 0, undone.text
    assert (refers(stage), stage.image()) == (["settings", "password"], "shop/web:v1")
    assert stage.is_whole()
    # A kept ReplicaSet refers to them: undo goes there, too.
    assert objects(stage) == [password, settings]
    assert stage.run("undo", "--to-revision", "2").code == 0
    assert refers(stage) == [settings, password]


def test_status_and_history_name_the_configuration_of_each_revision(stage: Stage) -> None:
    stage.configure(hold={"min": "20s", "max": "60s"})
    driver = stage.begin("start", "v2", "--config", "settings.yaml", "--config", "password.yaml")
    wait_for(lambda: stage.deployment("web-canary"), "the canary is there")
    password, settings = objects(stage)
    names = [f"configmap/{settings}", f"secret/{password}"]

    told = stage.run("status")
    assert f"config     stable none of a version; canary {', '.join(names)}" in told.out, told.out
    document = json.loads(stage.run("status", "-o", "json").out)
    assert {name: one["config"] for name, one in document["workloads"].items()} == {
        "stable": [],
        "canary": names,
    }
    assert (document["release"]["config"], document["release"]["over_config"]) == (names, [])

    assert stage.run("promote").code == 0
    assert stage.ended(driver).code == 0
    assert f"config     stable {', '.join(names)}" in stage.run("status").out
    lines = stage.run("history").out.splitlines()
    assert lines[0].split() == ["revision", "version", "hash", "config"]
    assert [line.endswith(f"running  {', '.join(names)}") for line in lines[1:3]] == [False, True]
    revisions = json.loads(stage.run("history", "-o", "json").out)["revisions"]
    assert [(one["version"], one["config"]) for one in revisions] == [("v1", []), ("v2", names)]


def test_what_a_version_that_is_rolled_back_brought_is_taken_away(stage: Stage) -> None:
    driver = stage.begin("start", "bad", "--config", "settings.yaml", "--config", "password.yaml")
    wait_for(lambda: stage.deployment("web-canary"), "the canary is there")
    # Somebody else's, who is about to start: it stays.
    another = made_for_nothing(stage)
    ran = stage.ended(driver)

    assert ran.code == 3, ran.text
    assert (refers(stage), objects(stage)) == (["settings", "password"], another)
    assert "is taken away: no revision needs it" in ran.text
    assert "mode" in stage.session.get(stage.session.path("v1", "configmaps", "settings"))["data"]


def test_another_configuration_of_the_same_version_is_a_release_and_the_same_one_is_not(
    stage: Stage,
) -> None:
    first = stage.run("start", "v1", "--config", "settings.yaml")
    assert first.code == 0, first.text
    assert "already running" not in first.text
    old = refers(stage)[0]

    again = stage.run("start", "v1", "--config", "settings.yaml")
    assert (again.code, refers(stage)[0]) == (0, old)
    assert "already running" in again.text

    write(stage, "settings.yaml", {**SETTINGS, "data": {"mode": "two"}})
    other = stage.run("start", "v1", "--config", "settings.yaml")
    assert other.code == 0, other.text
    new = refers(stage)[0]
    assert new.startswith("settings-")
    assert objects(stage) == sorted([old, new])
    assert stage.run("undo").code == 0
    assert refers(stage) == [old, "password"]


def test_what_no_kept_revision_needs_any_more_is_taken_away(stage: Stage) -> None:
    stage.patch({"op": "add", "path": "/spec/revisionHistoryLimit", "value": 0})
    names = []
    for mode in ("one", "two", "three"):
        write(stage, "settings.yaml", {**SETTINGS, "data": {"mode": mode}})
        ran = stage.run("start", f"v{mode}", "--config", "settings.yaml")
        assert ran.code == 0, ran.text
        names += [refers(stage)[0]]

    # The record pins the last but one for undo; the first is in no template any more.
    assert objects(stage) == sorted(names[1:])


def test_the_same_version_joins_only_with_the_same_configuration(stage: Stage) -> None:
    stage.configure(hold={"min": "8s", "max": "90s"})
    driver = stage.begin("start", "v2", "--config", "settings.yaml")
    wait_for(lambda: stage.deployment("web-canary"), "the canary is there")
    follower = stage.begin("start", "v2", "--config", "settings.yaml")
    plain = stage.begin("start", "v2")
    write(stage, "other.yaml", {**SETTINGS, "data": {"mode": "other"}})
    before = objects(stage)

    refused = stage.run("start", "v2", "--config", "other.yaml")

    assert refused.code == 9, refused.text
    assert "v2 is being released to web with another configuration" in refused.text
    assert objects(stage) == before
    for one in (follower, plain):
        followed = stage.ended(one)
        assert (followed.code, "drives this release; following" in followed.text) == (0, True), followed.text
    assert stage.ended(driver).code == 0


def test_what_the_target_does_not_refer_to_is_refused_before_anything_is_made(stage: Stage) -> None:
    write(stage, "settings.yaml", {**SETTINGS, "metadata": {"name": "elsewhere"}, "data": {}})

    ran = stage.run("start", "v2", "--config", "settings.yaml", "--config", "password.yaml")

    assert ran.code == 2
    assert "refers nowhere to configmap/elsewhere" in ran.text
    assert "Refer to it first by its plain name" in ran.text
    assert (objects(stage), stage.recorded()) == ([], None)


def test_a_bad_file_is_refused_before_anything_is_made(stage: Stage) -> None:
    write(stage, "settings.yaml", {**SETTINGS, "data": {"port": 8080}}, {"kind": "Job"})
    bad = stage.run("start", "v2", "--config", "password.yaml", "--config", "settings.yaml")
    missing = stage.run("start", "v2", "--config", "none.yaml")
    write(stage, "settings.yaml", {**SETTINGS, "metadata": {"name": "settings", "namespace": "prod"}})
    other = stage.run("start", "v2", "--config", "settings.yaml")

    assert [bad.code, missing.code, other.code] == [2, 2, 2]
    assert "settings.yaml: document 1, line 1: data.port: found 8080, wanted text" in bad.text
    assert "settings.yaml: document 2, line 3: kind: found Job, wanted ConfigMap or Secret" in bad.text
    assert "there is no file none.yaml" in missing.text
    assert f"found prod, wanted {stage.place.namespace}, that of the target" in other.text
    assert (objects(stage), stage.recorded()) == ([], None)


def test_an_object_of_somebody_else_with_that_name_is_left_alone(stage: Stage) -> None:
    (planned, *_) = json.loads(stage.run("plan", "--config", "settings.yaml", "-o", "json").out)["config"][
        "objects"
    ]
    name = planned.partition("/")[2]
    document = {**SETTINGS, "metadata": {"name": name}, "data": {"mode": "one"}}
    stage.session.create(stage.session.path("v1", "configmaps"), document)

    ran = stage.run("start", "v2", "--config", "settings.yaml")

    assert ran.code == 2, ran.text
    assert f"there is a configmap/{name} that canary did not make for web" in ran.text
    assert stage.recorded() is None


def test_a_name_that_only_looks_like_an_earlier_one_is_not_taken_for_it(stage: Stage) -> None:
    path = "/spec/template/spec/containers/0/envFrom/0/configMapRef/name"
    session = stage.session
    theirs = {**SETTINGS, "metadata": {"name": "settings-0123456789"}}
    session.create(session.path("v1", "configmaps"), theirs)
    stage.patch({"op": "replace", "path": path, "value": "settings-0123456789"})

    ran = stage.run("start", "v2", "--config", "settings.yaml")

    assert ran.code == 2, ran.text
    assert "it refers to: configmap/settings-0123456789, secret/password" in ran.text


def test_the_plan_names_the_objects_and_the_references_and_makes_none(stage: Stage) -> None:
    for asked in (("plan", "v2"), ("start", "v2", "--dry-run")):
        ran = stage.run(*asked, "--config", "settings.yaml", "--config", "password.yaml")
        assert ran.code == 0, ran.text
        assert "containers[app].envFrom[0]: configmap/settings -> configmap/settings-" in ran.out
        assert "containers[app].envFrom[1]: secret/password -> secret/password-" in ran.out
        assert ": made, unless it is there, and never changed" in ran.out
        assert "--config settings.yaml --config password.yaml" in ran.text
    assert objects(stage) == []
    found = json.loads(stage.run("plan", "v1", "--config", "settings.yaml", "-o", "json").out)
    assert found["already_running"] is False
    assert [one["from"] for one in found["config"]["references"]] == ["configmap/settings"]


def test_a_release_that_was_killed_is_taken_over_without_its_files(stage: Stage) -> None:
    stage.configure(hold={"min": "10s", "max": "90s"})
    driver = stage.begin("start", "v2", "--config", "settings.yaml")
    wait_for(lambda: stage.deployment("web-canary"), "the canary is there")
    driver.kill()
    stage.ended(driver)
    (stage.folder / "settings.yaml").unlink()

    ran = stage.run("start", "v2")

    assert ran.code == 0, ran.text
    assert [refers(stage)[0]] == objects(stage)


def test_a_cleanup_keeps_what_the_target_or_a_kept_revision_needs_and_says_so(stage: Stage) -> None:
    for mode in ("one", "two"):
        write(stage, "settings.yaml", {**SETTINGS, "data": {"mode": mode}})
        assert stage.run("start", f"v{mode}", "--config", "settings.yaml").code == 0
    needed = objects(stage)
    (unused,) = made_for_nothing(stage)

    ran = stage.run("cleanup", "--yes")

    assert ran.code == 0, ran.text
    assert objects(stage) == needed
    assert len(needed) == 2
    assert f"deleted configmaps/{unused}" in ran.out
    for name in needed:
        assert f"kept configmaps/{name}: web or a kept revision of it refers to it" in ran.out
    assert "deleted configmaps/canary-web\n" in ran.out
    # The record is gone; what the kept ReplicaSets refer to is there still.
    assert stage.run("undo", "--to-revision", "2").code == 0
    assert refers(stage)[0] in needed


def made_for_nothing(stage: Stage) -> list[str]:
    """As a start that was killed before it recorded anything leaves them."""
    from canary.kube.configs import ConfigObject, Kind, Named

    one = ConfigObject(Named(Kind.CONFIG_MAP, "settings"), "web", {"mode": "lost"}, {})
    stage.session.create(stage.session.path("v1", "configmaps"), one.document(stage.place.namespace))
    return [one.named.name]


def test_a_local_service_has_no_such_configuration(stage: Stage, tmp_path: Path) -> None:
    stage.file.write_text(
        json.dumps(
            {"target": {"local": "shop"}, "local": {"command": ["x", "{port}", "{version}"], "version": "v1"}}
        )
    )

    ran = replace(stage, environment={}).run("start", "v2", "--config", "settings.yaml")

    assert ran.code == 2
    assert "--config is for a Deployment; shop is a local service" in ran.text


def test_a_job_is_given_names_and_no_content(stage: Stage) -> None:
    stage.session.create(stage.session.path("v1", "serviceaccounts"), {"metadata": {"name": "canary"}})
    files = ("--config", "settings.yaml", "--config", "password.yaml")

    ran = stage.run("start", "v2", "--in-cluster", "--detach", *files)

    assert ran.code == 0, ran.text
    password, settings = objects(stage)
    (job,) = stage.session.get(stage.session.path("batch/v1", "jobs"))["items"]
    arguments = job["spec"]["template"]["spec"]["containers"][0]["args"]
    wanted = ["--config-object", f"configmap/{settings}", "--config-object", f"secret/{password}"]
    assert arguments[-4:] == wanted
    secret = stage.session.get(stage.session.path("v1", "secrets", password))
    assert secret["data"]["word"] not in json.dumps(job)

    # What the Job runs; with the names alone.
    driven = stage.run("run", "v2", "--release", "web-x", *wanted)
    assert driven.code == 0, driven.text
    assert refers(stage) == [settings, password]


def test_a_job_whose_target_refers_to_none_of_it_is_not_made(stage: Stage) -> None:
    write(stage, "settings.yaml", {**SETTINGS, "metadata": {"name": "elsewhere"}, "data": {}})

    ran = stage.run("start", "v2", "--in-cluster", "--detach", "--config", "settings.yaml")
    lost = stage.run("run", "v2", "--release", "web-x", "--config-object", "configmap/settings-0123456789")

    assert (ran.code, lost.code) == (2, 2), ran.text
    assert "refers nowhere to configmap/elsewhere" in ran.text
    assert "there is no configmap/settings-0123456789" in lost.text
    assert objects(stage) == []
    assert stage.session.get(stage.session.path("batch/v1", "jobs")).get("items") in (None, [])
