"""What `guard run` is asked for."""

from dataclasses import dataclass
from pathlib import Path

from canary.safety.rule import SafetyRule


@dataclass(frozen=True)
class GuardOptions:
    """The options of the command.

    Attributes:
        rules: of the file. container: its name. docker: address of Docker.
        ledger: folder; None: no ledger is kept. reports: path of the report socket; None: there is none.
        alert_url_file: holds the address where alerts go; None: nowhere.
        listen: host and port of the metrics; None: none are served.
        watchdog: socket of one that runs; None: start one.
        seal_key, seal_to: see `canary.sealing`.
        wait_s: for the container to come; None: for ever. blind_after_s, grace_s: see `watching.Watch`.
        json: lines are JSON.
    """

    rules: tuple[SafetyRule, ...]
    container: str
    docker: str
    ledger: Path | None = None
    reports: Path | None = None
    alert_url_file: Path | None = None
    listen: tuple[str, int] | None = None
    watchdog: Path | None = None
    seal_key: Path | None = None
    seal_to: tuple[Path, ...] = ()
    wait_s: float | None = None
    blind_after_s: float = 2.0
    grace_s: float = 10.0
    json: bool = False
