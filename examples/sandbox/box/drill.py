"""Drills: the sandbox is compromised; how long until it is destroyed, and until a new one serves."""

import json
import subprocess
import time
from dataclasses import asdict, dataclass

from box.docker import SANDBOX, running, state_of, until
from box.lifecycle import destroy, up, verify
from box.problem import ProblemError, say

EXPERIMENTS = {
    "egress": 30.0,
    "fork_bomb": 30.0,
    "memory": 60.0,
    "nonsense": 30.0,
    "violation": 30.0,
}
"""What is played, and how long it may take until the monitor has ended the sandbox, seconds."""


@dataclass(frozen=True)
class Measured:
    """One drill, in seconds from the moment in which it went wrong.

    Attributes:
        experiment: what was played. ended_s: until no process of it lived. destroyed_s: until nothing of
            it was left. serving_s: until a new one served; the ledger was found whole before.
    """

    experiment: str
    ended_s: float
    destroyed_s: float
    serving_s: float


def drill(experiment: str) -> Measured:
    """From nothing to a sandbox, to its compromise, to a new one.

    Raises:
        ProblemError: the monitor did not end it, or the ledger is not whole.
    """
    if experiment not in EXPERIMENTS:
        raise ProblemError(
            f"there is no experiment {experiment}", remedy=f"One of {', '.join(EXPERIMENTS)}.", code=2
        )
    destroy()
    say(f"a sandbox serves after {up():.1f} s; now {experiment}")
    begun = time.monotonic()
    with subprocess.Popen(
        ["docker", "exec", SANDBOX, "python3", f"/app/experiments/{experiment}.py"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as played:
        until(lambda: not running(), f"the monitor to end {SANDBOX}", EXPERIMENTS[experiment])
        ended_s = time.monotonic() - begun
        played.kill()
    say(f"ended after {ended_s:.1f} s with status {state_of(SANDBOX).get('ExitCode')}")
    destroy()
    destroyed_s = time.monotonic() - begun
    say(verify().strip())
    up()
    times = (ended_s, destroyed_s, time.monotonic() - begun)
    return Measured(experiment, *(round(one, 2) for one in times))


def told(measured: Measured) -> str:
    """One line of JSON."""
    return json.dumps(asdict(measured))
