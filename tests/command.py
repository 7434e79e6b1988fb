"""The real `canary` command as a process, and what came of it."""

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]


@dataclass(frozen=True)
class Ran:
    """What a command said, and its exit code."""

    code: int
    out: str
    text: str


def begun(folder: Path, environment: dict[str, str], *arguments: str) -> "subprocess.Popen[str]":
    """Started in a folder, with these variables besides our own."""
    return subprocess.Popen(
        [sys.executable, "-m", "canary", *arguments],
        cwd=folder,
        env={**os.environ, **environment, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def ended(process: "subprocess.Popen[str]", patience_s: float) -> Ran:
    """What came of it; fails when it does not end, or shows the program's inside."""
    try:
        out, text = process.communicate(timeout=patience_s)
    except subprocess.TimeoutExpired:
        process.kill()
        out, text = process.communicate()
        raise AssertionError(f"it does not end; it said: {text[-3000:]}") from None
    assert "Traceback" not in text, text
    return Ran(process.returncode, out, text)
