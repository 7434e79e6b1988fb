"""A driver dies with a call on its way, the next one does not wait for its term, and then the call lands."""

from dataclasses import dataclass, replace
from functools import partial
from typing import Any, cast

import pytest

from canary.core.actions import Action, Remove, Scale, SetRevision
from canary.core.observation import Arm
from canary.core.release import Outcome, Phase, Release, Request, RequestKind
from canary.core.strategy import Capacity
from canary.ports import Workloads
from canary.wiring import request
from tests.fakes import PowerCut, PowerLostError
from tests.stage import BAD, GOOD, STRATEGY, Stage


@dataclass(frozen=True)
class Call:
    """An action on its way, and what it was decided on: the workload as an object, and what it was asked."""

    action: Action
    workload: object
    asked: object

    def lands(self, stage: Stage) -> None:
        """As the API server would have it: not when what it names is another one now, or was changed."""
        found = stage.cluster._workloads.get(self.action.arm)
        # A delete names the object alone, and a workload that is to be made names none.
        if found is self.workload and (isinstance(self.action, Remove) or asked(found) == self.asked):
            stage.cluster.apply(self.action, within_s=1.0)


def asked(workload: object) -> object:
    return replace(workload) if workload is not None else None  # type: ignore[type-var]


class Sending(PowerCut):
    """The process dies with its n-th effect sent; `call`: what that is, if it is one to a workload."""

    def __init__(self, at: int, stage: Stage) -> None:
        super().__init__(at)
        self.stage = stage
        self.call: Call | None = None

    def workloads(self, inner: Workloads) -> Workloads:
        self.inner = super().workloads(inner)
        return cast("Workloads", self)

    def apply(self, action: Action, *, within_s: float) -> None:
        found = self.stage.cluster._workloads.get(action.arm)
        self.call = Call(action, found, asked(found))
        self.inner.apply(action, within_s=within_s)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)


def killed(stage: Stage, at: int) -> Call:
    """Have a driver die as it sends its n-th effect, proved to whoever comes next."""
    cut = Sending(at, stage)
    with pytest.raises(PowerLostError):
        stage.run(cut=cut)
    stage.leases.ended.append(stage.leases.held["web"].owner)
    assert cut.call is not None
    return cut.call


def calls(strategy: object) -> list[int]:
    """The numbers of the effects of a good release that are calls to workloads."""
    cut = PowerCut()
    Stage({"v2": GOOD}, strategy=strategy).run(cut=cut)  # type: ignore[arg-type]
    return [number for number, name in enumerate(cut.effects, 1) if name.startswith("apply")]


def aborted(stage: Stage) -> Release:
    """Somebody gives up at once: who dies is followed by one that goes the other way."""
    wish = Request(RequestKind.ABORT, "ann@laptop", stage.clock.now(), "enough")
    return request(stage.ports(), stage.settings(), wish, reporter=stage.reporter).release


@pytest.mark.parametrize("after_s", [0.0, 0.5, 3.0, 7.9])
@pytest.mark.parametrize("capacity", list(Capacity))
def test_a_call_that_lands_late_leaves_nothing_behind_and_nothing_below_the_floor(
    capacity: Capacity, after_s: float
) -> None:
    strategy = replace(STRATEGY, capacity=capacity)
    assert len(calls(strategy)) >= 5
    for at in calls(strategy):
        stage = Stage({"v2": GOOD}, strategy=strategy)
        call = killed(stage, at)
        began = stage.clock.monotonic()
        stage.clock.at(after_s, partial(call.lands, stage))

        release = aborted(stage)

        stage.clock.advance(30.0)
        told = (call.action, stage.recorded.phase, stage.moves()[-1])
        assert release.settled, told
        assert stage.clock.monotonic() - began < 90.0, told
        assert stage.tidy(), told
        assert stage.cluster.fewest_ready >= 4, told
        assert stage.stable_version() == ("v2" if release.outcome is Outcome.PROMOTED else "v1"), told


def test_who_dies_on_the_way_back_is_not_waited_for() -> None:
    stage = Stage({"v2": BAD})
    cut = PowerCut()
    Stage({"v2": BAD}).run(cut=cut)
    back = next(n for n, name in enumerate(cut.effects, 1) if name.startswith("save rolling_back")) + 2
    killed(stage, back)
    assert stage.recorded.phase is Phase.ROLLING_BACK
    began = stage.clock.monotonic()

    assert stage.run().outcome is Outcome.REGRESSION
    # As long as the stable's pods take to start, and no more.
    assert stage.clock.monotonic() - began < 7.0


def test_the_next_one_decides_at_once_and_a_release_that_goes_on_is_not_held() -> None:
    stage = Stage({"v2": GOOD})
    (at, *_) = calls(STRATEGY)
    call = killed(stage, at)
    assert isinstance(call.action, SetRevision | Scale)
    began, before = stage.clock.monotonic(), len(stage.cluster.touched)
    acted: list[float] = []
    stage.clock.every(
        0.1, lambda: acted.append(stage.clock.monotonic()) if len(stage.cluster.touched) > before else None
    )

    assert stage.run().outcome is Outcome.PROMOTED
    assert acted[0] - began < 1.0
    assert call.action.arm is Arm.CANARY
