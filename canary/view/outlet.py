"""Where a view writes. A view that cannot write, or is at fault itself, falls silent: the release goes on."""

import sys
from collections.abc import Callable
from typing import TextIO

# All that drawing and formatting may come upon: a reader who went away (OSError, ValueError of a closed
# file), and faults of the view's own. None of them may reach the loop: a release is not given up because
# a figure could not be drawn.
FAULTS = (OSError, ValueError, TypeError, ArithmeticError, LookupError, AttributeError, RuntimeError)


class Outlet:
    """A stream that is written to until it fails once.

    Attributes:
        fault: what silenced it, or None.
    """

    def __init__(self, stream: TextIO) -> None:
        self.stream = stream
        self.fault: Exception | None = None

    def attempt(self, write: Callable[[], None]) -> None:
        """Run `write`; after the first fault nothing is run any more. Never raises what FAULTS name."""
        if self.fault is not None:
            return
        try:
            write()
        except FAULTS as fault:
            self.fault = fault
            if not isinstance(fault, OSError):
                self._tell(fault)

    def line(self, text: str) -> None:
        """Write one line, with `?` for what the stream's encoding cannot show. May raise; see `attempt`."""
        encoding = getattr(self.stream, "encoding", None) or "utf-8"
        self.stream.write(text.encode(encoding, "replace").decode(encoding) + "\n")
        self.stream.flush()

    def _tell(self, fault: Exception) -> None:
        try:
            sys.stderr.write(f"the view stopped ({type(fault).__name__}: {fault}); the release goes on\n")
        except (OSError, ValueError):
            return
