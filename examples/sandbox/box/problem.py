"""What stops a command, and words for people."""

import sys


class ProblemError(Exception):
    """A fault that somebody can mend.

    Args:
        message: what was found, and where.
        remedy: what to do.
        code: exit status; 2: nothing was touched; 1: something was tried and has failed.
    """

    def __init__(self, message: str, *, remedy: str, code: int = 1) -> None:
        super().__init__(message)
        self.remedy = remedy
        self.code = code


def say(text: str) -> None:
    """One line, on stderr."""
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()
