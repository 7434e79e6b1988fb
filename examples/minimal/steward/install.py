"""Releases and what they need, each in a folder of its own: nothing that runs is ever changed in place.

RELEASES/v1.1.0/          the code of one release, and `project-ai`, which runs it
RELEASES/.python/HASH/    an environment for one list of requirements; releases with the same list share it
"""

import hashlib
import json
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from steward.place import Place
from steward.problem import ProblemError

PATIENCE_S = 900.0
RUNNER = """#!/bin/sh
# Runs this release, wherever it is called from.
here=$(cd "$(dirname "$0")" && pwd)
export PYTHONPATH="$here" RELEASE={version}
exec "$here/python/bin/python" -m project_ai "$@"
"""

Schemas = tuple[int, int]
"""The first and the last schema that a release reads."""


def release(place: Place, version: str) -> Path:
    """Install a release from the service's source, unless it is there; its folder.

    Raises:
        ProblemError: there is no such release, or something could not be installed; nothing is left of it.
    """
    folder = place.releases / version
    if (folder / "project-ai").exists():
        return folder
    requirements = place.service / "requirements.txt"
    if not requirements.exists():
        raise ProblemError(
            f"{place.service} is not the service's source", remedy="Correct `service` in server.toml.", code=2
        )
    part = place.releases / f".{version}.part"
    shutil.rmtree(part, ignore_errors=True)
    try:
        part.mkdir(parents=True)
        shutil.copytree(
            place.service / "project_ai", part / "project_ai", ignore=shutil.ignore_patterns("__pycache__")
        )
        shutil.copy(requirements, part)
        (part / "python").symlink_to(Path("..") / python(place, requirements).relative_to(place.releases))
        runner = part / "project-ai"
        runner.write_text(RUNNER.format(version=version))
        runner.chmod(0o755)
        if version not in _asked(runner):
            raise ProblemError(
                f"there is no release {version}",
                remedy=f"{place.service} has {', '.join(_asked(runner))}.",
                code=2,
            )
        part.rename(folder)
    except OSError as fault:
        raise ProblemError(f"{fault.filename}: {fault.strerror}", remedy="Mend that first.") from None
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return folder


def python(place: Place, requirements: Path) -> Path:
    """An environment with exactly these requirements, made if it is not there; its folder."""
    named = hashlib.sha256(requirements.read_bytes() + sys.version.encode()).hexdigest()[:12]
    folder = place.releases / ".python" / named
    environment(folder, requirements)
    return folder


def environment(folder: Path, requirements: Path, *projects: Path) -> None:
    """A Python environment with these requirements, each checked by its hash, and projects beside them.

    Raises:
        ProblemError: it could not be made.
    """
    whole = folder / ".whole"
    if whole.exists():
        return
    shutil.rmtree(folder, ignore_errors=True)
    run([sys.executable, "-m", "venv", str(folder)])
    pip = [str(folder / "bin" / "python"), "-m", "pip", "--quiet", "--disable-pip-version-check", "install"]
    run([*pip, "--no-compile", "--require-hashes", "-r", str(requirements)])
    for project in projects:
        run([*pip, "--no-compile", "--no-deps", str(project)])
    whole.touch()


def run(command: Sequence[str]) -> str:
    """Run a command to its end; what it said on stdout.

    Raises:
        ProblemError: it failed; with the end of what it said.
    """
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE_S, check=False)
    except (OSError, subprocess.TimeoutExpired) as fault:
        raise ProblemError(f"{' '.join(command)}: {fault}", remedy="Try it by hand.") from None
    if done.returncode:
        said = (done.stderr or done.stdout).strip()[-600:]
        raise ProblemError(
            f"{' '.join(command)} ended with {done.returncode}: {said}", remedy="Try it by hand."
        )
    return done.stdout


def reads(place: Place, version: str) -> dict[str, Schemas]:
    """Which schemas each release reads, as an installed one knows it."""
    return _asked(place.releases / version / "project-ai")


def can_read(known: dict[str, Schemas], version: str, schema: int) -> bool:
    """Whether a release reads a schema; one that is not known reads none."""
    first, last = known.get(version, (1, 0))
    return first <= schema <= last


def _asked(runner: Path) -> dict[str, Schemas]:
    found = json.loads(run([str(runner), "--releases"]))
    return {name: (one["reads"][0], one["reads"][1]) for name, one in found.items()}
