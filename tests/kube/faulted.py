"""What goes wrong in the middle of a release, on one recipe, and what has become of it in the end.

The recipe is the one that other controllers were put through: a healthy version in steps with a fixed least
time in each, and one fault while the first step holds. Times are a third of theirs.
"""

import json
import re
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

from canary.core.ledger import verify
from canary.core.observation import Arm
from canary.core.release import Release
from tests.command import Ran
from tests.kube.live import Place, wait_for
from tests.kube.proxy import Proxy
from tests.kube.scripted import Traffic
from tests.kube.stage import Stage, a_stage

GOOD = Traffic(rate=1000.0)
DROPPED = Traffic(rate=1000.0, errors=0.5)
"""The success rate falls to a half."""
STEPS, HOLD_S = [25, 50], 7
AWAY_S = 16.0
"""Longer than both steps together, and a third of the others' 45 s."""
HOLDING = "PUT configmaps/canary-web progressing/1/holding"
RECORDED = "PUT configmaps/canary-web .*"
CANARY_PODS = "canary.track=canary"


@dataclass
class Case:
    """One release with a fault. `versions`: what each version counts, by image tag; may be changed.

    `restart_s`: from the start of a second driver to its first decision, if there was one.
    `wrong`: what must not happen, and did.
    """

    stage: Stage
    proxy: Proxy
    versions: dict[str, Traffic]
    restart_s: float | None = None
    wrong: list[str] = field(default_factory=list)

    @contextmanager
    def driven(self) -> Iterator["subprocess.Popen[str]"]:
        """A driver of v2 whose first step holds; it does not outlive the case."""
        driver = self.stage.begin("start", "v2")
        try:
            wait_for(lambda: bool(self.proxy.writes(re.escape(HOLDING))), "the first step holds")
            # It has looked at the canary at least once.
            wait_for(lambda: self.stage.prometheus.asked > 4, "the metrics were read")
            time.sleep(1.0)
            yield driver
        finally:
            if driver.poll() is None:
                driver.kill()
                driver.communicate()

    def recorded(self) -> Release:
        found = self.stage.recorded()
        assert found is not None
        return found

    @contextmanager
    def standing_still(self) -> Iterator[None]:
        """Nothing may be decided meanwhile; what was being decided as it began may still come."""
        time.sleep(0.5)
        before = self.recorded()
        yield
        after = self.recorded()
        if (before.phase, before.step) != (after.phase, after.step):
            self.wrong.append(f"went from {before.phase} {before.step} to {after.phase} {after.step} blindly")

    def again(self) -> Ran:
        """Another driver takes over, as a CI that runs its step again."""
        began = time.monotonic()
        ran = self.stage.ended(self.stage.begin("start", "v2"))
        self.restart_s = self.proxy.writes(RECORDED, since=began)[0].at - began
        return ran


def killed(case: Case, *, drops: bool = False) -> Ran:
    """kill -9, and another one after a while; meanwhile the new version may have begun to fail."""
    with case.driven() as driver:
        driver.kill()
        driver.communicate()
        case.versions["v2"] = DROPPED if drops else GOOD
        with case.standing_still():
            time.sleep(AWAY_S if drops else 10.0)
        return case.again()


def blind(case: Case, how: str) -> Ran:
    """Prometheus gives no number for longer than both steps last, then is as before."""
    prometheus = case.stage.prometheus
    with case.driven() as driver:
        with ExitStack() as mended:
            if how == "refuses":
                mended.enter_context(prometheus.refusing())
            elif how == "500":
                prometheus.broken = 500
            elif how == "hangs":
                prometheus.hangs_s = 30.0
            else:
                prometheus.wrong = how
            with case.standing_still():
                time.sleep(AWAY_S)
        prometheus.broken, prometheus.hangs_s, prometheus.wrong = 0, 0.0, ""
        ran = case.stage.ended(driver)
        if "waiting: no scrape: the metrics source does not answer" not in ran.text:
            case.wrong.append(f"it was not held as no scrape: {ran.text[-1500:]}")
        return ran


def api_server_away(case: Case) -> Ran:
    with case.driven() as driver:
        with case.proxy.away():
            time.sleep(10.0)
        return case.stage.ended(driver)


def canary_pods_killed(case: Case) -> Ran:
    session = case.stage.session
    with case.driven() as driver:
        before = len(case.recorded().pods_of(Arm.CANARY))
        path = session.path("v1", "pods")
        for pod in session.get(path, labelSelector=CANARY_PODS)["items"]:
            session.delete(f"{path}/{pod['metadata']['name']}")
        ran = case.stage.ended(driver)
        # 25 % and 50 % of 4 are one pod and two.
        if len(case.recorded().pods_of(Arm.CANARY)) <= max(before, 2):
            case.wrong.append("the pods in their places were not noticed")
        return ran


def scaled(case: Case) -> Ran:
    with case.driven() as driver:
        case.stage.patch({"op": "replace", "path": "/spec/replicas", "value": 6})
        return case.stage.ended(driver)


def image_set_back(case: Case) -> Ran:
    """Somebody sets the canary's image to the stable one."""
    container = "/spec/template/spec/containers/0/image"
    with case.driven() as driver:
        case.stage.patch({"op": "replace", "path": container, "value": "shop/web:v1"}, name="web-canary")
        return case.stage.ended(driver)


@dataclass(frozen=True)
class Fault:
    """A row of the table. `code`: what the release must end with; 0 promoted, 3 rolled back.

    `argo`, `flagger`: what became of theirs, measured on 2026-11-23, one run each: Argo Rollouts 9f8d111d
    with 3 x 20 s pauses, failureLimit 3 and consecutiveErrorLimit 4; Flagger 15bd6ad5 with 6 x 10 s and
    threshold 4.
    """

    does: Callable[[Case], Ran]
    code: int
    argo: str
    flagger: str


FAULTS = {
    "killed, back after 10 s": Fault(killed, 0, "goes on; 26 s never measured", "goes on"),
    "killed while the metric drops to 0.5": Fault(
        lambda case: killed(case, drops=True), 3, "promoted", "rolled back"
    ),
    "Prometheus refuses": Fault(
        lambda case: blind(case, "refuses"), 0, "promoted unseen", "healthy one rolled back"
    ),
    "Prometheus answers 500": Fault(
        lambda case: blind(case, "500"), 0, "promoted unseen", "healthy one rolled back"
    ),
    "Prometheus answers with nothing": Fault(
        lambda case: blind(case, "empty"), 0, "promoted unseen", "healthy one rolled back"
    ),
    "Prometheus hangs": Fault(
        lambda case: blind(case, "hangs"), 0, "promoted unseen", "healthy one rolled back"
    ),
    "Prometheus answers NaN": Fault(
        lambda case: blind(case, "NaN"), 0, "healthy one aborted", "healthy one rolled back"
    ),
    "API server away for 10 s": Fault(api_server_away, 0, "the process exits", "goes on"),
    "all canary pods killed": Fault(canary_pods_killed, 0, "not noticed", "not noticed"),
    "scaled by someone": Fault(scaled, 0, "follows", "stable keeps its old size until promotion"),
    "image set back to the stable one": Fault(
        image_set_back, 0, "recognised in 2 s", "a second canary of the same version"
    ),
}
START_S = 6.0
"""Longest time that a driver takes to start on a busy machine; a dead one's lease is not waited for."""


@contextmanager
def a_case(place: Place, folder: Path) -> Iterator[Case]:
    """A target of four pods whose commands reach the API server through a proxy."""
    proxy, versions = Proxy(place.kubeconfig), {"v1": GOOD, "v2": GOOD}
    try:
        with a_stage(place, folder, versions) as stage:
            stage.configure(steps=STEPS, hold={"min": f"{HOLD_S}s", "max": "90s"}, deadline="4m")
            stage.environment["KUBECONFIG"] = str(proxy.kubeconfig(folder))
            yield Case(stage, proxy, versions)
    finally:
        proxy.close()


def went(case: Case, fault: Fault) -> str:
    """Have it go wrong, and say what became of the release; adds to `wrong` what must not be."""
    ran = fault.does(case)
    word = {0: "promoted", 3: "rolled back"}.get(ran.code, f"exit {ran.code}")
    if ran.code != fault.code:
        case.wrong.append(f"{word}: {ran.text[-1500:]}")
    outcome = case.recorded().outcome
    if outcome != ("regression" if fault.code else "promoted"):
        case.wrong.append(f"its outcome is {outcome}")
    if case.stage.image() != f"shop/web:{'v1' if fault.code else 'v2'}":
        case.wrong.append(f"the target runs {case.stage.image()}")
    wait_for(case.stage.is_whole, "the target is whole", 10.0)
    case.wrong += lacking(case)
    if case.restart_s is not None and case.restart_s > START_S:
        case.wrong.append(f"{case.restart_s:.1f} s from the restart to the first decision")
    return word


def lacking(case: Case) -> list[str]:
    """What the ledger lacks: a look's number, or looks for longer than pods that come and go explain."""
    lines = case.stage.run("audit", "export").out.splitlines()
    found = [f"the ledger: {verify(lines)}"] if verify(lines) is not None else []
    looks = [entry for line in lines if (entry := json.loads(line))["kind"] == "look"]
    numbers = [entry["body"]["number"] for entry in looks]
    if numbers != list(range(1, len(numbers) + 1)):
        found.append(f"looks are numbered {numbers}")
    gaps = [later["at"] - one["at"] for one, later in pairwise(looks)]
    if max(gaps, default=99.0) > 6.0:
        found.append(f"{max(gaps, default=99.0):g} s without a look")
    return found
