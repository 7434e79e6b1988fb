"""Make processes until no more can be made, and keep them."""

import os
import sys
import time

made = 0
while True:
    try:
        if os.fork() == 0:
            continue
        made += 1
    except OSError as fault:
        sys.stdout.write(f"{os.getpid()}: no more after {made}: {fault.strerror}\n")
        sys.stdout.flush()
        time.sleep(3600)
