"""The report socket, with whatever comes in."""

import os
import socket
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from canary.errors import BusyError, InvalidError, MissingError
from canary.monitor.reports import MOST_SPEAKERS, Reports
from canary.safety.orders import Trouble
from canary.safety.report import LONGEST, MOST_PER_S, Report


@pytest.fixture
def reports(tmp_path: Path) -> Iterator[Reports]:
    found = Reports(tmp_path / "socket", lambda: None)
    yield found
    found.close()


def say(reports: Reports, *parts: bytes, close: bool = True) -> socket.socket:
    one = socket.socket(socket.AF_UNIX)
    # It may be cut off in the midst of it.
    with suppress(ConnectionError):
        one.connect(str(reports.path))
        for part in parts:
            one.sendall(part)
            time.sleep(0.02)
    if close:
        one.close()
    return one


def heard(reports: Reports, patience_s: float = 5.0) -> tuple[list[Report], list[Trouble]]:
    """What comes until something has come."""
    until = time.monotonic() + patience_s
    while time.monotonic() < until:
        found, troubles = reports.take()
        if found or troubles:
            time.sleep(0.05)
            more, _ = reports.take()
            return [*found, *more], list(troubles)
        time.sleep(0.01)
    return [], []


def test_reports_come_whole_however_they_are_cut(reports: Reports) -> None:
    say(reports, b"rep", b"ort a on", b"e\nreport b\r\nreport c last")
    assert heard(reports) == ([Report("a", "one"), Report("b"), Report("c", "last")], [])


def test_who_connects_and_says_nothing_is_let_be(reports: Reports) -> None:
    for _ in range(3):
        say(reports)
    with say(reports, close=False):
        assert heard(reports, 0.5) == ([], [])


@pytest.mark.parametrize(
    "parts",
    [
        (b"hello\n",),
        (os.urandom(100_000),),
        (b"report a\n\n",),
        (b"x" * (LONGEST + 5000),),
        (b"report a " + b"y" * LONGEST + b"\n",),
        (b"\x00" * 10 + b"\n",),
        (b"report a\n" * (MOST_PER_S + 1),),
    ],
    ids=["words", "noise", "an empty line", "no end", "too long", "zeros", "too many"],
)
def test_nonsense_is_trouble_and_said_once(reports: Reports, parts: tuple[bytes, ...]) -> None:
    say(reports, *parts)
    _, troubles = heard(reports)
    assert len(troubles) == 1
    assert troubles[0].cause == "nonsense"
    assert len(troubles[0].told) < 300
    assert list(reports.take()[1]) == troubles
    assert time.monotonic() - reports.alive_at < 2


def test_more_speakers_than_there_can_be_are_nonsense(reports: Reports) -> None:
    held = [say(reports, close=False) for _ in range(MOST_SPEAKERS + 2)]
    assert "connections" in heard(reports)[1][0].told
    for one in held:
        one.close()


def test_connections_without_end_are_nonsense_too(reports: Reports) -> None:
    for _ in range(2 * MOST_PER_S):
        with suppress(OSError):
            say(reports)
    assert "within a second" in heard(reports)[1][0].told


def test_as_many_reports_as_are_allowed_are_heard_each_over_its_own_connection(reports: Reports) -> None:
    for _ in range(MOST_PER_S):
        say(reports, b"report a\n")
    time.sleep(0.3)
    found, troubles = reports.take()
    assert (len(found), troubles) == (MOST_PER_S, ())


def test_a_socket_that_is_removed_or_replaced_is_noticed(reports: Reports) -> None:
    assert reports.take() == ((), ())
    reports.path.unlink()
    assert "removed or replaced" in reports.take()[1][0].told
    with socket.socket(socket.AF_UNIX) as other:
        other.bind(str(reports.path))
        assert "removed or replaced" in reports.take()[1][0].told


def test_every_user_may_report_and_the_socket_goes_with_its_monitor(tmp_path: Path) -> None:
    found = Reports(tmp_path / "socket", lambda: None)
    assert found.path.stat().st_mode & 0o777 == 0o666
    found.close()
    assert not found.path.exists()


def test_what_an_earlier_monitor_left_is_taken_over_and_one_that_listens_is_not(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(tmp_path / "socket"))
    first = Reports(tmp_path / "socket", lambda: None)
    with pytest.raises(BusyError):
        Reports(tmp_path / "socket", lambda: None)
    first.close()


def test_a_place_that_is_none_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InvalidError, match="no socket"):
        Reports(tmp_path / "file", lambda: None)
    with pytest.raises(MissingError):
        Reports(tmp_path / "nowhere" / "socket", lambda: None)
    with pytest.raises(InvalidError):
        Reports(tmp_path / ("x" * 120), lambda: None)
