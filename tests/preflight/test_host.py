"""A local service: its processes, its unit, its files; and which alert rules are about a target."""

from typing import Any

import pytest

from canary.preflight import host
from canary.preflight.alerts import concerns
from canary.preflight.facts import Alert, Named
from canary.preflight.finding import Point, Status, added
from tests.preflight.seen import LIMITS, a_replica, a_unit
from tests.preflight.seen import host as seen_host


def told(parts: Any) -> list[str]:
    return [one.told for one in parts if one.status is not Status.PASS]


@pytest.mark.parametrize("address", ["127.0.0.1", "127.0.0.2", "::1", "localhost"])
def test_an_address_of_this_machine_alone_is_closed(address: str) -> None:
    assert told(host.network(seen_host(listen=(address, 80)))) == []


@pytest.mark.parametrize(
    ("settings", "closed"),
    [
        ({"IPAddressDeny": "any", "IPAddressAllow": "10.0.0.0/8 localhost"}, True),
        ({"IPAddressDeny": "any"}, True),
        ({"IPAddressDeny": "any", "IPAddressAllow": "any"}, False),
        ({"IPAddressAllow": "10.0.0.0/8"}, False),
        ({}, False),
    ],
)
def test_an_open_address_is_closed_by_a_unit_that_denies_all_others(settings: Any, closed: bool) -> None:
    found = seen_host(listen=("0.0.0.0", 80), unit=a_unit(**settings))
    assert (told(host.network(found)) == []) is closed


def test_a_secret_is_told_once_wherever_it_comes_from() -> None:
    leaked = (Named("API_KEY", "its name says so"),)
    replicas = (a_replica(secrets=leaked), a_replica(name="web-2 (process 8)", secrets=leaked))
    assert told(host.secrets(seen_host(replicas=replicas, secrets=leaked))) == [
        "local.env.API_KEY seems to hold a secret: its name says so"
    ]
    assert len(list(host.secrets(seen_host(replicas=replicas, secrets=leaked)))) == 1
    assert len(list(host.secrets(seen_host(secrets=leaked)))) == 1
    assert len(list(host.secrets(seen_host(replicas=replicas)))) == 1
    assert told(host.secrets(seen_host(replicas=replicas))) == [
        "variable API_KEY seems to hold a secret (replica web-2 (process 8): its name says so)"
    ]


@pytest.mark.parametrize("what", ["memory", "cpu", "tasks"])
def test_each_limit_may_be_the_process_s_own_or_the_unit_s(what: str) -> None:
    rest = {key: value for key, value in LIMITS.items() if key != what}
    found = seen_host(replicas=(a_replica(limits=rest),))
    assert [one.split()[0] for one in told(host.limits(found))] == [what]
    key = host.LIMITED[what][0]
    held = seen_host(replicas=(a_replica(limits=rest),), unit=a_unit(**{key: "64"}))
    assert added(Point.LIMITS, host.limits(held)).status is Status.PASS
    endless = seen_host(replicas=(a_replica(limits=rest),), unit=a_unit(**{key: "infinity"}))
    assert added(Point.LIMITS, host.limits(endless)).status is Status.FAIL


def test_one_unlimited_replica_is_enough_to_fail() -> None:
    found = seen_host(replicas=(a_replica(), a_replica(name="web-2 (process 8)", limits={})))
    assert [one for one in told(host.limits(found)) if "web-2" not in one] == []
    assert len(told(host.limits(found))) == 3


@pytest.mark.parametrize(
    ("rule", "about"),
    [
        (Alert("a", 'up{app="web"} == 0'), True),
        (Alert("a", 'up{pod=~"web-.*"} == 0'), True),
        (Alert("a", 'up{pod=~"web-[a-z0-9]+-[a-z0-9]+"} == 0'), True),
        (Alert("a", 'up{app=~"db|web"} == 0'), True),
        (Alert("a", 'up{namespace="shop"} == 0'), True),
        (Alert("a", "up{namespace = 'shop'} == 0"), True),
        (Alert("a", "up == 0", {"service": "web"}), True),
        (Alert("a", "up == 0", {"namespace": "shop"}), True),
        (Alert("a", "up == 0"), False),
        (Alert("a", "web_requests_total > 1"), False),
        (Alert("a", 'up{app="web-admin"} == 0'), False),
        (Alert("a", 'up{app="my-web"} == 0'), False),
        (Alert("a", 'up{namespace="shop-test"} == 0'), False),
        (Alert("a", 'up{team="shop"} == 0'), False),
    ],
)
def test_a_rule_is_about_a_target_that_it_names_as_a_word_or_by_its_namespace(
    rule: Alert, about: bool
) -> None:
    assert concerns(rule, "web", "shop") is about


def test_a_local_service_has_no_namespace_to_be_named_by() -> None:
    assert not concerns(Alert("a", 'up{namespace=""} == 0'), "web", "")
    assert concerns(Alert("a", 'up{job="web"} == 0'), "web", "")
