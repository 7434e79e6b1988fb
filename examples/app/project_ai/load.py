"""`python -m project_ai load`: made-up users of the service: they sign up, look at themselves and at others.

They come at random, a fixed number a second on the average, each on a connection of its own: a slow service
is not asked less often. One line of JSON at the end says what came of it.
"""

import argparse
import http.client
import json
import random
import signal
import sys
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlsplit

from project_ai.problem import ProblemError

TIMEOUT_S = 10.0
AT_ONCE = 64
SIGN_UP, LIST = 0.1, 0.2
"""Shares of the requests; the others look at one user."""

NAMES = ("Ada", "Grace", "Katherine", "Radia", "Barbara", "Edsger", "Alan", "Donald")


class Crowd:
    """The users.

    Args:
        url: of the service, `http://127.0.0.1:8000`.
        seed: of what they do; None: not repeatable.

    Raises:
        ProblemError: this is no such address.
    """

    def __init__(self, url: str, seed: int | None = None) -> None:
        parts = urlsplit(url)
        if parts.scheme != "http" or not parts.hostname:
            raise ProblemError(f"--url {url} is no address", remedy="Wanted: http://127.0.0.1:8000")
        self._address = (parts.hostname, parts.port or 80)
        self._chance = random.Random(seed)  # noqa: S311 - a simulation
        self._lock = threading.Lock()
        self._answers: Counter[str] = Counter()
        self._known = [1]
        self._over = threading.Event()

    def stop(self) -> None:
        """No more come."""
        self._over.set()

    def come(self, rps: float, seconds: float) -> dict[str, object]:
        """Come for so long; what they were answered: `{"sent": n, "v1.0.0 200": n, "failed": n, ...}`."""
        begun = due = time.monotonic()
        with ThreadPoolExecutor(AT_ONCE, thread_name_prefix="user") as users:
            while not self._over.is_set() and (due := due + self._chance.expovariate(rps)) < begun + seconds:
                self._over.wait(max(0.0, due - time.monotonic()))
                users.submit(self._one, *self._wish())
        answers = dict(sorted(self._answers.items()))
        return {"seconds": round(time.monotonic() - begun, 1), "sent": sum(answers.values()), **answers}

    def _wish(self) -> tuple[str, str, str | None]:
        with self._lock:
            kind = self._chance.random()
            if kind < SIGN_UP:
                name = self._chance.choice(NAMES)
                email = f"{name.lower()}@example.com" if self._chance.random() < 0.5 else None
                return "POST", "/users", json.dumps({"name": name, "email": email})
            if kind < SIGN_UP + LIST:
                return "GET", "/users?limit=20", None
            return "GET", f"/users/{self._chance.choice(self._known)}", None

    def _one(self, method: str, path: str, body: str | None) -> None:
        connection = http.client.HTTPConnection(*self._address, timeout=TIMEOUT_S)
        try:
            connection.request(method, path, body, {"Connection": "close"})
            answer = connection.getresponse()
            said = answer.read()
            outcome = f"{answer.headers.get('X-Version', 'nobody')} {answer.status}"
        except (OSError, http.client.HTTPException) as fault:
            said, outcome = b"", f"failed: {type(fault).__name__}"
        finally:
            connection.close()
        with self._lock:
            self._answers[outcome] += 1
            if outcome.endswith(" 201"):
                self._known = [*self._known[-199:], json.loads(said)["id"]]


def add_options(parser: argparse.ArgumentParser) -> None:
    """What can be asked of it on the command line."""
    parser.add_argument("--url", default="http://127.0.0.1:8000")
    parser.add_argument(
        "--rps", type=float, default=50.0, help="requests a second on the average, up to 1000"
    )
    parser.add_argument("--seconds", type=float, default=3600.0, help="how long, up to 86400")
    parser.add_argument("--seed", type=int, help="makes what they do repeatable")


def run(given: argparse.Namespace) -> int:
    """Make load until the time is over, or SIGTERM or Ctrl-C; 0 whatever the answers were.

    Raises:
        ProblemError: something that was asked is out of bounds.
    """
    for name, found, most in (("--rps", given.rps, 1000), ("--seconds", given.seconds, 86_400)):
        if not 0 < found <= most:
            raise ProblemError(
                f"{name} {found:g} is out of bounds", remedy=f"Wanted: above 0, at most {most}."
            )
    crowd = Crowd(given.url, given.seed)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: crowd.stop())
    sys.stdout.write(json.dumps(crowd.come(given.rps, given.seconds)) + "\n")
    return 0
