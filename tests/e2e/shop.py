"""The demo shop with faults that show within seconds, and a metrics page that can be switched off.

    python -m tests.e2e.shop --outage FILE ARGUMENTS...

All else is the shop's own: see `canary.local.demo.service`. While FILE exists, /metrics answers 503. Version
`broken` ends at once, version `deaf` listens nowhere.
"""

import sys
import time
from http import HTTPStatus
from pathlib import Path

from canary.local.demo import faults, service
from canary.local.demo.shop import Shop
from canary.local.demo.wire import Reply

BAD_ERRORS = 0.6
"""Share of requests that a version with the fault `errors` fails: seen in a second, not in a minute."""

BASE_ERRORS, BASE_SLOW = 0.03, 0.05
"""The same for a good version: more than the demo's, so that a few seconds of history tell whether failures
come alone or in bursts. With one or two of them, every fourth release took half a minute longer."""


class Switched(Shop):
    """A shop whose metrics page is away while a file exists."""

    outage = Path()

    def _metrics(self) -> Reply:
        if self.outage.exists():
            return Reply(HTTPStatus.SERVICE_UNAVAILABLE, b"no metrics now\n")
        return super()._metrics()


def main() -> int:
    at = sys.argv.index("--outage")
    Switched.outage = Path(sys.argv[at + 1])
    del sys.argv[at : at + 2]
    version = sys.argv[sys.argv.index("--version") + 1]
    if version == "broken":
        sys.stderr.write("there is no database\n")
        return 3
    if version == "deaf":
        time.sleep(3600)
    faults.BAD_ERRORS, faults.BASE_ERRORS, faults.BASE_SLOW = BAD_ERRORS, BASE_ERRORS, BASE_SLOW
    vars(service)["Shop"] = Switched
    return service.main()


if __name__ == "__main__":
    sys.exit(main())
