"""How long `canary --help` and `canary version` take to answer, and that they import nothing heavy.

    python -m bench.startup [RUNS]

Each time is the median of RUNS (default 9) processes, next to a Python that does nothing. Exits 1 when a
forbidden library is imported.
"""

import statistics
import subprocess
import sys
import time
from collections.abc import Sequence

FORBIDDEN = ("kubernetes", "scipy", "numpy", "requests", "prometheus_api_client")
COMMANDS: tuple[tuple[str, ...], ...] = (("--help",), ("version",), ("start", "--help"))


def median_s(argv: Sequence[str], runs: int) -> float:
    """Seconds from start to end of a process, the median of several."""
    times = []
    for _ in range(runs):
        began = time.perf_counter()
        subprocess.run(argv, check=True, stdout=subprocess.DEVNULL)
        times.append(time.perf_counter() - began)
    return statistics.median(times)


def imported(arguments: Sequence[str]) -> list[str]:
    """The forbidden libraries that a command imports."""
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "canary", *arguments],
        check=True,
        capture_output=True,
        text=True,
    )
    names = {line.rpartition("|")[2].strip().partition(".")[0] for line in done.stderr.splitlines()}
    return [name for name in FORBIDDEN if name in names]


def main(runs: int) -> int:
    """Print the figures."""
    nothing = median_s([sys.executable, "-c", "pass"], runs)
    print(f"{'python -c pass':<24}{nothing * 1000:>7.0f} ms")
    heavy: set[str] = set()
    for arguments in COMMANDS:
        took = median_s([sys.executable, "-m", "canary", *arguments], runs)
        found = imported(arguments)
        heavy |= set(found)
        name, more = " ".join(("canary", *arguments)), took - nothing
        print(
            f"{name:<24}{took * 1000:>7.0f} ms  +{more * 1000:.0f} ms  "
            f"forbidden imports: {', '.join(found) or 'none'}"
        )
    return 1 if heavy else 0


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else 9))
