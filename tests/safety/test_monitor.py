"""The monitor around one container: what it does when it is itself at fault, and how it tells."""

import json
import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from canary.core.ledger import decode
from canary.monitor import monitor
from canary.monitor.book import Book
from canary.monitor.exporter import Meters
from canary.monitor.hands import has_ended
from canary.monitor.kit import Kit, line
from canary.monitor.options import GuardOptions
from canary.monitor.session import Session
from canary.monitor.voice import Voice
from canary.monitor.waker import Waker
from canary.rules.engine import Figures
from canary.safety.container import Container
from canary.safety.figures import Seen
from canary.safety.orders import Cause, Over
from tests.safety.played import figures, rules
from tests.safety.test_watchdog import Box


class Looks:
    """Eyes that see what they are told to."""

    def __init__(self, container: Container, begun: float) -> None:
        self.first = os.pidfd_open(container.pid)
        self.warnings: list[str] = []
        self.faults: dict[str, str] = {}
        self.cores = 0.5
        self.seen: Figures = figures()

    def look(self, at: float) -> Seen:
        return Seen(self.seen)

    def last(self) -> Figures:
        return {}

    def ended(self) -> bool:
        return has_ended(self.first)

    def close(self) -> None:
        os.close(self.first)


@pytest.fixture
def kit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Kit]:
    monkeypatch.setattr(monitor, "Eyes", Looks)
    box = Box(subprocess.Popen(["sleep", "1000"]))
    asked = GuardOptions(rules(), "box", "unix:///nowhere", ledger=tmp_path)
    book = Book(tmp_path, "box", "somebody")
    book.open()
    yield Kit(asked, box, Waker(), Meters(("egress",)), Voice(lambda _: None), book=book)
    box.process.kill()
    box.process.wait()


def container(kit: Kit) -> Container:
    assert isinstance(kit.docker, Box)
    return Container(
        "a" * 64, "box", status="running", pid=kit.docker.process.pid, memory_limit=100, nano_cpus=10**9
    )


def bodies(kit: Kit, kind: str) -> list[dict[str, object]]:
    assert kit.book is not None
    assert kit.book.settle(5)
    entries = [decode(text) for text in kit.book.path.read_text().splitlines()]
    return [dict(one.body) for one in entries if one.kind == kind]


@pytest.mark.parametrize("fault", [RuntimeError("a bug"), KeyError("x"), MemoryError(), KeyboardInterrupt()])
def test_a_fault_of_its_own_ends_the_sandbox_and_is_told(
    kit: Kit, monkeypatch: pytest.MonkeyPatch, fault: BaseException
) -> None:
    def fail(_: Session) -> Over:
        raise fault

    monkeypatch.setattr(Session, "run", fail)
    with pytest.raises(type(fault)):
        monitor._session(kit, container(kit))
    assert isinstance(kit.docker, Box)
    assert kit.docker.process.wait(5) == -signal.SIGKILL
    (decision,) = bodies(kit, "decision")
    assert (decision["cause"], type(fault).__name__ in str(decision["said"])) == ("fault", True)
    assert bodies(kit, "end")


def test_eyes_that_fail_in_the_midst_of_it_end_the_sandbox(kit: Kit, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(self: Looks, at: float) -> Seen:
        raise ZeroDivisionError

    monkeypatch.setattr(Looks, "look", fail)
    with pytest.raises(ZeroDivisionError):
        monitor._session(kit, container(kit))
    assert isinstance(kit.docker, Box)
    assert kit.docker.process.wait(5) == -signal.SIGKILL


def test_a_rule_that_fires_ends_it_and_the_meters_count_it(kit: Kit, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Looks, "look", lambda self, at: Seen(figures(network_connections=2.0)))
    over = monitor._session(kit, container(kit))
    assert (over.exit, over.cause, over.rule) == (3, Cause.RULE, "egress")
    page = kit.meters.page().decode()
    assert 'canary_guard_kills_total{cause="rule",rule="egress"} 1.0' in page
    assert [one["decision"] for one in bodies(kit, "decision")] == ["kill"]


def test_senses_that_tell_nothing_end_it(kit: Kit, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Looks, "look", lambda self, at: Seen({}, ("processes",)))
    over = monitor._session(kit, container(kit))
    assert (over.exit, over.cause) == (8, Cause.BLIND)
    assert "processes not seen for" in str(bodies(kit, "fault")[0]["said"])


def test_a_line_is_for_people_or_for_programs_and_does_nothing_to_a_terminal() -> None:
    body = {"said": "reported: \x1b[2J\x07evil"}
    assert line(0.0, "report", body, as_json=False) == "1970-01-01T00:00:00.000Z report   reported: ?[2J?evil"
    assert json.loads(line(0.0, "report", body, as_json=True)) == {"at": 0.0, "kind": "report", **body}
    assert "\x1b" not in line(0.0, "report", body, as_json=True)
