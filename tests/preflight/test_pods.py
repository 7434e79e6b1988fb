"""Pods: what of them is hardened, secret, limited; and which ways to them are closed."""

from typing import Any

import pytest

from canary.preflight import network, pods
from canary.preflight.finding import Point, Status, added
from canary.preflight.names import floating, floating_images, secret, secrets
from tests.preflight.seen import a_policy, container, template
from tests.preflight.seen import pods as seen_pods


def told(parts: Any) -> list[str]:
    return [one.told for one in parts if one.status is not Status.PASS]


# ── names


@pytest.mark.parametrize(
    ("image", "is_floating"),
    [
        ("web", True),
        ("web:latest", True),
        ("registry:5000/shop/web", True),
        ("registry:5000/shop/web:latest", True),
        ("web:v1", False),
        ("registry:5000/shop/web:v1", False),
        ("web@sha256:" + "0" * 64, False),
        ("web:latest@sha256:" + "0" * 64, False),
    ],
)
def test_an_image_floats_without_a_tag_or_as_latest(image: str, is_floating: bool) -> None:
    assert floating(image) is is_floating


def test_the_floating_images_of_a_template_are_those_of_all_its_containers() -> None:
    both = template(initContainers=[{"name": "i", "image": "tool"}])
    assert floating_images(both) == ("tool",)
    assert floating_images({"command": ["x"], "version": "v1"}) == ()


@pytest.mark.parametrize(
    "name",
    [
        "OPENAI_API_KEY", "APIKEY", "PASSWORD", "DB_PASSWORD", "PGPASSWORD", "db_password", "TOKEN",
        "AUTH_TOKEN", "CLIENT_SECRET", "SECRET_KEY", "AWS_SECRET_ACCESS_KEY", "SENTRY_DSN", "REDIS_AUTH",
        "MY_CREDENTIALS", "PASSWORD_2",
    ],
)  # fmt: skip
def test_a_name_that_says_secret_is_one(name: str) -> None:
    assert secret(name, "x7") == "its name says so"
    assert secret(name, None) == "its name says so"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("DATABASE_PASSWORD_FILE", "/run/secrets/db"),
        ("TOKEN", "/run/secrets/token"),
        ("TOKEN", ""),
        ("PATH", "/usr/bin:/bin"),
        ("PWD", "/srv"),
        ("OLDPWD", "/"),
        ("GPG_KEY", "A035C8C19219BA821ECEA86B64E628F8D684696D"),
        ("SORT_KEY", "name"),
        ("PUBLIC_KEY", "ssh-ed25519 AAAA"),
        ("MONKEY", "x"),
        ("KEYBOARD", "us"),
        ("DATABASE_URL", "postgresql://app@db:5432/app"),
        ("PROXY", "http://proxy:3128"),
    ],
)
def test_what_only_resembles_a_secret_is_none(name: str, value: str) -> None:
    assert secret(name, value) == ""


@pytest.mark.parametrize(
    "value",
    ["postgresql://app:hunter2@db/app", "redis://:hunter2@cache:6379", "host=db password=hunter2 user=app"],
)
def test_a_password_in_an_address_is_a_secret_and_is_never_repeated(value: str) -> None:
    found = secrets({"DATABASE_URL": value, "LOG_LEVEL": "info"})
    assert [(one.name, one.why) for one in found] == [("DATABASE_URL", "its value has a password in it")]
    assert "hunter2" not in repr(found)


# ── secrets


def test_each_way_of_a_secret_into_a_variable_is_located() -> None:
    env = [
        {"name": "A", "valueFrom": {"secretKeyRef": {"name": "db", "key": "p"}}},
        {"name": "API_KEY", "value": "hunter2"},
        {"name": "DB_PASSWORD", "valueFrom": {"configMapKeyRef": {"name": "c", "key": "p"}}},
        {"name": "POD_TOKEN", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
    ]
    sources = [{"secretRef": {"name": "keys"}}, {"prefix": "MY_", "configMapRef": {"name": "all"}}]
    found = seen_pods(
        template=container(env=env, envFrom=sources), settings={"all": ("LOG_LEVEL", "SMTP_PASSWORD")}
    )
    said = told(pods.secrets(found))
    assert said == [
        "containers[0].env[0] A comes from Secret db",
        "containers[0].env[1] API_KEY seems to hold a secret: its name says so",
        "containers[0].env[2] DB_PASSWORD seems to hold a secret: its name says so",
        "containers[0].envFrom[0] takes all of Secret keys",
        "containers[0].envFrom[1]: SMTP_PASSWORD of ConfigMap all seems to be a secret: its name says so",
    ]
    assert not any("hunter2" in one for one in said)


def test_a_variable_of_an_init_container_counts_too() -> None:
    init = {"name": "i", "env": [{"name": "A", "valueFrom": {"secretKeyRef": {"name": "db"}}}]}
    assert told(pods.secrets(seen_pods(template=template(initContainers=[init])))) == [
        "initContainers[0].env[0] A comes from Secret db"
    ]


# ── limits


@pytest.mark.parametrize(
    ("resources", "said"),
    [
        (
            {"limits": {"cpu": "1"}},
            ["containers[0].resources.requests: no memory", "containers[0].resources.limits: no memory"],
        ),
        ({"limits": {"cpu": "1", "memory": "1Gi"}}, []),
        (
            {"requests": {"cpu": "1", "memory": "1Gi"}},
            ["containers[0].resources.limits: no cpu and no memory"],
        ),
    ],
)
def test_what_is_not_limited_is_located_and_a_limit_is_a_request_too(resources: Any, said: list[str]) -> None:
    assert told(pods.limits(seen_pods(template=container(resources=resources)))) == said


def test_every_container_has_its_limits() -> None:
    extra = {"name": "sidecar", "image": "x:1"}
    both = template()
    both["spec"]["containers"].append(extra)
    assert [one.split(":")[0] for one in told(pods.limits(seen_pods(template=both)))] == [
        "containers[1].resources.requests",
        "containers[1].resources.limits",
    ]


def test_a_great_many_breaches_are_counted_and_not_all_listed() -> None:
    many = template(containers=[{"name": f"c{i}", "image": "x"} for i in range(9)])
    said = told(pods.hardening(seen_pods(template=many)))
    assert len(said) == pods.SHOWN + 1
    assert said[-1].startswith("and ")


def test_as_many_breaches_as_are_shown_are_all_there_are() -> None:
    # Each container breaks six rules: four of the profile, the root file system, the image.
    many = template(containers=[{"name": f"c{i}", "image": "x"} for i in range(pods.SHOWN // 6)])
    many["spec"]["securityContext"] = {}
    said = told(pods.hardening(seen_pods(template=many)))
    assert len(said) == pods.SHOWN
    assert not any(one.startswith("and ") for one in said)


# ── the network


OPEN = [
    {"ingress": [{}]},
    {"ingress": [{"from": []}]},
    {"ingress": [{"from": [{"ipBlock": {"cidr": "0.0.0.0/0"}}]}]},
    {"ingress": [{"from": [{"namespaceSelector": {}}]}]},
    {"egress": [{"to": [{"podSelector": {"matchLabels": {"app": "db"}}}]}, {}]},
]
CLOSED = [
    {"ingress": []},
    {"ingress": [{"ports": [{"port": 8000}]}]},
    {"egress": [{"to": [{"ipBlock": {"cidr": "0.0.0.0/0", "except": ["169.254.0.0/16"]}}]}]},
    {"egress": [{"to": [{"namespaceSelector": {}, "podSelector": {"matchLabels": {"app": "db"}}}]}]},
]


@pytest.mark.parametrize("spec", OPEN)
def test_a_rule_that_lets_everything_through_is_found(spec: Any) -> None:
    said = told(network.network(seen_pods(policies=(a_policy(**spec),))))
    assert len(said) == 1
    assert "lets everything through" in said[0]


@pytest.mark.parametrize("spec", CLOSED)
def test_rules_with_ports_or_peers_of_their_own_are_what_is_needed(spec: Any) -> None:
    assert told(network.network(seen_pods(policies=(a_policy(**spec),)))) == []


def test_a_policy_without_types_is_about_ingress_and_about_egress_only_with_rules_for_it() -> None:
    assert told(network.network(seen_pods(policies=(a_policy(policyTypes=None, egress=[]),)))) == [
        "no NetworkPolicy covers egress of the pods"
    ]
    assert told(network.network(seen_pods(policies=(a_policy(policyTypes=None),)))) == []


def test_two_policies_may_cover_one_way_each() -> None:
    both = (a_policy(policyTypes=["Ingress"]), a_policy(policyTypes=["Egress"]))
    assert added(Point.NETWORK, network.network(seen_pods(policies=both))).status is Status.PASS


def test_a_policy_of_other_pods_covers_nothing_and_its_rules_do_not_matter() -> None:
    others = a_policy(target=False, canary=False, ingress=[{}])
    assert told(network.network(seen_pods(policies=(others,)))) == [
        "no NetworkPolicy covers ingress of the pods",
        "no NetworkPolicy covers egress of the pods",
    ]
    assert told(network.network(seen_pods(policies=(others, a_policy())))) == []


def test_canary_pods_must_be_covered_too() -> None:
    said = told(network.network(seen_pods(policies=(a_policy(canary=False),))))
    assert said == [
        "no NetworkPolicy covers ingress of canary pods (label canary.track)",
        "no NetworkPolicy covers egress of canary pods (label canary.track)",
    ]
