"""Docker and Compose, by their own commands, from the folder of the compose file."""

import json
import os
import shutil
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from box.problem import ProblemError

HERE = Path(__file__).parents[1]
SANDBOX = "project-ai-sandbox"
LEDGER, KEYS, SEALS = (f"{SANDBOX}-{name}" for name in ("ledger", "keys", "seals"))
"""Volumes that outlive the sandbox."""
PATIENCE_S = 120.0


def docker(*arguments: str, patience_s: float = PATIENCE_S) -> str:
    """Run `docker`; what it printed.

    Raises:
        ProblemError: it failed.
    """
    return _run(["docker", *arguments], patience_s)


def tried(*arguments: str) -> tuple[int, str]:
    """Run `docker`, whatever comes of it: its exit code, and what it said."""
    done = _tried(["docker", *arguments], PATIENCE_S)
    return done.returncode, f"{done.stdout}{done.stderr}"


def compose(*arguments: str, patience_s: float = PATIENCE_S) -> str:
    """Run `docker-compose`, or `docker compose` where that is not there.

    Raises:
        ProblemError: it failed.
    """
    old = shutil.which("docker-compose")
    return _run([*((old,) if old else ("docker", "compose")), *arguments], patience_s)


def inspected(*names: str) -> list[dict[str, Any]]:
    """What Docker says of these containers; those that are not there are left out."""
    found = []
    for name in names:
        done = _tried(["docker", "container", "inspect", name], PATIENCE_S)
        if done.returncode == 0:
            found += json.loads(done.stdout)
    return found


def until(what: Callable[[], object], says: str, patience_s: float = PATIENCE_S) -> None:
    """Wait until it is true.

    Raises:
        ProblemError: it does not become so.
    """
    late = time.monotonic() + patience_s
    while not what():
        if time.monotonic() > late:
            raise ProblemError(
                f"waited {patience_s:g} s for {says}", remedy="Look at `docker ps --all` and `docker logs`."
            )
        time.sleep(0.05)


def healthy(name: str = SANDBOX) -> bool:
    """Whether the container runs and says that it is well."""
    state = state_of(name)
    if state.get("Status") in ("exited", "dead"):
        raise ProblemError(
            f"{name} has ended with status {state.get('ExitCode')}", remedy=f"Look at `docker logs {name}`."
        )
    return bool(state.get("Health", {}).get("Status") == "healthy")


def answers() -> bool:
    """Whether the service in the sandbox is ready: what Docker finds out every five seconds, asked now."""
    done = _tried(["docker", "exec", SANDBOX, "python3", "/app/health.py"], PATIENCE_S)
    return healthy() or done.returncode == 0


def running(name: str = SANDBOX) -> bool:
    """Whether the container has a process."""
    return bool(state_of(name).get("Running", False))


def state_of(name: str) -> dict[str, Any]:
    """Its state; empty when there is none of this name."""
    found = inspected(name)
    return found[0]["State"] if found else {}


def logs(name: str, lines: int = 5) -> str:
    """The last words of a container, both of its outputs."""
    done = _tried(["docker", "logs", "--tail", str(lines), name], PATIENCE_S)
    return f"{done.stdout}{done.stderr}".strip()


def _run(command: list[str], patience_s: float) -> str:
    done = _tried(command, patience_s)
    if done.returncode:
        words = (done.stderr or done.stdout).strip()[-1500:]
        raise ProblemError(
            f"{' '.join(command)}: {words}",
            remedy="Mend that, and run it again: every command goes on from what is there.",
        )
    return done.stdout


def _tried(command: list[str], patience_s: float) -> "subprocess.CompletedProcess[str]":
    try:
        return subprocess.run(
            command,
            cwd=HERE,
            env=os.environ,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=patience_s,
            check=False,
        )
    except FileNotFoundError:
        raise ProblemError(
            f"there is no {command[0]}", remedy="Install Docker and Compose.", code=2
        ) from None
    except subprocess.TimeoutExpired:
        raise ProblemError(
            f"{' '.join(command)}: no end in {patience_s:g} s",
            remedy="See whether Docker answers: docker info",
        ) from None
