"""What a monitor works with, and how it tells what happens: into the ledger, to readers, to people."""

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from canary.monitor.alerts import Alerts
from canary.monitor.book import Book
from canary.monitor.docker import Docker
from canary.monitor.exporter import Meters
from canary.monitor.heart import BEAT_S, Link
from canary.monitor.inspector import Inspector
from canary.monitor.options import GuardOptions
from canary.monitor.reports import Reports
from canary.monitor.voice import Voice
from canary.monitor.waker import Waker
from canary.safety.orders import Tell


@dataclass
class Kit:
    """Everything that is open while a monitor runs. `session`: short id of the container that is watched."""

    asked: GuardOptions
    docker: Docker
    waker: Waker
    meters: Meters
    voice: Voice
    book: Book | None = None
    link: Link | None = None
    inspector: Inspector | None = None
    reports: Reports | None = None
    alerts: Alerts | None = None
    session: str = ""

    def tell(self, one: Tell) -> None:
        """Into the ledger first, then to everybody else; nobody is waited for."""
        at = time.time()
        body = {"said": one.said, **one.body}
        if self.book is not None:
            self.book.put(one.kind, body, at)
        if one.shown:
            self.voice.say(line(at, one.kind, body, as_json=self.asked.json))
        if one.alert and self.alerts is not None:
            self.alerts.send(
                {"container": self.asked.container, "id": self.session, "at": at, "kind": one.kind, **body}
            )

    def note(self, said: str) -> None:
        """To readers alone."""
        self.voice.say(line(time.time(), "note", {"said": said}, as_json=self.asked.json))

    def settled(self, within_s: float) -> bool:
        """Whether all that was told is on the disk, waited for so long at most; the watchdog hears of it."""
        until = time.monotonic() + within_s
        while self.book is not None and not self.book.settle(min(BEAT_S, max(0.0, until - time.monotonic()))):
            self.pulse()
            if time.monotonic() >= until:
                return False
        return True

    def pulse(self) -> None:
        """Say that the main thread comes round."""
        self.meters.pulse = time.monotonic()
        if self.link is not None:
            self.link.hear()
            self.link.beat()


def line(at: float, kind: str, body: Mapping[str, object], *, as_json: bool) -> str:
    """A line of the output."""
    if as_json:
        return json.dumps({"at": round(at, 3), "kind": kind, **body})
    stamp = datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return f"{stamp} {kind:<8} {_printable(str(body.get('said', '')))}"


def _printable(text: str) -> str:
    """What a workload says may hold anything; on a terminal it must do nothing."""
    return "".join(one if one.isprintable() else "?" for one in text)


Ring = Callable[[], None]
