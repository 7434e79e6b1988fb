"""Run the supervisor as `canary local up` does, for tests: `up.py JSON-of-LocalService`."""

import json
import sys
from pathlib import Path

from canary.config.settings import LocalService
from canary.errors import CanaryError
from canary.local import supervisor


def main() -> int:
    found = json.loads(sys.argv[1])
    found |= {"state": Path(found["state"]), "directory": Path(found["directory"])}
    found |= {"targets": Path(found["targets"]) if found["targets"] else None}
    found |= {"command": tuple(found["command"]), "listen": tuple(found["listen"])}
    try:
        supervisor.run(LocalService(**found))
    except CanaryError as fault:
        sys.stderr.write(f"{fault.message}\n{fault.remedy}\n")
        return int(fault.exit)
    return 0


if __name__ == "__main__":
    sys.exit(main())
