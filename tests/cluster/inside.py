"""The node's first process, in namespaces of its own: `python -m tests.cluster.inside FILE`.

FILE says, as JSON, what to bind where and what to start. When this process ends the kernel ends all others in
here, containers too, and undoes every mount: there is nothing to clean up. It ends itself when one of what it
started does, so that a half-dead node is seen at once.
"""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

PATIENCE_S = 30.0


def main(settings: Path) -> int:
    """Mount, start, then take in whatever ends; returns when something of ours has ended."""
    wanted = json.loads(settings.read_text())
    for source, target in wanted["binds"]:
        subprocess.run(["mount", "--bind", source, target], check=True)
    started: dict[int, str] = {}
    for name, service in wanted["services"].items():
        with Path(service["log"]).open("ab") as log:
            process = subprocess.Popen(service["command"], stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        started[process.pid] = name
        if not _appears(service.get("ready")):
            print(f"{name} does not get ready; its log is {service['log']}", flush=True)
            return 1
    while (ended := os.wait())[0] not in started:  # else a container's process whose parent has gone
        pass
    print(f"{started[ended[0]]} has ended, and with it the node", flush=True)
    return 1


def _appears(path: str | None) -> bool:
    end = time.monotonic() + PATIENCE_S
    while path is not None and not Path(path).exists():
        if time.monotonic() > end:
            return False
        time.sleep(0.02)
    return True


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
