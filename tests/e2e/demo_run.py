"""The real `canary demo` as a subprocess, with what it left to read."""

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import psutil

from canary.local.demo.tally import Summary, read_summary

LIMIT_S = 200.0


@dataclass(frozen=True)
class Ended:
    status: int
    text: str
    load: Summary | None

    @property
    def failed(self) -> int:
        assert self.load is not None, self.text
        return self.load.failed


def command(folder: Path, *arguments: str) -> list[str]:
    return [sys.executable, "-m", "canary", "demo", "--plain", "--directory", str(folder), *arguments]


def play(folder: Path, *arguments: str) -> Ended:
    done = subprocess.run(
        command(folder, "--no-keep", *arguments),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=LIMIT_S,
        check=False,
    )
    return Ended(done.returncode, done.stdout, read_summary(folder / "load.json"))


def processes_of(folder: Path) -> list[str]:
    """Command lines of all processes that name the folder."""
    found = []
    for process in psutil.process_iter():
        try:
            line = " ".join(process.cmdline())
        except psutil.Error:
            continue
        if str(folder) in line:
            found.append(line)
    return found
