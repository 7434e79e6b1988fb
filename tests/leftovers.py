"""Processes that a run of the tests left behind: found by a mark in their environment, and ended.

Real drivers and supervisors leave their parents' session, so neither Ctrl-C nor the end of a killed run
reaches them. The mark does: every descendant inherits it. It names the run by its process and start, so
that only what a run of these tests has started is ever ended, and never by a run that still goes on.
"""

import os
from collections.abc import Iterator, MutableMapping

import psutil

VARIABLE = "CANARY_TESTS_RUN"
PATIENCE_S = 5.0


def marked(environment: MutableMapping[str, str]) -> str:
    """Mark all that is started with this environment from now on; the mark."""
    own = psutil.Process()
    environment[VARIABLE] = mark = f"{own.pid}:{own.create_time():.2f}"
    return mark


def end(mark: str) -> list[str]:
    """End all processes that carry this mark, but not the caller; what they were."""
    found = [process for process, its in _marked_processes() if its == mark]
    return _end(found)


def end_of_dead_runs() -> list[str]:
    """End what runs left behind that were killed themselves; what it was."""
    return _end([process for process, mark in _marked_processes() if not _goes_on(mark)])


def _marked_processes() -> Iterator[tuple[psutil.Process, str]]:
    for process in psutil.process_iter():
        try:
            mark = process.environ().get(VARIABLE)
        except (psutil.Error, OSError):  # gone, or somebody else's
            continue
        if mark and process.pid != os.getpid():
            yield process, mark


def _goes_on(mark: str) -> bool:
    pid, _, begun = mark.partition(":")
    try:
        return f"{psutil.Process(int(pid)).create_time():.2f}" == begun
    except (psutil.Error, ValueError):
        return False


def _end(processes: list[psutil.Process]) -> list[str]:
    names = []
    for process in processes:
        try:
            names.append(f"{process.pid} {' '.join(process.cmdline())[:120]}")
            process.terminate()
        except psutil.Error:
            continue
    _, alive = psutil.wait_procs(processes, timeout=PATIENCE_S)
    for process in alive:
        try:
            process.kill()
        except psutil.Error:
            continue
    psutil.wait_procs(alive, timeout=PATIENCE_S)
    return names
