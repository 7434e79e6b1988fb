"""Laws of the looks, over made-up fleets: batching changes nothing, and nothing is ever invented."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from canary.core.observation import Arm
from canary.core.samples import Sample, Scrapes
from canary.core.strategy import ERRORS, LATENCY
from canary.core.ticks import Look, Ticker, advance, begin

INTERVAL_S = 15.0
END_S = 300.0


@dataclass(frozen=True)
class Life:
    """A made-up pod: its scrapes, and what truly happened: (at, bad, all) after every scrape."""

    samples: tuple[Sample, ...]
    truth: float
    gone: float | None


@st.composite
def lives(draw: st.DrawFn, name: str, arm: Arm, scrape_s: float) -> Life:
    """A pod with missed, torn, lagging scrapes and restarts that are told or not."""
    at = draw(st.floats(-60.0, -1.0) if arm is Arm.STABLE else st.floats(0.5, 60.0))
    tells = draw(st.booleans())
    started = -1000.0 if arm is Arm.STABLE else at / 2
    end = draw(st.sampled_from([END_S, END_S, 120.0]))
    samples, truth, counts, before = list[Sample](), 0.0, [0, 0, 0], (0.0, 0.0, 0.0)
    # What an old pod counted before its first scrape is not part of what can be counted.
    counted = arm is Arm.CANARY
    while at < end:
        kind = draw(st.sampled_from(["good"] * 8 + ["missed", "torn", "restart", "behind"]))
        if arm is Arm.STABLE and not samples and kind in ("missed", "behind"):
            # What counts as having happened begins with the first scrape, so that one has to tell the truth.
            # (And an old pod first scraped late, that does not tell its age, passes for a new one.)
            kind = "good"
        if kind == "restart" and samples:
            counts, started = [0, 0, 0], at - 1.0
        fast, slow, bad = draw(st.tuples(st.integers(0, 9), st.integers(0, 9), st.integers(0, 3)))
        counts = [counts[0] + fast, counts[1] + slow, counts[2] + min(bad, fast + slow)]
        truth += fast + slow if counted else 0
        counted = True
        now = (float(counts[0]), float(counts[0] + counts[1]), float(counts[2]))
        seen = before if kind == "behind" else now
        if kind != "missed":
            buckets = (seen[1], seen[0]) if kind == "torn" and counts[1] else seen[:2]
            counters = {"errors": (seen[2], seen[1]), "latency": buckets}
            samples.append(Sample(name, arm, at, counters, started if tells else None))
        before = now
        at += draw(st.floats(0.8, 1.2)) * scrape_s
    return Life(tuple(samples), truth, end if draw(st.booleans()) else None)


@st.composite
def fleets(draw: st.DrawFn) -> tuple[Ticker, list[Life]]:
    scrape_s = draw(st.sampled_from([5.0, 15.0, 60.0]))
    stable = [draw(lives(f"s{n}", Arm.STABLE, scrape_s)) for n in range(draw(st.integers(1, 3)))]
    canary = [draw(lives(f"c{n}", Arm.CANARY, scrape_s)) for n in range(draw(st.integers(1, 2)))]
    ticker = begin((ERRORS, LATENCY), since=0.0, interval_s=INTERVAL_S, scrape_interval_s=scrape_s)
    return ticker, stable + canary


def in_order(fleet: Sequence[Life]) -> list[Sample]:
    return sorted((one for life in fleet for one in life.samples), key=lambda one: (one.at, one.pod))


def ends(fleet: Sequence[Life]) -> dict[str, float]:
    return {life.samples[0].pod: life.gone for life in fleet if life.gone is not None and life.samples}


def all_at_once(ticker: Ticker, fleet: Sequence[Life]) -> tuple[Look, ...]:
    answer = Scrapes(tuple(in_order(fleet)), gone=ends(fleet), settled_until=END_S)
    return advance(ticker, answer, END_S)[1]


def in_batches(ticker: Ticker, fleet: Sequence[Life], cuts: Sequence[float]) -> Iterator[Look]:
    """Each batch settles up to its cut; it repeats the scrapes before it, and brings later ones early."""
    samples, gone = in_order(fleet), ends(fleet)
    for start, end in pairwise([-1000.0, *sorted(cuts), END_S]):
        batch = [one for one in samples if start - 20.0 < one.at <= end + 7.0]
        known: Mapping[str, float] = {pod: at for pod, at in gone.items() if at <= end}
        ticker, looks = advance(ticker, Scrapes(tuple(batch), known, settled_until=end), end + 100.0)
        yield from looks


@settings(max_examples=60, deadline=None)
@given(fleets(), st.lists(st.floats(-60.0, END_S), max_size=12))
def test_any_batching_gives_the_same_looks(made: tuple[Ticker, list[Life]], cuts: list[float]) -> None:
    ticker, fleet = made
    assert tuple(in_batches(ticker, fleet, cuts)) == all_at_once(ticker, fleet)


@settings(max_examples=20, deadline=None)
@given(fleets())
def test_one_by_one_gives_the_same_looks(made: tuple[Ticker, list[Life]]) -> None:
    ticker, fleet = made
    cuts = [one.at for one in in_order(fleet)]
    assert tuple(in_batches(ticker, fleet, cuts)) == all_at_once(ticker, fleet)


@settings(max_examples=80, deadline=None)
@given(fleets())
def test_no_more_is_counted_than_happened(made: tuple[Ticker, list[Life]]) -> None:
    ticker, fleet = made
    looks = all_at_once(ticker, fleet)
    for life in fleet:
        counted = [
            metrics
            for look in looks
            for pod, metrics in {**look.stable, **look.canary}.items()
            if life.samples and pod == life.samples[0].pod
        ]
        for metric in ("errors", "latency"):
            assert sum(sum(metrics.get(metric, ())) for metrics in counted) <= life.truth
        assert all(value >= 0 for metrics in counted for counts in metrics.values() for value in counts)


@settings(max_examples=30, deadline=None)
@given(fleets())
def test_looks_lie_on_the_grid_in_order_and_cover_time_before_them(made: tuple[Ticker, list[Life]]) -> None:
    ticker, fleet = made
    looks = all_at_once(ticker, fleet)
    assert all(one.k < other.k for one, other in pairwise(looks))
    for look in looks:
        assert look.at == INTERVAL_S * look.k
        assert look.began <= look.at
        assert look.k > 0 or not look.canary
