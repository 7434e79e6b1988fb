"""Killed before or after anything it does, a driver that is started again comes to the same end."""

import signal
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest

from canary.core.ledger import verify
from tests.e2e.place import Floor, Place, Ran, serving
from tests.side_by_side import side_by_side

pytestmark = [pytest.mark.e2e, pytest.mark.solo]

PLACES = 3
"""Side by side: most of a release is waiting. More of them would wait for processors."""
TRIES = 3
FLOOR = 2
STEPS = {"good": [33, 50], "bad": [50]}
"""One step for the bad version, so that it is always rolled back from the same place."""
FAULTS = ",".join(f"bad-{number}.{again}=errors" for number in range(100) for again in range(TRIES))


@dataclass(frozen=True)
class End:
    """What must be the same, however often the driver was killed."""

    code: int
    outcome: str
    serves_the_new_one: bool
    replicas: int
    ready: int
    canaries: int


@dataclass(frozen=True)
class Run:
    """One release, however many drivers it took. `faults`: what no release may do, and this one did."""

    first: Ran
    end: End
    faults: tuple[str, ...]


@pytest.mark.parametrize(("kind", "code"), [("good", 0), ("bad", 3)])
def test_a_driver_killed_at_any_effect_ends_as_one_that_was_not(tmp_path: Path, kind: str, code: int) -> None:
    with ExitStack() as stack:
        places = [
            stack.enter_context(serving(tmp_path / str(n), FAULTS, steps=STEPS[kind])) for n in range(PLACES)
        ]
        whole = run(places[0], "-", "before", f"{kind}-0.0")
        assert not whole.faults, whole
        assert whole.end == End(code, whole.end.outcome, kind == "good", FLOOR, FLOOR, 0)
        effects = list(dict.fromkeys((places[0].folder / "effects").read_text().splitlines()))
        assert len(effects) > 12, effects
        moments = [(effect, when) for effect in effects for when in ("before", "after")]
        named = [(*moment, f"{kind}-{n}") for n, moment in enumerate(moments, 1)]
        faulty = side_by_side(places, [partial(killed, moment=moment, whole=whole.end) for moment in named])
        faulty += [wrong for place in places if (wrong := place.verified())]
    assert not faulty, "\n".join(faulty)


def killed(place: Place, moment: tuple[str, str, str], whole: End) -> list[str]:
    """What went wrong with a release whose driver was killed there, then started again."""
    effect, when, version = moment
    for again in range(TRIES):
        try:
            found = run(place, effect, when, f"{version}.{again}")
        except AssertionError as stuck:
            raise AssertionError(f"{when} {effect!r} of {version}.{again}: {stuck}") from stuck
        faults = list(found.faults)
        if found.end != whole:
            faults.append(f"ended as {found.end}, unkilled as {whole}")
        if found.first.code == -signal.SIGKILL or faults:
            break
    else:
        faults.append(f"never came in {TRIES} releases")
    return [f"{when} {effect!r} of {version}.{again}: {fault}" for fault in faults]


def run(place: Place, effect: str, when: str, version: str) -> Run:
    """One release: started, killed at the effect, started again; watched from outside."""
    place.rested(5.0)
    failed = place.failed()
    with Floor(place.layout) as floor:
        first = last = place.start_killed(effect, when, place.folder / "effects", version)
        if first.code == -signal.SIGKILL:
            last = place.run("start", version)
    serves, replicas, ready = place.stable()
    outcome = str(place.recorded().outcome)
    end = End(last.code, outcome, serves == version, replicas, ready, len(place.canaries()))
    faults = []
    if floor.fewest < FLOOR:
        faults.append(f"only {floor.fewest} replicas were ready at some time")
    if lost := place.failed() - failed:
        faults.append(f"{lost} requests failed: {place.books().examples}")
    if wrong := verify(place.entries()):
        faults.append(f"the ledger: {wrong}")
    if "Traceback" in first.text + last.text or "internal fault" in first.text + last.text:
        faults.append("a fault of the program")
    said = f"; it said: {last.text}" if faults else ""
    return Run(first, end, tuple(fault + said for fault in faults))
