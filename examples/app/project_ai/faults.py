"""Faults for exercises: off unless somebody switches them on, at the start or while it runs.

| fault | value | what it does |
|---|---|---|
| `errors` | share, 0 to 1 | so many of the requests fail with status 500 |
| `latency` | seconds, 0 to 60 | every request takes so much longer |
| `not-ready` | 0 or 1 | `/health/ready` says no |
| `crash` | seconds, 0 to 86400 | the process dies so much later, with status 70, in the midst of its work |
| `leak` | MiB a second, 0 to 1024 | memory is taken and never given back |

0 switches a fault off. Only requests of users are touched: health checks and metrics stay as they are.
"""

import math
import os
import random
import sys
import threading
import time
from collections.abc import Mapping

from project_ai.problem import ProblemError

MOST: Mapping[str, float] = {"errors": 1, "latency": 60, "not-ready": 1, "crash": 86_400, "leak": 1024}
CRASH_STATUS = 70
LEAK_TURN_S = 0.25


class BrokenError(Exception):
    """The fault `errors` has struck."""


def parse(given: str) -> dict[str, float]:
    """Faults as people write them: `errors=0.02,latency=0.5`.

    Raises:
        ProblemError: no such fault, or a value that makes no sense.
    """
    faults = {}
    for part in filter(None, (part.strip() for part in given.split(","))):
        name, _, value = part.partition("=")
        faults[name.strip()] = value.strip()
    return checked(faults)


def checked(faults: Mapping[str, object]) -> dict[str, float]:
    """Names and values, as numbers within their bounds.

    Raises:
        ProblemError: as for `parse`.
    """
    found = {}
    for name, value in faults.items():
        if name not in MOST:
            raise ProblemError(f"there is no fault {name!r}", remedy=f"Faults: {', '.join(MOST)}.")
        try:
            number = float(value) if isinstance(value, int | float | str) else math.nan
        except ValueError:
            number = math.nan
        if not 0 <= number <= MOST[name]:
            raise ProblemError(
                f"{name}={value} is out of bounds", remedy=f"Wanted: a number from 0 to {MOST[name]:g}."
            )
        found[name] = number
    return found


class Faults:
    """The faults of one process, and what they do.

    Args:
        seed: of the chance with which requests fail; None: not repeatable.
    """

    def __init__(self, seed: int | None = None) -> None:
        self._on: dict[str, float] = {}
        self._chance = random.Random(seed)  # noqa: S311 - an exercise
        self._lock = threading.Lock()
        self._bomb: threading.Timer | None = None
        self._leaked: list[bytearray] = []
        self._leaking = threading.Event()

    @property
    def on(self) -> dict[str, float]:
        """What is switched on."""
        with self._lock:
            return dict(self._on)

    def switch(self, faults: Mapping[str, float]) -> None:
        """Switch these on, or off where the value is 0; the others stay as they are."""
        with self._lock:
            self._on = {name: value for name, value in {**self._on, **faults}.items() if value}
            if "crash" in faults:
                self._set_bomb(faults["crash"])
            if self._on.get("leak") and not self._leaking.is_set():
                self._leaking.set()
                threading.Thread(target=self._leak, name="leak", daemon=True).start()

    def strike(self) -> None:
        """What the faults do to one request of a user.

        Raises:
            BrokenError: this one fails.
        """
        on = self.on
        if latency := on.get("latency"):
            time.sleep(latency)
        if self._chance.random() < on.get("errors", 0.0):
            raise BrokenError("the fault `errors` is on")

    @property
    def not_ready(self) -> bool:
        """Whether it shall say that it is not ready."""
        return "not-ready" in self.on

    def _set_bomb(self, seconds: float) -> None:
        if self._bomb is not None:
            self._bomb.cancel()
        self._bomb = threading.Timer(seconds, _crash) if seconds else None
        if self._bomb is not None:
            self._bomb.daemon = True
            self._bomb.start()

    def _leak(self) -> None:
        while rate := self.on.get("leak"):
            part = bytearray(int(rate * LEAK_TURN_S * 1024 * 1024))
            part[:: os.sysconf("SC_PAGE_SIZE")] = b"x" * len(part[:: os.sysconf("SC_PAGE_SIZE")])
            self._leaked.append(part)
            time.sleep(LEAK_TURN_S)
        self._leaking.clear()


def _crash() -> None:
    sys.stderr.write("the fault `crash` is on\n")
    sys.stderr.flush()
    # Not sys.exit: a crash finishes nothing.
    os._exit(CRASH_STATUS)
