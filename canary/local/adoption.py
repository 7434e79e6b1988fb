"""Finding again what an earlier supervisor left running."""

from collections.abc import Callable

from canary.local.layout import Layout
from canary.local.process import Process, Started, end_now, find_marked, is_hidden, leads
from canary.local.status import PodState, read_pods


def adopt(layout: Layout, say: Callable[[str], None]) -> list[tuple[PodState, Process | None]]:
    """Each replica that was written down, with its process if that still runs.

    A process is known by its id and start time, or, when the crash came before those were written, by
    the mark in its environment. Processes with our mark that belong to no replica are killed, so that
    nothing runs twice.

    Args:
        layout: of the state. say: is told what was found.
    """
    marked = find_marked(str(layout.root))
    found: list[tuple[PodState, Process | None]] = []
    for state in read_pods(layout.pods):
        theirs = marked.pop(state.uid, [])
        process = _of(state, theirs)
        if process is None:
            end_now(theirs)
            if state.pid is not None and not state.leaving:
                state.restarts += 1
                say(f"{state.name} {_lost(state.pid)}; it is started again")
        else:
            state.pid, state.created = process.started.pid, process.started.created
        found.append((state, process))
    for uid, theirs in marked.items():
        say(f"stopping {len(theirs)} processes of a replica that is not wanted any more ({uid})")
        end_now(theirs)
    return found


def _lost(pid: int) -> str:
    """Why a process that was written down is not taken over, in words."""
    if is_hidden(pid):
        return (
            f"cannot be taken over: process {pid} is there and may not be looked into (under systemd "
            "`PrivateUsers=` hides what an earlier start has left), so end it yourself"
        )
    return "ended while no supervisor was there"


def _of(state: PodState, theirs: list[Started]) -> Process | None:
    # Its mark first: it holds even when the clock was set, which moves the start that we are told.
    for one in theirs:
        if one.pid == state.pid:
            return Process.adopt(one)
    if state.pid is not None and state.created is not None:
        return Process.adopt(Started(state.pid, state.created))
    return Process.adopt(theirs[0]) if theirs and leads(theirs[0].pid) else None
