"""Send the monitor what is no report."""

import os

from violation import report

report(os.urandom(64).replace(b"\n", b"?"))
