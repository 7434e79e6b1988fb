"""A whole release in memory: the real loop and the real policy over fake ports and virtual time."""

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from canary.begin import StartOptions
from canary.conduct import start
from canary.config.settings import Runtime, Settings
from canary.core.actions import Act, Decision, Move, Remove, SetRevision
from canary.core.observation import Arm
from canary.core.release import Phase, Release
from canary.core.strategy import Strategy
from canary.looking import Ports
from canary.ports import LedgerStore, Records, Seals, Workloads
from tests.fake_cluster import Behaviour, FakeCluster
from tests.fake_metrics import FakeMetrics
from tests.fakes import (
    CutLease,
    FakeClock,
    FakeLease,
    FakeLedger,
    FakeRecords,
    FakeReporter,
    Leases,
    PowerCut,
    PowerLostError,
)

GOOD = Behaviour()
BAD = Behaviour(error_rate=0.03)
SLOW = Behaviour(latency=(0.5, 0.3, 0.1, 0.06, 0.04))
NEVER = Behaviour(never_ready=True)
CRASHES = Behaviour(crash_after_s=20.0)
OVERLOADED = Behaviour(overload=(85.0, 0.03))
STRATEGY = Strategy(steps=(25.0, 50.0), hold_min_s=60, deadline_s=3600)


@dataclass
class Stage:
    """One target with its fake world. Drivers come and go; the world stays.

    Attributes:
        behaviours: by version. rate: requests a second. strategy: of the release.
    """

    behaviours: dict[str, Behaviour] = field(default_factory=dict)
    rate: float = 400.0
    strategy: Strategy = STRATEGY
    replicas: int = 4
    seals: Seals | None = None

    def __post_init__(self) -> None:
        self.clock = FakeClock()
        self.cluster = FakeCluster(
            self.clock, replicas=self.replicas, behaviours=self.behaviours, rate=self.rate
        )
        self.metrics = FakeMetrics(self.cluster)
        self.records = FakeRecords()
        self.ledger = FakeLedger()
        self.leases = Leases(self.clock)
        self.reporter = FakeReporter()
        self.drivers = 0

    def settings(self) -> Settings:
        return Settings(Path("canary.yaml"), "digest", Runtime.LOCAL, "web", self.strategy)

    def ports(self, cut: PowerCut | None = None) -> Ports:
        """The ports of one new driver process."""
        self.drivers += 1
        self.metrics.begun = self.clock.now()
        cut = cut or PowerCut()
        records: Records = cut.records(self.records)
        workloads: Workloads = cut.workloads(_Watched(self))
        ledger: LedgerStore = cut.ledger(self.ledger)
        lease = CutLease(cut, FakeLease(self.leases, "web", f"ci-{self.drivers}@runner"))
        return Ports(
            records, lease, workloads, self.metrics, ledger, self.clock, "ann@laptop", seals=self.seals
        )

    def run(self, version: str = "v2", *, cut: PowerCut | None = None, **options: Any) -> Release:
        """Start a release, as a process of its own would, and drive it to its end."""
        asked = StartOptions(**options)
        return start(self.ports(cut), self.settings(), version, asked, self.reporter).release

    def run_through(self, version: str, cuts: list[tuple[int, bool]]) -> Release:
        """The same, with the process killed at these effects and started again each time."""
        for at, after in cuts:
            try:
                return self.run(version, cut=PowerCut(at, after=after))
            except PowerLostError:
                continue
        return self.run(version)

    @property
    def recorded(self) -> Release:
        found = self.records.load("web")
        assert found is not None
        return found.release

    def decisions(self, kind: type[Decision]) -> list[Decision]:
        return [decision for decision in self.reporter.decisions if isinstance(decision, kind)]

    def moves(self) -> list[str]:
        return [move.reason for move in self.reporter.decisions if isinstance(move, Move)]

    def acted(self) -> bool:
        return bool(self.decisions(Act))

    def stable_version(self) -> str:
        world = self.cluster.observe()
        assert world is not None
        return world.stable.revision.version

    def tidy(self) -> bool:
        """Nothing of the release is left: the target alone, whole, at its size."""
        world = self.cluster.observe()
        assert world is not None
        return world.canary is None and world.stable.settled and world.stable.replicas == self.replicas


class _Watched:
    """The cluster, refusing anything that the record does not already ask for."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self._inner = stage.cluster

    def apply(self, action: Any, *, within_s: float) -> None:
        release = self._stage.recorded
        if isinstance(action, SetRevision) and action.arm is Arm.STABLE:
            wanted = release.canary if release.phase is Phase.PROMOTING else release.stable
            assert release.phase in (Phase.PROMOTING, Phase.ROLLING_BACK), release.phase
            assert action.revision.hash == wanted.hash
        if isinstance(action, SetRevision) and action.arm is Arm.CANARY:
            assert release.phase in (Phase.PROGRESSING, Phase.PROMOTING)
        if isinstance(action, Remove):
            assert release.phase in (Phase.PROMOTING, Phase.ROLLING_BACK)
        self._inner.apply(action, within_s=within_s)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)


def quick(**changes: Any) -> Strategy:
    """STRATEGY with changes."""
    return replace(STRATEGY, **changes)
