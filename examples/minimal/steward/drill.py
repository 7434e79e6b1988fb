"""Recovery on an empty machine, and the drill that proves it: measured, not claimed."""

import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path

from steward import backup, database, evidence, install, service
from steward.backup import Backup
from steward.place import FILE, Place, read
from steward.problem import ProblemError
from steward.say import say

READY_S = 120.0
STOP_S = 60.0


def recover(place: Place, archive: Path) -> Backup:
    """Bring a server back from a backup where there is none: configuration, the release that ran, the data.

    Raises:
        ProblemError: there is a database already, or the backup is not whole; nothing was touched.
    """
    if place.database.exists():
        raise ProblemError(
            f"{place.database} is there already",
            remedy="On a server that runs: `python -m steward restore`. Else move it away.",
            code=2,
        )
    with tempfile.TemporaryDirectory(prefix="recover-") as name:
        scratch = Path(name)
        kept = backup.opened(archive, scratch)
        version = _release_of(kept)
        if (scratch / backup.CONFIGURATION).exists():
            shutil.copytree(scratch / backup.CONFIGURATION, place.folder, dirs_exist_ok=True)
        set_in(place.config, "version", version)
        install.release(place, version)
        database.write_back(scratch / backup.DATABASE, place.database)
    return kept


def drill(place: Place, archive: Path | None = None) -> int:
    """Recover in an empty folder, serve, compare the users, measure, and write down what came of it.

    From nothing: a new environment for canary and one for the service, by their pinned requirements; a new
    folder; only the sources and the backup come from outside. The server that runs is not touched.

    Returns:
        0: the same users were answered within the time that is promised, from a backup young enough; else 1.
    """
    at, begun = time.time(), time.monotonic()
    targets = {"rto_target_s": place.rto_s, "rpo_target_s": place.rpo_s}
    try:
        with tempfile.TemporaryDirectory(prefix="drill-") as name:
            kept = backup.opened(archive) if archive else backup.newest(place)
            with _served(place, kept, Path(name)) as port:
                same = service.gives_back(port, kept.content)
                version = str(service.ask(port, "/health")[1]["version"])
                rto_s = round(time.monotonic() - begun, 1)
    except (ProblemError, OSError) as fault:
        evidence.write(place, "restore-drill", at, {"ok": False, **targets, "note": str(fault)})
        if isinstance(fault, OSError):
            raise ProblemError(str(fault), remedy="Look at what it said before.") from None
        raise
    rpo_s = round(at - kept.at, 1)
    faults = [] if same else ["the users are not the same"]
    faults += [] if rto_s <= place.rto_s else [f"recovered in {rto_s:g} s, promised {place.rto_s:g} s"]
    faults += [] if rpo_s <= place.rpo_s else [f"the backup was {rpo_s:g} s old, promised {place.rpo_s:g} s"]
    told = f"{kept.content.users} users, release {version}, from {kept.archive.name}"
    document = {
        "ok": not faults,
        "file": str(kept.archive),
        "sha256": backup.sha256(kept.archive),
        "rto_s": rto_s,
        "rpo_s": rpo_s,
        **targets,
        "note": "; ".join([*faults, told]),
    }
    written = evidence.write(place, "restore-drill", at, document)
    say(f"{'the same' if same else 'NOT THE SAME'} {told}")
    say(f"RTO {rto_s:g} s (promised {place.rto_s:g} s), RPO {rpo_s:g} s (promised {place.rpo_s:g} s)")
    say(str(written))
    return 0 if not faults else 1


@contextmanager
def _served(place: Place, kept: Backup, folder: Path) -> Iterator[int]:
    """The server from a backup, in an empty folder, on a port of its own; ended with the block."""
    _release_of(kept)
    shutil.copy(place.folder / FILE, folder)
    new = replace(read(folder), service=place.service, canary=place.canary)
    install.environment(folder / "canary", place.canary / "requirements.lock", place.canary)
    say(f"canary is installed in {folder}")
    recover(new, kept.archive)
    say(f"{kept.serving} and the data of {evidence.stamp(kept.at)} are there")
    port = _free_port()
    set_in(new.config, "listen", f"127.0.0.1:{port}")
    log = folder / "up.log"
    with log.open("wb") as out:
        up = subprocess.Popen(
            [str(folder / "canary" / "bin" / "canary"), "local", "up", "-f", str(new.config)],
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
        )
    try:
        _wait(up, port, log)
        yield port
    finally:
        _end(up)


def _release_of(kept: Backup) -> str:
    if kept.serving is None:
        raise ProblemError(
            f"{kept.archive} does not say which release ran", remedy="Take another backup.", code=2
        )
    return kept.serving


def _wait(up: "subprocess.Popen[bytes]", port: int, log: Path) -> None:
    end = time.monotonic() + READY_S
    while time.monotonic() < end and up.poll() is None:
        with suppress(OSError):
            if service.ask(port, "/health/ready")[0] == 200:
                return
        time.sleep(0.1)
    said = log.read_text(errors="replace")[-600:]
    raise ProblemError(
        f"the recovered service does not get ready: {said}", remedy="Recover it by hand and look."
    )


def _end(up: "subprocess.Popen[bytes]") -> None:
    """In order; then at once; then for good."""
    for number in (signal.SIGTERM, signal.SIGTERM, signal.SIGKILL):
        if up.poll() is None:
            up.send_signal(number)
            with suppress(subprocess.TimeoutExpired):
                up.wait(STOP_S)


def set_in(config: Path, key: str, value: str) -> None:
    """Give a key of the section `local` in canary.yaml another value, and leave all else as it is written.

    Raises:
        ProblemError: the file cannot be read, or has no such key.
    """
    try:
        text = config.read_text(encoding="utf-8")
        changed, times = re.subn(
            rf"^(  {key}:[ \t]*)\S+", rf"\g<1>{value}", text, count=1, flags=re.MULTILINE
        )
        if not times:
            raise ProblemError(f"{config} has no `{key}` under `local`", remedy="Write it there.", code=2)
        if changed != text:
            config.write_text(changed, encoding="utf-8")
    except OSError as fault:
        raise ProblemError(f"{config}: {fault.strerror}", remedy="Mend that first.") from None


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
