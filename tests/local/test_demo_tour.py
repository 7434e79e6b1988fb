"""The demo's own part, with a stand-in for `canary`: it runs one shop and says what it is told to."""

import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

import pytest

from canary.errors import CanaryError, InvalidError
from canary.local.demo import demo, stage
from canary.local.demo.demo import DemoOptions
from tests.local.offspring import children

STAND_IN = """
import os, sys, yaml
words = sys.argv[1:]
config = yaml.safe_load(open(words[words.index("-f") + 1]))
if words[0] == "local":
    port = config["local"]["listen"].partition(":")[2]
    os.execv(sys.executable, [sys.executable, "-m", "canary.local.demo.service", "--version", "v1.0.0",
             "--port", port, "--shared", words[-1] + "/x"])
sys.exit({codes}[words[1]])
"""


def stand_in(
    folder: Path, monkeypatch: pytest.MonkeyPatch, codes: Mapping[str, int], *, text: str = STAND_IN
) -> DemoOptions:
    script = folder / "canary.py"
    script.write_text(text.replace("{codes}", repr(dict(codes))))
    monkeypatch.setattr(demo, "_canary", lambda: (sys.executable, str(script)))
    monkeypatch.setattr(demo, "HISTORY_S", 0.1)
    monkeypatch.setattr(demo, "TRIAL_S", 1.5)
    return DemoOptions(seed=1, directory=folder / "demo")


def test_the_demo_succeeds_when_the_bad_version_is_rolled_back_and_the_good_one_promoted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    options = stand_in(tmp_path, monkeypatch, {"v1.1.0": 3, "v1.1.1": 0})
    assert demo.run(options) == 0
    said = capsys.readouterr().out
    assert "v1.1.0 rolled back, exit code 3, as it must" in said
    assert "v1.1.1 promoted, exit code 0, as it must" in said
    assert "Failed because of moving replicas: 0." in said
    assert children() == []


@pytest.mark.parametrize(
    "codes", [{"v1.1.0": 0, "v1.1.1": 0}, {"v1.1.0": 3, "v1.1.1": 3}, {"v1.1.0": 4, "v1.1.1": 0}]
)
def test_the_demo_fails_and_says_its_seed_when_a_release_ends_as_it_must_not(
    codes: dict[str, int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert demo.run(stand_in(tmp_path, monkeypatch, codes)) == 1
    said = capsys.readouterr().out
    assert "WRONG" in said
    assert "Seed 1;" in said


def test_the_demo_fails_when_a_request_got_no_answer_though_the_verdicts_were_right(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The stand-in ends the shop, so connections are refused."""
    end_the_shop = STAND_IN + "\n"
    end_the_shop = end_the_shop.replace(
        "sys.exit(",
        "import contextlib, psutil, time\n"
        "for p in psutil.process_iter() if words[1] == 'v1.1.0' else ():\n"
        "    with contextlib.suppress(psutil.Error):\n"
        "        if words[-1] + '/x' in p.cmdline(): p.kill()\n"
        "time.sleep(0.5)\n"
        "sys.exit(",
    )
    options = stand_in(tmp_path, monkeypatch, {"v1.1.0": 3, "v1.1.1": 0}, text=end_the_shop)
    assert demo.run(options) == 1
    said = capsys.readouterr().out
    assert "WRONG" not in said
    assert "Failed because of moving replicas: 0." not in said
    assert "short: closed after 0 bytes" in said


def test_a_machine_that_is_too_busy_gets_less_load_and_is_told_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    options = stand_in(tmp_path, monkeypatch, {"v1.1.0": 3, "v1.1.1": 0})
    monkeypatch.setattr(demo, "BUSY_MS", 1.0)  # no machine is so fast
    assert demo.run(options) == 0
    said = capsys.readouterr().out
    assert "too busy for 400 requests a second" in said
    assert "too busy for 250 requests a second" in said
    assert "It gets 150 requests a second" in said


def test_a_service_that_does_not_start_is_told_with_the_end_of_its_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = stand_in(tmp_path, monkeypatch, {}, text="raise SystemExit('the disk is full')")
    with pytest.raises(CanaryError, match="`canary local up` ended with status 1") as told:
        demo.run(options)
    assert "the disk is full" in told.value.remedy
    assert children() == []


def test_an_unknown_fault_is_refused_before_anything_is_made(tmp_path: Path) -> None:
    with pytest.raises(InvalidError, match="--fault fire is not known"):
        demo.run(DemoOptions(fault="fire", directory=tmp_path / "demo"))
    assert not (tmp_path / "demo").exists()


def test_a_kept_demo_goes_on_until_ctrl_c_which_is_a_success(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = stand_in(tmp_path, monkeypatch, {"v1.1.0": 3})
    script = (
        "import signal, sys\n"
        "from pathlib import Path\n"
        "from canary.local.demo import demo\n"
        f"demo._canary = lambda: ({sys.executable!r}, {str(tmp_path / 'canary.py')!r})\n"
        "demo.HISTORY_S = demo.TRIAL_S = 0.7\n"
        "options = demo.DemoOptions(fault='errors', seed=1, keep=True, directory=Path(sys.argv[1]))\n"
        "sys.exit(demo.run(options))\n"
    )
    assert options.directory is not None
    log = tmp_path / "log"
    with log.open("w") as out:
        run = subprocess.Popen([sys.executable, "-c", script, str(options.directory)], stdout=out)
    latest = time.monotonic() + 30
    while "until Ctrl-C" not in log.read_text():
        assert time.monotonic() < latest, log.read_text()
        time.sleep(0.05)
    time.sleep(0.7)
    assert run.poll() is None
    run.send_signal(signal.SIGINT)
    assert run.wait(timeout=30) == 0
    assert children() == []


def test_another_shop_that_answers_at_the_port_is_not_taken_for_ours(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Two demos begin at once: both saw the port free, the other one was quicker, and looks like ours."""
    options = stand_in(tmp_path, monkeypatch, {"v1.1.0": 3, "v1.1.1": 0})
    service = (sys.executable, "-m", "canary.local.demo.service", "--version", "v1.0.0", "--port")
    port = stage.pick_port(0)
    monkeypatch.setattr(demo, "pick_port", lambda wanted=port: wanted if wanted else stage.pick_port(0))
    other = subprocess.Popen([*service, str(port), "--shared", str(tmp_path / "other")])
    try:
        wait_until_it_answers(port)
        assert demo.run(options) == 0
    finally:
        other.kill()
        other.wait()
    assert f"behind http://127.0.0.1:{port}." not in capsys.readouterr().out


def wait_until_it_answers(port: int) -> None:
    latest = time.monotonic() + 30
    while not stage.port_is_taken(port):
        assert time.monotonic() < latest
        time.sleep(0.05)
