"""`canary demo`: a bad and a good version of a real service, released under real load, told as it goes."""

import http.client
import os
import random
import shlex
import shutil
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from canary.errors import CanaryError, Exit, InvalidError
from canary.local.demo.cast import Bell, Cast, StoppedError, bell
from canary.local.demo.stage import HOST, REPLICAS, USUAL_PORT, Stage, pick_port, port_is_taken, stage
from canary.local.demo.tally import Summary, read_summary

FOLDER = Path("canary-demo")
"""Where the demo plays when nobody says where."""

FAULTS: Mapping[str, Exit] = {
    "errors": Exit.ROLLED_BACK,
    "latency": Exit.ROLLED_BACK,
    "crash": Exit.ROLLED_BACK,
    "none": Exit.OK,
}
"""What `--fault` takes, and the exit code with which such a version's release must end."""

WORDS: Mapping[str, str] = {
    "errors": "fails 2 % of its requests, where v1.0.0 fails 0.3 %",
    "latency": "takes 400 ms longer for 4 % of its requests",
    "crash": "crashes 8 s after it has started",
    "none": "is as good as v1.0.0",
}

HISTORY_S = 9.0

RATES = (400, 250, 150)
"""Requests a second: the first that the machine bears. With 400 a good version takes half a minute."""

TRIAL_S = 3.0
BUSY_MS = 100.0
"""A median above five times the service's own says that the machine has no time for it."""

READY_WITHIN_S = 30.0
RELEASE_WITHIN_S = 240.0
LOAD_S = 4 * 3600


@dataclass(frozen=True)
class DemoOptions:
    """What is asked of the demo.

    Attributes:
        fault: a key of FAULTS: release one version with it. None: the main demo, a bad and a good one.
        seed: of the load and of the service's behaviour; None: one is chosen and said.
        keep: go on with service and load after the demo until Ctrl-C; None: for the main demo in a terminal.
        directory: where it plays; None: FOLDER. plain: lines instead of the live view.
    """

    fault: str | None = None
    seed: int | None = None
    keep: bool | None = None
    directory: Path | None = None
    plain: bool = False


@dataclass(frozen=True)
class Scene:
    """One release of the demo: the version, its fault, and the exit code it must end with."""

    version: str
    fault: str

    @property
    def wanted(self) -> Exit:
        """The exit code that tells that canary did its work."""
        return FAULTS[self.fault]


@dataclass(frozen=True)
class Played:
    """A release that has ended. `took_s`: from the command's start to its end."""

    scene: Scene
    status: int
    took_s: float

    @property
    def fine(self) -> bool:
        """It ended as it must."""
        return self.status == self.scene.wanted


def run(options: DemoOptions) -> int:
    """Play the demo.

    Returns:
        0 if everything happened that should, 1 if not, 130 or 143 when somebody ended it before.

    Raises:
        CanaryError: it could not be played: the folder, the port, a process that does not start.
    """
    if options.fault is not None and options.fault not in FAULTS:
        raise InvalidError(f"--fault {options.fault} is not known", remedy=f"Wanted: {', '.join(FAULTS)}.")
    seed = random.SystemRandom().randrange(10_000) if options.seed is None else options.seed
    scenes = (
        (Scene("v1.1.0", options.fault),)
        if options.fault
        else (Scene("v1.1.0", "errors"), Scene("v1.1.1", "none"))
    )
    with bell() as ears, stage(options.directory or FOLDER) as place:
        environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
        with Cast(ears, environment) as cast:
            return Demo(options, place, cast, ears, seed).play(scenes)


class Demo:
    """One run of the demo."""

    def __init__(self, options: DemoOptions, place: Stage, cast: Cast, ears: Bell, seed: int) -> None:
        self._options = options
        self._place = place
        self._cast = cast
        self._ears = ears
        self._seed = seed
        self._began = time.monotonic()
        in_terminal = options.fault is None and sys.stdout.isatty()
        self._keep = in_terminal if options.keep is None else options.keep

    def play(self, scenes: Sequence[Scene]) -> int:
        """All of it, from an empty folder to the last word."""
        done = False
        try:
            self._open(scenes)
            played = [self._release(scene) for scene in scenes]
            fine = self._sum_up(played)
            done = True
            if self._keep:
                self._stay(promoted=played[-1].status == Exit.OK)
        except StoppedError as stop:
            # After the last scene Ctrl-C is how the demo is meant to end.
            if not done:
                _say(f"\nThe demo was ended by signal {stop.number}; everything it started is being ended.")
                return 128 + stop.number
        return Exit.OK if fine else Exit.FOUND

    def _open(self, scenes: Sequence[Scene]) -> None:
        _say(f"The demo plays in {self._place.folder}, with seed {self._seed}.")
        port = self._start_service(scenes)
        _say(f"A shop, v1.0.0, runs in {REPLICAS} processes behind http://{HOST}:{port}.")
        self._start_load(port)
        _say(
            f"Watching it for {HISTORY_S:g} s: what is usual for it is what a canary is later compared with."
        )
        self._ears.pause(HISTORY_S)

    def _start_load(self, port: int) -> None:
        """Make as much load as the machine bears: in a traffic jam nothing could be told of a version."""
        for rps in RATES:
            command = (sys.executable, "-m", "canary.local.demo.load", "--url", f"http://{HOST}:{port}")
            bounds = ("--rps", str(rps), "--seconds", str(LOAD_S), "--seed", str(self._seed))
            files = ("--live", str(self._place.live))
            self._cast.start("load", (*command, *bounds, *files), self._place.log("load"))
            self._ears.pause(TRIAL_S)
            books = read_summary(self._place.live)
            if rps == RATES[-1] or books is None or _median_ms(books, "v1.0.0") <= BUSY_MS:
                _say(f"It gets {rps} requests a second, each on a connection of its own.")
                return
            _say(f"This machine is too busy for {rps} requests a second: fewer then, and all takes longer.")
            self._cast.end("load")
            self._place.live.unlink(missing_ok=True)

    def _start_service(self, scenes: Sequence[Scene]) -> int:
        port = pick_port()
        if port != USUAL_PORT:
            _say(f"Port {USUAL_PORT} is in use, taking {port}.")
        faults = ",".join(f"{scene.version}={scene.fault}" for scene in scenes)
        for attempt in (1, 2):
            self._place.write_config(port=port, faults=faults, seed=self._seed)
            command = (*_canary(), "local", "up", "-f", str(self._place.config))
            self._cast.start("local", command, self._place.log("local"))
            if self._wait_until_ready(port):
                return port
            # Somebody may have taken the port between our looking and our using it.
            if attempt == 2 or self._cast.status("local") is None or not port_is_taken(port):
                break
            port = pick_port(0)
        status = self._cast.status("local")
        what = (
            f"was not ready within {READY_WITHIN_S:g} s" if status is None else f"ended with status {status}"
        )
        log = self._place.log("local")
        raise CanaryError(
            f"`canary local up` {what}; the demo cannot begin", remedy=f"See {log}, which ends:\n{_tail(log)}"
        )

    def _wait_until_ready(self, port: int) -> bool:
        latest = time.monotonic() + READY_WITHIN_S
        while time.monotonic() < latest:
            if self._cast.status("local") is not None:
                return False
            # Another demo may have taken the port a moment ago, with a shop of its own behind it.
            if _version_at(port) == "v1.0.0" and self._cast.listens("local", port):
                return True
            self._ears.pause(0.1)
        return False

    def _release(self, scene: Scene) -> Played:
        command = (*_canary(), "start", scene.version, "-f", str(self._place.config))
        if self._options.plain:
            command = (*command, "--plain")
        _say(f"\n$ {_shown('start', scene.version, self._place)}")
        _say(f"{scene.version} {WORDS[scene.fault]}. Nobody has told canary.")
        began = time.monotonic()
        status = self._cast.play(command, limit_s=RELEASE_WITHIN_S)
        played = Played(scene, status, time.monotonic() - began)
        _say(f"Exit code {status}: {_meaning(status)}, after {played.took_s:.1f} s.")
        return played

    def _sum_up(self, played: Sequence[Played]) -> bool:
        self._ears.pause(1.0)  # the generator writes its counts twice a second
        load_alive = self._cast.status("load") is None
        summary = read_summary(self._place.live)
        _say(f"\nAfter {time.monotonic() - self._began:.0f} s:")
        for one in played:
            verdict = "as it must" if one.fine else f"WRONG: {one.scene.wanted.value} was wanted"
            _say(
                f"  {one.scene.version} {_meaning(one.status)}, exit code {one.status}, {verdict} "
                f"({one.took_s:.1f} s; it {WORDS[one.scene.fault]})"
            )
        fine = all(one.fine for one in played)
        if summary is None or not load_alive:
            _say(f"  The load generator ended early, see {self._place.log('load')}.")
            return False
        crashing = any(one.scene.fault == "crash" for one in played)
        for line in _books(summary, crashing=crashing):
            _say(f"  {line}")
        fine = fine and (crashing or summary.failed == 0)
        if not fine:
            _say(f"  This is not what should happen. Seed {self._seed}; logs in {self._place.folder}.")
        return fine

    def _stay(self, *, promoted: bool) -> None:
        _say("\nService and load go on until Ctrl-C. In a second terminal, for instance:")
        tries: list[tuple[str, ...]] = [("status",), ("history",), ("start", "v1.2.0"), ("start", "v1.1.0")]
        if promoted:
            tries.append(("undo",))
        for words in tries:
            _say(f"  {_shown(*words, self._place)}")
        while self._cast.status("load") is None and self._cast.status("local") is None:
            self._ears.pause(0.5)
        _say("A background process has ended by itself, so the demo ends too.")


def _books(summary: Summary, *, crashing: bool) -> list[str]:
    """The load generator's counts, in words."""
    lines = [f"{summary.sent} requests were made: {summary.answered} answered, {summary.open} under way."]
    if crashing:
        lines.append(f"Cut off while the canary crashed: {summary.failed}.")
    else:
        lines.append(f"Failed because of moving replicas: {summary.failed}.")
    lines += summary.examples[:5]
    for version, counts in summary.versions.items():
        share = 100 * counts.errors / counts.requests
        lines.append(
            f"{version} answered {counts.requests}: {share:.2f} % errors, "
            f"p50 {counts.latency_ms['p50']:.0f} ms, p99 {counts.latency_ms['p99']:.0f} ms."
        )
    return lines


def _median_ms(summary: Summary, version: str) -> float:
    counts = summary.versions.get(version)
    return 0.0 if counts is None else counts.latency_ms["p50"]


def _meaning(status: int) -> str:
    meanings = {
        Exit.OK: "promoted",
        Exit.FOUND: "an internal fault",
        Exit.USAGE: "usage or configuration is wrong",
        Exit.ROLLED_BACK: "rolled back",
        Exit.NO_CONCLUSION: "no conclusion by the deadline",
        Exit.ABORTED: "aborted by a person",
        Exit.SUPERSEDED: "superseded",
        Exit.NEVER_READY: "rolled back, never became ready",
        Exit.UNREACHABLE: "out of reach",
        Exit.BUSY: "another release is running",
    }
    return meanings.get(Exit(status), "ended by a signal") if status in set(Exit) else f"ended with {status}"


def _canary() -> tuple[str, ...]:
    return (sys.executable, "-m", "canary")


def _shown(*words: object) -> str:
    """A command as a person in the same folder would type it; a stage stands for its `-f FILE`."""
    script = Path(sys.executable).parent / "canary"
    found = shutil.which("canary")
    if found and Path(found).exists() and script.exists() and Path(found).samefile(script):
        name = "canary"
    else:
        name = _near(script) if script.exists() else f"{_near(Path(sys.executable))} -m canary"
    typed = [f"-f {shlex.quote(_near(w.config))}" if isinstance(w, Stage) else str(w) for w in words]
    return " ".join((name, *typed))


def _near(path: Path) -> str:
    """The path, relative where it lies below the working directory."""
    here = Path.cwd()
    return str(path.relative_to(here)) if path.is_relative_to(here) else str(path)


def _version_at(port: int) -> str | None:
    """The version that answers there now, None when nobody does."""
    connection = http.client.HTTPConnection(HOST, port, timeout=2)
    try:
        connection.request("GET", "/health/ready", headers={"Connection": "close"})
        answer = connection.getresponse()
        return answer.getheader("X-Version") if answer.status == 200 else None
    except (OSError, http.client.HTTPException):
        return None
    finally:
        connection.close()


def _tail(log: Path, lines: int = 8) -> str:
    try:
        return "\n".join(f"  {line}" for line in log.read_text(errors="replace").splitlines()[-lines:])
    except OSError:
        return "  (nothing)"


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()
