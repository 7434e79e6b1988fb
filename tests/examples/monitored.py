"""A real Prometheus and a real Alertmanager over an example's own files: addresses and waits alone differ."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from tests import tools
from tests.command import ROOT
from tests.local.demo_process import free_port

PATIENCE_S = 60.0
PROMETHEUS, ALERTMANAGER = "prometheus", "prometheus-alertmanager"
TEMPLATES = Path("/usr/share/prometheus/alertmanager/default.tmpl")
MANAGER = ("127.0.0.1:9093", "alertmanager:9093")
"""Where the examples expect an Alertmanager."""
Json = dict[str, Any]


def provided(*programs: str) -> None:
    """They are on PATH, or the test is skipped."""
    lacking = [name for name in programs if not tools.provide(name)]
    if lacking:
        pytest.skip(f"{' and '.join(lacking)} cannot be had: neither on PATH nor by apt")


def inside() -> list[str]:
    """Debian's Alertmanager looks for its templates under /usr/share: it is shown the unpacked ones there."""
    unpacked = tools.CACHE / "prometheus-alertmanager" / "usr" / "share"
    if TEMPLATES.exists():
        return []
    show = f'mount -t overlay -o "lowerdir={unpacked}:/usr/share" overlay /usr/share && exec "$@"'
    return ["unshare", "--mount", "--map-root-user", "sh", "-c", show, "sh"]


@contextmanager
def running(log: Path, *command: str) -> Iterator["subprocess.Popen[bytes]"]:
    """A server, ended with the block."""
    with log.open("wb") as said, subprocess.Popen(command, stdout=said, stderr=said) as process:
        try:
            yield process
        finally:
            process.terminate()
            process.wait(20)


@dataclass
class Monitored:
    """Both of them, and a `canary.yaml` that names them.

    Attributes:
        folder: with the example's `monitoring`. file: the configuration. environment: of the command.
        prometheus, alertmanager: their files. servers: what runs. urls: where they listen.
    """

    folder: Path
    file: Path
    environment: Mapping[str, str]
    prometheus: Path
    alertmanager: Path
    servers: tuple["subprocess.Popen[bytes]", ...] = ()
    urls: tuple[str, ...] = ()

    def point(self) -> Json:
        """What `canary preflight` finds of monitoring."""
        command = [sys.executable, "-m", "canary", "preflight", "-f", self.file.name, "-o", "json"]
        variables = {**os.environ, "PYTHONPATH": str(ROOT), **self.environment}
        done = subprocess.run(
            command, cwd=self.file.parent, env=variables, capture_output=True, text=True, check=False
        )
        assert done.stdout, done.stderr
        told = json.loads(done.stdout)
        found: list[Json] = [one for one in told.get("points", ()) if one["id"] == "monitoring"]
        return found[0] if found else {"status": "", "evidence": told}

    def becomes(self, status: str, *told: str) -> Json:
        """The point, once it is so and tells all this."""
        end = time.monotonic() + PATIENCE_S
        while True:
            found = self.point()
            if found["status"] == status and all(words in str(found["evidence"]) for words in told):
                return found
            assert time.monotonic() < end, found
            time.sleep(0.2)

    @contextmanager
    def without(self, file: Path, change: Callable[[Json], None]) -> Iterator[None]:
        """One of the files is another one meanwhile, and its server has read it."""
        before = file.read_text()
        document = yaml.safe_load(before)
        change(document)
        try:
            self._reads(file, yaml.safe_dump(document))
            yield
        finally:
            self._reads(file, before)

    def _reads(self, file: Path, text: str) -> None:
        file.write_text(text)
        for server in self.servers:
            server.send_signal(signal.SIGHUP)


@contextmanager
def monitored(
    folder: Path,
    environment: Mapping[str, str],
    change: Callable[[Json], None],
    *,
    prometheus: str = PROMETHEUS,
) -> Iterator[Monitored]:
    """Both servers, over the files in `folder`/monitoring as they are in the example.

    Args:
        folder: a copy of the example. environment: of the command.
        change: what else Prometheus's configuration has to be like here.
        prometheus: the program.
    """
    provided(ALERTMANAGER, *([PROMETHEUS] if prometheus == PROMETHEUS else []))
    ports = (free_port(), free_port())
    files = _written(folder / "monitoring", ports[1], change)
    urls = tuple(f"http://127.0.0.1:{port}" for port in ports)
    found = Monitored(folder, folder / "canary.yaml", environment, *files, urls=urls)
    with ExitStack() as stack:
        for file, port, program, options in (
            (files[0], ports[0], [prometheus], [f"--storage.tsdb.path={folder / 'tsdb'}"]),
            (
                files[1],
                ports[1],
                [*inside(), ALERTMANAGER],
                [f"--storage.path={folder / 'alerts'}", "--cluster.listen-address="],
            ),
        ):
            words = [f"--config.file={file}", f"--web.listen-address=127.0.0.1:{port}", *options]
            log = folder / f"{file.stem}.log"
            found.servers += (stack.enter_context(running(log, *program, *words)),)
        for file, url in zip(files, urls, strict=True):
            _answers(f"{url}/-/ready", folder / f"{file.stem}.log")
        yield found


def _written(folder: Path, manager: int, change: Callable[[Json], None]) -> tuple[Path, Path]:
    """The files of both, with the addresses that they have here. `manager`: Alertmanager's port."""
    prometheus, alertmanager = (next(folder.glob(f"{name}.y*ml")) for name in ("prometheus", "alertmanager"))
    text = prometheus.read_text()
    assert any(address in text for address in MANAGER)
    for address in MANAGER:
        text = text.replace(address, f"127.0.0.1:{manager}")
    document = yaml.safe_load(text)
    document["global"]["evaluation_interval"] = "1s"
    change(document)
    prometheus.write_text(yaml.safe_dump(document))
    # Nobody is really called.
    alertmanager.write_text(alertmanager.read_text().replace("https://", "http://127.0.0.1:9/"))
    return prometheus, alertmanager


def _answers(url: str, log: Path) -> None:
    end = time.monotonic() + PATIENCE_S
    while True:
        try:
            if httpx.get(url, trust_env=False).status_code == httpx.codes.OK:
                return
        except httpx.HTTPError:
            pass
        assert time.monotonic() < end, log.read_text()
        time.sleep(0.1)


def copied(example: Path, folder: Path) -> Path:
    """The example in a folder of its own, without what its use has made."""
    made = shutil.ignore_patterns(
        "__pycache__", ".venv", ".canary", "backups", "data", "evidence", "releases", "seals", "secrets"
    )
    return shutil.copytree(example, folder / example.name, ignore=made)
