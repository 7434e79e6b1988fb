"""What a command works with: the settings, the ports, and somebody to tell what happens."""

import contextlib
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from canary.cli.options import Where
from canary.cli.output import Output, say
from canary.config.settings import Settings
from canary.core.release import Phase, Release
from canary.errors import CanaryError, Exit, MissingError, TransientError
from canary.ports import Recorded, Reporter

if TYPE_CHECKING:
    from canary.kube.configs import ConfigObject
    from canary.looking import Ports


class View(Reporter, Protocol):
    """A reporter that a command opens and closes."""

    def end(self, release: Release) -> None:
        """Show how it ended."""

    def close(self) -> None:
        """Give the terminal back."""


@runtime_checkable
class _Signals(Protocol):
    """A clock that can catch the signals that ask us to stop."""

    def install_signals(self) -> None: ...

    def close(self) -> None: ...


class StoppedError(CanaryError):
    """A signal ended the command. Says what is left and how to go on."""

    def __init__(self, exit_code: Exit, message: str, *, remedy: str) -> None:
        super().__init__(message, remedy=remedy)
        self.exit = exit_code


@dataclass(frozen=True)
class Session:
    """Settings and ports of one command.

    Attributes:
        how: the options that lead here again, for hints.
        given: configuration to release with a version.
    """

    settings: Settings
    ports: "Ports"
    target: str
    how: str = ""
    given: "tuple[ConfigObject, ...]" = ()

    @property
    def config(self) -> tuple[str, ...]:
        """The configuration's objects by name, `configmap/NAME-HASH`."""
        return tuple(str(one.named) for one in self.given)

    def record(self) -> Recorded | None:
        """The record of the target, or None."""
        return self.ports.records.load(self.target)


def opened(where: Where, target: str | None = None, config: Sequence[Path] | None = None) -> Session:
    """Read the configuration and connect.

    Args:
        target: that the command is about; None: the file's. config: files to release with a version.

    Raises:
        InvalidError: the file has faults. MissingError: no such file, or it is about another target.
    """
    from canary import wiring

    settings = wiring.settings(where.file, namespace=where.namespace, context=where.context)
    if target is not None and target != settings.target:
        raise MissingError(
            f"{settings.path} is about {settings.target}, not {target}",
            remedy=f"Say `-f FILE` with the configuration of {target}, or leave the target out.",
        )
    given = wiring.configuration(settings, config or ())
    ports = wiring.connect(settings, actor=wiring.actor(), config=given)
    return Session(settings, ports, settings.target, where.how, given)


@contextlib.contextmanager
def viewing(session: Session, output: Output, *, plain: bool = False) -> Iterator[View]:
    """A view that fits where the output goes; closed in the end, whatever happens."""
    view = _view(session, output, plain=plain)
    try:
        yield view
    finally:
        view.close()


def is_live(output: Output, *, plain: bool) -> bool:
    """Whether there is a terminal to draw on."""
    return (
        output is not Output.JSON and not plain and sys.stderr.isatty() and os.environ.get("TERM") != "dumb"
    )


def _view(session: Session, output: Output, *, plain: bool) -> View:
    now = session.ports.clock.now
    if output is Output.JSON:
        from canary.view.jsonl import JsonLines

        return JsonLines(sys.stdout, now)
    if is_live(output, plain=plain):
        from canary.view.live import LiveView

        return LiveView(sys.stderr, now, how=session.how)
    from canary.view.lines import Lines

    return Lines(sys.stderr, now)


def conducted(session: Session, run: Callable[[], Recorded]) -> Recorded:
    """Run something that may drive or follow a release for long; signals end it in good order.

    Raises:
        StoppedError: a signal came; says what is left. Whatever `run` raises, after what is left was said.
    """
    from canary.loop import InterruptedDriveError

    clock = session.ports.clock
    if isinstance(clock, _Signals):
        clock.install_signals()
    try:
        return run()
    except InterruptedDriveError as stop:
        raise _stopped(session, Exit(stop.exit)) from stop
    except KeyboardInterrupt as stop:
        raise _stopped(session, Exit.INTERRUPTED) from stop
    except TransientError:
        say(" ".join(left(session)))
        raise
    finally:
        if isinstance(clock, _Signals):
            clock.close()


def _stopped(session: Session, exit_code: Exit) -> StoppedError:
    message, remedy = left(session)
    return StoppedError(exit_code, message, remedy=remedy)


def left(session: Session) -> tuple[str, str]:
    """What is left as it is when nobody goes on here, and how to go on."""
    try:
        found = session.record()
        holder = session.ports.lease.holder()
    except CanaryError as fault:
        return (f"the state of {session.target} cannot be read now: {fault.message}.", _see(session))
    if found is None:
        return (f"no release of {session.target} was begun; nothing was touched.", "")
    release = found.release
    if release.settled:
        return (f"the release of {release.version} has ended: {release.phase.value.replace('_', ' ')}.", "")
    driver = f"{holder.name} drives it" if holder and holder.alive else "nobody drives it now"
    return (
        f"{release.version} of {release.target} is left {stands(release)}; {driver}.",
        _go_on(session, release),
    )


def stands(release: Release) -> str:
    """Where an open release stands, in words."""
    if release.phase is not Phase.PROGRESSING:
        return release.phase.value.replace("_", " ")
    step = f"at step {release.step + 1}/{len(release.strategy.steps)}"
    serving = f"the canary was asked for {release.strategy.steps[release.step]:g} % of the traffic"
    return f"{step}, {serving}" + (", paused" if release.pause else "")


def _go_on(session: Session, release: Release) -> str:
    return (
        f"Go on with `canary start {release.version}{session.how}`, watch with `canary watch{session.how}`, "
        f"take the canary away with `canary abort{session.how}`."
    )


def _see(session: Session) -> str:
    return f"See `canary status{session.how}`."
