"""The seals of one process: its key, read when it is first needed, and the way outward."""

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

from canary.core.seals import Carried, Seal, SealKey
from canary.seal.courier import Courier, Destination
from canary.seal.keys import signing_key


class Keeper:
    """Implements `ports.Seals`.

    Args:
        key_file: of the key; read when it is needed, which it is not for looking at a release.
        destinations: where copies go.
    """

    def __init__(self, key_file: Path, destinations: Sequence[Destination]) -> None:
        self._key_file = key_file
        self._courier = Courier(destinations)

    @cached_property
    def key(self) -> SealKey:
        """What seals are made with.

        Raises:
            InvalidError, MissingError, DeniedError: there is no such key, or it must not be used.
        """
        return signing_key(self._key_file)

    def send(self, seal: Seal) -> None:
        """Have copies carried; returns at once."""
        self._courier.send(seal)

    def news(self) -> tuple[Carried, ...]:
        """What has changed since this was asked last."""
        return self._courier.news()

    def settle(self, within_s: float) -> None:
        """Wait until all copies are there, or cannot be now, at most so long."""
        self._courier.settle(within_s)
