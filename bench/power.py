"""How soon a regression is found: `python -m bench.power [--releases N]`.

Median and 90 % seconds from the start to rollback over all runs (inf: more than half not rolled back), at no
tolerance beside the reference figures (one canary pod of five, no cap), at the default tolerances
(errors 10 %, latency tails 25 %), and as plans prefer it: two canary pods of ten, leave-one-pod-out.
"""

import argparse
import time
from dataclasses import replace

import numpy as np

from bench.simulate import AS_MEASURED, Outcome, Rules, World, design, run

ROWS: dict[str, tuple[World, float, int]] = {
    "err-low-0.1%to1%": (World(1, 0.001, 0.01), 2970, 240),
    "err-low-0.1%to5%": (World(1, 0.001, 0.05), 608, 240),
    "err-med-0.1%to0.2%": (World(20, 0.001, 0.002), float("inf"), 240),
    "err-med-0.5%to1%": (World(20, 0.005, 0.01), 900, 240),
    "err-med-0.1%to1%": (World(20, 0.001, 0.01), 300, 60),
    "err-med-0.1%to5%": (World(20, 0.001, 0.05), 75, 30),
    "err-high-0.1%to0.2%": (World(500, 0.001, 0.002), 330, 60),
    "err-high-0.5%to1%": (World(500, 0.005, 0.01), 135, 30),
    "err-high-0.1%to1%": (World(500, 0.001, 0.01), 30, 20),
    "err-high-0.1%to5%": (World(500, 0.001, 0.05), 15, 20),
    "lat-med-scale1.10": (World(20, shape="scale", scale=1.1), 390, 80),
    "lat-med-p99x1.5": (World(20, shape="p99"), 375, 80),
    "lat-med-bimodal5%+1s": (World(20, shape="bimodal"), 135, 30),
    "lat-high-scale1.10": (World(500, shape="scale", scale=1.1), 105, 30),
    "lat-high-p99x1.5": (World(500, shape="p99"), 105, 30),
    "lat-high-bimodal5%+1s": (World(500, shape="bimodal"), 75, 20),
}
"""Name -> world, the reference median in seconds, looks that are enough to see the median."""


def middle(outcome: Outcome, share: float = 0.5) -> float:
    """Quantile of the time to rollback; a promotion before it counts as never."""
    return float(np.quantile(outcome.found(), share, method="higher"))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--releases", type=int, default=400)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    print(f"{'regression':24}{'figure':>8}{'median':>8}{'p90':>8}{'found':>7}", end="")
    print(f"{'defaults':>10}{'two pods':>10}{'s':>6}")
    for name, (world, figure, _) in ROWS.items():
        began = time.perf_counter()
        plain = run(world, design(), given.releases, given.seed, AS_MEASURED)
        lenient = run(world, design(0.10, 0.25), given.releases, given.seed, AS_MEASURED)
        pair = replace(world, canary_pods=2, stable_pods=8)
        two = run(pair, design(), given.releases, given.seed, Rules(cap=10.0, leave_one_out=True))
        found = np.isfinite(plain.found()).mean()
        print(
            f"{name:24}{figure:8.0f}{middle(plain):8.0f}{middle(plain, 0.9):8.0f}{found:7.0%}"
            f"{middle(lenient):10.0f}{middle(two):10.0f}{time.perf_counter() - began:6.1f}",
            flush=True,
        )


if __name__ == "__main__":
    main()
