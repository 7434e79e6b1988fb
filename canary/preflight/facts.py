"""What was seen of a target and around it, as plain values. Of secrets there are only names."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from canary.preflight.finding import Unseen

Json = Mapping[str, Any]


@dataclass(frozen=True)
class Asked:
    """What a configuration asks of the points, beyond what all are asked.

    Attributes:
        backup_s, drill_s: the last good one may be this old, seconds.
        rto_s, rpo_s: the recovery time and point that a drill must keep, seconds; None: those that the
            evidence itself names.
        stateless: why the target keeps no data; empty: it keeps some.
        secrets: our own account may read Secrets.
        exposure: of the systemd unit, 0 to 10 as `systemd-analyze security` counts it; at most this.
    """

    backup_s: float = 86400.0
    drill_s: float = 90 * 86400.0
    rto_s: float | None = None
    rpo_s: float | None = None
    stateless: str = ""
    secrets: bool = False
    exposure: float = 4.0


class Kind(StrEnum):
    """What a proof is of."""

    BACKUP = "backup"
    DRILL = "restore-drill"


@dataclass(frozen=True)
class Proof:
    """A backup or a restore drill, as a CronJob or an evidence file tells of it.

    Attributes:
        source: where it is told, for people. at: unix seconds of when it went well; None: it never did.
        fault: why it does not count; empty: it does.
        stopped: why no more will come from there, such as a suspended CronJob; empty: they will.
        rto_s, rpo_s: measured, seconds. rto_target_s, rpo_target_s: what they are to stay within.
    """

    kind: Kind
    source: str
    at: float | None
    fault: str = ""
    stopped: str = ""
    rto_s: float | None = None
    rpo_s: float | None = None
    rto_target_s: float | None = None
    rpo_target_s: float | None = None


@dataclass(frozen=True)
class Alert:
    """An alerting rule that is loaded. `error`: of its last evaluation. `evaluated`: at least once."""

    name: str
    expression: str
    labels: Mapping[str, str] = field(default_factory=dict)
    healthy: bool = True
    evaluated: bool = True
    error: str = ""


@dataclass(frozen=True)
class Receiver:
    """Whom an Alertmanager's routes lead to. `notifiers`: how it tells them, such as `pagerduty`."""

    name: str
    notifiers: tuple[str, ...]


@dataclass(frozen=True)
class Matcher:
    """What a route asks of an alert's label. `kind`: `=`, `!=`, `=~` or `!~`."""

    label: str
    kind: str
    value: str


@dataclass(frozen=True)
class Route:
    """A node of an Alertmanager's routes. `goes_on`: what matches it is shown to its siblings, too."""

    receiver: Receiver
    matchers: tuple[Matcher, ...] = ()
    goes_on: bool = False
    routes: tuple["Route", ...] = ()


@dataclass(frozen=True)
class Alerts:
    """What a Prometheus has loaded, and where its alerts go.

    Attributes:
        server: for people. rules: all alerting rules. managers: URLs of active Alertmanagers.
        route: the root of the Alertmanager's routes; None: there is no Alertmanager.
    """

    server: str
    rules: tuple[Alert, ...]
    managers: tuple[str, ...]
    route: Route | Unseen | None


@dataclass(frozen=True)
class Kept:
    """A revision that can be gone back to. `floating`: images whose tag may mean another one tomorrow."""

    number: int | None
    version: str
    floating: tuple[str, ...] = ()


@dataclass(frozen=True)
class History:
    """What a release could be taken back to.

    Attributes:
        runs: what the target runs now. others: the revisions kept besides it, newest first.
        limit: how many old ones the target keeps; None: as many as the runtime wants.
        fault: why the record cannot be read; empty: it can.
        unsettled: the release that has not ended, in words; empty: none.
    """

    runs: Kept
    others: tuple[Kept, ...]
    limit: int | None = None
    fault: str = ""
    unsettled: str = ""


@dataclass(frozen=True)
class Ledger:
    """The audit log. `fault`: where its chain breaks. `unsealed`: why a rewritten chain would not show.

    `seals`: how many good ones it has.
    """

    entries: int
    last: float | None = None
    fault: str = ""
    unsealed: str = ""
    seals: int = 0


@dataclass(frozen=True)
class Policy:
    """A NetworkPolicy. `target`, `canary`: it selects the pods of the target, those of its canary."""

    document: Json
    target: bool
    canary: bool

    @property
    def name(self) -> str:
        """Of the object."""
        return str(self.document["metadata"]["name"])


@dataclass(frozen=True)
class Pods:
    """A Deployment's pods, and what surrounds them. Documents are as the API gives them.

    Attributes:
        namespace: theirs. template: of the pods.
        account: their service account. bindings: what it is bound to, in words.
        settings: ConfigMaps that `envFrom` names -> their keys.
        bounds: ResourceQuotas and LimitRanges of the namespace, in words.
        rights: rules that our own account has in the namespace.
    """

    namespace: str
    template: Json
    policies: tuple[Policy, ...] | Unseen
    account: Json | Unseen
    bindings: tuple[str, ...] | Unseen
    settings: Mapping[str, tuple[str, ...] | Unseen]
    bounds: tuple[str, ...] | Unseen
    rights: tuple[Json, ...] | Unseen


@dataclass(frozen=True)
class Named:
    """A variable that holds, or seems to hold, a secret. `why`: how one can tell."""

    name: str
    why: str


@dataclass(frozen=True)
class Replica:
    """A running process of a local service.

    Attributes:
        name: with its pid, for people. user: who it runs as. root: that is root.
        listens: addresses that it listens on beyond this machine.
        secrets: in its environment. limits: what is limited (`memory`, `cpu`, `tasks`) -> how.
    """

    name: str
    user: str
    root: bool
    listens: tuple[str, ...] | Unseen = ()
    secrets: tuple[Named, ...] | Unseen = ()
    limits: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Unit:
    """A systemd unit that keeps the service. `settings`: the keys of its section [Service]."""

    path: str
    settings: Mapping[str, str]
    exposure: float | Unseen


@dataclass(frozen=True)
class Open:
    """A path that others may write to. `who`: in words. `mode`: as in `ls -l`."""

    path: str
    who: str


@dataclass(frozen=True)
class Host:
    """A service of the local runtime, on its machine.

    Attributes:
        listen: the address in front. replicas: that run now. unit: None when none is named.
        kept: paths that hold state and configuration. open: those of them that others may write to.
        secrets: in the configuration's own environment.
    """

    listen: tuple[str, int]
    replicas: tuple[Replica, ...]
    unit: Unit | Unseen | None
    kept: tuple[str, ...]
    open: tuple[Open, ...] | Unseen
    secrets: tuple[Named, ...] = ()


@dataclass(frozen=True)
class Mounted:
    """Something that a container sees of its host.

    Attributes:
        source, target: its place on the host, and in the container. kind: `bind`, `volume` or `tmpfs`.
        in_memory: it is gone when nobody has it mounted any more; None: not known.
    """

    source: str
    target: str
    writable: bool
    kind: str = "bind"
    in_memory: bool | None = False


@dataclass(frozen=True)
class Box:
    """A container for risky code, as Docker describes it.

    Attributes:
        image: as it was named when it was made. user: `UID:GID`, or empty: that of the image.
        added: capabilities that were added. drops_all: all others are dropped.
        shares: `network`, `process numbers`, `shared memory` -> whose, empty: its own.
        network: `none`, or the name of one. ports: that are published.
        memory, swap: bytes; `swap` counts both, 0: none was said, -1: no end. cores: 0: no limit.
        processes: at most so many; 0: no limit. secrets: in its environment.
    """

    name: str
    image: str
    user: str
    privileged: bool
    added: tuple[str, ...]
    drops_all: bool
    no_new_privileges: bool
    unconfined: bool
    read_only: bool
    restart: str
    shares: Mapping[str, str]
    network: str
    ports: tuple[str, ...]
    memory: int
    swap: int
    cores: float
    processes: int
    mounts: tuple[Mounted, ...]
    secrets: tuple[Named, ...]


@dataclass(frozen=True)
class Facts:
    """All that the points are decided on.

    Attributes:
        target: its name. namespace: empty for a local service. file: the configuration, for people.
        now: unix seconds. proofs: backups and drills; what could not be looked at among them.
        alerts: None when no Prometheus is named.
    """

    target: str
    namespace: str
    file: str
    now: float
    asked: Asked
    proofs: tuple[Proof | Unseen, ...]
    alerts: Alerts | Unseen | None
    history: History
    ledger: Ledger | Unseen
    place: Pods | Host | Box
