#!/bin/sh
# The database is new each time: what is in /data is memory, and goes with the box.
set -e
python3 -m project_ai --init
exec python3 -m project_ai "$@"
