"""The real `canary` command whose leases last three seconds, so that a driver that died is followed soon.

python -m tests.kube.hurried ARGUMENTS...

TERM_S and RENEW_S: other seconds.
"""

import os
import sys
from functools import partial

from canary.__main__ import main
from canary.kube import lease

TERMS = lease.Terms(float(os.environ.get("TERM_S", "3")), float(os.environ.get("RENEW_S", "1")))

if __name__ == "__main__":
    vars(lease)["KubeLease"] = partial(lease.KubeLease, terms=TERMS)
    sys.argv = ["canary", *sys.argv[1:]]
    main()
