"""How many looks a second a replay makes, and what of that is the analysis itself.

    python -m bench.replay [RUNS]

A recording of one hour (four stable and two canary pods, 13 buckets, half an hour of history) is replayed
with limits that nothing reaches, so that every look is made.
"""

import json
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import numpy as np

from canary.replay import default_strategy, replay
from canary.trace import Trace, read

EDGES = [0.005, 0.01, 0.025, 0.05, 0.1, 0.15, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0]


def recording(folder: Path) -> Trace:
    """An A/A release, seeded."""
    rng = np.random.default_rng(7)
    shares = rng.dirichlet(np.ones(len(EDGES) + 1))
    pods = {**{f"s{i}": "stable" for i in range(4)}, "c0": "canary", "c1": "canary"}
    totals = {name: np.zeros(len(EDGES) + 3) for name in pods}
    rows = [{"trace": 1, "interval_s": 15, "le": EDGES, "slo_s": 0.25}]
    for t in range(-1800, 3601, 15):
        line: dict[str, object] = {}
        for name, arm in pods.items():
            if arm == "canary" and t <= 0:
                continue
            requests = int(rng.poisson(300))
            have = totals[name]
            have[0] += requests
            have[1] += rng.binomial(requests, 0.003)
            have[2:] += np.cumsum(rng.multinomial(requests, shares))
            line[name] = {"arm": arm, "requests": have[0], "errors": have[1], "buckets": have[2:].tolist()}
        rows.append({"t": t, "pods": line})
    path = folder / "recording.jsonl"
    path.write_text("\n".join(json.dumps(row) for row in rows))
    return read(path)


def main() -> None:
    """Print looks a second: the whole, and reading the file for comparison."""
    runs = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    with tempfile.TemporaryDirectory() as folder:
        began = time.perf_counter()
        trace = recording(Path(folder))
        read_s = time.perf_counter() - began
    never = replace(default_strategy(trace.header), false_rollback_rate=1e-300, false_promotion_rate=1e-300)
    took = []
    for _ in range(runs):
        began = time.perf_counter()
        found = replay(trace, never)
        took.append(time.perf_counter() - began)
    took.sort()
    median = took[len(took) // 2]
    print(f"looks {found.looks}, median of {runs} runs {median:.3f} s: {found.looks / median:.0f} looks/s")
    print(f"making and reading the recording: {read_s:.3f} s")


if __name__ == "__main__":
    main()
