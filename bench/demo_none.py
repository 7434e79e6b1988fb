"""The demo with nothing wrong, again and again: how often is a good version rolled back?

    python -m bench.demo_none [RUNS] [FIRST_SEED]

Real processes, real load, real commands, one run after another. At most 2 of 40 may be rolled back: with the
promised rate of 1 % more than that has a probability of 0.007.
Source: scipy.stats.binom.sf(2, 40, 0.01).
"""

import subprocess
import sys
import tempfile
import time

RUNS = 40
ALLOWED = 2
LIMIT_S = 240.0


def one(seed: int) -> tuple[int, float, str]:
    """Exit status, seconds, and what the demo said of one run."""
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="canary-bench-") as folder:
        how = (
            "--fault",
            "none",
            "--no-keep",
            "--plain",
            "--seed",
            str(seed),
            "--directory",
            f"{folder}/demo",
        )
        done = subprocess.run(
            [sys.executable, "-m", "canary", "demo", *how],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=LIMIT_S,
            check=False,
        )
    return done.returncode, time.monotonic() - began, done.stdout


def main() -> int:
    runs = int(sys.argv[1]) if len(sys.argv) > 1 else RUNS
    first = int(sys.argv[2]) if len(sys.argv) > 2 else 1000
    rolled_back = odd = 0
    for seed in range(first, first + runs):
        status, took_s, text = one(seed)
        back = "Exit code 3: rolled back" in text
        rolled_back += back
        odd += status != 0 and not back
        ended = "promoted" if status == 0 else "ROLLED BACK" if back else "ODD"
        print(f"seed {seed}: {ended} in {took_s:.1f} s")
        if status != 0:
            print(text)
        sys.stdout.flush()
    allowed = ALLOWED * runs // RUNS
    print(f"{rolled_back} of {runs} good versions rolled back (allowed: {allowed}), {odd} ended otherwise")
    return 0 if rolled_back <= allowed and odd == 0 else 1


if __name__ == "__main__":
    sys.exit(main())
