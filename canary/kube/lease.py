"""The lease of coordination/v1: who may act, and for how long.

Expiry is measured on one's own monotonic clock, from the last change of the lease that one has seen: clocks
of machines differ, and `renewTime` is another machine's. So whoever comes new to a lease that is held
waits one whole term before taking it, unless a witness proves that its holder has ended.
"""

import json
import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from canary.errors import ConflictError, MissingError
from canary.kube.objects import MANAGED_BY, OURS
from canary.kube.pods import seconds
from canary.kube.session import TIMEOUT_S, Json, Session
from canary.ports import Clock, Holder, Term, Witness

LEASES = ("coordination.k8s.io/v1", "leases")
TERM_S = 10.0
RENEW_S = 3.0
QUIET_S = 1.0
"""Whoever lives renews at the latest so long after it is time to."""
ASK_S = 1.0
"""A witness is asked of the same holder again after so long."""
MARKS = "canary.holder"
"""Annotation: who holds it, as its witnesses tell it; counts only for the holder that it names."""


@dataclass(frozen=True)
class Terms:
    """How long a term lasts, and after how long it is renewed, seconds."""

    lasts_s: float = TERM_S
    renew_s: float = RENEW_S


USUAL = Terms()


@dataclass(frozen=True)
class _Held:
    """Our own lease: its document, when it was last renewed and until when it lasts (monotonic seconds)."""

    document: Json
    number: int
    renewed: float
    until: float


class KubeLease:
    """Implements `ports.Lease`.

    Args:
        session: in the namespace of the target.
        name: of the Lease object.
        actor: who asks, as people will see it.
        clock: `monotonic` for all that decides, `now` for what people read.
        terms: see `Terms`.
        taken: called when it was taken, not when it was renewed: with the version of the lease after which
            nobody acted, empty when nobody ever did, None when that is not known.
        witnesses: tell of this process to others, and of others to this one.
    """

    def __init__(  # noqa: PLR0913 - what most do without is named
        self,
        session: Session,
        name: str,
        actor: str,
        clock: Clock,
        *,
        terms: Terms = USUAL,
        taken: Callable[[str | None], None] = lambda _: None,
        witnesses: Sequence[Witness] = (),
    ) -> None:
        self._session = session
        self._name = name
        self._actor = actor
        self._identity = f"{actor}_{secrets.token_hex(4)}"
        self._clock = clock
        self._term_s = terms.lasts_s
        self._renew_s = terms.renew_s
        self._taken = taken
        self._held: _Held | None = None
        self._number = 0
        self._idle_since: float | None = None
        self._quiet_since: str | None = None
        self._observed: tuple[Any, float] | None = None
        self._witnesses = tuple(witnesses)
        self._asked: tuple[str, float] | None = None
        self._gone = ""
        self._late_until = 0.0

    def hold(self) -> Term | None:
        """Take or renew the lease. None when somebody else holds it. Never waits for it."""
        held = self._held
        if held is not None:
            if self._clock.monotonic() < min(held.renewed + self._renew_s, held.until):
                return self._term(held)
            try:
                return self._write(held.document, held.number)
            except ConflictError:
                self._held = None
        found = self._read()
        if found is None:
            return self._create()
        spec = found.get("spec", {})
        if spec.get("holderIdentity") == self._identity:
            # A write of ours landed whose answer was lost.
            return self._attempt(found, int(spec.get("leaseTransitions") or 1))
        late_until = 0.0
        if spec.get("holderIdentity") and not self._expired(found):
            if not self._ended(found):
                return None
            late_until = self._clock.monotonic() + min(TIMEOUT_S, self._term_s)
        self._late_until = late_until
        self._idle_since = seconds(spec.get("renewTime"))
        # Who gave it up had done all before; of one that vanished nothing is known.
        self._quiet_since = None if spec.get("holderIdentity") else found["metadata"]["resourceVersion"]
        return self._attempt(found, int(spec.get("leaseTransitions") or 0) + 1)

    def confirm(self, term: Term) -> float:
        """Seconds left of this very term, 0 when it is over or lost. Asks no one."""
        held = self._held
        if held is None or (term.number, term.holder) != (held.number, self._actor):
            return 0.0
        return max(0.0, term.until - self._clock.monotonic())

    def holder(self) -> Holder | None:
        """Who holds it now, for people; None when free. `alive` as far as this process has seen."""
        found = self._read()
        spec = found.get("spec", {}) if found else {}
        name = spec.get("holderIdentity")
        if found is None or not name:
            return None
        renewed = seconds(spec.get("renewTime"))
        ago = max(0.0, self._clock.now() - renewed) if renewed is not None else 0.0
        alive = name == self._identity or not (self._expired(found) or self._ended(found))
        return Holder(str(name).rpartition("_")[0] or str(name), ago, alive)

    def release(self) -> None:
        """Give it up. Harmless when not held."""
        held, self._held = self._held, None
        if held is None:
            return
        document = self._document(held.document, held.number)
        document["spec"]["holderIdentity"] = ""
        document["metadata"]["annotations"].pop(MARKS, None)
        # Lost to another meanwhile: there is nothing to give up.
        try:
            self._session.replace(self._path(), document)
        except (ConflictError, MissingError):
            return

    def _path(self, name: str | None = None) -> str:
        return self._session.path(*LEASES, self._name if name is None else name)

    def _read(self) -> Json | None:
        try:
            return self._session.get(self._path())
        except MissingError:
            return None

    def _expired(self, found: Json) -> bool:
        """Whether nothing of it has changed for a whole term, on our own clock."""
        state = found["metadata"]["resourceVersion"]
        now = self._clock.monotonic()
        if self._observed is None or self._observed[0] != state:
            self._observed = (state, now)
        lasts = float(found.get("spec", {}).get("leaseDurationSeconds") or self._term_s)
        return now - self._observed[1] >= lasts

    def _ended(self, found: Json) -> bool:
        """Whether a witness proves that the holder has ended.

        It must not have renewed when it last had to, either: machines that were resumed from one memory
        image take each other for the same one.
        """
        spec, now = found.get("spec", {}), self._clock.monotonic()
        renewed = seconds(spec.get("renewTime"))
        if renewed is None or self._clock.now() - renewed < self._renew_s + QUIET_S:
            return False
        name = str(spec.get("holderIdentity"))
        if self._asked is None or self._asked[0] != name or now - self._asked[1] >= ASK_S:
            self._asked = (name, now)
            marks = _marks(found, name)
            if any(one.ended(marks[one.kind]) for one in self._witnesses if one.kind in marks):
                self._gone = name
        return self._gone == name

    def _create(self) -> Term | None:
        sent = self._clock.monotonic()
        fresh: Json = {
            "apiVersion": "coordination.k8s.io/v1",
            "kind": "Lease",
            "metadata": {
                "name": self._name,
                "namespace": self._session.namespace,
                "labels": {MANAGED_BY: OURS},
            },
        }
        document = self._document(fresh, 1)
        self._quiet_since = ""
        try:
            answer = self._session.create(self._path(""), document)
        except ConflictError:
            return None
        return self._keep(answer, 1, sent)

    def _attempt(self, found: Json, number: int) -> Term | None:
        try:
            return self._write(found, number)
        except ConflictError:
            return None

    def _write(self, found: Json, number: int) -> Term:
        # The term begins before the request: whatever its way takes is ours to lose.
        sent = self._clock.monotonic()
        return self._keep(self._session.replace(self._path(), self._document(found, number)), number, sent)

    def _keep(self, answer: Json, number: int, sent: float) -> Term:
        new = number != self._number
        self._held, self._number = _Held(answer, number, sent, sent + self._term_s), number
        if new:
            self._taken(self._quiet_since)
            self._quiet_since = None
        return self._term(self._held)

    def _term(self, held: _Held) -> Term:
        return Term(self._actor, held.number, held.until, self._idle_since, self._late_until)

    def _document(self, found: Json, number: int) -> Json:
        now = datetime.fromtimestamp(self._clock.now(), UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        before = found.get("spec", {})
        same = before.get("leaseTransitions") == number and before.get("holderIdentity") == self._identity
        spec = {
            "holderIdentity": self._identity,
            "leaseDurationSeconds": max(1, round(self._term_s)),
            "acquireTime": before.get("acquireTime") if same else now,
            "renewTime": now,
            "leaseTransitions": number,
        }
        kept = {key: value for key, value in found["metadata"].items() if key != "managedFields"}
        kept["annotations"] = {**(kept.get("annotations") or {}), MARKS: self._told()}
        return {**found, "metadata": kept, "spec": spec}

    def _told(self) -> str:
        """Who this is, for the witnesses of others."""
        marks = {one.kind: mark for one in self._witnesses if (mark := one.mark())}
        return json.dumps({"holder": self._identity, **marks})


def _marks(found: Json, holder: str) -> dict[str, str]:
    """What its annotation tells of this holder, by kind; nothing when it is another's, or none of ours."""
    try:
        told = json.loads((found["metadata"].get("annotations") or {}).get(MARKS, ""))
    except ValueError:
        return {}
    if not isinstance(told, dict) or told.get("holder") != holder:
        return {}
    return {key: value for key, value in told.items() if isinstance(value, str)}
