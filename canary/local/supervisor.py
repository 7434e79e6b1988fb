"""Keeps a service running as it is asked for: what `canary local up` runs.

The one process with an event loop. It watches `desired.json`, moves replicas towards it, balances over
those that are ready, scrapes them, and writes down what it sees.
"""

import asyncio
import os
import resource
import secrets
import signal
import sys
import time
import uuid
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

from canary.config.settings import LocalService
from canary.core.observation import Arm
from canary.errors import CanaryError
from canary.local.adoption import adopt
from canary.local.balancer import Balancer
from canary.local.layout import Layout, SupervisorLock
from canary.local.process import bound_logs
from canary.local.replica import Replica, Surroundings
from canary.local.ring import RingWriter
from canary.local.rolling import Member, next_change
from canary.local.scraper import Scraper, Subject
from canary.local.status import Observed, PodState, Wall, dump, write_passing
from canary.local.store import Desired, Store, Wanted, apply_configuration
from canary.local.targets import Place, Targets

TURN_S = 0.05
HEARTBEAT_S = 0.5
LOGS_S = 5.0
ADOPTION_S = 5.0
KEEP_S = 45 * 60 + 2 * 3600.0
_LETTERS = "bcdfghjklmnpqrstvwxz2456789"  # no vowels, no look-alikes: never a word, never misread


def run(service: LocalService, *, keep_s: float = KEEP_S, say: Callable[[str], None] | None = None) -> None:
    """Keep the service running until SIGTERM or SIGINT; a second one ends the replicas at once.

    Killed with SIGKILL, it leaves the replicas running and nothing in front of them; started again, it
    takes them over.

    Args:
        service: what to keep. Its version counts only when there is no state yet.
        keep_s: seconds of scrapes that the ring keeps: the stable's history (45 min) and the longest
            release that shall be read again.
        say: is told in words what happens; stderr, with the time, unless given.

    Raises:
        InvalidError: another supervisor has this state, the port is taken, the state is a newer canary's.
        CanaryError: the state folder cannot be written.
    """
    layout = Layout.of(service)
    layout.check()
    layout.make()
    lock = SupervisorLock(layout)
    lock.take()
    try:
        asyncio.run(_main(service, layout, keep_s, say or _tell))
    finally:
        lock.free()


async def _main(service: LocalService, layout: Layout, keep_s: float, say: Callable[[str], None]) -> None:
    _more_descriptors()
    supervisor = Supervisor(service, layout, keep_s, say)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, supervisor.ask_to_stop)
    await supervisor.live()


class Supervisor:
    """The replicas of one service, the balancer in front, the scraper beside.

    Args:
        service, keep_s, say: as for `run`. layout: of its state, which exists and is ours alone.
    """

    def __init__(
        self, service: LocalService, layout: Layout, keep_s: float, say: Callable[[str], None]
    ) -> None:
        self._service = service
        self._layout = layout
        self._say = say
        self._store = Store(layout)
        self._wall = Wall()
        self._replicas: dict[str, Replica] = {}
        self._balancer = Balancer(service.listen)
        self._scraper = Scraper(RingWriter(layout.ring, keep_s), self._wall, service.scrape_s, say)
        self._around = Surroundings(
            service, layout, self._readiness_changed, self._balancer.leave, self._balancer.open_on,
            self._ended, say,
        )  # fmt: skip
        self._targets = Targets(service, say)
        self._templates: dict[str, Mapping[str, Any]] = {}
        self._desired: Desired | None = None
        self._stamp: tuple[int, int, int] | None = None
        self._problem = ""
        self._address = service.listen
        self._stops = 0
        self._turned = asyncio.Event()
        self._written: tuple[float, dict[str, Any]] = (0.0, {})
        self._write_fault = ""

    def ask_to_stop(self) -> None:
        """Stop in order; asked again, at once."""
        self._stops += 1
        self._turned.set()
        if self._stops > 1:
            for replica in self._replicas.values():
                replica.leave(hurry=True)

    async def live(self) -> None:
        """Run until asked to stop, then drain and stop the replicas.

        Raises:
            CanaryError: it could not begin.
        """
        try:
            self._desired, notes = apply_configuration(self._store, self._service)
            # Before any replica is touched: with the port taken nothing shall have happened.
            self._address = self._balancer.listen()
            for note in notes:
                self._say(note)
            await self._take_over()
            self._say(
                f"{self._service.name} on {self._address[0]}:{self._address[1]}, state in {self._layout.root}"
            )
            logs_at = 0.0
            while not self._stops:
                self._turn()
                if time.monotonic() - logs_at > LOGS_S:
                    logs_at = time.monotonic()
                    await asyncio.to_thread(bound_logs, self._layout.logs, frozenset(self._replicas))
                await self._rest()
            await self._stop()
        finally:
            self._balancer.close()
            await self._scraper.close()

    async def _rest(self) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(TURN_S):
                await self._turned.wait()
        self._turned.clear()

    async def _take_over(self) -> None:
        found = await asyncio.to_thread(adopt, self._layout, self._say)
        for state, process in found:
            template = self._template(state.revision)
            self._replicas[state.name] = Replica(state, template or {}, self._around, process)
            if template is None:
                self._replicas[state.name].leave()
        waiting = [one.probed.wait() for one in self._replicas.values() if not one.leaving and one.running]
        if waiting:
            self._say(f"took over {len(waiting)} running replicas")
            # Unready until asked; a rolling update would take unready old ones away at once.
            with suppress(TimeoutError):
                async with asyncio.timeout(ADOPTION_S):
                    await asyncio.gather(*waiting)

    def _turn(self) -> None:
        self._read_desired()
        for replica in self._replicas.values():
            replica.check()
        if self._desired is not None:
            self._move(Arm.STABLE, self._desired.stable)
            self._move(Arm.CANARY, self._desired.canary)
        self._serve()
        self._scraper.turn(self._subjects())
        self._targets.write(self._places())
        self._write()

    def _read_desired(self) -> None:
        try:
            found = self._layout.desired.stat()
            stamp = (found.st_mtime_ns, found.st_ino, found.st_size)
            if stamp != self._stamp:
                self._desired = self._store.load() or self._desired
                self._stamp, self._problem = stamp, ""
        except OSError as fault:
            self._trouble(f"cannot read {self._layout.desired}: {fault.strerror}; going on as asked before")
        except CanaryError as fault:
            self._trouble(f"{fault.message}; going on as asked before")

    def _trouble(self, problem: str) -> None:
        if problem != self._problem:
            self._say(problem)
        self._problem = problem

    def _move(self, arm: Arm, wanted: Wanted | None) -> None:
        mine = [one for one in self._replicas.values() if one.state.arm == arm and not one.leaving]
        if wanted is None:
            for replica in mine:
                replica.leave()
            return
        template = self._template(wanted.revision)
        if template is None:
            return
        members = [Member(one.state.name, one.state.revision, one.ready, one.state.born) for one in mine]
        room = (self._service.surge, self._service.unavailable)
        change = next_change(members, wanted.revision, wanted.replicas, room)
        for name in change.remove:
            self._replicas[name].leave()
        for _ in range(change.create):
            self._create(arm, wanted.revision, template)

    def _create(self, arm: Arm, revision: str, template: Mapping[str, Any]) -> None:
        stem = self._service.name if arm is Arm.STABLE else f"{self._service.name}-{arm}"
        end = "".join(secrets.choice(_LETTERS) for _ in range(5))
        state = PodState(f"{stem}-{revision}-{end}", str(uuid.uuid4()), arm, revision, self._wall.now())
        self._replicas[state.name] = Replica(state, template, self._around)

    def _template(self, revision: str) -> Mapping[str, Any] | None:
        if revision not in self._templates:
            try:
                self._templates[revision] = self._store.revision(revision).template
            except CanaryError as fault:
                self._trouble(fault.message)
                return None
        return self._templates[revision]

    def _readiness_changed(self) -> None:
        self._serve()
        self._turned.set()

    def _serve(self) -> None:
        ready = [one for one in self._replicas.values() if one.ready and not one.leaving]
        self._balancer.serve([(one.state.name, one.state.port) for one in ready])

    def _ended(self, replica: Replica) -> None:
        self._replicas.pop(replica.state.name, None)
        self._scraper.forget(replica.state.name)

    def _subjects(self) -> list[Subject]:
        path = self._service.metrics
        return [
            Subject(
                one.state.name, one.state.arm, one.state.revision,
                f"http://127.0.0.1:{one.state.port}{path}", one.state.created,
            )
            for one in self._replicas.values()
            if one.ready
        ]  # fmt: skip

    def _places(self) -> list[Place]:
        return [
            Place(one.state.name, one.state.arm, self._version(one.state.revision), one.state.port)
            for one in self._replicas.values()
        ]

    def _version(self, revision: str) -> str:
        return str((self._template(revision) or {}).get("version", ""))

    def _write(self, *, stopping: bool = False) -> None:
        if self._desired is None:
            return
        pods = {
            str(arm): tuple(
                one.pod for one in self._replicas.values() if one.state.arm == arm and not one.leaving
            )
            for arm in (Arm.STABLE, Arm.CANARY)
        }
        desired = self._desired
        problems = tuple(one for one in (self._problem, self._scraper.fault) if one)
        document = dump(
            Observed(
                desired.generation, 0.0, os.getpid(), self._address, desired.stable, desired.canary,
                pods, problems, stopping,
            )
        )  # fmt: skip
        at, before = self._written
        now = self._wall.now()
        if document == before and now - at < HEARTBEAT_S:
            return
        try:
            write_passing(self._layout.observed, {**document, "at": now})
        except CanaryError as fault:
            if not self._write_fault:
                self._say(
                    f"{fault.message}; the service goes on, but `canary` cannot see it until there is room"
                )
            self._write_fault = fault.message
        else:
            self._written, self._write_fault = (now, document), ""

    async def _stop(self) -> None:
        self._balancer.stop()
        count = len(self._replicas)
        self._say(
            f"stopping: no new connections; {self._balancer.open} open ones get up to "
            f"{self._service.drain_s:g} s, then {count} replicas stop. Once more to stop them at once."
        )
        self._write(stopping=True)
        for replica in list(self._replicas.values()):
            replica.leave(hurry=self._stops > 1)
        await asyncio.gather(*(replica.ended() for replica in list(self._replicas.values())))
        self._targets.write([])
        self._write(stopping=True)
        self._say(
            f"stopped. Nothing of {self._service.name} runs any more; what was asked for is kept in "
            f"{self._layout.root}: `canary local up` with the same file brings it back."
        )


def _more_descriptors() -> None:
    # Two a connection: the usual soft limit of 1024 (256 on macOS) is little for a balancer.
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 10240 if hard == resource.RLIM_INFINITY else min(hard, 65536)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        with suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def _tell(text: str) -> None:
    # A closed terminal or a log on a full disk is no reason to stop serving.
    with suppress(OSError, ValueError):
        sys.stderr.write(f"{time.strftime('%H:%M:%S')} {text}\n")
        sys.stderr.flush()
