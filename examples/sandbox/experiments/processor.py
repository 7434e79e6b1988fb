"""Compute for nothing, on as many processors as there are, for ten minutes."""

import os
import time

end = time.monotonic() + 600
for _ in range(max(1, (os.cpu_count() or 1) - 1)):
    if os.fork() == 0:
        break
while time.monotonic() < end:
    pass
