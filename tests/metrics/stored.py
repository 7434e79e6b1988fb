"""Real Prometheus servers that hold what a test writes: at any time, without waiting for a scrape.

Written is what a scrape would store, by remote write: raw samples under their own timestamps, and the marks
that a series has gone stale, which no file format for samples has.
"""

import os
import shutil
import socket
import struct
import subprocess
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from tests import cluster
from tests.cluster import build

STALE = struct.unpack("<d", struct.pack("<Q", 0x7FF0000000000002))[0]
"""What a scrape stores for a series that was there and is no more."""
VERSIONS = ("2.x", "3.x")
PATIENCE_S = 30.0
LITERAL = 60_000
"""Bytes of one piece of a body; the format has two bytes for the length."""

Labels = Mapping[str, str]


@dataclass(frozen=True)
class Point:
    """One sample of one series. `at`: unix seconds."""

    name: str
    labels: Labels
    at: float
    value: float


def program(version: str) -> str:
    """The server's file: 2.x is the one on PATH, 3.x the test cluster's. Skips when there is none."""
    if version == "3.x":
        try:
            return str(build.built(build.PROMETHEUS))
        except cluster.LackingError as lacking:
            words = f"no Prometheus 3: {lacking}"
    else:
        found = shutil.which("prometheus")
        if found is not None:
            return found
        words = "no `prometheus` on PATH. On Debian: apt install prometheus"
    if os.environ.get("CI") == "true":
        pytest.fail(words)
    pytest.skip(words)


@contextmanager
def a_server(version: str, folder: Path) -> Iterator[str]:
    """An empty server that scrapes nothing; its URL."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "prometheus.yml").write_text("global: {}\n")
    command = [
        program(version),
        f"--config.file={folder / 'prometheus.yml'}",
        f"--storage.tsdb.path={folder / 'data'}",
        f"--web.listen-address=127.0.0.1:{port}",
        "--web.enable-remote-write-receiver",
        "--log.level=warn",
    ]
    url = f"http://127.0.0.1:{port}"
    with (folder / "log").open("wb") as log, subprocess.Popen(command, stdout=log, stderr=log) as process:
        try:
            _until_ready(url)
            yield url
        finally:
            process.terminate()
            process.wait(20)


def _until_ready(url: str) -> None:
    end = time.monotonic() + PATIENCE_S
    while time.monotonic() < end:
        try:
            if httpx.get(f"{url}/-/ready", trust_env=False).status_code == 200:
                return
        except httpx.HTTPError:
            pass
        time.sleep(0.05)
    raise AssertionError(f"Prometheus at {url} is not ready within {PATIENCE_S:g} s")


def write(url: str, points: Iterable[Point]) -> None:
    """Store these; per series in order of time."""
    series: dict[tuple[tuple[str, str], ...], list[Point]] = {}
    for point in points:
        key = tuple(sorted({**point.labels, "__name__": point.name}.items()))
        series.setdefault(key, []).append(point)
    if not series:
        return
    body = b"".join(_field(1, _series(labels, found)) for labels, found in series.items())
    headers = {
        "Content-Type": "application/x-protobuf",
        "Content-Encoding": "snappy",
        "X-Prometheus-Remote-Write-Version": "0.1.0",
    }
    answer = httpx.post(
        f"{url}/api/v1/write", content=_unpressed(body), headers=headers, trust_env=False, timeout=20
    )
    assert answer.status_code in (200, 204), answer.text


def _series(labels: Iterable[tuple[str, str]], points: Iterable[Point]) -> bytes:
    told = [_field(1, _field(1, name.encode()) + _field(2, value.encode())) for name, value in labels]
    samples = [
        _field(2, b"\x09" + struct.pack("<d", one.value) + b"\x10" + _varint(round(one.at * 1000)))
        for one in sorted(points, key=lambda one: one.at)
    ]
    return b"".join((*told, *samples))


def _field(number: int, content: bytes) -> bytes:
    return _varint(number << 3 | 2) + _varint(len(content)) + content


def _varint(number: int) -> bytes:
    found = bytearray()
    while number > 0x7F:
        found.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes((*found, number))


def _unpressed(body: bytes) -> bytes:
    """In the format of snappy, as literal pieces."""
    pieces = [body[start : start + LITERAL] for start in range(0, len(body), LITERAL)]
    marked = (b"\xf4" + struct.pack("<H", len(piece) - 1) + piece for piece in pieces)
    return _varint(len(body)) + b"".join(marked)
