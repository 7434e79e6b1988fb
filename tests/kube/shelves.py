"""The records and ledgers of any number of targets in one namespace, behind the two ports."""

from collections.abc import Sequence

from canary.core.ledger import Entry
from canary.core.release import Release
from canary.kube.records import KubeLedger, KubeRecords, Shelf
from canary.ports import Recorded
from tests.kube.live import Place


class Shelves:
    """One shelf a target, as each process has one; `again` is another process."""

    def __init__(self, place: Place) -> None:
        self._session = place.session()
        self._shelves: dict[str, Shelf] = {}

    def shelf(self, target: str) -> Shelf:
        if target not in self._shelves:
            self._shelves[target] = Shelf(self._session, target)
        return self._shelves[target]

    def load(self, target: str) -> Recorded | None:
        return KubeRecords(self.shelf(target)).load(target)

    def save(self, release: Release, *, expected: str | None) -> Recorded:
        return KubeRecords(self.shelf(release.target)).save(release, expected=expected)

    def append(self, target: str, entries: Sequence[Entry]) -> None:
        KubeLedger(self.shelf(target)).append(target, entries)

    def flush(self, target: str) -> None:
        KubeLedger(self.shelf(target)).flush(target)

    def read(self, target: str) -> tuple[Entry, ...]:
        return KubeLedger(self.shelf(target)).read(target)

    def lines(self, target: str) -> tuple[str, ...]:
        return KubeLedger(self.shelf(target)).lines(target)

    def close(self) -> None:
        for shelf in self._shelves.values():
            shelf.close()
