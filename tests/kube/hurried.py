"""The real `canary` command whose leases last three seconds, so that a driver that died is followed soon.

python -m tests.kube.hurried ARGUMENTS...
"""

import sys
from functools import partial

from canary.__main__ import main
from canary.kube import lease

TERMS = lease.Terms(lasts_s=3.0, renew_s=1.0)

if __name__ == "__main__":
    vars(lease)["KubeLease"] = partial(lease.KubeLease, terms=TERMS)
    sys.argv = ["canary", *sys.argv[1:]]
    main()
