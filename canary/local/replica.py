"""One replica from birth to end: started, asked for its health, started again, drained, stopped."""

import asyncio
import contextlib
import re
import signal
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from canary.config.settings import PROBE_READY_S, LocalService
from canary.core.observation import Pod
from canary.errors import CanaryError
from canary.local.health import probe
from canary.local.layout import Layout
from canary.local.process import HOME, MARK, Launch, Process, free_port, last_line, last_words, size_of
from canary.local.status import PodState, write_passing

WATCH_S = 0.05
PROBE_UNREADY_S = 0.1
PROBE_TIMEOUT_S = 2.0
FAILURES = 3
BACK_OFF_S = (0.25, 30.0)
PROVED_S = 60.0  # ready for this long: what crashed before is forgotten
STOP_S = 5.0
PORT_TRIES = 5
_IN_USE = re.compile(
    r"address already in use|eaddrinuse|port .{0,40}in use|only one usage of each socket", re.I
)


@dataclass(frozen=True)
class Surroundings:
    """What all replicas of a supervisor share.

    Attributes:
        changed: called when readiness or trouble may have changed. let_go: take its connections
            away from a replica (by name) between requests. open_on: how many it still has.
            ended: it is gone. say: is told in words what happens.
    """

    service: LocalService
    layout: Layout
    changed: Callable[[], None]
    let_go: Callable[[str], None]
    open_on: Callable[[str], int]
    ended: Callable[["Replica"], None]
    say: Callable[[str], None]


class Replica:
    """Keeps one process of a template running until it is told to leave.

    Args:
        state: as written down. template: what it runs. around: see `Surroundings`.
        process: an adopted one, or None: it will be started.
    """

    def __init__(
        self,
        state: PodState,
        template: Mapping[str, Any],
        around: Surroundings,
        process: Process | None = None,
    ) -> None:
        self.state = state
        self.ready = False
        self.trouble: str | None = None
        self.probed = asyncio.Event()
        self._template = template
        self._around = around
        self._process = process
        self._leaving = asyncio.Event()
        self._hurry = asyncio.Event()
        self._crashes = 0
        self._port_tries = 0
        self._said = "it was not asked yet"
        self._since = time.monotonic()
        self._ready_since: float | None = None
        self._log_from = 0
        self._unsaved = ""
        self._task = asyncio.get_running_loop().create_task(self._live())
        if process is not None:
            self._save()
        if state.leaving:
            self._leaving.set()

    @property
    def leaving(self) -> bool:
        """It is on its way out."""
        return self._leaving.is_set()

    @property
    def running(self) -> bool:
        """It has a process now."""
        return self._process is not None

    def check(self) -> None:
        """Raise what ended its task unasked: a fault in the program must not go by unseen."""
        if self._task.done() and not self._task.cancelled():
            self._task.result()

    @property
    def pod(self) -> Pod:
        """As adapters see it."""
        state = self.state
        return Pod(
            state.name, state.uid, state.revision, self.ready, state.was_ready,
            state.restarts, self.trouble, state.born,
        )  # fmt: skip

    def leave(self, *, hurry: bool = False) -> None:
        """Out of balancing now, then drain, then stop. With `hurry`: kill at once."""
        if not self.leaving:
            self.ready, self.state.leaving = False, True
            self._leaving.set()
            self._save()
        if hurry:
            self._hurry.set()

    async def ended(self) -> None:
        """Return when it is gone."""
        await asyncio.wait([self._task])

    async def _live(self) -> None:
        while not self.leaving:
            if self._process is None:
                self._start()
            if self._process is not None:
                await self._watch(self._process)
            if not self.leaving:
                await self._pause(self._crashed() if self._process is not None else self._back_off())
        await self._end()
        # Its end is noted before its file goes: noted twice does no harm, not at all would.
        self._around.ended(self)
        with contextlib.suppress(OSError):
            self._path.unlink(missing_ok=True)

    def _start(self) -> None:
        state, layout = self.state, self._around.layout
        state.port, state.pid, state.created = free_port(), None, None
        logs = layout.logs / state.name
        self._log_from = size_of(Path(f"{logs}.err"))
        self._since = time.monotonic()
        self._said = "it was not asked yet"
        # Before the process exists: found without its file, it would count as nobody's and be killed. An
        # older file is enough for that, so with a full disk a crashed replica still comes back.
        if not self._save() and not self._path.exists():
            # A full disk is no fault of the version: no trouble of the pod, and no crash.
            self._crashes = 0
            return
        try:
            self._process = Process.launch(self._launch(logs))
        except (OSError, ValueError) as fault:
            self._stuck(_why_not(self._template, fault))
        else:
            state.pid, state.created = self._process.started.pid, self._process.started.created
            self._save()

    def _launch(self, logs: Path) -> Launch:
        state = self.state
        fill = {
            "{version}": str(self._template["version"]),
            "{port}": str(state.port),
            "{python}": sys.executable,
        }

        def filled(text: str) -> str:
            for placeholder, value in fill.items():
                text = text.replace(placeholder, value)
            return text

        env = {name: filled(value) for name, value in self._template["env"].items()}
        marks = {MARK: state.uid, HOME: str(self._around.layout.root), "CANARY_POD_NAME": state.name}
        command = [filled(part) for part in self._template["command"]]
        return Launch(command, {**env, **marks}, str(self._template["directory"]), logs)

    async def _watch(self, process: Process) -> None:
        asking = asyncio.get_running_loop().create_task(self._ask())
        try:
            while process.alive and not self.leaving:
                await self._pause(WATCH_S)
                self._check_patience()
        finally:
            asking.cancel()
            await asyncio.wait([asking])
        if self.ready:
            self.ready = False
            self._around.changed()

    async def _ask(self) -> None:
        failures = 0
        while True:
            said = await probe(self.state.port, self._around.service.health, PROBE_TIMEOUT_S)
            if said is None:
                failures = 0
                self._turned_ready()
            else:
                failures += 1
                self._said = said
                if self.ready and failures >= FAILURES:
                    self._turned_unready()
            self.probed.set()
            await asyncio.sleep(PROBE_READY_S if self.ready and not failures else PROBE_UNREADY_S)

    def _turned_ready(self) -> None:
        now = time.monotonic()
        if self._ready_since is not None and now - self._ready_since > PROVED_S:
            self._crashes = self._port_tries = 0
        if self.ready or self.leaving:
            return
        self.ready, self.trouble, self._ready_since = True, None, now
        if not self.state.was_ready:
            self.state.was_ready = True
            self._save()
        self._around.changed()

    def _turned_unready(self) -> None:
        self.ready, self._ready_since = False, None
        self._since = time.monotonic()
        self._around.say(f"{self.state.name} is not ready any more: {self._said}")
        self._around.changed()

    def _check_patience(self) -> None:
        patience = self._around.service.ready_s
        if not self.ready and self.trouble is None and time.monotonic() - self._since > patience:
            self._stuck(f"not ready within {patience:g} s: {self._said}")

    def _crashed(self) -> float:
        """Note how it ended; the seconds to wait before the next start."""
        process, self._process = self._process, None
        ended = process.exit_words if process is not None else "ended"
        if process is not None:
            # What it had started itself would stay on its port.
            process.send(signal.SIGKILL)
        words = last_words(Path(f"{self._around.layout.logs / self.state.name}.err"), self._log_from)
        if self._ready_since is None and self._port_tries < PORT_TRIES and _IN_USE.search(words):
            self._port_tries += 1
            return 0.0
        if self._ready_since is None and self._unsaved:
            # It may have ended of the same full disk as it began: no fault of the version, and no crash.
            self._crashes, self.state.pid, self.state.created = 0, None, None
            return self._back_off()
        self._ready_since = None
        self.state.restarts += 1
        # Or a supervisor that takes over just now would count this end once more.
        self.state.pid = self.state.created = None
        delay = self._back_off()
        line = last_line(words)
        told = f"{ended}{f'; its last line on stderr: {line}' if line else ''}"
        self._around.say(f"{self.state.name} {told}; started again in {delay:g} s")
        if self._crashes >= (3 if self.state.was_ready else 2):
            self._stuck(f"crash loop: {told} ({self._crashes} times in a row)")
        self._save()
        self._around.changed()
        return delay

    def _back_off(self) -> float:
        self._crashes += 1
        return min(BACK_OFF_S[0] * 2.0 ** (self._crashes - 1), BACK_OFF_S[1])

    def _stuck(self, trouble: str) -> None:
        if trouble != self.trouble:
            self.trouble = trouble
            self._around.say(f"{self.state.name}: {trouble}")
            self._around.changed()

    async def _end(self) -> None:
        self.ready = False
        self._around.changed()
        self._around.let_go(self.state.name)
        process = self._process
        if process is None:
            return
        await self._until(
            lambda: not process.alive or not self._around.open_on(self.state.name),
            self._around.service.drain_s,
        )
        if not self._hurry.is_set():
            process.send(signal.SIGTERM)
            await self._until(lambda: not process.alive, STOP_S)
        process.send(signal.SIGKILL)
        while process.alive:
            await asyncio.sleep(WATCH_S)

    async def _until(self, done: Callable[[], bool], seconds: float) -> None:
        end = time.monotonic() + seconds
        while not done() and time.monotonic() < end and not self._hurry.is_set():
            await asyncio.sleep(WATCH_S)

    async def _pause(self, seconds: float) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._leaving.wait()

    @property
    def _path(self) -> Path:
        return self._around.layout.pods / f"{self.state.name}.json"

    def _save(self) -> bool:
        try:
            write_passing(self._path, asdict(self.state))
        except CanaryError as fault:
            # Not fatal: a process is also known by its mark, and the rest is observed again.
            if fault.message != self._unsaved:
                self._around.say(fault.message)
            self._unsaved = fault.message
            return False
        self._unsaved = ""
        return True


def _why_not(template: Mapping[str, Any], fault: Exception) -> str:
    reason = (fault.strerror or str(fault)) if isinstance(fault, OSError) else str(fault)
    place = fault.filename if isinstance(fault, OSError) and fault.filename else template["command"][0]
    return f"cannot be started: {place}: {reason}"
