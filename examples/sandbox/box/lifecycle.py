"""The sandbox from its making to its destruction, and what is done when it is compromised."""

import time
from contextlib import suppress

from box import pins
from box.docker import (
    HERE,
    KEYS,
    LEDGER,
    SANDBOX,
    SEALS,
    answers,
    compose,
    docker,
    inspected,
    logs,
    running,
    state_of,
    tried,
    until,
)
from box.problem import ProblemError, say

MONITOR, ROLES = f"{SANDBOX}-monitor", ("door", "filter", "monitor", "watchdog", "watchdog-filter")
FILTER = f"{SANDBOX}-filter"
CONTAINERS = (SANDBOX, *(f"{SANDBOX}-{role}" for role in ROLES))
LAST_WORDS_S = 5.0
MONITOR_USER = "65530:65530"
BOOK, COPIES, KEY = f"/ledger/{SANDBOX}.jsonl", f"/seals/{SANDBOX}.jsonl", "/run/keys/seal.key"
"""Where the monitor's image has them."""


def up() -> float:
    """Make it, from what is pinned; seconds until it serves.

    Raises:
        ProblemError: it does not come up. What has come up is destroyed again.
    """
    pins.read()
    if running():
        raise ProblemError(
            f"{SANDBOX} runs already", remedy="Destroy it first: python3 -m box destroy", code=2
        )
    begun = time.monotonic()
    # What is left of one that has ended holds memory that the next one must not see.
    compose("down", "--volumes")
    _have_ledger()
    check_rules()
    try:
        compose("up", "--detach")
        until(answers, f"{SANDBOX} to be ready")
    except ProblemError:
        _say_last_words()
        destroy()
        raise
    return time.monotonic() - begun


def destroy() -> float:
    """End it at once, and remove it with all that it wrote; seconds until nothing of it is left.

    The ledger and the pins stay.
    """
    begun = time.monotonic()
    if running():
        docker("kill", SANDBOX)
    # It ends with the sandbox, and writes down how.
    with suppress(ProblemError):
        until(lambda: not running(MONITOR), f"{MONITOR} to end", LAST_WORDS_S)
    compose("kill")
    compose("down", "--volumes")
    if inspected(SANDBOX):
        raise ProblemError(f"{SANDBOX} is still there", remedy=f"docker rm --force {SANDBOX}")
    return time.monotonic() - begun


def upgrade(image: str) -> None:
    """Destroy it and make it anew from another image, which is pinned by what is in it.

    Raises:
        ProblemError: the new one does not serve. The old one serves again, made anew.
    """
    before = pins.read()["SANDBOX_IMAGE"]
    after = pins.pin(image)["SANDBOX_IMAGE"]
    if after == before:
        say(f"{image} is what is pinned already: it is made anew")
    destroy()
    try:
        took_s = up()
    except ProblemError as fault:
        pins.swap()
        up()
        raise ProblemError(
            f"{image} does not serve: {fault}",
            remedy=f"The sandbox was made anew from {before}. Mend the image, and upgrade again.",
        ) from None
    say(f"{SANDBOX} serves from {after} after {took_s:.1f} s; before: {before}")


def rollback() -> None:
    """Destroy it and make it anew from what was pinned before."""
    image = pins.swap()["SANDBOX_IMAGE"]
    destroy()
    say(f"{SANDBOX} serves from {image} after {up():.1f} s")


def recover() -> None:
    """After a compromise: destroy, see that the ledger is whole, and begin again.

    Raises:
        ProblemError: the ledger was changed: nothing is started before somebody has looked.
    """
    say(f"destroyed after {destroy():.1f} s")
    say(verify().strip())
    say(f"serves again after {up():.1f} s")


def check_rules() -> str:
    """Read the rules as the monitor will; what they mean, in words.

    Raises:
        ProblemError: they do not parse; the place is named.
    """
    rules = "/etc/canary/safety_rules.yaml"
    command = ("canary", "guard", "run", "--rules", rules, "--check")
    try:
        return _kept(*command, mounts=(f"{HERE / 'safety_rules.yaml'}:{rules}:ro",))
    except ProblemError as fault:
        raise ProblemError(str(fault), remedy="Mend safety_rules.yaml.", code=2) from None


def verify() -> str:
    """Look whether the ledger is whole and agrees with its seals and their copies; what was said.

    Raises:
        ProblemError: it does not.
    """
    check = ("canary", "audit", "verify", BOOK, "--key", f"{KEY}.pub", "--seals", COPIES)
    return _kept(*check, mounts=(f"{LEDGER}:/ledger:ro", f"{KEYS}:/run/keys:ro", f"{SEALS}:/seals:ro"))


def export() -> str:
    """The ledger, line by line, for whoever investigates."""
    return _kept("cat", BOOK, mounts=(f"{LEDGER}:/ledger:ro",))


def status() -> str:
    """One line: what runs, and from which image."""
    state = state_of(SANDBOX)
    if not state:
        return f"{SANDBOX} is not there"
    health = state.get("Health", {}).get("Status", "unknown")
    return f"{SANDBOX}: {state['Status']}, {health}, from {inspected(SANDBOX)[0]['Image']}"


def _have_ledger() -> None:
    """Ledger, key and copies of the seals: the monitor's alone, and not what Compose removes."""
    there = docker("volume", "ls", "--quiet").split()
    for name in (LEDGER, KEYS, SEALS):
        if name not in there:
            docker("volume", "create", name)
    # Each time: who was interrupted between these two goes on here.
    only = (
        "--rm",
        "--cap-drop",
        "ALL",
        "--cap-add",
        "CHOWN",
        "--network",
        "none",
        "--read-only",
        "--user",
        "0",
    )
    mounts = [option for name in (LEDGER, KEYS, SEALS) for option in ("--volume", f"{name}:/kept/{name}")]
    places = [f"/kept/{name}" for name in (LEDGER, KEYS, SEALS)]
    image = pins.read()["FILTER_IMAGE"]
    docker("run", *only, *mounts, "--entrypoint", "chown", image, MONITOR_USER, *places)
    have = f"test -e {KEY} || exec canary audit keygen {KEY}"
    _kept("sh", "-c", have, mounts=(f"{KEYS}:/run/keys",))


def preflight(prometheus: str | None = None) -> tuple[int, str]:
    """The ten points that must hold, of the sandbox as it runs: the exit code of canary, and what it said.

    Args:
        prometheus: URL of the one that has the alerts of `monitoring/`, as this machine reaches it.
    """
    check = ("preflight", "--container", SANDBOX, "--docker", "unix:///run/filter/docker.sock")
    ledger = ("--ledger", "/ledger", "--key", f"{KEY}.pub", "--seals", COPIES)
    alerts = ("--prometheus", prometheus) if prometheus else ()
    mounts = (
        f"{LEDGER}:/ledger:ro",
        f"{KEYS}:/run/keys:ro",
        f"{SEALS}:/seals:ro",
        f"{FILTER}:/run/filter:ro",
    )
    # It sees the machine's processes, as the monitor does: they tell which mounts are memory.
    seen = ("--pid", "host", "--group-add", "65531", "--network", "host" if prometheus else "none")
    only = ("--rm", "--read-only", "--cap-drop", "ALL", "--user", MONITOR_USER, *seen)
    options = [option for mount in mounts for option in ("--volume", mount)]
    return tried("run", *only, *options, pins.read()["MONITOR_IMAGE"], *check, *ledger, *alerts)


def _say_last_words() -> None:
    for name in CONTAINERS:
        state = state_of(name)
        if state.get("Status") == "exited" and state.get("ExitCode"):
            say(f"{name} has ended with status {state['ExitCode']}: {logs(name)}")


def _kept(program: str, *arguments: str, mounts: tuple[str, ...]) -> str:
    """Run a program of the monitor's image on what is kept, without a network."""
    only = ("--rm", "--network", "none", "--read-only", "--cap-drop", "ALL", "--user", MONITOR_USER)
    options = [option for mount in mounts for option in ("--volume", mount)]
    return docker("run", *only, *options, "--entrypoint", program, pins.read()["MONITOR_IMAGE"], *arguments)
