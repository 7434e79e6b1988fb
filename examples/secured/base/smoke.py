"""Whether a deployed service does what it is there for: `smoke.py URL`.

EXPECTED, in the environment: the version that is wanted, such as v1.1.1.
"""

import json
import os
import sys
import time
import urllib.error
import urllib.request
from typing import Any

URL = sys.argv[1]
TRIES = 20


def asked(path: str, body: dict[str, str] | None = None) -> Any:  # noqa: ANN401
    """The answer, as JSON."""
    data = None if body is None else json.dumps(body).encode()
    with urllib.request.urlopen(urllib.request.Request(URL + path, data), timeout=5) as answer:  # noqa: S310
        return json.load(answer)


def check() -> str:
    """Users come, are stored and found again, by the version that was meant. What is wrong, or nothing."""
    health = asked("/health")
    expected = os.environ.get("EXPECTED", "").removeprefix("v")
    if expected not in ("", health["version"]):
        return f"version {health['version']} answers, wanted {expected}"
    asked("/health/ready")
    # With and without what is optional: the second is what an old user looks like.
    for given in ({"name": "Smoke", "email": "smoke@example.com"}, {"name": "Smoke"}):
        made = asked("/users", given)
        found = asked(f"/users/{made['id']}")
        if found["name"] != given["name"]:
            return f"stored {given}, found {found}"
    return "" if asked("/users?limit=1")["users"] else "nobody is listed"


def wrong() -> str:
    """Wait a while until anybody answers at all; what answers has one chance. What is wrong, or nothing."""
    for _ in range(TRIES):
        try:
            asked("/health/live")
            break
        except OSError:
            time.sleep(1)
    try:
        return check()
    except urllib.error.HTTPError as fault:
        return f"{fault.url} answers {fault.code}: {fault.read().decode()[:500]}"
    except (OSError, KeyError, ValueError) as fault:
        return f"{type(fault).__name__}: {fault}"


def main() -> int:
    """One line says what came of it; 1 when something is wrong."""
    found = wrong()
    sys.stdout.write(f"smoke test of {URL} {'failed: ' + found if found else 'passed'}\n")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
