"""The live screen: one frame a tick, drawn in place; the last one stays, with the verdict."""

from collections.abc import Callable
from typing import TextIO

from rich.console import Console
from rich.live import Live
from rich.text import Text

from canary.core.actions import Decision
from canary.core.assessed import Assessed
from canary.core.observation import Observation
from canary.core.release import Release
from canary.ports import Recorded
from canary.view import words
from canary.view.bars import glyphs_for
from canary.view.outlet import Outlet
from canary.view.screen import Style, screen
from canary.view.snapshot import Snapshot, carried, ended, take

# No yellow, white, black or bright colour: each vanishes on a light or on a dark terminal.
COLOURS = {
    Style.PLAIN: "",
    Style.STRONG: "bold",
    Style.QUIET: "dim",
    Style.GOOD: "green",
    Style.BAD: "bold red",
    Style.WARN: "magenta",
}


class _Terminal(Console):
    """A console that says when it cannot be written to, instead of ending the program."""

    def on_broken_pipe(self) -> None:
        """Called while a BrokenPipeError is handled."""
        raise BrokenPipeError("whoever read the screen has gone away")


class LiveView:
    """A reporter that draws. `close` must be called: the terminal gets its cursor back by it.

    Args:
        stream: a terminal.
        now: unix seconds, for what is noted between ticks.
        width: columns; None follows the terminal.
        how: options that each proposed command needs, for instance ` -f other.yaml`.
    """

    def __init__(
        self, stream: TextIO, now: Callable[[], float], *, width: int | None = None, how: str = ""
    ) -> None:
        self.outlet = Outlet(stream)
        self._console = _Terminal(file=stream, width=width, highlight=False, markup=False, emoji=False)
        self._glyphs = glyphs_for(getattr(stream, "encoding", None))
        self._live = Live(
            console=self._console, auto_refresh=False, redirect_stdout=False, redirect_stderr=False
        )
        self._now = now
        self._how = how
        self._notes: list[str] = []
        self._last: Snapshot | None = None

    def tick(self, recorded: Recorded, seen: Observation, assessed: object, decision: Decision) -> None:
        """Draw this tick."""
        known = assessed if isinstance(assessed, Assessed) else None
        self.outlet.attempt(lambda: self._show(take(recorded.release, seen, known, decision)))

    def note(self, text: str) -> None:
        """Show it on the screen; as a line of its own while there is no screen yet."""
        self.outlet.attempt(lambda: self._note(f"{words.stamp(self._now())[11:19]} {' '.join(text.split())}"))

    def end(self, release: Release) -> None:
        """Draw the last frame again, with the verdict."""
        if self._last is not None:
            last = self._last
            self.outlet.attempt(lambda: self._show(ended(last, release)))

    def close(self) -> None:
        """Leave the last frame on the screen and give the terminal back."""
        try:
            self._live.stop()
        except (OSError, ValueError) as fault:
            self.outlet.fault = self.outlet.fault or fault

    def frame(self) -> Text:
        """What is on the screen now."""
        text = Text(no_wrap=True, overflow="crop", end="")
        if self._last is None:
            return text
        # The last column stays free: some terminals wrap when it is written.
        lines = screen(self._last, self._console.width - 1, self._glyphs, notes=self._notes, how=self._how)
        for i, line in enumerate(lines):
            text.append("\n" if i else "")
            for part, style in line:
                text.append(part, COLOURS[style])
        return text

    def _note(self, line: str) -> None:
        if self._last is None:
            self._console.print(Text(line))
        else:
            self._notes.append(line)
            self._draw()

    def _show(self, snap: Snapshot) -> None:
        self._last = carried(self._last, snap)
        self._draw()

    def _draw(self) -> None:
        if not self._live.is_started:
            self._live.start()
        self._live.update(self.frame(), refresh=True)
