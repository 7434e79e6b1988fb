"""Every point over what was seen: `Facts -> findings`. Pure."""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import replace

from canary.preflight import alerts, box, host, network, pods, recovery, releases
from canary.preflight.facts import Box, Facts, Host
from canary.preflight.finding import Finding, Parts, Point, added

Check = Callable[[Facts], Parts]


def _hardening(facts: Facts) -> Parts:
    match facts.place:
        case Host() as place:
            return host.hardening(place, facts.asked)
        case Box() as place:
            return box.hardening(place)
        case place:
            return pods.hardening(place)


def _access(facts: Facts) -> Parts:
    match facts.place:
        case Host() as place:
            return host.access(place)
        case Box() as place:
            return box.access(place)
        case place:
            return pods.access(place, facts.asked)


def _secrets(facts: Facts) -> Parts:
    match facts.place:
        case Host() as place:
            return host.secrets(place)
        case Box() as place:
            return box.secrets(place)
        case place:
            return pods.secrets(place)


def _network(facts: Facts) -> Parts:
    match facts.place:
        case Host() as place:
            return host.network(place)
        case Box() as place:
            return box.network(place)
        case place:
            return network.network(place)


def _limits(facts: Facts) -> Parts:
    match facts.place:
        case Host() as place:
            return host.limits(place)
        case Box() as place:
            return box.limits(place)
        case place:
            return pods.limits(place)


def _backup(facts: Facts) -> Parts:
    return box.backup(facts.place) if isinstance(facts.place, Box) else recovery.backup(facts)


def _upgrade(facts: Facts) -> Parts:
    return box.upgrade(facts.place) if isinstance(facts.place, Box) else releases.upgrade(facts)


def _recovery(facts: Facts) -> Parts:
    return box.recovery(facts.place) if isinstance(facts.place, Box) else recovery.recovery(facts)


CHECKS: Mapping[Point, Check] = {
    Point.BACKUP: _backup,
    Point.MONITORING: alerts.monitoring,
    Point.HARDENING: _hardening,
    Point.UPGRADE: _upgrade,
    Point.RECOVERY: _recovery,
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
