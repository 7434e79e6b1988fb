"""The watching of one container, from when it runs until it is known to have ended.

Once a second it looks, decides (`safety.watching.step`) and carries out; in between it only wakes to beat.
"""

import signal
import time
from collections.abc import Mapping

from canary.monitor.eyes import Eyes
from canary.monitor.hands import RECORD_S, Hands
from canary.monitor.heart import BEAT_S
from canary.monitor.inspector import WATCHING_S, Answer
from canary.monitor.kit import Kit
from canary.rules.engine import Figure, Figures
from canary.safety import watching
from canary.safety.container import Container
from canary.safety.orders import Cause, Ended, Kill, Order, Over, Sight, Tell, Terminate, Throttle, Trouble
from canary.safety.watching import Phase

LOOK_S = 1.0
KILLING_S = 0.05
LAST_WORD_S = 5.0
"""So long Docker is waited for to say with which exit code a container has ended."""
SENSES = ("cpu", "memory", "processes", "network")
SIGNALS = {signal.SIGINT: Cause.INTERRUPTED, signal.SIGTERM: Cause.TERMINATED}


class Session:
    """Watches a container.

    Args:
        kit: what the monitor works with. container: as it was found.
        eyes: see it; None: it cannot be seen. troubles: for which it is ended at once.
    """

    def __init__(
        self, kit: Kit, container: Container, eyes: Eyes | None, troubles: tuple[Trouble, ...] = ()
    ) -> None:
        asked = kit.asked
        now = time.monotonic()
        self._kit = kit
        self._container = container
        self._eyes = eyes
        self._troubles = troubles
        self._watch = watching.begin(asked.rules, blind_after_s=asked.blind_after_s, grace_s=asked.grace_s)
        self._hands = Hands(kit.docker, eyes.first if eyes else None, kit.waker.ring)
        self._senses = dict.fromkeys(SENSES if eyes else (), now)
        self._begun = now
        self._next_look = now
        self._full, self._roomy_at = "", now
        self._ended_at: float | None = None
        self._last: Figures = {}
        self._cores: float | None = None
        self._throttled_at = now
        self._answered = Answer(now, container)

    def run(self) -> Over:
        """Until it has ended. Whatever happens in here, the container does not go on unwatched."""
        if self._kit.inspector is not None:
            self._kit.inspector.every_s = WATCHING_S
        while True:
            sight = self._sight(time.monotonic())
            # Once it has ended there is nothing to decide until Docker has said how.
            if self._ended_at is None or sight.ended is not None:
                self._watch, orders = watching.step(self._watch, sight)
                for order in orders:
                    self._carry_out(order)
                    if isinstance(order, Over):
                        return order
                self._measure(sight)
            self._wait()

    def abandon(self) -> None:
        """End it without more ado: something is wrong with the monitor itself."""
        until = time.monotonic() + 10.0
        while time.monotonic() < until and not self._has_ended():
            self._hands.kill(directly=True)
            time.sleep(0.5)

    def _wait(self) -> None:
        kit = self._kit
        others = [kit.link.fileno()] if kit.link is not None and not kit.link.closed else []
        if self._eyes is not None and self._ended_at is None:
            others.append(self._eyes.first)
        pause = KILLING_S if self._watch.phase is Phase.KILLING or self._ended_at is not None else BEAT_S
        kit.waker.wait(min(pause, max(0.0, self._next_look - time.monotonic())), others)
        kit.pulse()

    def _sight(self, now: float) -> Sight:
        reports, spoken = self._kit.reports.take() if self._kit.reports is not None else ((), ())
        for told in self._hands.told():
            self._kit.tell(Tell("effect", told))
        ended = self._ended(now)
        figures = self._last_figures(ended) if ended is not None else self._figures(now)
        return Sight(
            at=now,
            figures=figures,
            senses=self._worked(now),
            faults=self._faults(),
            reports=reports,
            troubles=(*self._troubles, *spoken, *self._found(now)),
            ended=ended,
        )

    def _figures(self, now: float) -> Figures | None:
        if self._eyes is None or now < self._next_look or self._ended_at is not None:
            return None
        while self._next_look <= now:
            self._next_look += LOOK_S
        seen = self._eyes.look(now)
        self._senses |= {sense: now for sense in SENSES if sense not in seen.unseen}
        return seen.figures

    def _last_figures(self, ended: Ended) -> Figures:
        """What is known only in the end."""
        found = dict(self._last)
        if ended.oom_killed:
            found["memory_usage"] = (Figure.of(1.0, "killed for lack of it"),)
        return found

    def _worked(self, now: float) -> Mapping[str, float]:
        kit = self._kit
        found = dict(self._senses)
        if kit.inspector is not None:
            found["docker"] = max(self._begun, kit.inspector.answer.at)
        if kit.book is not None:
            self._full = kit.book.full()
            if not self._full:
                self._roomy_at = now
            waiting = kit.book.waiting_since()
            found["ledger"] = min(self._roomy_at, now if waiting is None else waiting)
        if kit.link is not None:
            found["watchdog"] = kit.link.heard_at
        if kit.reports is not None:
            found["reports"] = kit.reports.alive_at
        if self._cores is not None:
            if self._eyes is not None and _is_near(self._eyes.cores, self._cores):
                self._throttled_at = now
            found["throttle"] = self._throttled_at
        return found

    def _faults(self) -> Mapping[str, str]:
        kit = self._kit
        found = dict(self._eyes.faults) if self._eyes is not None else {}
        if kit.inspector is not None and kit.inspector.answer.fault:
            found["docker"] = kit.inspector.answer.fault
        if kit.book is not None and (fault := kit.book.fault or self._full):
            found["ledger"] = fault
        if self._cores is not None:
            found["throttle"] = "the CPU limit that was asked for is not in effect"
        return found

    def _found(self, now: float) -> list[Trouble]:
        """What speaks for ending it at once."""
        kit, found = self._kit, []
        if kit.waker.caught is not None:
            number = signal.Signals(kit.waker.caught)
            found.append(Trouble(SIGNALS[number], f"the monitor was asked to end ({number.name})"))
        if kit.link is not None and kit.link.closed:
            found.append(Trouble(Cause.WATCHDOG, "the watchdog has died"))
        if kit.book is not None and (changed := kit.book.tampered()):
            found.append(Trouble(Cause.LEDGER, changed))
        answer = self._answer
        if answer.at > self._begun and not answer.fault and self._ended_at is None:
            if answer.container is None:
                found.append(Trouble(Cause.REPLACED, "Docker does not know the container any more"))
            elif answer.container.id != self._container.id:
                found.append(
                    Trouble(Cause.REPLACED, f"another container, {answer.container.id[:12]}, has its name")
                )
        return found

    @property
    def _answer(self) -> Answer:
        """What Docker has said last."""
        return self._kit.inspector.answer if self._kit.inspector is not None else self._answered

    def _has_ended(self) -> bool:
        if self._eyes is not None:
            return self._eyes.ended()
        answer = self._answer
        found = answer.container
        return answer.at > self._begun and (
            found is None or not found.running or found.id != self._container.id
        )

    def _ended(self, now: float) -> Ended | None:
        """Whether it has ended, with what Docker says of it, if it says so soon."""
        if self._ended_at is None:
            if not self._has_ended():
                return None
            self._ended_at = now
            if self._eyes is not None:
                self._last = self._eyes.last()
        answer = self._answer
        found = answer.container
        if (
            found is not None
            and found.id == self._container.id
            and not found.running
            and answer.at > self._begun
        ):
            return Ended(self._ended_at, found.exit_code, found.oom_killed)
        if self._kit.inspector is not None:
            self._kit.inspector.every_s = 0.1
        return Ended(self._ended_at) if now - self._ended_at > LAST_WORD_S else None

    def _carry_out(self, order: Order) -> None:
        match order:
            case Tell():
                self._kit.tell(order)
            case Kill(directly):
                self._kit.settled(RECORD_S)
                self._hands.kill(directly=directly)
                if directly and self._kit.link is not None:
                    # Once was not enough: its watchdog may have another way to Docker.
                    self._kit.link.say("kill")
            case Terminate():
                self._kit.settled(RECORD_S)
                self._hands.terminate(self._container.stop_signal)
            case Throttle(on):
                self._kit.settled(RECORD_S)
                wanted = self._hands.throttle(self._container, on=on)
                self._cores, self._throttled_at = (wanted if on else None), time.monotonic()
            case Over(_, _, cause, rule) if cause is not None:
                self._kit.meters.kills.labels(cause.value, rule).inc()

    def _measure(self, sight: Sight) -> None:
        meters, kit = self._kit.meters, self._kit
        if sight.figures is not None:
            meters.looked.set(time.time())
            meters.set_figures({name: found[0].low for name, found in sight.figures.items() if found})
        for sense, worked in sight.senses.items():
            meters.blind.labels(sense).set(max(0.0, round(sight.at - worked, 3)))
        firing = self._watch.firing
        for rule in self._watch.rules:
            meters.firing.labels(rule.name).set(rule.name in firing)
        meters.throttled.set(self._watch.throttled)
        meters.reports.inc(len(sight.reports))
        kit.meters.state = f"{self._watch.phase} {self._container.name}"
        measure_ledger(kit)


def measure_ledger(kit: Kit) -> None:
    """How the ledger and the watchdog stand, for scrapes."""
    meters = kit.meters
    if kit.book is not None:
        waiting, last = kit.book.waiting_since(), kit.book.last
        meters.waiting.set(0.0 if waiting is None else time.monotonic() - waiting)
        if last is not None:
            meters.entries.set(last.number)
            meters.written.set(last.at)
    if kit.link is not None:
        alive = not kit.link.closed and time.monotonic() - kit.link.heard_at <= kit.asked.blind_after_s
        meters.watchdog.set(alive)


def _is_near(found: float | None, wanted: float) -> bool:
    return found is not None and abs(found - wanted) <= 0.01 + 0.01 * wanted
