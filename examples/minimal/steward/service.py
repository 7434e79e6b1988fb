"""The service as it runs: what canary says of it, what it answers itself, and canary's commands."""

import http.client
import json
import subprocess
import sys
from dataclasses import dataclass
from typing import Any

from steward.database import Content, digest_of
from steward.place import Place
from steward.problem import ProblemError

ASK_S = 60.0
PAGE = 1000


@dataclass(frozen=True)
class Standing:
    """What runs. `canary`: the release that is being tried, if any."""

    stable: str
    canary: str | None = None


def canary(place: Place, *words: str) -> int:
    """A command of canary, with our terminal; its exit code."""
    return subprocess.run(_command(place, *words), check=False).returncode


def standing(place: Place) -> Standing | None:
    """What canary says that runs; None: nothing runs, or it cannot be asked."""
    found = _document(place, "status")
    workloads = (found or {}).get("workloads") or {}
    if "stable" not in workloads:
        return None
    out = workloads.get("canary")
    return Standing(workloads["stable"]["version"], out["version"] if out else None)


def stands(place: Place) -> Standing:
    """What runs.

    Raises:
        ProblemError: nothing does.
    """
    found = standing(place)
    if found is None:
        raise ProblemError(
            "the service does not run", remedy=f"Start it: canary local up -f {place.config}", code=2
        )
    return found


def revision(place: Place, version: str) -> int | None:
    """The number of the newest revision that canary has kept of a release."""
    found = _document(place, "history") or {}
    numbers = [one["revision"] for one in found.get("revisions", ()) if one["version"] == version]
    return max(filter(None, numbers), default=None)


def _document(place: Place, *words: str) -> dict[str, Any] | None:
    try:
        done = subprocess.run(
            _command(place, *words, "-o", "json"), capture_output=True, text=True, timeout=ASK_S, check=False
        )
        found = json.loads(done.stdout) if done.returncode == 0 else None
    except (OSError, ValueError, subprocess.TimeoutExpired):
        return None
    return found if isinstance(found, dict) else None


def _command(place: Place, *words: str) -> list[str]:
    return [sys.executable, "-m", "canary", *words, "-f", str(place.config)]


def ask(port: int, path: str) -> tuple[int, dict[str, Any]]:
    """Status and JSON of one answer from 127.0.0.1.

    Raises:
        OSError: nobody answers, or no such thing.
    """
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request("GET", path, headers={"Connection": "close"})
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read())
    except (http.client.HTTPException, ValueError) as fault:
        raise ConnectionError(f"no answer that makes sense: {fault}") from None
    finally:
        connection.close()


def users(port: int) -> tuple[int, str]:
    """How many users the service gives back, page by page, and the digest of who they are.

    Raises:
        OSError: it does not answer, or with a fault.
    """
    found: list[tuple[int, str, float]] = []
    while True:
        status, said = ask(port, f"/users?limit={PAGE}&after={found[-1][0] if found else 0}")
        if status != 200:
            raise ConnectionError(f"/users answered {status}: {said.get('error')}")
        if not said["users"]:
            return len(found), digest_of(found)
        found += [(one["id"], one["name"], one["created"]) for one in said["users"]]


def gives_back(port: int, wanted: Content) -> bool:
    """Whether the service answers with the very users that a backup holds."""
    return users(port) == (wanted.users, wanted.digest)
