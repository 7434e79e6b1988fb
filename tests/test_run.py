"""The runner of all tests: it counts rightly, fails loudly, and cleans up after runs that were killed."""

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests import docker, leftovers, tools
from tests.run import TIERS, Tally, main, tallied

MIXED = """<testsuites><testsuite>
<testcase name="a"/><testcase name="b"><failure message="x"/></testcase><testcase name="c"><error/></testcase>
<testcase name="d"><skipped message="no apt"/></testcase>
</testsuite></testsuites>"""


def a_report(folder: Path, text: str) -> Path:
    path = folder / "report.xml"
    path.write_text(text)
    return path


def test_a_report_is_summed_up(tmp_path: Path) -> None:
    tally = tallied(a_report(tmp_path, MIXED), 1, may_be_empty=False)
    assert tally == Tally(passed=1, failed=2, skipped=("d: no apt",))


def test_a_run_that_died_has_failed(tmp_path: Path) -> None:
    assert tallied(tmp_path / "none.xml", -9, may_be_empty=False) == Tally(failed=1)
    assert tallied(a_report(tmp_path, "<testsuites><tes"), 3, may_be_empty=False) == Tally(failed=1)
    whole = a_report(tmp_path, '<testsuites><testsuite><testcase name="a"/></testsuite></testsuites>')
    assert tallied(whole, 3, may_be_empty=False) == Tally(passed=1, failed=1)


def test_a_tier_without_a_test_has_failed_unless_tests_were_picked(tmp_path: Path) -> None:
    empty = a_report(tmp_path, "<testsuites><testsuite/></testsuites>")
    assert tallied(empty, 5, may_be_empty=False) == Tally(failed=1)
    assert tallied(empty, 5, may_be_empty=True) == Tally()


@pytest.fixture
def no_leftovers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave the real run's processes, and its mark, alone."""
    monkeypatch.setattr(leftovers, "marked", lambda _: "none")
    monkeypatch.setattr(leftovers, "end", lambda _: [])
    monkeypatch.setattr(leftovers, "end_of_dead_runs", list)
    monkeypatch.setattr(docker, "places", list)


@pytest.mark.usefixtures("no_leftovers")
def test_all_tiers_run_in_order_and_the_last_line_sums_them_up(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("CI", raising=False)
    asked: list[tuple[str, str]] = []

    def runner(tier: str, expression: str) -> Tally:
        asked.append((tier, expression))
        return Tally(passed=10)

    assert main([], runner) == 0
    assert [tier for tier, _ in asked] == list(TIERS)
    assert capsys.readouterr().out.splitlines()[-1] == f"{10 * len(TIERS)} passed, 0 failed"
    assert main(["unit", "-k", "walk"], runner) == 0
    assert asked[-1] == ("unit", "walk")


@pytest.mark.usefixtures("no_leftovers")
def test_a_failure_in_any_tier_fails_the_run(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([], lambda tier, _: Tally(passed=1, failed=int(tier == "checks"))) == 1
    assert capsys.readouterr().out.splitlines()[-1] == f"{len(TIERS)} passed, 1 failed"
    assert main(["unit"], lambda *_: Tally()) == 1


@pytest.mark.usefixtures("no_leftovers")
def test_what_was_skipped_is_named_and_fails_in_ci(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    tally = Tally(passed=2, skipped=("real Prometheus: not on PATH",))
    monkeypatch.setenv("CI", "false")
    assert main(["e2e"], lambda *_: tally) == 0
    assert "SKIPPED: real Prometheus: not on PATH" in capsys.readouterr().out
    monkeypatch.setenv("CI", "true")
    assert main(["e2e"], lambda *_: tally) == 1
    assert capsys.readouterr().out.splitlines()[-1] == "2 passed, 1 failed"


def test_a_tier_that_does_not_exist_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(["units"], lambda *_: Tally())
    assert stopped.value.code == 2
    assert "no such tier: units; there are checks, unit, statistics, builds, e2e" in capsys.readouterr().err


SLEEPER = "import time; time.sleep(60)"


@pytest.fixture
def sleepers() -> Iterator[list[subprocess.Popen[bytes]]]:
    started: list[subprocess.Popen[bytes]] = []
    yield started
    for process in started:
        process.kill()
        process.wait()


def a_sleeper(mark: str) -> subprocess.Popen[bytes]:
    environment = os.environ | {leftovers.VARIABLE: mark}
    process = subprocess.Popen([sys.executable, "-c", SLEEPER], env=environment, start_new_session=True)
    # Until it has become its own program a child shows the environment of its parent.
    until = time.monotonic() + 10
    while psutil.Process(process.pid).environ().get(leftovers.VARIABLE) != mark:
        assert time.monotonic() < until
        time.sleep(0.01)
    return process


def test_what_a_killed_run_left_running_is_ended_and_what_a_live_one_runs_is_not(
    sleepers: list[subprocess.Popen[bytes]],
) -> None:
    own = psutil.Process()
    of_a_dead_run = a_sleeper(f"{own.pid}:1.00")  # the number is in use again, by another process
    of_a_live_run = a_sleeper(f"{own.pid}:{own.create_time():.2f}")
    sleepers += [of_a_dead_run, of_a_live_run]
    ended = leftovers.end_of_dead_runs()
    assert any(name.startswith(f"{of_a_dead_run.pid} ") for name in ended)
    assert not psutil.pid_exists(of_a_dead_run.pid)
    assert of_a_live_run.poll() is None


def test_a_run_ends_what_it_started_and_nothing_else(sleepers: list[subprocess.Popen[bytes]]) -> None:
    mark, other = f"{os.getpid()}:mine", f"{os.getpid()}:{psutil.Process().create_time():.2f}"
    sleepers += [a_sleeper(mark), a_sleeper(other)]
    (name,) = leftovers.end(mark)
    assert name.startswith(f"{sleepers[0].pid} ")
    assert sleepers[1].poll() is None


def a_program(folder: Path, name: str, text: str) -> None:
    folder.mkdir(exist_ok=True)
    path = folder / name
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)


def test_a_missing_prometheus_is_unpacked_beside_the_tests_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    programs, cache = tmp_path / "bin", tmp_path / "cache"
    a_program(
        programs,
        "apt-get",
        f'[ "$1 $2" = "download prometheus" ] && : > p.deb && echo "$1" >> {tmp_path}/asked',
    )
    made = '"$3/usr/bin/prometheus"'
    unpack = f'mkdir -p "$3/usr/bin"; echo "#!/bin/sh" > {made}; chmod +x {made}'
    a_program(programs, "dpkg-deb", f'PATH=/bin:/usr/bin; [ "$1" = -x ] && {unpack}')
    monkeypatch.setenv("PATH", str(programs))
    assert tools.provide_prometheus(cache)
    assert shutil.which("prometheus") == str(cache / "prometheus/usr/bin/prometheus")
    monkeypatch.setenv("PATH", str(programs))
    assert tools.provide_prometheus(cache)
    assert (tmp_path / "asked").read_text() == "download\n"


def test_where_there_is_no_apt_prometheus_is_simply_not_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert not tools.provide_prometheus(tmp_path / "cache")


def test_a_package_that_cannot_be_had_leaves_nothing_half_done(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    programs, cache = tmp_path / "bin", tmp_path / "cache"
    a_program(programs, "apt-get", "echo no network >&2; exit 100")
    a_program(programs, "dpkg-deb", "exit 1")
    monkeypatch.setenv("PATH", str(programs))
    assert not tools.provide_prometheus(cache)
    assert list(cache.iterdir()) == []
    assert "no network" in capsys.readouterr().out
