"""The command line in a world of fakes: virtual time, pods and metrics in memory; all else is real."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from canary import wiring
from canary.cli import app
from canary.config.settings import LocalService, Runtime, Settings
from canary.core.strategy import Strategy
from canary.errors import MissingError
from canary.looking import Ports
from tests.fake_cluster import Behaviour, FakeCluster
from tests.fake_metrics import FakeMetrics
from tests.fakes import FakeClock, FakeLease, FakeLedger, FakeRecords, Leases

STRATEGY = Strategy(
    steps=(25.0, 50.0),
    hold_min_s=10,
    hold_max_s=300,
    deadline_s=900,
    interval_s=1,
    scrape_interval_s=1,
    warm_up_min_s=5,
    warm_up_max_s=10,
    history_s=300,
)


@dataclass
class Cli:
    """Runs commands; `v2` is good, `v3` fails 5 % of its requests, `v4` never becomes ready."""

    settings: Settings
    clock: FakeClock
    cluster: FakeCluster
    metrics: FakeMetrics
    records: FakeRecords
    ledger: FakeLedger
    leases: Leases

    def run(self, *arguments: str) -> int:
        """One command, as a process of its own would run it."""
        self.clock.clear()
        return app.main(arguments)

    def ports(self, actor: str) -> Ports:
        """The ports as one process has them."""
        lease = FakeLease(self.leases, self.settings.target, actor)
        return Ports(self.records, lease, self.cluster, self.metrics, self.ledger, self.clock, actor)


def a_world(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, **strategy: Any) -> Cli:
    """A service `web` with four replicas of v1 under 400 requests a second."""
    clock = FakeClock()
    bad = {"v3": Behaviour(error_rate=0.05), "v4": Behaviour(never_ready=True)}
    cluster = FakeCluster(clock, replicas=4, behaviours=bad, rate=400.0)
    metrics = FakeMetrics(cluster, scrape_s=1.0, history_s=300.0)
    service = LocalService("web", ("serve",), "v1", tmp_path, tmp_path / "state", ready_s=20.0)
    settings = Settings(
        path=tmp_path / "canary.yaml",
        digest="d",
        runtime=Runtime.LOCAL,
        target="web",
        strategy=replace(STRATEGY, **strategy),
        local=service,
    )
    cli = Cli(settings, clock, cluster, metrics, FakeRecords(), FakeLedger(), Leases(clock))

    def read(path: Path | None, **_: object) -> Settings:
        if path is not None and path.name == "missing.yaml":
            raise MissingError(f"{path}: there is no such file", remedy="Write one with `canary init`.")
        return settings

    monkeypatch.setattr(wiring, "settings", read)
    monkeypatch.setattr(wiring, "connect", lambda _, *, actor, config=(): cli.ports(actor))
    monkeypatch.setattr(wiring, "actor", lambda: "ann@laptop")
    return cli
