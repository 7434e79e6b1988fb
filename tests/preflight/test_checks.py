"""A target for which all holds passes; each flaw fails the one point that it is about."""

from dataclasses import replace
from typing import Any

import pytest

from canary.preflight.checks import CHECKS, findings, stopping
from canary.preflight.facts import Asked, Facts, History, Kept, Ledger, Open, Receiver, Route
from canary.preflight.finding import TITLES, Finding, Part, Point, Status, Unseen, added, age, bad, good, idle
from tests.preflight.seen import (
    ALERT,
    ALERTS,
    BACKUP,
    DAY_S,
    DRILL,
    HISTORY,
    HOUR_S,
    NOW,
    a_policy,
    a_replica,
    a_unit,
    container,
    facts,
    host,
    pods,
    template,
)

REFUSED = Unseen("this account may not list it", "Grant it.")


def of(found: Facts, point: Point) -> Finding:
    return findings(found, [point])[0]


def test_there_is_a_check_and_a_title_for_each_of_the_ten_points() -> None:
    assert list(CHECKS) == list(TITLES) == list(Point)
    assert len(Point) == 10


@pytest.mark.parametrize("place", [pods(), host()], ids=["pods", "host"])
def test_where_everything_holds_every_point_passes_with_its_evidence(place: Any) -> None:
    found = findings(facts(place=place))

    assert {one.point: one.status for one in found} == dict.fromkeys(Point, Status.PASS)
    assert all(one.evidence and not one.fixes for one in found)
    assert stopping(found) == ()


FLAWS: dict[str, tuple[Point, Facts]] = {
    "old backup": (Point.BACKUP, facts(proofs=(replace(BACKUP, at=NOW - 25 * HOUR_S), DRILL))),
    "suspended backup": (Point.BACKUP, facts(proofs=(replace(BACKUP, stopped="is suspended"), DRILL))),
    "slow drill": (Point.RECOVERY, facts(proofs=(BACKUP, replace(DRILL, rto_s=301.0)))),
    "drill loses too much": (Point.RECOVERY, facts(proofs=(BACKUP, replace(DRILL, rpo_s=2 * DAY_S)))),
    "no goal": (Point.RECOVERY, facts(proofs=(BACKUP, replace(DRILL, rto_target_s=None)))),
    "no rule": (Point.MONITORING, facts(alerts=replace(ALERTS, rules=()))),
    "no Prometheus": (Point.MONITORING, facts(alerts=None)),
    "broken rule": (
        Point.MONITORING,
        facts(alerts=replace(ALERTS, rules=(ALERT, replace(ALERT, healthy=False, error="many-to-many")))),
    ),
    "no Alertmanager": (Point.MONITORING, facts(alerts=replace(ALERTS, managers=(), route=None))),
    "Alertmanager not active": (Point.MONITORING, facts(alerts=replace(ALERTS, managers=()))),
    "silent receiver": (Point.MONITORING, facts(alerts=replace(ALERTS, route=Route(Receiver("null", ()))))),
    "privileged": (
        Point.HARDENING,
        facts(place=pods(template=container(securityContext={"privileged": True}))),
    ),
    "latest": (Point.HARDENING, facts(place=pods(template=container(image="shop/web:latest")))),
    "writable root": (
        Point.HARDENING,
        facts(place=pods(template=container(securityContext={"readOnlyRootFilesystem": False}))),
    ),
    "unsettled": (Point.UPGRADE, facts(history=replace(HISTORY, unsettled="v2 is progressing"))),
    "unreadable record": (Point.UPGRADE, facts(history=replace(HISTORY, fault="schema 9"))),
    "no history": (Point.UPGRADE, facts(history=replace(HISTORY, limit=0))),
    "floating before": (
        Point.UPGRADE,
        facts(history=History(Kept(3, "v2"), (Kept(2, "latest", ("shop/web:latest",)),), limit=10)),
    ),
    "bound account": (
        Point.ACCESS,
        facts(place=pods(template=template(automountServiceAccountToken=True), bindings=("Role admin",))),
    ),
    "wildcard": (
        Point.ACCESS,
        facts(place=pods(rights=({"verbs": ["*"], "resources": ["*"], "apiGroups": ["*"]},))),
    ),
    "reads secrets": (
        Point.ACCESS,
        facts(place=pods(rights=({"verbs": ["get"], "resources": ["secrets"], "apiGroups": [""]},))),
    ),
    "secret in a variable": (
        Point.SECRETS,
        facts(
            place=pods(template=container(env=[{"name": "A", "valueFrom": {"secretKeyRef": {"name": "db"}}}]))
        ),
    ),
    "no policy": (Point.NETWORK, facts(place=pods(policies=()))),
    "egress open": (Point.NETWORK, facts(place=pods(policies=(a_policy(egress=[{}]),)))),
    "no limits": (Point.LIMITS, facts(place=pods(template=container(resources={})))),
    "broken chain": (Point.AUDIT, facts(ledger=Ledger(12, fault="entry 3 is changed: ..."))),
    "unsealed": (Point.AUDIT, facts(ledger=Ledger(12, unsealed="not sealed"))),
    "root": (Point.HARDENING, facts(place=host(replicas=(a_replica(root=True, user="root"),)))),
    "exposed unit": (Point.HARDENING, facts(place=host(unit=a_unit(4.1)))),
    "open state": (Point.ACCESS, facts(place=host(open=(Open("/var/lib/shop", "everybody"),)))),
    "open address": (Point.NETWORK, facts(place=host(listen=("0.0.0.0", 8080)))),
    "open replica": (Point.NETWORK, facts(place=host(replicas=(a_replica(listens=("0.0.0.0:4711",)),)))),
    "unlimited": (Point.LIMITS, facts(place=host(replicas=(a_replica(limits={"cpu": "x", "tasks": "x"}),)))),
}


@pytest.mark.parametrize("flaw", FLAWS)
def test_each_flaw_alone_fails_exactly_the_point_it_is_about_and_says_what_to_do(flaw: str) -> None:
    point, found = FLAWS[flaw]
    stops = stopping(findings(found))

    assert [(one.point, one.status) for one in stops] == [(point, Status.FAIL)]
    assert stops[0].fixes


UNSEEN: dict[str, tuple[set[Point], Facts]] = {
    "CronJobs": ({Point.BACKUP, Point.RECOVERY}, facts(proofs=(REFUSED,))),
    "alert rules": ({Point.MONITORING}, facts(alerts=REFUSED)),
    "routes": ({Point.MONITORING}, facts(alerts=replace(ALERTS, route=REFUSED))),
    "a rule not evaluated": (
        {Point.MONITORING},
        facts(alerts=replace(ALERTS, rules=(replace(ALERT, evaluated=False),))),
    ),
    "drill's time": ({Point.RECOVERY}, facts(proofs=(BACKUP, replace(DRILL, rto_s=None)))),
    "policies": ({Point.NETWORK}, facts(place=pods(policies=REFUSED))),
    "own rights": ({Point.ACCESS}, facts(place=pods(rights=REFUSED))),
    "ledger": ({Point.AUDIT}, facts(ledger=REFUSED)),
    "account": (
        {Point.ACCESS},
        facts(place=pods(template=template(automountServiceAccountToken=None), account=REFUSED)),
    ),
    "bindings": (
        {Point.ACCESS},
        facts(place=pods(template=template(automountServiceAccountToken=True), bindings=REFUSED)),
    ),
    "ConfigMap": (
        {Point.SECRETS},
        facts(
            place=pods(
                template=container(envFrom=[{"configMapRef": {"name": "all"}}]), settings={"all": REFUSED}
            )
        ),
    ),
    "no unit": ({Point.HARDENING}, facts(place=host(unit=None))),
    "exposure": ({Point.HARDENING}, facts(place=host(unit=a_unit(REFUSED)))),
    "environment": ({Point.SECRETS}, facts(place=host(replicas=(a_replica(secrets=REFUSED),)))),
    "sockets": ({Point.NETWORK}, facts(place=host(replicas=(a_replica(listens=REFUSED),)))),
    "files": ({Point.ACCESS}, facts(place=host(open=REFUSED))),
    "no replica": (
        {Point.HARDENING, Point.SECRETS, Point.LIMITS},
        facts(place=host(replicas=())),
    ),
}


@pytest.mark.parametrize("what", UNSEEN)
def test_what_cannot_be_seen_is_unknown_and_stands_in_the_way(what: str) -> None:
    points, found = UNSEEN[what]
    stops = stopping(findings(found))

    assert {one.point for one in stops} == points
    assert {one.status for one in stops} == {Status.UNKNOWN}
    assert all("cannot be shown" in one.evidence[0] and one.fixes for one in stops)


def test_a_skipped_point_is_told_as_it_is_and_does_not_count() -> None:
    found = findings(facts(alerts=None), skipped={Point.MONITORING: "another team watches it"})
    one = found[1]

    assert stopping(found) == ()
    assert (one.status, one.skipped) == (Status.FAIL, "another team watches it")
    assert one.word == "skipped (fail): another team watches it"
    assert found[0].word == "pass"


def test_only_the_points_that_are_asked_for_are_told_in_their_usual_order() -> None:
    found = findings(facts(), [Point.AUDIT, Point.BACKUP])
    assert [one.point for one in found] == [Point.BACKUP, Point.AUDIT]


def test_a_point_is_as_good_as_the_worst_that_was_seen_of_it_and_that_is_told_first() -> None:
    every = [idle("n"), good("g"), Unseen("u", "see").part, bad("b", "mend")]
    found = added(Point.ACCESS, every)

    assert found.status is Status.FAIL
    assert found.evidence == ("b", "cannot be shown: u", "g", "n")
    assert found.fixes == ("mend", "see")
    assert added(Point.ACCESS, every[:3]).status is Status.UNKNOWN
    assert added(Point.ACCESS, every[:2]).status is Status.PASS
    assert added(Point.ACCESS, every[:1]).status is Status.NOT_APPLICABLE


def test_a_point_of_which_nothing_was_looked_at_is_unknown() -> None:
    assert added(Point.ACCESS, list[Part]()).status is Status.UNKNOWN


@pytest.mark.parametrize(
    ("seconds", "told"),
    [(-5, "0s"), (40, "40s"), (119, "119s"), (120, "2m"), (7199, "120m"), (90000, "25h"), (172800, "2d")],
)
def test_ages_are_told_in_the_unit_that_fits(seconds: float, told: str) -> None:
    assert age(seconds) == told


# ── single points, by example


@pytest.mark.parametrize("asked", [Asked(stateless="a cache")])
def test_a_target_without_data_needs_neither_backup_nor_drill(asked: Asked) -> None:
    found = findings(facts(asked=asked, proofs=()), [Point.BACKUP, Point.RECOVERY])
    assert [one.status for one in found] == [Status.NOT_APPLICABLE] * 2
    assert "a cache" in found[0].evidence[0]
    local = of(facts(asked=asked, proofs=(), place=host()), Point.BACKUP)
    assert "as said; not looked at further" in local.evidence[0]


def test_who_mounts_a_persistent_volume_keeps_data_whatever_is_said() -> None:
    volumes = [{"name": "data", "persistentVolumeClaim": {"claimName": "data"}}]
    found = of(
        facts(asked=Asked(stateless="a cache"), place=pods(template=template(volumes=volumes))), Point.BACKUP
    )
    assert found.status is Status.FAIL
    assert "volumes[0] data (persistentVolumeClaim)" in found.evidence[0]


def test_the_last_good_backup_counts_and_a_later_bad_one_is_told() -> None:
    later = replace(BACKUP, source="evidence/2.json", at=NOW - HOUR_S, fault="did not go well (disk full)")
    found = of(facts(proofs=(BACKUP, later, DRILL)), Point.BACKUP)

    assert found.status is Status.PASS
    assert (
        "last good backup 5h ago: CronJob backup; since then evidence/2.json: did not go well (disk full)"
        in (found.evidence)
    )


@pytest.mark.parametrize(
    ("at", "status"),
    [
        (NOW + 299, Status.PASS),
        (NOW + 301, Status.FAIL),
        (NOW - DAY_S, Status.PASS),
        (NOW - DAY_S - 1, Status.FAIL),
    ],
)
def test_a_backup_counts_up_to_its_age_and_not_from_the_future(at: float, status: Status) -> None:
    assert of(facts(proofs=(replace(BACKUP, at=at), DRILL)), Point.BACKUP).status is status


def test_what_a_configuration_asks_of_a_drill_goes_before_what_the_evidence_says() -> None:
    slow = facts(asked=Asked(rto_s=60.0))
    assert of(slow, Point.RECOVERY).status is Status.FAIL
    assert of(facts(asked=Asked(rto_s=90.0)), Point.RECOVERY).status is Status.PASS


def test_without_a_recovery_point_in_the_drill_the_age_of_the_backup_then_is_it() -> None:
    drill = replace(DRILL, rpo_s=None)
    before = replace(BACKUP, source="evidence/1.json", at=DRILL.at and DRILL.at - 3 * HOUR_S)
    found = of(facts(proofs=(BACKUP, before, drill)), Point.RECOVERY)
    assert "recovery point (RPO) 3h of at most 24h, measured by the age of the last backup" in found.evidence


def test_a_first_revision_passes_and_says_so() -> None:
    found = of(facts(history=History(Kept(1, "v1"), (), limit=10)), Point.UPGRADE)
    assert found.status is Status.PASS
    assert found.evidence == ("v1 (revision 1) is the first revision: a release pins it to come back to",)


def test_a_ledger_without_entries_is_on_and_says_so() -> None:
    found = of(facts(ledger=Ledger(0)), Point.AUDIT)
    assert found.status is Status.PASS
    assert "it begins with the first release" in found.evidence[0]


def test_an_account_may_use_secrets_when_the_configuration_says_so() -> None:
    rights = ({"verbs": ["get"], "resources": ["secrets"], "apiGroups": [""]},)
    assert of(facts(asked=Asked(secrets=True), place=pods(rights=rights)), Point.ACCESS).status is Status.PASS


def test_an_account_that_gives_no_token_or_is_bound_to_nothing_passes() -> None:
    unsaid = template(automountServiceAccountToken=None)
    quiet = {"metadata": {"name": "web"}, "automountServiceAccountToken": False}
    assert of(facts(place=pods(template=unsaid, account=quiet)), Point.ACCESS).status is Status.PASS
    assert of(facts(place=pods(template=unsaid)), Point.ACCESS).status is Status.PASS
    loud = template(automountServiceAccountToken=True)
    bound = pods(template=loud, account=quiet, bindings=("Role x by binding y",))
    assert of(facts(place=bound), Point.ACCESS).status is Status.FAIL
