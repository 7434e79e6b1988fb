"""Every point over what was seen: `Facts -> findings`. Pure."""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import replace

from canary.preflight import alerts, host, network, pods, recovery, releases
from canary.preflight.facts import Facts, Host
from canary.preflight.finding import Finding, Parts, Point, added

Check = Callable[[Facts], Parts]


def _hardening(facts: Facts) -> Parts:
    place = facts.place
    return host.hardening(place, facts.asked) if isinstance(place, Host) else pods.hardening(place)


def _access(facts: Facts) -> Parts:
    place = facts.place
    return host.access(place) if isinstance(place, Host) else pods.access(place, facts.asked)


def _secrets(facts: Facts) -> Parts:
    place = facts.place
    return host.secrets(place) if isinstance(place, Host) else pods.secrets(place)


def _network(facts: Facts) -> Parts:
    place = facts.place
    return host.network(place) if isinstance(place, Host) else network.network(place)


def _limits(facts: Facts) -> Parts:
    place = facts.place
    return host.limits(place) if isinstance(place, Host) else pods.limits(place)


CHECKS: Mapping[Point, Check] = {
    Point.BACKUP: recovery.backup,
    Point.MONITORING: alerts.monitoring,
    Point.HARDENING: _hardening,
    Point.UPGRADE: releases.upgrade,
    Point.RECOVERY: recovery.recovery,
    Point.ACCESS: _access,
    Point.SECRETS: _secrets,
    Point.NETWORK: _network,
    Point.LIMITS: _limits,
    Point.AUDIT: releases.audit,
}


def findings(
    facts: Facts, only: Collection[Point] = (), skipped: Mapping[Point, str] | None = None
) -> tuple[Finding, ...]:
    """What each point comes to, in their order.

    Args:
        only: these points; none: all. skipped: points that do not count, and why. They are told all the same.
    """
    return tuple(_found(facts, only, skipped or {}))


def _found(facts: Facts, only: Collection[Point], skipped: Mapping[Point, str]) -> Iterator[Finding]:
    for point, check in CHECKS.items():
        if not only or point in only:
            yield replace(added(point, check(facts)), skipped=skipped.get(point, ""))


def stopping(found: Sequence[Finding]) -> tuple[Finding, ...]:
    """Those that stand in the way of a release."""
    return tuple(one for one in found if one.stops)
