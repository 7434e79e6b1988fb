"""Whatever is wrong is said in words, with the right code, and nothing is lost."""

import hashlib
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from canary.core.release import Phase, Stage
from canary.local.workloads import DEAD_S
from tests.e2e.place import Place, place, refused, serving, until

pytestmark = pytest.mark.e2e

COMMANDS = [
    ("plan",),
    ("start", "v2"),
    ("local", "up"),
    ("status",),
    ("abort",),
    ("history",),
    ("audit", "export"),
]


@pytest.fixture(scope="module")
def one(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """A service that has seen one release."""
    with serving(tmp_path_factory.mktemp("bad-input"), local={"ready": "10s"}) as here:
        here.rested()
        released = here.run("start", "v2")
        assert released.code == 0, released.text
        yield here


# ── the configuration


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_unknown_keys_and_wrong_units_are_all_told_at_once_and_nothing_is_written(
    tmp_path: Path, command: tuple[str, ...]
) -> None:
    wrong: dict[str, Any] = {
        "stepz": [10],
        "hold": {"min": "5 parsecs"},
        "analysis": {"interval": 15, "false_rollback_rate": "200%"},
        "local": {"replicas": "two", "drian": "5s"},
    }
    with place(tmp_path) as here:
        written = json.loads(here.config.read_text())
        for key, value in wrong.items():
            written[key] = {**written[key], **value} if isinstance(value, dict) else value
        here.config.write_text(json.dumps(written, indent=1))
        ran = here.run(*command)
        refused(
            ran, 2, "canary.yaml:", "stepz", "steps", "5 parsecs", "interval", "200%", "two", "drian", "drain"
        )
        assert not (tmp_path / ".canary").exists()


def test_no_configuration_at_all_is_told_with_how_to_make_one(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "canary", "start", "v2"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, "canary init" in done.stderr) == (2, True), done.stderr
    assert "Traceback" not in done.stderr


# ── the service


def test_a_port_in_use_is_named_and_no_replica_is_started(tmp_path: Path) -> None:
    with place(tmp_path) as here, socket.socket() as other:
        other.bind(("127.0.0.1", here.port))
        other.listen()
        refused(here.run("local", "up"), 2, str(here.port), "in use")
        assert list(here.layout.pods.iterdir()) == []


def test_a_second_supervisor_is_refused_and_the_first_goes_on(one: Place) -> None:
    refused(one.run("local", "up"), 2, "already has a supervisor")
    assert one.stable() == ("v2", 2, 2)


def test_a_service_that_does_not_listen_is_told_and_its_release_ends_without_touching_it(
    tmp_path: Path,
) -> None:
    with place(tmp_path, local={"version": "deaf", "ready": "4s"}) as here:
        supervisor = here.begin("local", "up")
        supervisor.says("not ready within 4 s: nothing listens on its port")
        asked = here.layout.desired.read_bytes()
        refused(here.begin("start", "v2").ended(60), 7, "shop itself is not whole", "0 of 2 ready")
        assert here.layout.desired.read_bytes() == asked
        assert "Traceback" not in supervisor.text()


def test_a_stable_that_is_sick_itself_is_replaced_without_analysis_when_a_reason_is_given(
    tmp_path: Path,
) -> None:
    with place(tmp_path, local={"version": "deaf", "ready": "4s"}) as here:
        here.begin("local", "up").says("not ready within 4 s: nothing listens on its port")
        refused(here.run("start", "v2", "--skip-analysis"), 2, "--reason")
        fixed = here.begin("start", "v2", "--skip-analysis", "--reason", "this is the fix")
        refused(fixed.ended(60), 0)
        assert (here.stable(), here.canaries()) == (("v2", 2, 2), ())
        assert "this is the fix" in here.run("audit", "export").out


@pytest.mark.parametrize(
    ("version", "told"), [("broken", "there is no database"), ("deaf", "nothing listens on its port")]
)
def test_a_version_that_does_not_start_is_undone_and_its_own_words_are_told(
    one: Place, version: str, told: str
) -> None:
    before = one.stable()
    ran = one.run("start", version)
    refused(ran, 7, told)
    assert (one.stable(), one.canaries()) == (before, ())
    assert str(one.recorded().outcome) == "never_ready"


def test_the_version_that_runs_already_and_one_that_is_no_version(one: Place) -> None:
    before = one.recorded()
    refused(one.run("start", "v2"), 0, "already running")
    refused(one.run("start", "../../etc"), 2, "'../../etc' is no version")
    assert one.recorded() == before


# ── the supervisor


def test_without_a_supervisor_nothing_is_begun_and_it_is_said_how_to_start_one(tmp_path: Path) -> None:
    with place(tmp_path) as here:
        refused(here.run("start", "v2"), 2, "there is no shop to release to", "canary local up")
        refused(here.run("abort"), 2, "no release of shop is running")
        refused(here.run("status"), 0, "canary local up")
        assert here.release() is None


def test_a_supervisor_that_is_gone_is_told_by_every_command_that_needs_it(tmp_path: Path) -> None:
    with serving(tmp_path, rps=0.0) as here:
        assert here.supervisor is not None
        here.supervisor.kill()
        until(lambda: time.time() - here.seen().at > DEAD_S, "its last sign of life is old")
        for command in (("start", "v2"), ("status",), ("undo",), ("history",)):
            refused(here.run(*command), 8, "canary local up")
        assert here.release() is None


# ── what is on the disk


def resealed(path: Path, **changes: Any) -> bytes:
    """The record with changes, under a hash that fits: as another canary would write it."""
    head, _, document = path.read_bytes().partition(b"\n")
    changed = json.dumps({**json.loads(document), **changes}).encode()
    sealed = {**json.loads(head), "sha256": hashlib.sha256(changed).hexdigest()}
    return json.dumps(sealed).encode() + b"\n" + changed + b"\n"


@pytest.mark.parametrize("command", [("start", "v3"), ("status",), ("abort",), ("undo",)], ids=" ".join)
def test_a_record_of_a_newer_canary_is_refused_and_left_as_it_is(
    one: Place, command: tuple[str, ...]
) -> None:
    path = one.service.state / "records" / "shop.json"
    before = path.read_bytes()
    newer = resealed(path, schema=99)
    path.write_bytes(newer)
    try:
        refused(one.run(*command), 2, "99", "newer")
        assert path.read_bytes() == newer
    finally:
        path.write_bytes(before)
    assert one.stable() == ("v2", 2, 2)


def test_a_damaged_ledger_is_found_and_its_first_bad_entry_is_named(one: Place, tmp_path: Path) -> None:
    lines = one.run("audit", "export").out.splitlines()
    assert len(lines) > 5
    for damaged, told in (
        ([*lines[:2], lines[2].replace('"at":1', '"at":2', 1), *lines[3:]], "entry 3"),
        ([*lines[:1], *lines[2:]], "entry 2"),
        ([*lines[:3], lines[3][:-9], *lines[4:]], "entry 4"),
        (lines[:-1], f"entry {len(lines)} is truncated"),
    ):
        exported = tmp_path / "ledger.jsonl"
        exported.write_text("\n".join(damaged) + "\n")
        refused(one.run("audit", "verify", str(exported)), 1, told)
    exported.write_text("\n".join(lines) + "\n")
    refused(one.run("audit", "verify", str(exported)), 0, "whole and unchanged")
    refused(one.run("audit", "verify", str(tmp_path / "none")), 2, "cannot be read")


def test_a_ledger_that_was_damaged_on_the_disk_stops_the_next_release_before_anything_is_touched(
    one: Place,
) -> None:
    path = one.service.state / "ledger" / "shop.jsonl"
    before, asked = path.read_bytes(), one.layout.desired.read_bytes()
    path.write_bytes(b"{}\n" + before)
    try:
        refused(one.run("start", "v3"), 2, f"{path}:1:")
        assert one.layout.desired.read_bytes() == asked
    finally:
        path.write_bytes(before)
        one.run("abort")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "the file is empty"),
        ("once upon a time\n", ":1:"),
        ('{"trace":1,"interval_s":15,"le":[0.1],"slo_s":0.1}\n{"t":"noon"}\n', ":2:"),
        ('{"trace":99}\n', "99"),
    ],
)
def test_a_trace_that_is_none_is_told_with_its_line(tmp_path: Path, text: str, told: str) -> None:
    trace = tmp_path / "trace.jsonl"
    trace.write_text(text)
    with place(tmp_path) as here:
        refused(here.run("replay", str(trace)), 2, "trace.jsonl", told)
        refused(here.run("replay", str(tmp_path / "none.jsonl")), 2, "none.jsonl", "No such file")


# ── a full disk


@contextmanager
def small_disk(folder: Path) -> Iterator[Path]:
    """A disk of a few megabytes. Only root may make one."""
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(folder)]
    try:
        made = subprocess.run(command, capture_output=True, text=True, check=False)
        why = made.stderr.strip() if made.returncode else ""
    except FileNotFoundError:
        why = "there is no mount"
    if why:
        # Not left out in silence: in CI this must run.
        assert os.environ.get("CI", "").lower() != "true", f"a full disk cannot be tried: {why}"
        pytest.skip(f"a full disk cannot be tried without root and tmpfs: {why}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def fill(disk: Path) -> Path:
    """Leave no room on it; the file that takes it."""
    filler = disk / "filler"
    with filler.open("wb", buffering=0) as file:
        for size in (65536, 4096, 1):
            try:
                while file.write(b"x" * size) == size:
                    pass
            except OSError:
                continue
    return filler


@contextmanager
def on_a_small_disk(folder: Path) -> Iterator[tuple[Place, Path]]:
    """A service whose state is on a disk that can be filled."""
    with (
        small_disk(folder / "disk") as disk,
        serving(folder / "shop", local={"state": str(disk)}, hold={"min": "4s", "max": "10m"}) as here,
    ):
        here.rested()
        yield here, disk


def test_on_a_full_disk_no_release_is_begun(tmp_path: Path) -> None:
    with on_a_small_disk(tmp_path) as (here, disk):
        before = here.stable()
        filler = fill(disk)
        ran = here.run("start", "v2")
        # On a machine that does other work, too, the supervisor may have been silent for long by then.
        full = ("No space left", "Make room")
        refused(ran, 8, *full if full[0] in ran.text else ("its disk may be full",))
        filler.unlink()
        assert here.release() is None
        assert here.stable() == before
        assert here.failed() == 0


@pytest.mark.parametrize("stage", [Stage.SCALING, Stage.HOLDING])
def test_a_disk_that_gets_full_holds_the_release_which_goes_on_when_there_is_room(
    tmp_path: Path, stage: Stage
) -> None:
    with on_a_small_disk(tmp_path) as (here, disk):
        driver = here.begin("start", "v2")

        def there() -> bool:
            found = here.release()
            return found is not None and (found.phase, found.stage) == (Phase.PROGRESSING, stage)

        until(there, f"the first step is {stage}")
        filler = fill(disk)
        driver.says("trying again")
        assert here.recorded().phase is Phase.PROGRESSING
        filler.unlink()
        refused(driver.ended(), 0, "in reach again")
        assert (here.stable(), here.canaries()) == (("v2", 2, 2), ())
        assert here.failed() == 0
        assert here.verified() == ""
