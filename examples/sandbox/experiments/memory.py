"""Take memory, 64 MiB a second, and keep it."""

import time

kept = []
while True:
    kept.append(bytearray(b"x") * (16 * 1024 * 1024))
    time.sleep(0.25)
