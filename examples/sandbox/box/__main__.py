"""`python3 -m box`: make, replace and destroy the sandbox, look how hard it is, and rehearse a compromise."""

import argparse
import sys
from collections.abc import Callable, Sequence

from box import drill, hardening, lifecycle, pins
from box.docker import SANDBOX, inspected
from box.problem import ProblemError, say

EXCUSES: dict[tuple[str, str], str] = {
    ("5.32", f"{SANDBOX}-filter"): "it is what stands before the socket",
    ("5.32", f"{SANDBOX}-watchdog-filter"): "it is what stands before the socket",
    ("5.6", f"{SANDBOX}-monitor"): "the control groups are what it reads, and read-only",
    ("5.9", f"{SANDBOX}-monitor"): "its metrics, for this machine alone",
    ("5.16", f"{SANDBOX}-monitor"): "it looks at the sandbox's processes from outside",
}
"""What has to be as it is, and why."""


def parser() -> argparse.ArgumentParser:
    """The command line."""
    made = argparse.ArgumentParser(prog="python3 -m box", description=__doc__)
    commands = made.add_subparsers(dest="command", required=True, metavar="COMMAND")

    def command(name: str, what: str) -> argparse.ArgumentParser:
        return commands.add_parser(name, help=what, description=what)

    command("pin", "pin the images by what is in them").add_argument(
        "image", nargs="?", help="of the sandbox; default: project-ai/core:experimental"
    )
    command("up", "make the sandbox from what is pinned")
    command("status", "say what runs")
    command("destroy", "end the sandbox at once, and remove all that it wrote")
    command("upgrade", "destroy it, and make it anew from another image").add_argument("image")
    command("rollback", "destroy it, and make it anew from what was pinned before")
    command("recover", "after a compromise: destroy, look whether the ledger is whole, make anew")
    command("rules", "say what the rules mean")
    command("verify", "look whether the ledger is whole")
    command("export", "print the ledger")
    command("hardening", "look at the points of the CIS Docker Benchmark; status 1 when one fails")
    command("preflight", "the ten points that must hold, by canary; exits as it does").add_argument(
        "prometheus", nargs="?", metavar="URL", help="of the Prometheus that has the alerts"
    )
    command("drill", "rehearse a compromise from nothing, and measure").add_argument(
        "experiment", choices=sorted(drill.EXPERIMENTS)
    )
    return made


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; the exit status. 2: nothing was touched; 1: it has failed."""
    given = parser().parse_args(arguments)
    does: dict[str, Callable[[], int | None]] = {
        "pin": lambda: _pin(given.image),
        "up": lambda: say(f"{SANDBOX} serves after {lifecycle.up():.1f} s"),
        "status": lambda: say(lifecycle.status()),
        "destroy": lambda: say(f"destroyed after {lifecycle.destroy():.1f} s"),
        "upgrade": lambda: lifecycle.upgrade(given.image),
        "rollback": lifecycle.rollback,
        "recover": lifecycle.recover,
        "rules": lambda: _print(lifecycle.check_rules()),
        "verify": lambda: _print(lifecycle.verify()),
        "export": lambda: _print(lifecycle.export()),
        "hardening": _hardening,
        "preflight": lambda: _preflight(given.prometheus),
        "drill": lambda: _print(drill.told(drill.drill(given.experiment)) + "\n"),
    }
    try:
        return does[given.command]() or 0
    except ProblemError as fault:
        say(f"box: {fault}\n{fault.remedy}")
        return fault.code


def _pin(image: str | None) -> None:
    for name, value in pins.pin(image).items():
        say(f"{name}={value}")


def _preflight(prometheus: str | None) -> int:
    code, said = lifecycle.preflight(prometheus)
    _print(said)
    return code


def _print(text: str) -> None:
    sys.stdout.write(text)


def _hardening() -> int:
    containers = inspected(*lifecycle.CONTAINERS)
    if not containers:
        raise ProblemError("nothing runs", remedy="Make the sandbox first: python3 -m box up", code=2)
    found = hardening.checked(containers, EXCUSES)
    for one in found:
        _print(f"{one.result:8} {one.point:5} {one.container:28} {one.title}{one.told and f': {one.told}'}\n")
    counted = {result: sum(one.result == result for one in found) for result in dict.fromkeys(_results())}
    _print(", ".join(f"{number} {result}" for result, number in counted.items()) + "\n")
    return int(counted[hardening.FAIL] > 0)


def _results() -> tuple[str, ...]:
    return hardening.PASS, hardening.EXCUSED, hardening.NONE, hardening.FAIL


if __name__ == "__main__":
    sys.exit(main())
