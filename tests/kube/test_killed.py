"""Killed before or after any write to the API server, a driver that is started again ends the same."""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest

from canary.core.ledger import verify
from canary.kube.cleanup import cleanup
from canary.kube.records import KubeLedger, Shelf
from tests.command import ROOT, Ran
from tests.kube.live import a_namespace, wait_for
from tests.kube.proxy import Hold, Proxy
from tests.kube.scripted import Traffic
from tests.kube.stage import Floor, Stage, a_stage
from tests.side_by_side import side_by_side

pytestmark = pytest.mark.control_plane

PLACES = 4
"""Side by side: most of a release is waiting. More of them would wait for processors."""
TRIES = 3
REPLICAS = 4
PATIENCE_S = 180.0
GOOD, BAD = Traffic(rate=3000.0), Traffic(rate=3000.0, errors=0.3)
STEPS = {"good": [25, 50], "bad": [50]}
"""One step for the bad version, so that it is always rolled back from the same place."""
RENEWED = "PUT leases/canary-web renewed"


class Versions(dict[str, Traffic]):
    """Every release has a version of its own; its first word says what it is like."""

    def get(self, version: str, _default: object = None) -> Traffic:
        return BAD if version.startswith("bad") else GOOD


@dataclass(frozen=True)
class Moment:
    """Before or after a write; `since`: the last record that was written before it, if any."""

    write: str
    when: str
    since: str = ""

    def __str__(self) -> str:
        return f"{self.when} {self.write!r}" + (f" since {self.since!r}" if self.since else "")


NEVER = Moment("-", "before")


@dataclass(frozen=True)
class End:
    """What must be the same, wherever the driver was killed."""

    code: int
    outcome: str
    serves_the_new_one: bool
    whole: bool


@dataclass(frozen=True)
class Run:
    """One release, however many drivers it took. `faults`: what no release may do, and this one did."""

    killed: bool
    end: End
    faults: tuple[str, ...]


@dataclass(frozen=True)
class Hurried:
    """A stage whose commands go through a proxy, with short terms of the lease."""

    stage: Stage
    proxy: Proxy

    def begin(self, *arguments: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-m", "tests.kube.hurried", *arguments],
            cwd=self.stage.folder,
            env={**os.environ, **self.stage.environment, "PYTHONPATH": str(ROOT)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def started(self, version: str) -> Ran:
        return self.stage.ended(self.begin("start", version), PATIENCE_S)

    def killed(self, version: str, moment: Moment) -> Ran:
        """Start a release whose driver is killed at this write; it may end before it comes to that."""
        hold = Hold(passed_on=moment.when == "after")
        self.proxy.rule(re.escape(moment.write), hold, since=moment.since)
        driver = self.begin("start", version)
        try:
            wait_for(lambda: hold.reached.is_set() or driver.poll() is not None, "it comes there", PATIENCE_S)
        finally:
            driver.kill()
            ran = self.stage.ended(driver)
            hold.over.set()
        return ran

    def rested(self) -> None:
        """As if there had been no release before."""
        cleanup(self.stage.session, "web")
        wait_for(lambda: self.stage.is_whole(REPLICAS), "the target is whole", PATIENCE_S)
        self.proxy.forget()

    def end(self, code: int, version: str) -> End:
        release = self.stage.recorded()
        new = self.stage.image() == f"shop/web:{version}"
        # The driver looks at the pods; a Deployment's status counts them a moment later.
        whole = settles(lambda: self.stage.is_whole(REPLICAS))
        return End(code, str(release and release.outcome), new, whole)

    def ledger(self) -> str:
        """What is wrong with it."""
        shelf = Shelf(self.stage.session, "web")
        try:
            return str(verify(KubeLedger(shelf).read("web")) or "")
        finally:
            shelf.close()


def settles(what: Callable[[], bool], patience_s: float = 5.0) -> bool:
    """Whether it comes true soon."""
    end = time.monotonic() + patience_s
    while not (found := what()) and time.monotonic() < end:
        time.sleep(0.05)
    return found


@contextmanager
def hurried(kubeconfig: Path, folder: Path, kind: str) -> Iterator[Hurried]:
    folder.mkdir()
    proxy = Proxy(kubeconfig)
    try:
        with a_namespace(kubeconfig) as place, a_stage(place, folder, Versions(), replicas=REPLICAS) as stage:
            stage.configure(steps=STEPS[kind], hold={"min": "1s", "max": "60s"})
            stage.environment["KUBECONFIG"] = str(proxy.kubeconfig(folder))
            yield Hurried(stage, proxy)
    finally:
        proxy.close()


@pytest.mark.parametrize(("kind", "code"), [("good", 0), ("bad", 3)])
def test_a_driver_killed_at_any_write_ends_as_one_that_was_not(
    kubeconfig: Path, tmp_path: Path, kind: str, code: int
) -> None:
    with ExitStack() as stack:
        places = [stack.enter_context(hurried(kubeconfig, tmp_path / str(n), kind)) for n in range(PLACES)]
        whole = run(places[0], NEVER, f"{kind}-0.0")
        assert not whole.faults, whole
        assert whole.end == End(code, whole.end.outcome, kind == "good", True)
        moments = moments_of([one.name for one in places[0].proxy.writes()])
        assert len(moments) > 20, moments
        named = [(moment, f"{kind}-{n}") for n, moment in enumerate(moments, 1)]
        faulty = side_by_side(places, [partial(killed, at=one, whole=whole.end) for one in named])
    assert not faulty, "\n".join(faulty)


def moments_of(writes: list[str]) -> list[Moment]:
    """Before and after each of them, but for renewals of the lease."""
    found, since = [], ""
    for write in writes:
        if write != RENEWED:
            found += [Moment(write, when, since) for when in ("before", "after")]
        if " configmaps" in write:
            since = write
    return list(dict.fromkeys(found))


def killed(place: Hurried, at: tuple[Moment, str], whole: End) -> list[str]:
    """What went wrong with a release whose driver was killed there, then started again."""
    moment, version = at
    for again in range(TRIES):
        try:
            found = run(place, moment, f"{version}.{again}")
        except AssertionError as stuck:
            raise AssertionError(f"{moment} of {version}.{again}: {stuck}") from stuck
        faults = list(found.faults)
        if found.end != whole:
            faults.append(f"ended as {found.end}, undisturbed as {whole}")
        if found.killed or faults:
            break
    else:
        faults.append(f"never came in {TRIES} releases")
    return [f"{moment} of {version}.{again}: {fault}" for fault in faults]


def run(place: Hurried, moment: Moment, version: str) -> Run:
    """One release: started, killed at the moment, started again; watched from outside."""
    place.rested()
    with Floor(place.stage.session) as floor:
        first = last = place.killed(version, moment)
        if first.code == -signal.SIGKILL:
            last = place.started(version)
    faults = []
    if floor.fewest != REPLICAS:
        faults.append(f"{floor.fewest} pods were ready at some time")
    if wrong := place.ledger():
        faults.append(f"the ledger: {wrong}")
    if "internal fault" in first.text + last.text:
        faults.append("a fault of the program")
    said = f"; it said: {last.text}" if faults else ""
    end = place.end(last.code, version)
    return Run(first.code == -signal.SIGKILL, end, tuple(fault + said for fault in faults))
