"""The tests in tiers: `python -m tests.run [TIER...] [-k EXPRESSION]`. `make test` runs them all.

    checks       format, lint, types, rooms, lengths: the commands of `make check`
    unit         all tests that need no processes of their own, on two cores
    statistics   seeded simulations of the promised rates, on two cores
    builds       Kubernetes, a node's programs, Prometheus, from source: minutes at first, then kept
    e2e          real processes, sockets and signals, three at a time: mostly they wait
    solo         those of them that keep the processors busy, one after the other: demos, kills, READMEs
    docker       real Docker daemons, with the sandbox of the examples and what watches it, two at a time
    cluster      the scripts that make both clusters: what they claim, and what they leave behind
    control-plane  releases against a real API server with RBAC; nodes and pods are simulated
    node         releases of real containers on a real node, scraped by a real Prometheus, two at a time

Ends with what each tier took and one line, `N passed, N failed`, summed over the tiers; exits 1 when anything
failed. What cannot run here is skipped loudly, by name; with CI=true that is a failure.
"""

import argparse
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

from tests import cluster, docker, leftovers, tools
from tests.cluster import build, made, upkeep

ROOT = Path(__file__).parent.parent
BIN = Path(sys.executable).parent

CHECKS: tuple[tuple[str, ...], ...] = (
    ("ruff", "format", "--check", "."),
    ("ruff", "check", "."),
    ("mypy",),
    ("lint-imports", "--no-cache"),
    ("python", "-m", "tests.lengths"),
)
PYTEST: dict[str, tuple[str, ...]] = {
    "unit": (
        "-n",
        "2",
        "-m",
        "not statistics and not e2e and not control_plane and not node and not cluster and not docker",
    ),
    "statistics": ("-n", "2", "-m", "statistics"),
    "e2e": ("-n", "3", "--dist", "loadfile", "-m", "e2e and not solo"),
    "solo": ("-m", "solo"),
    "docker": ("-n", "2", "--dist", "loadfile", "-m", "docker"),
    "cluster": ("-m", "cluster"),
    "control-plane": ("-n", "4", "-m", "control_plane"),
    "node": ("-n", "2", "--dist", "loadfile", "-m", "node"),
}
CLUSTERS = {"control-plane": False, "node": True}
"""Tiers that need a cluster; True: with a node that runs containers."""
TIERS = (
    "checks",
    "unit",
    "statistics",
    "builds",
    "e2e",
    "solo",
    "docker",
    "cluster",
    "control-plane",
    "node",
)
NOTHING_COLLECTED = 5


@dataclass(frozen=True)
class Tally:
    """What came of it. `skipped`: names of what could not run here, each with its reason."""

    passed: int = 0
    failed: int = 0
    skipped: tuple[str, ...] = ()

    def __add__(self, other: "Tally") -> "Tally":
        return Tally(self.passed + other.passed, self.failed + other.failed, self.skipped + other.skipped)


def checks() -> Tally:
    """Each command of `make check`; one that fails does not keep the others from running."""
    tally = Tally()
    for command in CHECKS:
        print(f"$ {' '.join(command)}", flush=True)
        good = subprocess.run([str(BIN / command[0]), *command[1:]], cwd=ROOT, check=False).returncode == 0
        tally += Tally(passed=int(good), failed=int(not good))
    return tally


def builds() -> Tally:
    """What the tiers below are run against and is not there yet; one success or failure."""
    try:
        build.built(build.PROMETHEUS)
        if not os.environ.get(made.VARIABLE):
            upkeep.provide(real=True)
    except cluster.LackingError as lacking:
        return Tally(skipped=(f"the tier builds: {lacking}",))
    except cluster.ClusterError as fault:
        print(f"it cannot be built: {fault}", flush=True)
        return Tally(failed=1)
    return Tally(passed=1)


def tests(tier: str, expression: str) -> Tally:
    """One run of pytest; the tally is read from its report, never from its words."""
    with tempfile.TemporaryDirectory(prefix="canary-tests-") as folder:
        report = Path(folder) / "report.xml"
        command = [str(BIN / "python"), "-m", "pytest", *PYTEST[tier], f"--junitxml={report}"]
        if expression:
            command += ["-k", expression]
        code = subprocess.run(command, cwd=ROOT, check=False).returncode
        return tallied(report, code, may_be_empty=bool(expression))


def clustered(tier: str, expression: str) -> Tally:
    """One run of pytest, with the cluster that it needs; what cannot run here is told by name."""
    if tier not in CLUSTERS:
        return tests(tier, expression)
    begun = time.monotonic()
    try:
        with cluster.running(node=CLUSTERS[tier]):
            print(f"the cluster stands after {time.monotonic() - begun:.0f} s", flush=True)
            return tests(tier, expression)
    except cluster.LackingError as lacking:
        return Tally(skipped=(f"the tier {tier}: {lacking}",))
    except cluster.ClusterError as fault:
        print(f"the cluster does not come up: {fault}", flush=True)
        return Tally(failed=1)


def tallied(report: Path, code: int, *, may_be_empty: bool) -> Tally:
    """Sum up a junit report. A run that died, or that found no test to run, has failed."""
    if code == NOTHING_COLLECTED and may_be_empty:
        return Tally()
    try:
        cases = ElementTree.parse(report).getroot().findall(".//testcase")
    except (OSError, ElementTree.ParseError):
        return Tally(failed=1)
    failed = {
        id(case) for case in cases if case.find("failure") is not None or case.find("error") is not None
    }
    skipped = [case for case in cases if case.find("skipped") is not None and id(case) not in failed]
    names = tuple(f"{case.get('name')}: {_reason(case)}" for case in skipped)
    total = Tally(len(cases) - len(failed) - len(skipped), len(failed), names)
    return total if code == 0 or total.failed else total + Tally(failed=1)


def _reason(case: ElementTree.Element) -> str:
    skipped = case.find("skipped")
    return (skipped.get("message") or "no reason given") if skipped is not None else ""


def run(tier: str, expression: str) -> Tally:
    """One tier, with its name before and its time after."""
    print(f"\n=== {tier} " + "=" * (70 - len(tier)), flush=True)
    begun = time.monotonic()
    if tier in ("e2e", "solo"):
        tools.provide_prometheus()
    own: dict[str, Callable[[], Tally]] = {"checks": checks, "builds": builds}
    tally = own[tier]() if tier in own else clustered(tier, expression)
    took = time.monotonic() - begun
    print(f"=== {tier}: {tally.passed} passed, {tally.failed} failed, {took:.1f} s", flush=True)
    return tally


def judged(tally: Tally, *, in_ci: bool) -> Tally:
    """In CI nothing may be left out: what was skipped has failed."""
    return Tally(tally.passed, tally.failed + (len(tally.skipped) if in_ci else 0), tally.skipped)


@contextmanager
def stoppable() -> Iterator[None]:
    """SIGTERM ends a run as Ctrl-C does, and nothing that it started outlives it."""

    def stop(signum: int, _: object) -> None:
        raise SystemExit(128 + signum)

    before = signal.signal(signal.SIGTERM, stop)
    mark = leftovers.marked(os.environ)
    try:
        leftovers.end_of_dead_runs()
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
        left = leftovers.end(mark)
        # Containers do not carry the mark. Whoever had their daemon has ended by now.
        left += [f"docker {name}" for where in docker.places() for name in docker.down(where)]
        for name in left:
            print(f"left running, ended now: {name}", flush=True)


def main(arguments: Sequence[str], runner: Callable[[str, str], Tally] = run) -> int:
    """Run the tiers named (all when none is); the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.run", description=__doc__.split("\n", 1)[0])
    parser.add_argument("tiers", nargs="*", metavar="TIER", help=f"of {', '.join(TIERS)}; default: all")
    parser.add_argument("-k", dest="expression", default="", help="only tests that match, as in pytest")
    chosen = parser.parse_args(arguments)
    if unknown := set(chosen.tiers) - set(TIERS):
        parser.error(f"no such tier: {', '.join(sorted(unknown))}; there are {', '.join(TIERS)}")
    tally, took = Tally(), {}
    with stoppable():
        for tier in chosen.tiers or TIERS:
            begun = time.monotonic()
            tally += runner(tier, chosen.expression)
            took[tier] = time.monotonic() - begun
    in_ci = os.environ.get("CI", "").lower() == "true"
    for name in tally.skipped:
        print(f"SKIPPED{', which fails in CI' if in_ci else ''}: {name}")
    print("; ".join(f"{tier} {seconds:.0f} s" for tier, seconds in took.items()))
    final = judged(tally, in_ci=in_ci)
    print(f"{final.passed} passed, {final.failed} failed")
    return 1 if final.failed or not final.passed else 0


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except KeyboardInterrupt:
        sys.exit(130)
