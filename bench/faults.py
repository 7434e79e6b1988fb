"""What becomes of a release when something goes wrong in its middle, beside what became of others.

    python -m bench.faults [FAULT...]

A healthy version of four pods, steps of 25 and 50 % that hold 7 s at least, scripted metrics, a real API
server. Each fault comes while the first step holds: Prometheus gives no number, or the driver is killed, for
longer than both steps last. The leases are the usual ones, of 10 s. Exits 1 when something was promoted that
was not seen to be good, something healthy was undone, the ledger lacks a look, or a second driver took more
until its first decision than its own start, 6 s at most: the first one is proved dead, not waited for.

The other columns were measured on 2026-11-23, one run each: Argo Rollouts 9f8d111d with 3 x 20 s pauses,
failureLimit 3 and consecutiveErrorLimit 4; Flagger 15bd6ad5 with 6 x 10 s and threshold 4; killed for 45 s.
"""

import os
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from tests import cluster
from tests.kube.faulted import FAULTS, a_case, went
from tests.kube.live import a_namespace

WIDTHS = (38, 44, 30, 42)
HEADER = ("fault", "canary", "Argo Rollouts", "Flagger")


def row(*cells: str) -> str:
    """One line of the table."""
    return "".join(f"{cell:<{width}}" for cell, width in zip(cells, WIDTHS, strict=True)).rstrip()


def once(kubeconfig: Path, name: str) -> list[str]:
    """Have it go wrong, print its row; what must not have been."""
    fault = FAULTS[name]
    with (
        tempfile.TemporaryDirectory(prefix="canary-bench-") as folder,
        a_namespace(kubeconfig) as place,
        a_case(place, Path(folder)) as case,
    ):
        try:
            word = went(case, fault)
        except AssertionError as stuck:
            word = "stuck"
            case.wrong.append(str(stuck))
    if case.restart_s is not None:
        word += f"; first decision after {case.restart_s:.1f} s"
    print(row(name, word + (", WRONG" if case.wrong else ""), fault.argo, fault.flagger), flush=True)
    return [f"{name}: {one}" for one in case.wrong]


def main(names: Sequence[str]) -> int:
    """Bring a control plane up, unless one stands, and print the table; 0 when every row is as promised."""
    if unknown := [name for name in names if name not in FAULTS]:
        print(f"no such fault: {', '.join(unknown)}; there are: {', '.join(FAULTS)}", file=sys.stderr)
        return 2
    try:
        with cluster.running() as found:
            os.environ["KUBECONFIG"] = str(found.kubeconfig)
            print(row(*HEADER))
            wrong = [one for name in names or FAULTS for one in once(found.kubeconfig, name)]
    except cluster.LackingError as fault:
        print(f"skipped: there is no test cluster here: {fault}")
        return 0
    print("\n".join(wrong) or f"{len(names or FAULTS)} faults, all as promised")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
