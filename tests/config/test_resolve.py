"""What a file without faults comes to."""

import re
from pathlib import Path

import pytest

from canary.config.load import load
from canary.config.settings import (
    HttpServer,
    KubernetesTarget,
    PodsSource,
    PreflightSettings,
    Runtime,
    Settings,
)
from canary.core.revision import Limits
from canary.core.strategy import (
    ERRORS,
    LATENCY,
    Capacity,
    Guard,
    GuardAction,
    Margin,
    Metric,
    MetricKind,
    OnInconclusive,
    Strategy,
)
from canary.errors import InvalidError
from canary.preflight.facts import Asked

LOCAL = """\
target: {local: shop}
local: {command: [serve, "{port}", "{version}"], version: v1}
"""
CLUSTER = "target: {namespace: prod, deployment: api, container: app}\nimage: shop/api\n"


def loaded(folder: Path, text: str) -> Settings:
    path = folder / "canary.yaml"
    path.write_text(text)
    return load(path)


def metrics(folder: Path, text: str) -> tuple[Metric, ...]:
    return loaded(folder, LOCAL + f"analysis:\n  metrics:\n    - {text}\n").strategy.metrics


def test_what_is_left_out_is_as_the_core_has_it(tmp_path: Path) -> None:
    found, usual = loaded(tmp_path, CLUSTER).strategy, Strategy()

    known = {**vars(usual), "exclude": found.exclude, "probe_rate": 1 / usual.scrape_interval_s}
    assert vars(found) == known


def test_guards_bring_what_they_read_and_no_more(tmp_path: Path) -> None:
    text = """\
target: {local: shop}
local: {command: [serve, "{port}", "{version}"], version: v1, limits: {memory: 1GiB, cpu: 2}}
gauges: {queue: shop_queue, unused: shop_unused, wait: shop_wait_seconds}
guards:
  - name: full
    condition: >-
      memory_usage > 90% for 30s
      or wait > 2s
    action: abort
    alert: true
  - {name: deep, condition: queue > 10, action: pause}
"""
    settings = loaded(tmp_path, text)
    found = settings.strategy

    assert found.guards == (
        Guard("full", "memory_usage > 90% for 30s or wait > 2s", GuardAction.ABORT, alert=True),
        Guard("deep", "queue > 10", GuardAction.PAUSE),
    )
    assert [(gauge.name, gauge.gauge) for gauge in found.gauges] == [
        ("memory_bytes", "process_resident_memory_bytes"),
        ("queue", "shop_queue"),
        ("wait", "shop_wait_seconds"),
    ]
    assert settings.local is not None
    assert settings.local.limits == Limits(2.0**30, 2.0)
    # Those of the target as it is found: on Kubernetes they are in its template.
    assert found.limits == Limits()


def test_a_local_service_has_its_paths_from_the_folder_of_the_file(tmp_path: Path) -> None:
    text = LOCAL.replace("version: v1", "version: v1, directory: app, state: /var/lib/canary")
    settings = loaded(tmp_path, text)

    assert settings.runtime is Runtime.LOCAL
    assert settings.local is not None
    assert settings.local.directory == tmp_path / "app"
    assert settings.local.state == Path("/var/lib/canary")
    assert settings.local.command == ("serve", "{port}", "{version}")
    assert settings.kubernetes is None


def test_a_path_may_begin_at_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "ada"))
    settings = loaded(tmp_path, LOCAL.replace("version: v1", "version: v1, state: ~/state"))

    assert settings.local is not None
    assert settings.local.state == tmp_path / "ada" / "state"


def test_a_deployment_is_understood(tmp_path: Path) -> None:
    settings = loaded(tmp_path, CLUSTER)

    assert settings.runtime is Runtime.KUBERNETES
    assert settings.target == "api"
    assert settings.kubernetes == KubernetesTarget("prod", "api", "app")
    assert settings.image == "shop/api"
    assert settings.local is None


def test_without_a_prometheus_the_pods_of_a_deployment_are_scraped(tmp_path: Path) -> None:
    usual = loaded(tmp_path, CLUSTER)
    text = "analysis: {interval: 20s, source: {pods: {port: 9102, path: /m, scrape: 5s, insecure: true}}}\n"
    given = loaded(tmp_path, CLUSTER + text)
    prometheus = loaded(tmp_path, CLUSTER + "analysis: {source: {prometheus: {url: 'http://p'}}}\n")

    assert usual.pods == PodsSource()
    assert given.pods == PodsSource(9102, "/m", 5.0, insecure=True)
    assert given.strategy.scrape_interval_s == 5.0
    assert prometheus.pods is None
    assert loaded(tmp_path, LOCAL).pods is None


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        (
            "analysis: {interval: 15s, source: {pods: {scrape: 20s}}}",
            r"wanted at least 20s \(`analysis.source.po",
        ),
        ("analysis: {interval: 10s}", r"found 10s, wanted at least 15s \(`analysis\.source\.pods\.scrape`\)"),
        ("analysis: {source: {pods: {port: 0}}}", r"analysis\.source\.pods\.port: found 0"),
        ("analysis: {source: {pods: {path: metrics}}}", r"wanted a path that begins with /"),
    ],
)
def test_faults_of_scraping_pods_are_told(tmp_path: Path, text: str, wanted: str) -> None:
    with pytest.raises(InvalidError) as caught:
        loaded(tmp_path, f"{CLUSTER}{text}\n")
    assert re.search(wanted, "; ".join(caught.value.faults))


@pytest.mark.parametrize(
    ("text", "rate"),
    [
        (CLUSTER, 1 / 15),
        (CLUSTER + "analysis: {source: {pods: {scrape: 5s}}}\n", 1 / 5),
        (CLUSTER + "analysis: {source: {prometheus: {url: 'http://p', scrape_interval: 10s}}}\n", 1 / 10),
        (LOCAL, 1 + 1 / 15),
        (
            LOCAL + "analysis: {source: {prometheus: {url: 'http://p', scrape_interval: 10s}}}\n",
            1 + 1 / 15 + 1 / 10,
        ),
    ],
)
def test_every_scrape_and_health_check_that_is_known_of_counts_as_a_probe(
    tmp_path: Path, text: str, rate: float
) -> None:
    assert loaded(tmp_path, text).strategy.probe_rate == pytest.approx(rate)


def test_all_of_a_strategy_is_read(tmp_path: Path) -> None:
    text = LOCAL + (
        "steps: [5, 50%]\nhold: {min: 10s, max: 1m}\ndeadline: 20m\npause_max: 4h\n"
        "on_inconclusive: pause\nbake: 10m\ncapacity: extra\n"
        "analysis: {interval: 30s, warm_up: {min: 1s, max: 2s}, false_rollback_rate: 5%,"
        " false_promotion_rate: 0.1}\n"
    )
    found = loaded(tmp_path, text).strategy

    assert found.steps == (5.0, 50.0)
    assert (found.hold_min_s, found.hold_max_s) == (10.0, 60.0)
    assert (found.deadline_s, found.pause_max_s, found.bake_s) == (1200.0, 14400.0, 600.0)
    assert found.on_inconclusive is OnInconclusive.PAUSE
    assert found.capacity is Capacity.EXTRA
    assert (found.interval_s, found.warm_up_min_s, found.warm_up_max_s) == (30.0, 1.0, 2.0)
    assert (found.false_rollback_rate, found.false_promotion_rate) == (0.05, 0.1)


def test_the_scrape_interval_is_that_of_the_source(tmp_path: Path) -> None:
    own = loaded(tmp_path, LOCAL.replace("version: v1", "version: v1, scrape: 2s"))
    prometheus = (
        LOCAL
        + "analysis: {source: {prometheus: {url: 'https://p:9090/', scrape_interval: 10s,"
        + " token_file: token, selector: {job: shop}}}}\n"
    )
    other = loaded(tmp_path, prometheus)

    assert own.strategy.scrape_interval_s == 2.0
    assert own.prometheus is None
    assert other.strategy.scrape_interval_s == 10.0
    assert other.prometheus is not None
    assert other.prometheus.url == "https://p:9090"
    assert other.prometheus.token_file == tmp_path / "token"
    assert other.prometheus.selector == {"job": "shop"}


def test_health_checks_and_metrics_pages_are_no_traffic_unless_said_otherwise(tmp_path: Path) -> None:
    found = loaded(tmp_path, LOCAL.replace("version: v1", "version: v1, health: '/up?x=1'")).strategy.exclude

    for label in ("path", "handler", "route"):
        assert {"/up", "/metrics", "/healthz", "/ready", "/live"} <= set(found[label])


def test_what_is_excluded_replaces_the_default_but_never_lets_own_checks_in(tmp_path: Path) -> None:
    text = LOCAL + "analysis: {exclude: {path: [/static/*], job: [cron]}}\n"
    found = loaded(tmp_path, text).strategy.exclude

    assert found["path"] == ("/static/*", "/health", "/metrics")
    assert found["job"] == ("cron",)


def test_a_preset_brings_both_metrics_or_those_that_are_listed(tmp_path: Path) -> None:
    assert metrics(tmp_path, "preset: http") == (ERRORS, LATENCY)
    assert metrics(tmp_path, "{preset: http, errors: {}}") == (ERRORS,)
    assert [one.preset for one in metrics(tmp_path, "preset: istio")] == ["istio", "istio"]


def test_metrics_of_ones_own_are_read(tmp_path: Path) -> None:
    (ratio,) = metrics(tmp_path, "{name: pay, ratio: {bad: 'a{x=\"1\"}', all: b}}")
    (histogram,) = metrics(tmp_path, "{name: slow, histogram: h, slower_than: 500ms, tolerance: 5%}")

    assert ratio == Metric("pay", MetricKind.RATIO, bad='a{x="1"}', all="b", tolerance=0.1)
    assert (histogram.kind, histogram.histogram, histogram.slower_than_s) == (MetricKind.HISTOGRAM, "h", 0.5)
    assert (histogram.tolerance, histogram.margin) == (0.05, Margin(1.5, 0.01))


@pytest.mark.parametrize(
    ("given", "margin"),
    [
        ("{}", Margin(1.5, 0.005)),
        ("{margin: {ratio: 2}}", Margin(2.0, 0.005)),
        ("{margin: {ratio: 2, abs: 1pp}}", Margin(2.0, 0.01)),
        ("{tolerance: 10%, margin: {abs: 0.2pp}}", Margin(1.1, 0.002)),
        ("{tolerance: 80%}", Margin(1.8, 0.005)),
    ],
)
def test_the_part_of_a_margin_that_is_left_out_does_not_widen_the_other(
    tmp_path: Path, given: str, margin: Margin
) -> None:
    (found,) = metrics(tmp_path, f"{{preset: http, errors: {given}}}")

    assert found.margin.ratio == pytest.approx(margin.ratio)
    assert found.margin.abs == pytest.approx(margin.abs)


def test_what_is_checked_before_a_release_has_its_paths_from_the_folder_of_the_file(tmp_path: Path) -> None:
    text = """\
preflight:
  strict: true
  evidence: evidence
  stateless: a cache
  backup: {max_age: 12h}
  drill: {max_age: 30d, rto: 5m, rpo: 1h}
  prometheus: {url: "http://p:9090/", token_file: token, timeout: 2s}
  alertmanager: {url: "http://a:9093", ca_file: /etc/ca.pem}
  unit: shop.service
  exposure: 3
"""
    found = loaded(tmp_path, LOCAL + text).preflight
    assert found == PreflightSettings(
        strict=True,
        evidence=tmp_path / "evidence",
        asked=Asked(12 * 3600.0, 30 * 86400.0, 300.0, 3600.0, "a cache", False, 3.0),
        prometheus=HttpServer("http://p:9090", tmp_path / "token", timeout_s=2.0),
        alertmanager=HttpServer("http://a:9093", ca_file=Path("/etc/ca.pem")),
        unit=tmp_path / "shop.service",
    )
    assert loaded(tmp_path, CLUSTER + "preflight: {secrets: true}").preflight.asked == Asked(secrets=True)


def test_nothing_is_demanded_unless_said(tmp_path: Path) -> None:
    assert loaded(tmp_path, LOCAL).preflight == PreflightSettings()


@pytest.mark.parametrize("key", ["unit: shop.service", "exposure: 3"])
def test_a_unit_is_for_a_local_service(tmp_path: Path, key: str) -> None:
    with pytest.raises(InvalidError) as caught:
        loaded(tmp_path, CLUSTER + f"preflight: {{{key}}}")
    assert "is for a local service: pods are looked at in the cluster" in caught.value.faults[0]


def test_the_digest_is_that_of_what_is_meant_not_of_the_words_or_the_place(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    one = loaded(tmp_path / "a", LOCAL + "deadline: 60m\n")
    same = loaded(tmp_path / "b", "deadline: 1h  # the same\n" + LOCAL)
    other = loaded(tmp_path / "b", LOCAL + "deadline: 2h\n")

    assert one.digest == same.digest
    assert one.digest != other.digest
    assert len(one.digest) == 64
