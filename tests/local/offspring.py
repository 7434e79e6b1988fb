"""The processes below a test, without what Python itself keeps there."""

import psutil


def children() -> list[str]:
    """Command lines of all that runs below us.

    The helper of `multiprocessing` is left out: any earlier test in the same process may have called it in.
    """
    found = []
    for process in psutil.Process().children(recursive=True):
        try:
            found.append(" ".join(process.cmdline()))
        except psutil.Error:
            continue
    return [line for line in found if "multiprocessing.resource_tracker" not in line]
