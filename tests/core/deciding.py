"""What the tests of decisions ask and how they read the answer."""

from canary.core.actions import Decision, Move, Wait
from canary.core.assessed import Assessed, Hold
from canary.core.decide import decide
from canary.core.observation import Observation
from canary.core.release import Release, Request, RequestKind
from tests.core.builders import START, assessed, at_step, seen

LATER = 600.0
ANN = "ann@laptop"


def moved(decision: Decision) -> Release:
    assert isinstance(decision, Move), decision
    return decision.release


def held(decision: Decision) -> Hold | str:
    assert isinstance(decision, Wait), decision
    return Hold(decision.hold) if decision.hold else decision.reason


def decided(subject: Release, found: Observation | None = None, know: Assessed | None = None) -> Decision:
    return decide(subject, found or seen(at_step(), after_s=LATER), know or assessed())


def asking(kind: RequestKind, **fields: float | None) -> Request:
    return Request(kind, ANN, START + 1, "because", **fields)
