"""Where the safety monitor meets its adapters; beside `wiring`, which does so for releases."""

import socket as sockets
from collections.abc import Callable, Collection, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from canary.errors import CanaryError, InvalidError, TransientError
from canary.monitor.options import GuardOptions as GuardOptions
from canary.preflight.finding import Finding, Point
from canary.rules.condition import names
from canary.safety.rule import DOES, SafetyRule
from canary.safety.vocabulary import SafetyWords, predicates
from canary.wiring import actor

if TYPE_CHECKING:
    from canary.ports import Seals
    from canary.preflight.facts import Alerts, Ledger
    from canary.preflight.finding import Unseen


def safety_rules(path: Path) -> tuple[SafetyRule, ...]:
    """The rules of a file.

    Raises:
        InvalidError, MissingError, DeniedError: they cannot be read.
    """
    from canary.config.safety import safety_rules as read

    return read(path)


def rules_document(rules: tuple[SafetyRule, ...]) -> Mapping[str, object]:
    """The rules for programs."""
    return {
        "rules": [
            {
                "name": rule.name,
                "condition": str(rule.condition),
                "action": rule.action.value,
                "alert": rule.alerts,
                "figures": sorted(names(rule.condition) - predicates(rule.condition)),
                "reported": sorted(predicates(rule.condition)),
            }
            for rule in rules
        ]
    }


def rules_in_words(rules: tuple[SafetyRule, ...]) -> str:
    """The same for people."""
    words = SafetyWords()
    told = []
    for rule in rules:
        also = ", and people are told" if rule.alerts and rule.action.value != "alert" else ""
        told.append(f"{rule.name}: when {rule.condition}, {DOES[rule.action]}{also}")
        told += [f"    {name}: {words[name].told}" for name in sorted(names(rule.condition))]
    return "\n".join(told)


def guard(asked: GuardOptions, write: Callable[[str], None], warn: Callable[[str], None]) -> int:
    """Watch a container until it has ended; the exit code.

    Args:
        write: shows a line. warn: on stderr.

    Raises:
        CanaryError: it could not begin.
    """
    from canary.monitor.monitor import run

    told = sorted({name for rule in asked.rules for name in predicates(rule.condition)})
    if told and asked.reports is None:
        raise InvalidError(
            f"the workload reports {', '.join(told)}, and without --reports nobody hears it",
            remedy="Name a socket with --reports PATH and mount its folder into the container. "
            "If it is no report: `canary guard run --rules FILE --check` says what each name means.",
        )
    if asked.ledger is None and asked.seal_key is not None:
        raise InvalidError(
            "--seal-key without --ledger: there is nothing to seal", remedy="Name a --ledger DIR."
        )
    return run(asked, actor(), guard_seals(asked.seal_key, asked.seal_to), write, warn)


def guard_seals(key: Path | None, to: tuple[Path, ...]) -> "Seals | None":
    """What seals the ledger of a monitor; None without a key.

    Raises:
        CanaryError: there is no such key, or it must not be used; copies without a key.
    """
    if key is None:
        if to:
            raise InvalidError(
                "--seal-to without --seal-key", remedy="Make a key: `canary audit keygen FILE`."
            )
        return None
    from canary.seal.copies import FileCopies
    from canary.seal.keeper import Keeper

    keeper = Keeper(key, [FileCopies(path) for path in to])
    _ = keeper.key
    return keeper


@dataclass(frozen=True)
class WatchdogOptions:
    """What `guard watchdog` was asked for. `end`: path of its socket, or the descriptor it was given."""

    container: str
    docker: str
    ledger: Path | None
    seals: "Seals | None"
    silent_after_s: float
    end: Path | int
    alert_url_file: Path | None = None


def watchdog(options: WatchdogOptions, say: Callable[[str], None]) -> bool:
    """Watch a monitor; whether it said goodbye.

    Raises:
        CanaryError: its socket cannot be made.
    """
    from canary.monitor.alerts import Alerts, url_in
    from canary.monitor.book import Book
    from canary.monitor.docker import Docker
    from canary.monitor.heart import Link, listening
    from canary.monitor.voice import Voice
    from canary.monitor.waker import come_first
    from canary.monitor.watchdog import Watchdog

    come_first()
    voice = Voice(say)
    docker = Docker(options.docker, options.container)
    if isinstance(options.end, int):
        try:
            end = sockets.socket(fileno=options.end)
        except OSError as fault:
            raise TransientError(f"--heart: {options.end} is no socket") from fault
    else:
        with closing(listening(options.end)) as listener:
            end, _ = listener.accept()
    book = (
        Book(options.ledger, options.container, f"{actor()} (watchdog)", options.seals)
        if options.ledger
        else None
    )
    url = url_in(options.alert_url_file) if options.alert_url_file is not None else ""
    alerts = Alerts(url, voice.say) if url else None
    good = Watchdog(docker, book, Link(end), options.silent_after_s, voice.say, alerts).run()
    voice.settle(2.0)
    return good


@dataclass(frozen=True)
class BoxOptions:
    """What `preflight --container` was asked for.

    Attributes:
        ledger: folder of the monitor's ledger; keys, copies: what its seals are checked with.
        prometheus: URL of one that has the alerts on the monitor; empty: none.
    """

    container: str
    docker: str
    ledger: Path | None = None
    keys: tuple[Path, ...] = ()
    copies: tuple[Path, ...] = ()
    prometheus: str = ""


def preflight(
    options: BoxOptions, only: Collection[Point], skipped: Mapping[Point, str]
) -> tuple[Finding, ...]:
    """What each of the ten points comes to for a container, as it is now. Changes nothing.

    Raises:
        MissingError: there is no such container. TransientError: Docker does not answer.
    """
    from canary.clock import SystemClock
    from canary.monitor.described import box
    from canary.monitor.docker import Docker
    from canary.monitor.inspected import InspectError
    from canary.preflight.checks import findings
    from canary.preflight.facts import Asked, Facts, History, Kept

    try:
        place = box(Docker(options.docker, options.container).described())
    except InspectError as fault:
        raise TransientError(str(fault)) from fault
    facts = Facts(
        target=options.container,
        namespace="",
        file="the command",
        now=SystemClock().now(),
        asked=Asked(),
        proofs=(),
        alerts=_alerts(options.prometheus),
        history=History(Kept(None, place.image), ()),
        ledger=_ledger(options),
        place=place,
    )
    return findings(facts, only, skipped)


def _alerts(url: str) -> "Alerts | Unseen | None":
    if not url:
        return None
    from canary.config.plain import values
    from canary.config.settings import HttpServer
    from canary.metrics.alerts import look

    return look(HttpServer(url), None, values)


def _ledger(options: BoxOptions) -> "Ledger | Unseen":
    """The chain that the monitor writes, and its seals."""
    from canary.core.ledger import verify
    from canary.core.seal_check import against, within
    from canary.local.ledger_store import LocalLedger
    from canary.preflight.facts import Ledger
    from canary.preflight.finding import Unseen
    from canary.seal.copies import copies_in
    from canary.seal.keys import checking_key

    if options.ledger is None:
        return Unseen("no ledger is named", "Name the folder of the monitor's with --ledger DIR.")
    try:
        entries = LocalLedger(options.ledger, "").read(options.container)
        keys = [checking_key(path) for path in options.keys]
        copies = [copy for path in options.copies for copy in copies_in(path)]
    except CanaryError as fault:
        return Ledger(0, fault=fault.message)
    last = entries[-1].at if entries else None
    if (broken := verify(entries)) is not None:
        return Ledger(len(entries), last, str(broken))
    if not keys:
        return Ledger(len(entries), last, unsealed="no key is named (--key FILE): its seals are not checked")
    inside = within(entries, keys, options.container)
    outside = against(entries, copies, keys, options.container)
    wrong = [str(one) for one in (*inside.faults, *outside.faults)]
    return Ledger(len(entries), last, next(iter(wrong), ""), seals=inside.seals)
