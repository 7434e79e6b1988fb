"""How often a healthy canary is rolled back: `python -m bench.aa [--releases N]`.

False rollbacks within 60 minutes (also after a promotion), promise 1 %, at no tolerance and at the default
ones (errors 10 %, latency tails 25 %), beside the reference figures; share promoted and median seconds; then
false promotions at the margin and of a canary that is bad under load only, promise 2 % a metric.
"""

import argparse
import time

import numpy as np

from bench.simulate import AS_MEASURED, Rules, World, design, run

PAIR = Rules(cap=10.0, leave_one_out=True)

ROWS: dict[str, tuple[World, Rules, float]] = {
    "low-0.001": (World(1, 0.001), AS_MEASURED, 0.05),
    "low-0.005": (World(1), AS_MEASURED, 0.30),
    "med-0.001": (World(20, 0.001), AS_MEASURED, 0.35),
    "med-0.005": (World(20), AS_MEASURED, 0.45),
    "high-0.001": (World(500, 0.001), AS_MEASURED, 0.05),
    "high-0.005": (World(500), AS_MEASURED, 0.25),
    "od-icc.005-low": (World(1, icc=0.005), AS_MEASURED, np.nan),
    "od-icc.005-med": (World(20, icc=0.005), AS_MEASURED, 0.80),
    "od-icc.005-high": (World(500, icc=0.005), AS_MEASURED, 0.70),
    "diurnal-low": (World(1, diurnal=True), AS_MEASURED, np.nan),
    "diurnal-med": (World(20, diurnal=True), AS_MEASURED, 0.40),
    "diurnal-high": (World(500, diurnal=True), AS_MEASURED, 0.10),
    "coldstart-decay45s-low": (World(1, hump=45.0), AS_MEASURED, np.nan),
    "coldstart-decay45s-5rps": (World(5, hump=45.0), AS_MEASURED, np.nan),
    "coldstart-decay45s-med": (World(20, hump=45.0), AS_MEASURED, 7.20),
    "coldstart-decay60s-med": (World(20, hump=60.0), AS_MEASURED, np.nan),
    "coldstart-decay45s-high": (World(500, hump=45.0), AS_MEASURED, 0.20),
    "burst-low, 2/10 pods": (World(1, bursts=True, canary_pods=2, stable_pods=10), PAIR, np.nan),
    "burst-med, 2/10 pods": (World(20, bursts=True, canary_pods=2, stable_pods=10), PAIR, np.nan),
    "burst-high, 2/10 pods": (World(500, bursts=True, canary_pods=2, stable_pods=10), PAIR, 0.85),
    "burst-high, 1/4 pods": (World(500, bursts=True), Rules(cap=10.0), 5.65),
    "no history, med": (World(20), Rules(history=False, cap=10.0), 0.65),
    "no history, high": (World(500), Rules(history=False, cap=10.0), 0.00),
}
"""Name -> world, rules, the reference figure in percent (not a number: none)."""

FALSE_PROMOTIONS = {
    "at the margin, med": World(20, 0.001, 0.002),
    "at the margin, high": World(500, 0.001, 0.002),
    "under load only, base 0.3 %": World(100, 0.003, 0.0045, under_load_only=True),
    "under load only, base 0.1 %": World(100, 0.001, 0.002, under_load_only=True),
}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--releases", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    print(f"{'no regression':28}{'figure':>8}{'rolled back':>12}{'defaults':>10}", end="")
    print(f"{'promoted':>10}{'median s':>10}{'s':>6}")
    for name, (world, rules, figure) in ROWS.items():
        began = time.perf_counter()
        plain = run(world, design(), given.releases, given.seed, rules)
        lenient = run(world, design(0.10, 0.25), given.releases, given.seed, rules)
        print(
            f"{name:28}{figure:7.2f}%{np.isfinite(plain.rolled_back).mean():12.2%}"
            f"{np.isfinite(lenient.rolled_back).mean():10.2%}{np.isfinite(plain.promoted).mean():10.0%}"
            f"{np.quantile(plain.promoted, 0.5, method='higher'):10.0f}{time.perf_counter() - began:6.1f}",
            flush=True,
        )
    print(f"\n{'worse than the margin':28}{'safety proved':>14}{'promoted':>10}")
    for name, world in FALSE_PROMOTIONS.items():
        outcome = run(world, design(), given.releases, given.seed, AS_MEASURED)
        print(
            f"{name:28}{np.isfinite(outcome.proved).mean():14.2%}{np.isfinite(outcome.promoted).mean():10.2%}"
        )


if __name__ == "__main__":
    main()
