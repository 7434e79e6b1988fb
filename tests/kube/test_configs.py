"""Configuration as objects named by their content: read, named, referred to. No cluster is needed."""

import base64
import copy
import re
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from canary.config.document import parse_all
from canary.config.settings import KubernetesTarget
from canary.core.revision import Revision
from canary.errors import InvalidError
from canary.kube import config_files
from canary.kube.configs import (
    ConfigObject,
    Kind,
    Named,
    belongs_to,
    changes,
    earlier,
    hashed,
    named,
    references,
    rewritten,
)
from canary.kube.session import Session
from canary.kube.workloads import KubeWorkloads
from tests.a_release import a_release

Json = dict[str, Any]

SETTINGS = """
apiVersion: v1
kind: ConfigMap
metadata: {name: settings, creationTimestamp: null}
data: {mode: fast}
"""
PASSWORD = """
apiVersion: v1
kind: Secret
metadata: {name: password}
stringData: {word: hush}
"""
OLD, NEW = "settings-0123456789", "settings-abcdef0123"


def read(*texts: str, target: str = "web") -> tuple[ConfigObject, ...]:
    return config_files.objects(
        [(f"file{n}.yaml", parse_all(text)) for n, text in enumerate(texts, 1)], target
    )


def faults(*texts: str) -> tuple[str, ...]:
    with pytest.raises(InvalidError) as told:
        read(*texts)
    assert "nothing was touched" in told.value.message
    return told.value.faults


def a_template(config: str = "settings", secret: str = "password") -> Json:
    """Refers to both in every place that there is, and to others beside them."""
    env = [
        {"name": "MODE", "valueFrom": {"configMapKeyRef": {"name": config, "key": "mode"}}},
        {"name": "WORD", "valueFrom": {"secretKeyRef": {"name": secret, "key": "word"}}},
        {"name": "NAME", "value": config},
    ]
    source = [{"configMapRef": {"name": config}}, {"secretRef": {"name": secret}, "prefix": "P_"}]
    volumes = [
        {"name": "a", "configMap": {"name": config, "items": [{"key": "mode", "path": "mode"}]}},
        {"name": "b", "secret": {"secretName": secret}},
        {
            "name": "c",
            "projected": {"sources": [{"configMap": {"name": config}}, {"secret": {"name": secret}}]},
        },
        {"name": "d", "csi": {"driver": "x", "nodePublishSecretRef": {"name": secret}}},
        {"name": "e", "emptyDir": {}},
        {"name": "f", "configMap": {"name": "others"}},
    ]
    container = {"name": "app", "image": "shop/web:v1", "env": env, "envFrom": source}
    return {
        "metadata": {"labels": {"app": config}},
        "spec": {
            "containers": [container],
            "initContainers": [{**copy.deepcopy(container), "name": "init"}],
            "volumes": volumes,
            "imagePullSecrets": [{"name": secret}],
            "unknownToUs": {"configMap": {"name": config}},
        },
    }


CONFIG, SECRET = Named(Kind.CONFIG_MAP, NEW), Named(Kind.SECRET, "password-abcdef0123")


def test_a_file_of_several_documents_gives_an_object_each() -> None:
    config, secret = read(f"---\n{SETTINGS}---\n---\n{PASSWORD}")

    assert (config.plain, secret.plain) == (
        Named(Kind.CONFIG_MAP, "settings"),
        Named(Kind.SECRET, "password"),
    )
    assert re.fullmatch(r"configmap/settings-[0-9a-f]{10}", str(config.named))
    assert config.place == "file1.yaml: document 1"
    assert secret.data == {"word": base64.b64encode(b"hush").decode()}


def test_the_object_never_changes_is_ours_and_tells_its_plain_name() -> None:
    (config,) = read(SETTINGS)
    document = config.document("shop")

    assert document["immutable"] is True
    assert document["metadata"]["namespace"] == "shop"
    assert document["metadata"]["annotations"] == {"canary.config-name": "settings"}
    assert belongs_to(document, "web")
    assert not belongs_to(document, "other")
    assert config.is_held_by(document)
    assert not config.is_held_by({**document, "data": {"mode": "slow"}})
    assert not config.is_held_by({**document, "immutable": False})
    assert "type" not in document
    (secret,) = read(PASSWORD)
    assert secret.document("shop")["type"] == "Opaque"


def test_the_name_follows_content_kind_and_target_and_nothing_else() -> None:
    (config,) = read(SETTINGS)

    assert read(SETTINGS.replace("{mode: fast}", "\n  mode: fast\n"))[0].named == config.named
    assert read(SETTINGS.replace("fast", "slow"))[0].named != config.named
    assert read(SETTINGS, target="api")[0].named != config.named
    assert (
        read(SETTINGS.replace("ConfigMap", "Secret").replace("\ndata", "\nstringData"))[0].named
        != config.named
    )


def test_a_secret_has_one_name_however_its_base64_is_broken_into_lines() -> None:
    text = base64.b64encode(b"x" * 90).decode()
    one = PASSWORD.replace("stringData: {word: hush}", f"data: {{word: {text}}}")
    lines = f"data:\n  word: |\n    {text[:60]}\n    {text[60:]}\n"
    other = PASSWORD.replace("stringData: {word: hush}\n", lines)

    assert read(one)[0].named == read(other)[0].named


def test_what_is_secret_is_not_in_the_words_for_an_object() -> None:
    (secret,) = read(PASSWORD)

    assert secret.data["word"] not in repr(secret)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (
            "kind: Deployment\napiVersion: apps/v1\n",
            "document 1, line 1: kind: found Deployment, wanted Conf",
        ),
        ("data: {a: b}\n", "document 1, line 1: kind: found no kind, wanted ConfigMap or Secret"),
        ("- a\n", "document 1, line 1: found a list, wanted a mapping with"),
        ("a: [\n", "document 1, line 2: this is not YAML"),
        ("", "holds no document, wanted a ConfigMap or a Secret"),
        (SETTINGS.replace("v1", "v2"), "apiVersion: found v2, wanted v1"),
        (SETTINGS.replace("name: settings, ", ""), "metadata.name: there is no name"),
        (SETTINGS.replace("settings", "Settings_"), "metadata.name: found 'Settings_', wanted small letters"),
        (SETTINGS.replace("settings", "s" * 243), "metadata.name: found 243 characters, wanted 242 at most"),
        (SETTINGS.replace("fast", "8080"), "data.mode: found 8080, wanted text: put it in quotes"),
        (SETTINGS.replace("fast", "true"), "data.mode: found true, wanted text: put it in quotes"),
        (SETTINGS.replace("fast", ""), "data.mode: found nothing"),
        (SETTINGS.replace("mode", "a/b"), "wanted a key of letters, digits, -, _ and ."),
        (SETTINGS + "stringData: {a: b}\n", "stringData: a ConfigMap has no such key"),
        (SETTINGS + "data: {a: b}\n", "given twice"),
        (SETTINGS + "binaryData: {mode: aGk=}\n", "binaryData.mode: is in `data`, too"),
        (SETTINGS + "binaryData: {other: '%'}\n", "binaryData.other: this is not base64"),
        (
            PASSWORD.replace("stringData: {word: hush}", "data: {word: hush!}"),
            "data.word: this is not base64; plain text goes into",
        ),
        (SETTINGS.replace("fast", "x" * (1024 * 1024)), "holds 1048580 bytes, wanted 1048576 at most"),
        (
            f"{SETTINGS}---\n{SETTINGS}",
            "document 2, line 10: metadata.name: configmap/settings is given twice",
        ),
    ],
)
def test_a_fault_is_told_with_its_file_document_and_line(text: str, told: str) -> None:
    found = faults(text)

    assert len(found) == 1, found
    assert found[0].startswith("file1.yaml: ")
    assert told in found[0]


def test_a_value_that_may_be_secret_is_not_told() -> None:
    (found,) = faults(PASSWORD.replace("stringData", "data").replace("hush", "s3cr-t!"))

    assert "s3cr" not in found


def test_all_faults_of_all_files_are_told_at_once() -> None:
    found = faults(SETTINGS.replace("fast", "1"), f"{PASSWORD}---\nkind: Job\n")

    assert [one.split(",")[0] for one in found] == ["file1.yaml: document 1", "file2.yaml: document 2"]


def test_an_object_for_another_namespace_is_refused() -> None:
    found = read(SETTINGS.replace("name:", "namespace: prod, name:"), PASSWORD)

    config_files.in_namespace(found, "prod")
    with pytest.raises(InvalidError) as told:
        config_files.in_namespace(found, "test")
    assert told.value.faults == (
        "file1.yaml: document 1: metadata.namespace: found prod, wanted test, that of the target",
    )


def test_every_reference_by_the_plain_name_is_renewed_and_all_else_stays() -> None:
    before = a_template()
    kept = copy.deepcopy(before)

    after = rewritten(before, [CONFIG, SECRET], ())

    assert before == kept
    wanted = a_template(NEW, SECRET.name)
    # What only looks like a reference is none.
    wanted["metadata"] = kept["metadata"]
    wanted["spec"]["unknownToUs"] = kept["spec"]["unknownToUs"]
    for one in ("containers", "initContainers"):
        wanted["spec"][one][0]["env"][2]["value"] = "settings"
    assert after == wanted


def test_an_earlier_name_is_renewed_when_it_is_ours_and_else_left_alone() -> None:
    before = a_template(OLD, "password")
    old = Named(Kind.CONFIG_MAP, OLD)

    assert earlier(before, [CONFIG, SECRET]) == {old}
    assert old not in {one.to for one in references(rewritten(before, [CONFIG], {old}))}
    with pytest.raises(
        InvalidError, match=r"refers nowhere to configmap/settings;.*configmap/settings-0123456789"
    ):
        rewritten(before, [CONFIG], ())


def test_a_plain_name_that_looks_like_an_earlier_one_is_a_name_of_its_own() -> None:
    own = Named(Kind.CONFIG_MAP, f"{OLD}-9999999999")
    before = {"spec": {"volumes": [{"configMap": {"name": OLD}}, {"configMap": {"name": "settings"}}]}}

    assert earlier(before, [CONFIG, own]) == frozenset()
    after = rewritten(before, [CONFIG, own], {Named(Kind.CONFIG_MAP, OLD)})
    assert [one.to for one in references(after)] == [own, CONFIG]


def test_an_object_of_the_same_name_and_another_kind_is_another() -> None:
    with pytest.raises(
        InvalidError, match="refers nowhere to secret/settings; it refers to: configmap/settings"
    ):
        rewritten({"spec": {"volumes": [{"configMap": {"name": "settings"}}]}}, [Named(Kind.SECRET, NEW)], ())


def test_the_changes_are_told_by_their_place() -> None:
    before = a_template()

    told = [
        f"{old.place}: {old.to} -> {new.to}" for old, new in changes(before, rewritten(before, [CONFIG], ()))
    ]

    assert told == [
        f"{place}: configmap/settings -> configmap/{NEW}"
        for place in (
            "containers[app].envFrom[0]",
            "containers[app].env[MODE]",
            "initContainers[init].envFrom[0]",
            "initContainers[init].env[MODE]",
            "volumes[a]",
            "volumes[c].projected[0]",
        )
    ]


def test_a_name_as_an_argument_is_read_back_and_others_are_refused() -> None:
    assert named(str(CONFIG)) == CONFIG
    for text in ("settings-0123456789", "configmap/settings", "pod/settings-0123456789", "secret/-012345678"):
        with pytest.raises(InvalidError, match="wanted configmap/NAME or secret/NAME"):
            named(text)


def test_a_release_without_such_configuration_costs_no_request_to_tidy_up_after() -> None:
    def refuse(*_: object, **__: object) -> float:
        raise AssertionError("nothing is asked for")

    session = Session.__new__(Session)
    session.namespace, session.streams, session.stream = "shop", True, refuse  # type: ignore[method-assign, assignment]
    workloads = KubeWorkloads(session, KubernetesTarget("shop", "web"), None, time.time)
    plain = Revision("h", "v2", a_template())

    assert workloads.tidy(a_release(stable=plain, canary=plain), refuse) == ()
    with pytest.raises(AssertionError):
        workloads.tidy(a_release(stable=plain, canary=Revision("n", "v2", a_template(NEW))), refuse)


NAMES = st.sampled_from(["settings", OLD, NEW, "others", "others-0123456789", "password", "x"])


@st.composite
def templates(draw: st.DrawFn) -> Json:
    sources = st.one_of(
        st.builds(lambda name: {"configMap": {"name": name}}, NAMES),
        st.builds(lambda name: {"secret": {"secretName": name}}, NAMES),
        st.builds(lambda name: {"projected": {"sources": [{"configMap": {"name": name}}]}}, NAMES),
        st.builds(lambda name: {"hostPath": {"path": name}}, NAMES),
    )
    env = st.builds(lambda name: {"name": name, "valueFrom": {"configMapKeyRef": {"name": name}}}, NAMES)
    froms = st.builds(lambda name: {"configMapRef": {"name": name}}, NAMES)
    containers = st.builds(
        lambda one, other, image: {"name": "app", "env": one, "envFrom": other, "image": image},
        st.lists(env, max_size=3),
        st.lists(froms, max_size=3),
        NAMES,
    )
    spec = {
        "volumes": [{"name": "needed", "configMap": {"name": "settings"}}, *draw(st.lists(sources))],
        "containers": draw(st.lists(containers, max_size=2)),
    }
    return {"metadata": {"annotations": {"note": draw(NAMES)}}, "spec": spec}


OURS = {Named(Kind.CONFIG_MAP, OLD)}


@given(templates())
def test_once_renewed_it_stays_as_it_is(template: Json) -> None:
    once = rewritten(template, [CONFIG], OURS)

    assert rewritten(once, [CONFIG], OURS) == once


@given(templates())
def test_nothing_but_references_to_that_object_is_changed(template: Json) -> None:
    after = rewritten(template, [CONFIG], OURS)

    for old, new in zip(references(template), references(after), strict=True):
        meant = old.to.kind is Kind.CONFIG_MAP and old.to.name in ("settings", OLD, NEW)
        assert new == (type(old)(old.place, CONFIG) if meant else old)
    assert blank(after) == blank(template)
    assert CONFIG in hashed(after)


def blank(template: Json) -> Json:
    """Without the names of the objects that it refers to."""
    found = copy.deepcopy(template)
    for volume in found["spec"]["volumes"]:
        for source in (volume, *volume.get("projected", {}).get("sources", ())):
            source.get("configMap", {}).pop("name", None)
            source.get("secret", {}).pop("secretName", None)
    for container in found["spec"]["containers"]:
        for one in container["env"]:
            one["valueFrom"]["configMapKeyRef"].pop("name")
        for one in container["envFrom"]:
            one["configMapRef"].pop("name")
    return found


@given(st.dictionaries(st.from_regex(r"[-._a-zA-Z0-9]{1,9}", fullmatch=True), st.text(), max_size=4))
def test_whatever_a_config_map_holds_comes_into_its_object_as_it_is(data: dict[str, str]) -> None:
    one = ConfigObject(Named(Kind.CONFIG_MAP, "settings"), "web", data, {})

    assert one.document("shop").get("data", {}) == data
    assert one.is_held_by(one.document("shop"))
    assert named(str(one.named)).plain == one.plain
