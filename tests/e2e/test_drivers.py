"""Several processes at one release: one drives, the others follow, are refused, or are obeyed."""

import time
from collections.abc import Callable, Iterator
from itertools import count

import pytest

from canary.core.release import Outcome, Phase, Release, Stage
from tests.e2e.place import Driver, Place, serving, until

pytestmark = pytest.mark.e2e

OBEYED_S = 2.0
SLACK_S = 2.0
"""For a machine that does other work, too."""

_numbers = count(1)


@pytest.fixture(scope="module")
def one(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """A service whose releases stay in their first step until somebody says something."""
    folder = tmp_path_factory.mktemp("drivers")
    with serving(folder, hold={"min": "20m", "max": "30m"}, deadline="1h") as place:
        yield place


@pytest.fixture
def here(one: Place) -> Iterator[Place]:
    """The same, and no release goes on when the test has ended."""
    yield one
    found = one.release()
    if found is not None and not found.settled:
        one.run("abort")
        until(lambda: one.recorded().settled, "the release of a test that failed is over")


def new_version() -> str:
    return f"v2.{next(_numbers)}"


def holding(here: Place, version: str) -> Driver:
    """A driver whose release holds its first step."""
    driver = here.begin("start", version)

    def there() -> bool:
        assert driver.process.poll() is None, driver.text()
        found = here.release()
        return found is not None and found.version == version and found.stage is Stage.HOLDING

    until(there, "the first step is held")
    return driver


def following(here: Place, version: str) -> Driver:
    """A second process that was asked for the same version."""
    driver = here.begin("start", version)
    driver.says("following")
    return driver


def workloads(here: Place) -> tuple[bytes, list[str]]:
    """What is asked of the supervisor, and which replicas there are."""
    pods = [pod.uid for pods in here.seen().pods.values() for pod in pods]
    return here.layout.desired.read_bytes(), sorted(pods)


@pytest.mark.parametrize(("wish", "code"), [("promote", 0), ("abort", 5)])
def test_a_second_start_of_the_same_version_follows_and_returns_the_same_code(
    here: Place, wish: str, code: int
) -> None:
    version = new_version()
    driver = holding(here, version)
    follower = following(here, version)
    asked = here.run(wish)
    assert (asked.code, "obeys within two seconds" in asked.out) == (0, True), asked.text
    first, second = driver.ended(), follower.ended()
    assert (first.code, second.code) == (code, code), first.text + second.text
    assert f"(pid {driver.pid}) drives this release; following" in second.err
    assert "taking over" not in second.err
    assert here.canaries() == ()


def test_another_version_is_refused_with_code_9_and_touches_nothing(here: Place) -> None:
    version = new_version()
    driver = holding(here, version)
    before = here.recorded(), workloads(here), len(here.entries())
    refused = here.run("start", new_version())
    after = here.recorded(), workloads(here)
    assert refused.code == 9, refused.text
    assert f"{version} is being released to shop" in refused.err
    assert "canary abort" in refused.err
    assert after == before[:2]
    assert {entry.kind for entry in here.entries()[before[2] :]} <= {"look"}
    assert driver.process.poll() is None
    here.run("abort")
    assert driver.ended().code == 5


def test_a_start_that_supersedes_ends_the_running_release_with_code_6_and_goes_on(here: Place) -> None:
    version, newer = new_version(), new_version()
    driver = holding(here, version)
    other = here.begin("start", newer, "--supersede")
    assert driver.ended().code == 6
    until(lambda: here.recorded().version == newer and here.recorded().stage is Stage.HOLDING, "it goes on")
    here.run("abort")
    assert other.ended().code == 5


def obeyed_after_s(here: Place, wish: Driver, done: Callable[[Release], bool]) -> float:
    """Seconds from the wish in the record until it was obeyed."""
    until(lambda: here.recorded().requests or done(here.recorded()), f"the wish is recorded: {wish.text()}")
    asked = time.monotonic()
    until(lambda: done(here.recorded()), "it is obeyed")
    return time.monotonic() - asked


def test_wishes_from_another_process_are_obeyed_within_two_seconds(here: Place) -> None:
    version = new_version()
    driver = holding(here, version)
    took = []
    for words, done in (
        (("pause", "--why", "looking at it"), lambda release: release.pause is not None),
        (("resume",), lambda release: release.pause is None and not release.requests),
        (("abort", "--why", "no"), lambda release: release.phase is not Phase.PROGRESSING),
    ):
        wish = here.begin(*words)
        took.append(obeyed_after_s(here, wish, done))
        assert wish.ended().code == 0, wish.text()
    assert max(took) <= OBEYED_S + SLACK_S, took
    assert driver.ended().code == 5
    assert {"pause", "resume", "abort"} <= {
        entry.body["request"] for entry in here.entries() if entry.kind == "request"
    } | {here.recorded().reason.split()[0]}


def test_a_promotion_that_is_asked_for_is_obeyed_within_two_seconds_and_can_be_undone(here: Place) -> None:
    before, _, _ = here.stable()
    version = new_version()
    driver = holding(here, version)
    wish = here.begin("promote")
    took = obeyed_after_s(here, wish, lambda release: release.phase is not Phase.PROGRESSING)
    assert took <= OBEYED_S + SLACK_S
    assert driver.ended().code == 0
    assert here.stable() == (version, 2, 2)
    undone = here.run("undo", "--why", "second thoughts")
    assert undone.code == 0, undone.text
    assert here.stable() == (before, 2, 2)
    assert here.run("undo").code == 2


def test_an_undo_takes_a_running_release_back_and_its_driver_says_so(here: Place) -> None:
    before = here.stable()
    driver = holding(here, new_version())
    wish = here.begin("undo")
    took = obeyed_after_s(here, wish, lambda release: release.phase is not Phase.PROGRESSING)
    assert took <= OBEYED_S + SLACK_S
    assert (wish.ended().code, driver.ended().code) == (0, 5), wish.text()
    assert (here.stable(), here.canaries()) == (before, ())
    assert here.recorded().outcome is Outcome.UNDONE


def test_when_the_driver_is_killed_the_one_that_followed_drives_on(here: Place) -> None:
    version = new_version()
    driver = holding(here, version)
    follower = following(here, version)
    driver.kill()
    follower.says("taking over")
    assert here.recorded().phase is Phase.PROGRESSING
    assert here.run("promote").code == 0
    assert follower.ended().code == 0
    assert here.stable() == (version, 2, 2)


def test_when_nobody_drives_the_one_who_asks_drives(here: Place) -> None:
    before = here.stable()
    driver = holding(here, new_version())
    driver.kill()
    asked = here.run("abort", "--why", "nobody is there")
    assert asked.code == 0, asked.text
    assert "nobody drives" in asked.err
    assert (here.stable(), here.canaries()) == (before, ())
    assert here.recorded().outcome is Outcome.ABORTED
    assert here.verified() == ""
