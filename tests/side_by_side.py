"""Many tries of one thing at several places at once: most of a release is waiting."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from queue import Empty, SimpleQueue
from typing import TypeVar

P = TypeVar("P")


def side_by_side(places: Sequence[P], jobs: Sequence[Callable[[P], list[str]]]) -> list[str]:
    """Do each job at whichever place is free; what went wrong in all."""
    waiting: SimpleQueue[Callable[[P], list[str]]] = SimpleQueue()
    for job in jobs:
        waiting.put(job)

    def work(place: P) -> list[str]:
        faulty = []
        while True:
            try:
                faulty += waiting.get_nowait()(place)
            except Empty:
                return faulty
            except AssertionError as stuck:
                # Its driver goes on: this place is of no use any more.
                return [*faulty, str(stuck)]

    with ThreadPoolExecutor(len(places)) as threads:
        faulty = [fault for found in threads.map(work, places) for fault in found]
    return faulty + [f"{waiting.qsize()} moments were not tried"] * (not waiting.empty())
