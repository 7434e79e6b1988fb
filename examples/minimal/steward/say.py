"""Words for people, on stderr."""

import sys


def say(text: str) -> None:
    """One line."""
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()
