"""Recordings: read strictly, judged by the live loop's own code, to the same verdict at the same look."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from canary.conduct import start
from canary.core.assessed import Look
from canary.core.release import Outcome, Release
from canary.core.strategy import ERRORS, Metric, MetricKind, Strategy
from canary.errors import CanaryError, InvalidError
from canary.record import strategy_document, strategy_from
from canary.replay import replay_file
from canary.trace_writer import TraceWriter
from canary.wiring import StartOptions
from tests.stage import BAD, GOOD, SLOW, Stage, quick

EDGES = [0.05, 0.1, 0.25, 0.5, 1.0]
SHARES = [0.2, 0.3, 0.3, 0.15, 0.04, 0.01]
HEADER = {"trace": 1, "interval_s": 15, "le": EDGES, "slo_s": 0.25}


def counted(
    seed: int, rate: float, errors: float, *, slower: float = 0.0
) -> Callable[[], tuple[int, int, Any]]:
    """Draws the increments of one pod in one interval."""
    rng = np.random.default_rng(seed)
    shares = np.array(SHARES)
    shares = shares + slower * np.array([-1.0, 0, 0, 0, 1, 0])

    def draw() -> tuple[int, int, Any]:
        requests = int(rng.poisson(rate * 15))
        return requests, int(rng.binomial(requests, errors)), rng.multinomial(requests, shares)

    return draw


def lines(
    *, canary_errors: float = 0.003, slower: float = 0.0, rate: float = 40.0, until: int = 3600
) -> list[dict[str, Any]]:
    """A release with half an hour of history, four stable and two canary pods."""
    pods = {f"s{i}": ("stable", counted(i, rate, 0.003)) for i in range(4)}
    pods |= {f"c{i}": ("canary", counted(90 + i, rate, canary_errors, slower=slower)) for i in range(2)}
    totals: dict[str, list[Any]] = {name: [0, 0, np.zeros(len(SHARES))] for name in pods}
    found = []
    for t in range(-1800, until + 1, 15):
        row = {}
        for name, (arm, draw) in pods.items():
            if arm == "canary" and t <= 0:
                continue
            requests, errors, buckets = draw()
            have = totals[name]
            have[0], have[1], have[2] = have[0] + requests, have[1] + errors, have[2] + buckets
            cumulative = [int(value) for value in np.cumsum(have[2])]
            row[name] = {"arm": arm, "requests": have[0], "errors": have[1], "buckets": cumulative}
        found.append({"t": t, "pods": row})
    return found


def written(folder: Path, rows: list[dict[str, Any]], header: dict[str, Any] | None = None) -> Path:
    path = folder / "trace.jsonl"
    path.write_text("\n".join(json.dumps(row) for row in [header or HEADER, *rows]) + "\n")
    return path


def test_a_version_that_fails_more_often_is_rolled_back(tmp_path: Path) -> None:
    found = replay_file(written(tmp_path, lines(canary_errors=0.02)))
    assert (found.verdict, found.false_rollback_rate) == ("rollback", 0.01)
    assert found.t is not None
    assert found.t % 15 == 0
    assert found.t <= 300
    assert "errors" in found.reason


def test_a_version_that_is_slower_is_rolled_back_after_its_warm_up(tmp_path: Path) -> None:
    found = replay_file(written(tmp_path, lines(slower=0.05)))
    assert found.verdict == "rollback"
    assert "latency" in found.reason
    assert found.t is not None
    assert 60 <= found.t <= 600


def test_a_version_that_is_as_good_is_promoted(tmp_path: Path) -> None:
    found = replay_file(written(tmp_path, lines()))
    assert found.verdict == "promote"
    assert found.t is not None
    assert found.t >= 60


def test_a_recording_that_ends_before_anything_is_decided_is_inconclusive_at_no_time(tmp_path: Path) -> None:
    found = replay_file(written(tmp_path, lines(rate=0.2, until=300)))
    assert (found.verdict, found.t) == ("inconclusive", None)
    assert "ends at 300 s" in found.reason


def test_an_open_question_at_the_deadline_is_inconclusive_then(tmp_path: Path) -> None:
    found = replay_file(written(tmp_path, lines(rate=0.2, until=4000)))
    assert (found.verdict, found.t) == ("inconclusive", 3600.0)


def test_counters_that_reset_change_no_verdict_and_lose_no_count(tmp_path: Path) -> None:
    rows = lines(canary_errors=0.02)
    whole = looks(written(tmp_path, rows))
    for row in rows:
        pod = row["pods"].get("c0")
        if pod is not None and row["t"] > 60:
            before = next(r for r in rows if r["t"] == 60)["pods"]["c0"]
            row["pods"]["c0"] = {
                "arm": "canary",
                "requests": pod["requests"] - before["requests"],
                "errors": pod["errors"] - before["errors"],
                "buckets": [a - b for a, b in zip(pod["buckets"], before["buckets"], strict=True)],
            }
    assert [look.canary for look in looks(written(tmp_path, rows))] == [look.canary for look in whole]


def test_a_missing_line_extends_the_look_and_loses_no_count(tmp_path: Path) -> None:
    rows = lines()
    whole = looks(written(tmp_path, rows))
    short = looks(written(tmp_path, [row for row in rows if row["t"] != 30]))
    assert [look.at for look in short[:2]] == [15.0, 45.0]
    total = sum(look.canary["errors"][1] for look in whole[:3])
    assert sum(look.canary["errors"][1] for look in short[:2]) == total


def test_a_pod_that_was_there_before_the_start_counts_from_its_first_scrape(tmp_path: Path) -> None:
    rows = [row for row in lines(until=600) if row["t"] > 0]
    early = {"c0": {"arm": "canary", "requests": 9000, "errors": 500, "buckets": [9000] * 6}}
    stable = {n: {**p, "requests": 0, "errors": 0, "buckets": [0] * 6} for n, p in rows[0]["pods"].items()}
    later = {
        "arm": "canary",
        "requests": 9100,
        "errors": 500,
        "buckets": [9100] * 6,
    }
    first = {"t": 0, "pods": {**{n: p for n, p in stable.items() if n.startswith("s")}, **early}}
    rows = [{**row, "pods": {**row["pods"], "c0": later}} for row in rows]
    assert looks(written(tmp_path, [first, *rows]))[0].canary["errors"][1] == rows[0]["pods"]["c1"]["errors"]


def test_another_configuration_judges_the_same_recording_otherwise(tmp_path: Path) -> None:
    path = written(tmp_path, lines(canary_errors=0.02))
    tolerant = Strategy(metrics=(replace(ERRORS, tolerance=20.0),))
    assert replay_file(path).verdict == "rollback"
    assert replay_file(path, tolerant).verdict != "rollback"


def test_a_metric_that_is_not_in_the_recording_is_never_taken_for_safe(tmp_path: Path) -> None:
    own = Metric("checkouts", MetricKind.RATIO, bad="a", all="b")
    found = replay_file(written(tmp_path, lines()), Strategy(metrics=(ERRORS, own)))
    assert found.verdict == "inconclusive"


def looks(path: Path, strategy: Strategy | None = None) -> list[Look]:
    found: list[Look] = []
    replay_file(path, strategy, found.append, recorded_strategy=strategy_from)
    return found


FAULTS: dict[str, tuple[str, str]] = {
    "empty": ("", ":1: the file is empty"),
    "not json": ("hello\nworld\n", ":1: is not JSON"),
    "no header": ('{"t": 1, "pods": {}}\n', ':1: found no "trace"'),
    "newer": ('{"trace": 2, "interval_s": 15, "le": []}\n', ':1: found "trace": 2'),
    "no interval": ('{"trace": 1, "le": []}\n', ":1: interval_s: found None"),
    "bounds down": ('{"trace": 1, "interval_s": 15, "le": [2, 1]}\n', ":1: le: bucket bounds"),
    "unknown arm": (
        '{"trace":1,"interval_s":15,"le":[]}\n{"t":1,"pods":{"a":{"arm":"x","requests":1,"errors":0}}}\n',
        ":2: pods.a.arm: found 'x'",
    ),
    "buckets short": (
        '{"trace":1,"interval_s":15,"le":[1]}\n'
        '{"t":1,"pods":{"a":{"arm":"canary","requests":1,"errors":0,"buckets":[1]}}}\n',
        ":2: pods.a.buckets: found 1, wanted 2",
    ),
    "backwards": (
        '{"trace":1,"interval_s":15,"le":[]}\n{"t":5,"pods":{}}\n{"t":5,"pods":{}}\n',
        ":3: t: found 5 after 5",
    ),
    "no canary": ('{"trace":1,"interval_s":15,"le":[]}\n{"t":5,"pods":{}}\n', "nothing to judge"),
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_file_that_is_no_recording_is_refused_by_line(tmp_path: Path, name: str) -> None:
    text, words = FAULTS[name]
    path = tmp_path / "bad.jsonl"
    path.write_text(text)
    with pytest.raises(InvalidError, match=r".*") as fault:
        replay_file(path)
    assert words in fault.value.message


def test_a_recording_that_was_cut_off_in_its_last_line_is_read_up_to_there(tmp_path: Path) -> None:
    path = written(tmp_path, lines(canary_errors=0.02))
    path.write_text(path.read_text() + '{"t": 3615, "po')
    assert replay_file(path).verdict == "rollback"


def live(stage: Stage, path: Path) -> tuple[Release, list[tuple[float, float, float]]]:
    """A release over fake ports, recorded; its looks from the ledger."""
    options = StartOptions(trace=path)
    release = start(stage.ports(), stage.settings(), "v2", options, stage.reporter).release
    entries = [entry for entry in stage.ledger.read("web") if entry.kind == "look"]
    return release, [
        (entry.at - release.since, entry.body["harm"], entry.body["number"]) for entry in entries
    ]


@pytest.mark.parametrize(
    ("behaviour", "verdict"),
    [(GOOD, "promote"), (BAD, "rollback"), (SLOW, "rollback")],
    ids=["good", "bad", "slow"],
)
@pytest.mark.parametrize("steps", [(50.0,), (25.0, 50.0)], ids=["one step", "two steps"])
def test_a_recorded_release_replays_to_the_same_verdict_at_the_same_look(
    tmp_path: Path, behaviour: Any, verdict: str, steps: tuple[float, ...]
) -> None:
    stage = Stage({"v2": behaviour}, strategy=quick(steps=steps))
    path = tmp_path / "live.jsonl"
    release, told = live(stage, path)
    seen: list[Look] = []
    found = replay_file(path, on_look=seen.append, recorded_strategy=strategy_from)
    assert release.outcome in (Outcome.PROMOTED, Outcome.REGRESSION)
    assert found.verdict == verdict
    assert [look.at for look in seen] == [t for t, _, _ in told]
    assert [look.evidence.harm for look in seen] == pytest.approx([harm for _, harm, _ in told])
    assert found.t == told[-1][0]


def test_a_recording_survives_scrapes_that_were_missing_for_minutes(tmp_path: Path) -> None:
    stage = Stage({"v2": GOOD})
    stage.clock.at(200, lambda: setattr(stage.metrics, "scraping", False))
    stage.clock.at(500, lambda: setattr(stage.metrics, "scraping", True))
    path = tmp_path / "live.jsonl"
    release, told = live(stage, path)
    seen: list[Look] = []
    found = replay_file(path, on_look=seen.append, recorded_strategy=strategy_from)
    assert release.outcome is Outcome.PROMOTED
    assert (found.verdict, found.t) == ("promote", told[-1][0])
    assert [look.at for look in seen] == [t for t, _, _ in told]


def test_a_recording_that_cannot_be_written_is_told_before_anything_starts(tmp_path: Path) -> None:
    with pytest.raises(CanaryError, match="--trace"):
        TraceWriter(tmp_path / "no" / "such" / "folder.jsonl", strategy_document)


def test_a_strategy_goes_into_a_recording_and_comes_back_the_same() -> None:
    stage = Stage(strategy=quick(exclude={"path": ("/health*",)}))
    release = stage.run()
    assert strategy_from(strategy_document(release)) == release.strategy
