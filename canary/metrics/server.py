"""A server that is asked over HTTP."""

from pathlib import Path
from typing import Protocol


class Server(Protocol):
    """Where a server is and how it is spoken to. Secrets are files, read again at every call."""

    @property
    def url(self) -> str:
        """Its address, with the path prefix if it has one."""

    @property
    def token_file(self) -> Path | None:
        """Bearer token."""

    @property
    def ca_file(self) -> Path | None:
        """Certificates to trust instead of the system's."""

    @property
    def timeout_s(self) -> float:
        """For one answer, seconds."""
